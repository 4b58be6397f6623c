"""kill -9 before every change of a file, whoever makes it: what is left is what was before, or what comes after.

pytest -m slow -s tests/faults/test_crash_points.py              prints how many points there are
HUBLET_TESTS_CRASH_POINTS=20 ...                                 tries so many of each scenario, evenly spread
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults import shim
from tests.faults.crash_points import SCENARIOS, chosen
from tests.running import missing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing("cc")), reason=missing("cc") or "it is there"),
]

MOST = os.environ.get("HUBLET_TESTS_CRASH_POINTS", "0")
ONE_STATE = {"rotate", "escrow", "upgrade", "backup"}
"""These change how things are sealed, or make a copy, and nothing of what is known."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shim.build(tmp_path_factory.mktemp("shim"))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_anywhere_it_opens_to_before_or_after(
    library: Path, tmp_path: Path, scenario: str, record_property: Callable[[str, object], None]
) -> None:
    """The whole decoded state is compared, and from every seventh point the next pass goes on."""
    points, killed, states = shim.figures(library, "crash_points.py", tmp_path, scenario, MOST)
    record_property("crash points", [scenario, points, killed, states])
    assert points > 30, "where SQLite's own calls are not seen there are far fewer"
    assert killed == len(chosen(points, int(MOST)))
    if MOST == "0":
        assert states >= (1 if scenario in ONE_STATE else 2)
