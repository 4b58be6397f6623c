"""Tens of thousands of random steps of a hublet's life, each answer judged by a small model of what clients may see.

HUBLET_TESTS_STEPS=500000 pytest -m slow -s tests/faults/test_model.py      goes deeper
HUBLET_TESTS_SEED=7 ...                                                     elsewhere
"""

from __future__ import annotations

import asyncio
import functools
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.faults.machine import COUNTS, Hublet
from tests.faults.small_world import FAULTS, kinds_of_faults
from tests.in_process import in_process, text

from hublet.upstream import http

STEPS = int(os.environ.get("HUBLET_TESTS_STEPS", "50000"))
SEED = int(os.environ.get("HUBLET_TESTS_SEED", "1"))
_LIVES = 100


@pytest.fixture(autouse=True)
def quick_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the certificates anew for each pass would take longer than the pass; nothing here uses them."""
    monkeypatch.setattr(http, "trust", functools.cache(http.trust))


def live(steps: int, first: int, *, lives: int = _LIVES, length: int = 60) -> None:
    """Machines until so many steps are done. Which seed found something is printed with it."""
    COUNTS.clear()
    number = first
    while COUNTS["steps"] < steps:
        how = settings(
            max_examples=lives, stateful_step_count=length, database=None, deadline=None, print_blob=True,
            report_multiple_bugs=False, suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink),
        )  # fmt: skip
        try:
            run_state_machine_as_test(seed(number)(Hublet), settings=how)
        except BaseException:
            print(f"found by HUBLET_TESTS_SEED={number}")
            raise
        number += 1
    told = ", ".join(f"{number} {what}" for what, number in sorted(COUNTS.items()) if not what.startswith("fault "))
    print(f"\n{told}; seeds {first} to {number - 1}")


def test_what_clients_see_is_right_whatever_happens() -> None:
    """A short walk, the same every time."""
    live(400, SEED, lives=10, length=40)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_clients_see_is_right_in_a_long_life() -> None:
    """50,000 steps, or as many as HUBLET_TESTS_STEPS says; every kind of fault comes up."""
    live(STEPS, SEED)
    assert COUNTS["steps"] >= STEPS
    assert {f"fault {kind.__name__}" for kind in kinds_of_faults()} <= COUNTS.keys()


def test_every_kind_of_fault_is_among_those_that_are_switched_on() -> None:
    assert {type(fault) for fault in FAULTS} == kinds_of_faults()


def test_a_machine_that_wakes_shows_no_value_that_expired_in_its_sleep(tmp_path: Path) -> None:
    """Found by the walk: until the next heartbeat the snapshot from before was served."""

    async def main() -> None:
        async with in_process(tmp_path) as it:
            await it.log_in()
            it.network.up = False
            it.clock.advance(8 * 86400)
            response = await it.ask("GET", "/ide/get-assistant/dana/local-chat")
            assert response.status == 200
            assert "canary" not in text(response)
            assert "secrets withheld" in (response.header("cache-status") or "")

    asyncio.run(main())
