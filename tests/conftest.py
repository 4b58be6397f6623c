"""Fixtures that many tests share, and the rule that in CI nothing may be skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from tests.faults.shim import table
from tests.running import Home

MUST_RUN = "HUBLET_TESTS_MUST_RUN"
"""When this variable is set (CI sets it), a skipped test is a failed one."""

CONFIGS = "HUBLET_TEST_CONFIGS"
"""Names a folder of real configs. Where there is none, the tests of it may be skipped: reason `no real configs...`."""


def may_skip(longrepr: object) -> bool:
    """Whether a skip is one of those that are allowed where nothing else may be skipped."""
    reason = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return str(reason).removeprefix("Skipped: ").startswith("no real configs") and not os.environ.get(CONFIGS)


def _judge_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get(MUST_RUN) and report.skipped and not hasattr(report, "wasxfail"):
        if may_skip(report.longrepr):
            return
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    _judge_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """A whole module that is skipped, too."""
    report = yield
    _judge_skip(report)
    return report


COUNTED = {"crash points": ("points", "killed", "states"), "power losses": ("flushes", "losses", "states")}
"""What tests of these properties count for each of their scenarios; all of it was survived."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was counted: here, since the tests may have run in other processes."""
    passed = [report for report in terminalreporter.getreports("passed") if isinstance(report, pytest.TestReport)]
    for title, heads in COUNTED.items():
        rows = sorted(value for report in passed for name, value in report.user_properties if name == title)
        for line in table(f"{title}, survived", heads, rows) if rows else ():
            terminalreporter.write_line(line)


@pytest.fixture
def hub_server() -> Iterator[HubServer]:
    """The demo Hub on a real port."""
    with HubServer(Hub()) as server:
        yield server
    assert server.crashes == []


@pytest.fixture
def home(tmp_path: Path, hub_server: HubServer) -> Home:
    """A throwaway home whose hublet asks the demo Hub and serves on a free port; not logged in."""
    return Home.make(tmp_path / "home", hub_server.url)


@pytest.fixture
def logged_in(home: Home) -> Home:
    """The same, logged in and synced."""
    home.login(DEMO_KEY)
    return home
