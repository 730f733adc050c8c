"""Where things are, for tests."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
STORE = ROOT / "model-store"
