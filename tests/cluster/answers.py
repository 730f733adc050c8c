"""Whether two answers say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

TOLERANCE = 1e-3
"""Between two model servers."""


def assert_alike(one: Any, other: Any) -> None:
    """Equal, but for the last digits of numbers."""
    if isinstance(one, Mapping):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_alike(value, other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            assert_alike(first, second)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=TOLERANCE, abs=TOLERANCE)
    else:
        assert one == other
