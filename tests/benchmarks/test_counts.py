"""What the benchmarks count, held to: records, bodies, requests, wake-ups. Never a time, which is a machine's mood."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.benchmarks import hits, hublets, idle, upstream
from tests.benchmarks.__main__ import MARKS, README
from tests.benchmarks.growth import Grown, grow
from tests.benchmarks.hub import World, hub_of
from tests.benchmarks.processes import family
from tests.benchmarks.table import Aim, Report, slope

pytestmark = [pytest.mark.bench, pytest.mark.timeout(180)]

MOST_WAKEUPS = 5
"""In ten seconds: a heartbeat may fall into them, and what it does may be interrupted."""
LEAST_RATIO = 100
"""Requests of a day without hublet to those with it."""


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> list[Grown]:
    place = tmp_path_factory.mktemp("grown")
    place.chmod(0o755)
    return [grow(place, number, organizations, load=None, starts=1) for number, organizations in ((10, 1), (120, 4))]


def test_a_pass_without_a_change_writes_no_record(grown: list[Grown]) -> None:
    """However many there are: only when the Hub said so last is written down, in one row."""
    for one in grown:
        assert one.records("nothing changed") == 0, one.writes
        assert sum(one.writes["nothing changed"].values()) <= 1, one.writes


def test_one_changed_assistant_is_one_record(grown: list[Grown]) -> None:
    """Beside it what it was before, in its history, and the ledger; nothing of the others."""
    for one in grown:
        assert one.records("one changed") == 1, one.writes
        assert sum(one.writes["one changed"].values()) <= 4, one.writes


def test_only_what_changed_is_serialised_anew(grown: list[Grown]) -> None:
    """Neither a pass nor the answers after it make the bodies of others again."""
    for one in grown:
        assert one.probes["nothing changed"]["renders"] == 0
        assert one.probes["one changed"]["renders"] == 1


def test_an_idle_daemon_sleeps(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All its threads together, and it has no children."""
    place = tmp_path_factory.mktemp("idle")
    place.chmod(0o755)
    with hub_of(World(number=20)) as hub:
        home = hublets.home_of(place / "home", hub.url)
        with home.daemon() as daemon:
            hublets.synced(daemon)
            time.sleep(3)
            pids = family(daemon.process.pid)
            assert pids == [daemon.process.pid]
            found = idle.watched({"hublet": pids}, 10.0)["hublet"]
    assert found.wakeups * 10 <= MOST_WAKEUPS


@pytest.mark.parametrize("polling", [False, True])
def test_a_day_costs_the_hub_a_hundredth(polling: bool) -> None:
    """What clients ask thousands of times is asked of the Hub when it is needed: what hardly changes once, the rest
    with the passes, or when a client finds it old."""
    without, with_hublet = upstream.both(24, polling=polling)
    assert without.asked / with_hublet.asked >= LEAST_RATIO, with_hublet.by_path
    passes = with_hublet.by_path["/ide/policy"]
    assert passes == with_hublet.by_path["/ide/list-organizations"]
    for path, times in with_hublet.by_path.items():
        if path.startswith(("/registry/", "/v0/", "/auth/", "/icons/")):
            assert times <= upstream.ASKING_MOMENTS + 1, path


def test_every_server_answers_alike_and_is_measured() -> None:
    """The peers that are installed give the same body under the same checks (the measuring itself says so), and those
    that are not are named."""
    report = Report()
    hits.measure(report, rounds=1, short=True)
    measured = {figure.what for figure in report.figures}
    for kind in (*hits.KINDS, hits.NOT_MODIFIED):
        assert f"{kind}, {hits.PLAIN}, requests a second" in measured
    for tool, name in (("nginx", hits.NGINX), ("varnish", "varnish grace"), ("squid", "squid offline")):
        assert (tool in report.missing) != (f"5 KB, {name}, requests a second" in measured)
    assert all(figure.value > 0 for figure in report.figures)


def test_a_tool_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else happens."""
    monkeypatch.setenv("PATH", str(tmp_path))
    report = Report()
    hits.measure(report, rounds=1, short=True)
    assert report.figures == []
    assert "not installed: cc, wrk (all of hits left out)" in report.text(["head"])


def test_the_table_says_what_is_reached() -> None:
    """Aims are compared as they are written, and a line is found with how well it fits."""
    report = Report()
    report.add("start", "one", 1.5, "x", "<= 1.8")
    report.add("start", "another", 2.5, "x", ">= 3")
    report.add("start", "a third", 0, "", "= 0", counted=True)
    lines = report.text(["commit: x"]).splitlines()
    assert [line.split()[-1] for line in lines[-3:]] == ["reached", "reached", "reached"]
    assert "NOT reached" in lines[-2]
    assert str(Aim.of("< 0.02")) == "< 0.02"
    assert slope([(1, 3), (2, 5), (3, 7)]) == (pytest.approx(2), pytest.approx(1))


def test_the_readme_has_a_place_for_the_table() -> None:
    """Both marks, in order, so that the command can put its figures there."""
    before, _, rest = README.read_text().partition(MARKS[0])
    assert "## Numbers" in before
    assert MARKS[1] in rest.partition("## Licence")[0]
