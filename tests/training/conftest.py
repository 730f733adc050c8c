from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import write_data


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic data folder."""
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder
