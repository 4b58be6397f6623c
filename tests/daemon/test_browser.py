"""Web pages in a real Chromium that runs as the daemon's own user: they read nothing, change nothing, ask nothing.

Three pages try the same things: one of another origin; one that was loaded under a name of its own which leads to
hublet's address afterwards (DNS rebinding); and one that another server left behind on hublet's very port.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hublet.demo.data import DEMO_KEY, USER_SECRETS
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from tests.daemon.asking import SECRETS, ask_all
from tests.daemon.attacking import ATTACKS, Origin, page, serving
from tests.running import AS_ROOT, Home, RunningDaemon, eventually, missing, without_rights

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing("chromium")), reason=missing("chromium")),
]

PAGES = ("elsewhere", "rebound", "left-behind")
ANSWERS = ("fresh", "stale", "expired", "miss", "passed-through")
"""Counters of what was answered, from the cache or by the Hub."""


@contextmanager
def chromium(home: Home, address: str) -> Iterator[None]:
    """A headless browser of the daemon's user, with a fresh profile, looking at a page."""
    place = Path(tempfile.mkdtemp(prefix="hublet-browser-"))  # where a browser without any of root's rights can be
    drop = []
    if AS_ROOT:
        os.chown(place, home.uid, home.uid)
        drop = without_rights(home.uid)
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
        f"--user-data-dir={place}", "--host-resolver-rules=MAP rebound.example 127.0.0.1",
    ]  # fmt: skip
    log = home.path / "chromium.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*drop, "chromium", *flags, address], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/",
            env={"HOME": str(place), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}, start_new_session=True,
        )  # fmt: skip
    try:
        yield
    except AssertionError as error:
        error.add_note(log.read_text(errors="replace")[-2000:])
        raise
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        shutil.rmtree(place, ignore_errors=True)


@dataclass
class Tried:
    """What came of it: what each page reports, how hublet's counters grew, what the Hub was asked meanwhile."""

    reports: dict[str, dict[str, str]]
    counters: dict[str, int]
    asked: list[str]


def counters_of(daemon: RunningDaemon) -> dict[str, int]:
    value = json.loads(daemon.home.hublet("status", "--json").stdout)["counters"]
    assert isinstance(value, dict)
    return value


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tried]:
    """All three pages, loaded before hublet begins to listen on the port that they were loaded from."""
    place: Path = tmp_path_factory.mktemp("b")
    with HubServer(Hub()) as hub, serving(Origin()) as elsewhere, ExitStack() as until_the_end:
        report = f"http://127.0.0.1:{elsewhere.port}"
        with serving(Origin()) as before:
            port = before.port
            for name, host in (("rebound", "rebound.example"), ("left-behind", "localhost")):
                before.pages[f"/{name}"] = page(name, f"http://{host}:{port}", report)
            frames = (f"http://rebound.example:{port}/rebound", f"http://localhost:{port}/left-behind")
            elsewhere.pages["/"] = page("elsewhere", f"http://localhost:{port}", report, frames)
            home = Home.make(place / "home", hub.url, port=port)
            home.login(DEMO_KEY)
            until_the_end.enter_context(chromium(home, report + "/"))
            eventually(lambda: elsewhere.loaded == set(PAGES), within=30)
        daemon = until_the_end.enter_context(home.daemon())
        eventually(lambda: " hublet: pass: " in daemon.log.read_text())
        at_first, heard = counters_of(daemon), len(hub.hub.requests)
        elsewhere.go = {"icon": icon_of(daemon)}
        at_first["fresh"] = at_first.get("fresh", 0) + 1  # our own question for the icon's address
        eventually(lambda: set(elsewhere.reports) == set(PAGES), within=30)
        now = counters_of(daemon)
        asked = [seen.target for seen in hub.hub.requests[heard:]]
        # The same requests without a browser are answered: it is the browser that is refused, not the user.
        assert USER_SECRETS["LLM_KEY"] in ask_all(daemon, [("POST", "/ide/sync-secrets", SECRETS)])[0].body.decode()
        difference = {name: count - at_first.get(name, 0) for name, count in now.items()}
        yield Tried(elsewhere.reports, difference, asked)


def icon_of(daemon: RunningDaemon) -> str:
    value = ask_all(daemon, [("GET", "/ide/list-organizations", None)])[0].json()
    assert isinstance(value, dict)
    return str(value["organizations"][0]["iconUrl"]).partition(str(daemon.port))[2]


@pytest.mark.parametrize("name", PAGES)
def test_no_page_reads_anything(tried: Tried, name: str) -> None:
    """No secret, no name, no assistant in what a page got or in its document."""
    report = tried.reports[name]
    assert set(report) == {*ATTACKS, "icon", "dom"}
    text = json.dumps(report)
    values = [value for value in USER_SECRETS.values() if len(value) > 8]
    assert [word for word in (*values, "rust-smith", "configResult", "secretLocation") if word in text] == []
    for attack in set(ATTACKS) - {"beacon", "object", "frame", "form"}:
        assert not report[attack].startswith(("open", "message", "loaded 200", "basic 200", "cors 200")), attack


def test_a_page_of_another_origin_learns_not_even_the_refusal(tried: Tried) -> None:
    """Its browser tells it nothing but that it failed."""
    report = tried.reports["elsewhere"]
    for attack in ("fetch", "fetch-credentials", "fetch-bearer"):
        assert report[attack] == "TypeError"
    for attack in ("xhr", "websocket", "events", "image", "script", "style"):
        assert report[attack] == "error", attack
    for attack in ("fetch-no-cors", "post-no-cors"):
        assert report[attack] in ("opaque 0 ", "TypeError"), attack  # TypeError: the resource policy of the answer


def test_nothing_is_answered_changed_or_asked_of_the_hub(tried: Tried) -> None:
    """Not one request got further than the door, not even one that the cache has no answer to."""
    assert {name: tried.counters.get(name, 0) for name in ANSWERS} == dict.fromkeys(ANSWERS, 0)
    assert tried.asked == []


def test_the_refusals_are_counted_by_their_rules(tried: Tried) -> None:
    """By Origin, by what browsers add, by the upgrade, and by the name of the rebound page; none by who the user is."""
    grown = {name: count for name, count in tried.counters.items() if count}
    refused = {name.removeprefix("refused:"): count for name, count in grown.items() if name.startswith("refused:")}
    assert set(refused) <= {"origin", "sec-fetch", "upgrade", "host", "referer"}
    assert refused["host"] >= len(ATTACKS) - 1  # all of the rebound page; a preflight may stand for its request
    assert refused["upgrade"] == 2
    assert refused["origin"] >= 8
    assert refused.get("referer", 0) + refused.get("sec-fetch", 0) >= 8


def test_an_icon_is_shown_to_a_page_and_to_a_rebound_one_not(tried: Tried) -> None:
    """An `<img>` of a webview has to load it, from wherever; the name of the server must be right all the same."""
    assert int(tried.reports["elsewhere"]["icon"].split()[1]) > 0
    assert int(tried.reports["left-behind"]["icon"].split()[1]) > 0
    assert tried.reports["rebound"]["icon"] == "error"
