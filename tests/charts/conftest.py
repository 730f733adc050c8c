"""The scenarios of the chart's ci/, rendered once."""

from __future__ import annotations

from pathlib import Path

import pytest
from rendering import CHART, SCENARIOS, Object, template, values_of


@pytest.fixture(scope="session", params=SCENARIOS)
def scenario(request: pytest.FixtureRequest) -> str:
    """Each scenario."""
    return request.param


@pytest.fixture(scope="session")
def rendered(scenario: str) -> list[Object]:
    """The objects of each scenario."""
    return template(CHART, *values_of(scenario))


@pytest.fixture(scope="session")
def everything() -> list[Object]:
    """The objects of the scenario that has every part of the chart."""
    return template(CHART, *values_of("everything"))


@pytest.fixture
def copied_chart(tmp_path: Path) -> Path:
    """A copy of the chart, to break."""
    import shutil

    return Path(shutil.copytree(CHART, tmp_path / "dokuei"))
