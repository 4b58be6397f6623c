"""The page in a real Chromium, of the daemon's own user: what a person sees, presses and hears, and what others try."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.faults import Status
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from tests.daemon.attacking import Origin, serving
from tests.npm import installed
from tests.running import Home, eventually, missing
from tests.ui.devtools import Browser, Tab, chromium
from tests.ui.showing import Shown, page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
    pytest.mark.skipif(bool(missing("chromium")), reason=missing("chromium")),
]

AXE = "axe-core@4.14.1"
PARTS = ("overview", "assistants", "held", "history", "secrets", "refused", "checks")
WIDTHS = (320, 1280, 2560)
BETWEEN = (390, 600, 737, 900, 961, 1100, 1439, 1441, 1920, 2239, 2241)
PICTURES = "HUBLET_TEST_PICTURES"
"""Names a folder that gets the screenshots; without it they are left with the test's other files."""

EVIL = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>\u202egnp.exe\u2066'


class Stage:
    """A demo Hub, a daemon, and a browser with the page open in a tab that was admitted."""

    def __init__(self, server: HubServer, home: Home, browser: Browser, shown: Shown, tab: Tab) -> None:
        self.hub, self.home, self.browser, self.shown, self.tab = server.hub, home, browser, shown, tab

    def sync(self) -> None:
        self.home.hublet("sync")

    def shown_status(self) -> Any:
        return json.loads(self.home.hublet("status", "--json").stdout)

    def tally(self) -> Any:
        """What the page itself can ask."""
        script = (
            "fetch('/api/tally', {headers: {'Hublet-Page': sessionStorage.getItem('hublet-page')}}).then(a => a.json())"
        )
        return self.tab.run(script)

    def look(self, part: str) -> None:
        """Go to a part and wait until it is drawn."""
        self.tab.show()
        self.tab.run(f"location.hash = '#{part}'")
        self.tab.until(f"document.querySelector('nav a[aria-current]')?.hash === '#{part}'")
        self.tab.until("document.querySelector('#view .panel:not([hidden])') !== null")

    def press(self, name: str) -> None:
        """Press the button that a screen reader calls so."""
        self.tab.until(f"({_BUTTON})({json.dumps(name)}) !== null")
        self.tab.run(f"({_BUTTON})({json.dumps(name)}).click()")


_BUTTON = """(name) => [...document.querySelectorAll('button:not(:disabled)')]
  .find(one => (one.getAttribute('aria-label') ?? one.textContent) === name && one.checkVisibility()) ?? null"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with HubServer(Hub()) as server, ExitStack() as until_the_end:
        home = Home.make(tmp_path_factory.mktemp("b") / "home", server.url)
        home.login(DEMO_KEY)
        until_the_end.enter_context(home.daemon())
        home.hublet("sync")
        browser = until_the_end.enter_context(chromium(home))
        shown = until_the_end.enter_context(page(home))
        tab = browser.open(shown.url)
        tab.until("document.querySelector('#state').textContent === 'working'")
        yield Stage(server, home, browser, shown, tab)


def test_the_page_shows_the_assistants_and_keeps_no_code(stage: Stage) -> None:
    """Neither the address nor a script can tell the code or the cookie once the page is there."""
    stage.look("assistants")
    text = stage.tab.until("document.body.innerText.includes('dana/night-owl') && document.body.innerText")
    for word in ("dana/night-owl", "Night Owl", "Acme Corp", "acme/team-chat", "fresh", "initech/tps-reports"):
        assert word in text
    address = stage.tab.run("location.href")
    assert address == f"{stage.shown.origin}/#assistants"
    assert stage.shown.code not in stage.tab.run("document.documentElement.outerHTML + JSON.stringify(history.state)")
    assert stage.tab.run("document.cookie") == ""
    assert stage.tab.complaints() == []


def test_it_is_live(stage: Stage) -> None:
    """What the demo Hub changes is there soon after the daemon has heard of it, without a reload, and is said aloud."""
    stage.look("assistants")
    stage.tab.run("window.here = true")
    stage.hub.edit_assistant("dana/quiet", "name: Quiet", "name: Quiet as a Mouse")
    stage.sync()
    stage.tab.until("document.querySelector('#view').innerText.includes('Quiet as a Mouse')", within=10)
    assert stage.tab.until("document.querySelector('[aria-live]').textContent") != ""
    stage.look("overview")
    stage.tab.until("document.querySelector('#view').innerText.includes('dana/quiet: changed')")
    assert stage.tab.run("window.here") is True


def test_sync_now_says_what_came_of_it(stage: Stage) -> None:
    """Aloud when it went well; on the page when the Hub answered nothing."""
    stage.press("Sync now")
    stage.tab.until("document.querySelector('#said').textContent.startsWith('synced: ')")
    with stage.hub.failing(Status(500)):
        stage.press("Sync now")
        stage.tab.until("document.querySelector('#banner').innerText.includes('The sync brought nothing.')")
        stage.tab.until("document.querySelector('#state').textContent === 'offline'")
    stage.press("Sync now")
    stage.tab.until("document.querySelector('#banner').innerText === ''")
    stage.tab.until("document.querySelector('#state').textContent === 'working'")


def test_a_quarantine_is_accepted_by_keyboard(stage: Stage) -> None:
    """Told in the list of parts, shown with what would go, asked about once more, done with two keys."""
    roster = list(stage.hub.world.organizations["org_initech"].roster)
    with stage.hub.changing() as world:
        world.organizations["org_initech"].roster.clear()
    stage.sync()
    stage.tab.until("document.querySelector('nav .number').checkVisibility()")
    stage.look("held")
    stage.tab.until("document.querySelector('#view').innerText.includes('initech/tps-reports')")
    stage.tab.run(f"({_BUTTON})([...document.querySelectorAll('#view button')][0].getAttribute('aria-label')).focus()")
    stage.tab.key("Enter", code=13, text="\r")
    stage.tab.until("document.querySelector('dialog').open && document.activeElement.id === 'ask-no'")
    stage.tab.key("Escape", code=27)
    stage.tab.until("!document.querySelector('dialog').open")
    assert stage.shown_status()["quarantine"]
    stage.tab.key("Enter", code=13, text="\r")
    stage.tab.until("document.querySelector('dialog').open")
    stage.tab.run("document.querySelector('#ask-yes').focus()")
    stage.tab.key("Enter", code=13, text="\r")
    stage.tab.until("document.querySelector('#view').innerText.includes('Nothing is held back.')")
    assert stage.shown_status()["quarantine"] == []
    with stage.hub.changing() as world:
        world.organizations["org_initech"].roster.extend(roster)


def test_a_quarantine_is_rejected(stage: Stage) -> None:
    """Then it is kept, and no longer counted as waiting."""
    with stage.hub.changing() as world:
        kept, world.roster = world.roster, []
    stage.sync()
    stage.look("held")
    name = "assistants of the personal scope"
    stage.press(f"Reject {name}")
    stage.press("Reject")
    stage.tab.until("document.querySelector('#view').innerText.includes('You have rejected it')")
    stage.tab.until("!document.querySelector('nav .number').checkVisibility()")
    with stage.hub.changing() as world:
        world.roster = kept
    stage.sync()


def test_a_revision_is_compared_pinned_and_unpinned(stage: Stage) -> None:
    """From the assistant's name to its history; the difference is shown as lines."""
    stage.hub.edit_assistant("dana/rust-smith", "Run clippy", "Run clippy twice")
    stage.sync()
    stage.look("assistants")
    stage.tab.until("[...document.querySelectorAll('#view a')].some(one => one.textContent === 'dana/rust-smith')")
    stage.tab.run(
        "[...document.querySelectorAll('#view a')].find(one => one.textContent === 'dana/rust-smith').click()"
    )
    stage.tab.until("document.querySelector('select')?.value === 'dana/rust-smith'")
    stage.tab.until("document.querySelectorAll('#view tbody tr').length === 2")
    now, old = stage.tab.run("[...document.querySelectorAll('#view tbody code')].map(one => one.textContent)")
    stage.press(f"Compare dana/rust-smith@{now} with the one before")
    stage.tab.until("document.querySelector('.differences')?.innerText.includes('Run clippy twice')")
    stage.press(f"Pin dana/rust-smith@{old}")
    stage.press("Pin")
    stage.tab.until("document.querySelector('#view table').innerText.includes('pinned')")
    assert {pin["revision"] for pin in stage.shown_status()["pins"]} == {old}
    stage.press("Unpin dana/rust-smith in personal")
    stage.tab.until("!document.querySelector('#view table').innerText.includes('pinned')")
    assert stage.shown_status()["pins"] == []


def test_the_checks_run_when_they_are_asked_for(stage: Stage) -> None:
    """Both of them, with their grades."""
    stage.look("checks")
    stage.press("Run the checks")
    stage.tab.until("document.querySelector('#view').innerText.includes('store')", within=60)
    stage.press("Look")
    stage.tab.until("document.querySelector('#view').innerText.includes('Assistants without the Hub')", within=60)


def test_hostile_names_are_texts(stage: Stage) -> None:
    """Markup is shown as it is written, what turns writing round by its number; no element came of it."""
    body = f"version: 1.0.0\nschema: v1\nrules:\n  - {json.dumps(EVIL)}\n"
    stage.hub.put_assistant("dana/evil", f"name: {json.dumps(EVIL)}\n{body}")
    with stage.hub.changing() as world:
        world.organizations["org_acme"].name = EVIL
    stage.sync()
    stage.hub.put_assistant("dana/evil", f"name: {json.dumps(EVIL)}\n{body}  - {json.dumps(EVIL + 'x' * 1_000_000)}\n")
    stage.sync()
    for part in ("assistants", "secrets", "history", "overview"):
        stage.look(part)
        if part in ("assistants", "secrets"):
            stage.tab.until("document.querySelector('#view').innerText.includes('<img src=x')")
            assert "[U+202E]gnp.exe[U+2066]" in stage.tab.text()
    stage.look("history")
    stage.tab.run(
        "const one = document.querySelector('select'); one.value = ''; one.dispatchEvent(new Event('change'))"
    )
    compare = "document.querySelector('button[aria-label^=\"Compare dana/evil\"]')"
    stage.tab.until(f"{compare} !== null")
    stage.tab.run(f"{compare}.click()")
    stage.tab.until("document.querySelector('.differences')?.innerText.includes('<script>')")
    assert stage.tab.run("window.pwned") is None
    assert stage.tab.run("document.querySelectorAll('#view img, #view script').length") == 0
    assert "\u202e" not in stage.tab.run("document.documentElement.outerHTML")
    assert stage.tab.run("document.documentElement.scrollWidth <= innerWidth")
    assert stage.tab.complaints() == []


def test_no_character_hides_or_turns_what_stands_around_it(stage: Stage) -> None:
    """Every control, every mark of direction and every tag is shown by its number; letters, joiners and emoji stay."""
    turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    every = [chr(number) for number in range(sys.maxunicode + 1) if not 0xD800 <= number < 0xE000]
    hidden = [c for c in every if unicodedata.category(c) == "Cc" and c not in "\t\n"]
    hidden += [c for c in every if unicodedata.bidirectional(c) in turning or unicodedata.category(c) in ("Zl", "Zp")]
    hidden += ["\u061c", "\u200b", "\u200e", "\u200f", "\ufeff", *map(chr, range(0xE0001, 0xE0080))]
    shown = stage.tab.run(f"import('/dom.js').then(dom => {json.dumps(hidden)}.map(dom.visible))")
    assert shown == [f"[U+{ord(c):04X}]" for c in hidden]
    plain = "Ünïversal 株式会社 مساعد हिन्दी\u200d 👩\u200d💻 \u0644\u200c\u0627 <b>&amp;</b>\tπ\n"
    assert stage.tab.run(f"import('/dom.js').then(dom => dom.visible({json.dumps(plain)}))") == plain


def test_a_reload_stays_and_another_tab_needs_a_link(stage: Stage) -> None:
    """The word is this tab's; without it the page says what to do, and shows nothing."""
    stage.tab.call("Page.reload")
    stage.tab.until("document.querySelector('#state')?.textContent === 'working'")
    other = stage.browser.open(f"{stage.shown.origin}/")
    other.until("document.body.innerText.includes('This page needs a link of its own.')")
    again = stage.browser.open(stage.shown.url)
    again.until("document.body.innerText.includes('this link has been used')")
    assert "dana/" not in other.text() + again.text()
    assert stage.shown.code not in again.run("location.href")


def test_the_browser_that_the_command_opens_gets_in(tmp_path: Path) -> None:
    """By the file that leads to the page, which counts as another site; then the file is gone."""
    with HubServer(Hub()) as server, tempfile.TemporaryDirectory(prefix="hublet-ui-") as place:
        Path(place).chmod(0o755)  # on a path that a browser without any of root's rights may walk
        home = Home.make(Path(place, "home"), server.url)
        given, program = home.path / "arguments", home.path / "browser"
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {given}.part\nmv {given}.part {given}\n')
        program.chmod(0o755)
        home.own()
        screen = {"BROWSER": str(program), "DISPLAY": ":7"}
        with home.daemon(), chromium(home) as browser, page(home, env=screen, browser=True) as shown:
            eventually(given.exists)
            tab = browser.open(given.read_text().strip())
            tab.until("document.querySelector('#state')?.textContent === 'logged-out'")
            assert tab.run("location.href") == f"{shown.origin}/"
            eventually(lambda: not list(home.runtime.glob("*.html")))


# What others try

_TRIES = """
const at = target + '/api/status', told = async answer => answer.type + ' ' + answer.status + ' ' + await answer.text();
const inside = frame => { try { return frame.contentDocument?.body.innerText ?? ''; } catch { return 'closed'; } };
const element = (tag, attribute, value) => new Promise(done => {
  const one = document.createElement(tag);
  one.onload = () => done('loaded ' + inside(one));
  one.onerror = () => done('error');
  if (tag === 'link') one.rel = 'stylesheet';
  one[attribute] = value;
  document.body.appendChild(one);
});
const open = source => new Promise(done => {
  source.onopen = () => done('open');
  source.onerror = () => { source.close(); done('error'); };
});
const credentials = 'include', mode = 'no-cors', method = 'POST', sync = target + '/api/sync', body = '{}';
const headers = {'Content-Type': 'application/json', 'Hublet-Page': 'x'};
const tries = {
  fetch: () => fetch(at, {credentials}).then(told),
  opaque: () => fetch(at, {mode, credentials}).then(told),
  page: () => fetch(target + '/', {credentials}).then(told),
  post: () => fetch(sync, {method, credentials, headers, body}).then(told),
  simple: () => fetch(sync, {method, mode, credentials, body}).then(told),
  session: () => fetch(target + '/session', {method, mode, body: '{"code":"x"}'}).then(told),
  beacon: () => Promise.resolve(String(navigator.sendBeacon(sync, body))),
  events: () => open(new EventSource(target + '/api/events', {withCredentials: true})),
  websocket: () => open(new WebSocket(target.replace('http', 'ws') + '/api/events')),
  form: () => new Promise(done => {
    const frame = document.createElement('iframe'), form = document.createElement('form');
    Object.assign(form, {method, enctype: 'text/plain', target: 'answer', action: sync});
    frame.name = 'answer';
    document.body.append(frame, form);
    frame.onload = () => done('loaded ' + inside(frame));
    form.submit();
  }),
  image: () => element('img', 'src', target + '/icon.svg'),
  script: () => element('script', 'src', target + '/app.js'),
  style: () => element('link', 'href', target + '/style.css'),
  object: () => element('object', 'data', target + '/'),
  frame: () => element('iframe', 'src', target + '/'),
};
(async () => {
  const found = {}, late = () => new Promise(done => setTimeout(() => done('nothing came'), 4000));
  await Promise.all(Object.entries(tries).map(async ([what, run]) => {
    try { found[what] = await Promise.race([run(), late()]); } catch (error) { found[what] = error.name; }
  }));
  document.title = 'done';
  window.found = found;
})();
"""


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_another_origin_reads_nothing_and_changes_nothing(stage: Stage, name: str) -> None:
    """Of another site, and of the same one on another port, which the browser sends the cookie along with."""
    with serving(Origin()) as origin:
        target = f"const target = {json.dumps(stage.shown.origin)};"
        origin.pages["/"] = f"<!doctype html><title>evil</title><body><script>{target}{_TRIES}</script>".encode()
        asked = len(stage.hub.requests)
        passes = len(stage.tally()["passes"])
        evil = stage.browser.open(f"http://{name}:{origin.port}/")
        evil.until("document.title === 'done'")
        found: dict[str, str] = evil.run("window.found")
    assert "dana/" not in json.dumps(found)
    for what in ("fetch", "page", "post"):
        assert found[what] == "TypeError", what
    for what in ("opaque", "simple", "session"):
        assert found[what] in ("TypeError", "opaque 0 "), what
    for what in ("events", "websocket", "image", "script", "style"):
        assert found[what] == "error", what
    for what in ("form", "object", "frame"):
        # What the browser shows in place of a frame that was refused is of an origin of its own, too.
        assert found[what] in (
            "SecurityError",
            "TypeError",
            "error",
            "nothing came",
            "loaded ",
            "loaded SecurityError",
        ), what
    assert len(stage.tally()["passes"]) == passes
    assert len(stage.hub.requests) == asked
    refused = stage.shown.log.read_text()
    for rule in ("sec-fetch", "origin", "method"):
        assert f"refused a request ({rule})" in refused


def test_a_window_that_another_site_opened_is_out_of_its_reach(stage: Stage) -> None:
    """It can open the empty page in a window, and then has no hold of it."""
    with serving(Origin()) as origin:
        origin.pages["/"] = b"<!doctype html><title>evil</title><body>"
        evil = stage.browser.open(f"http://127.0.0.1:{origin.port}/")
        evil.run(f"window.opened = window.open({json.dumps(stage.shown.origin + '/')}); null")
        assert evil.until("window.opened === null || window.opened.closed") is True


# For everybody


def violations(tab: Tab, axe: str) -> list[str]:
    """What axe-core finds on the page as it is, a line each."""
    tab.run(f"window.axe || (() => {{ {axe} }})(); null")
    found = tab.run("axe.run(document, {resultTypes: ['violations', 'incomplete']}).then(told => told.violations)")
    return [
        f"{one['id']}: {node['html'][:150]} {node['failureSummary'][:300]}" for one in found for node in one["nodes"]
    ]


@pytest.fixture(scope="module")
def axe() -> str:
    return (installed([AXE]) / "axe-core" / "axe.min.js").read_text()


_COMPARE = "[...document.querySelectorAll('#view button')].find(one => one.textContent === 'Compare')"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(stage: Stage, axe: str, dark: bool) -> None:
    """In every part, wide and narrow, with something held back, a difference open, and the question asked."""
    with stage.hub.changing() as world:
        kept, world.organizations["org_acme"].roster = world.organizations["org_acme"].roster, []
    stage.hub.edit_assistant("dana/rust-smith", "Run clippy", f"Run clippy {'in the dark' if dark else 'by day'}")
    stage.sync()
    stage.tab.scheme(dark=dark)
    found: dict[str, list[str]] = {}
    for width in (1280, 320):
        stage.tab.resize(width)
        for part in PARTS:
            stage.look(part)
            if part == "history":
                stage.tab.until(f"{_COMPARE} !== undefined")
                stage.tab.run(f"{_COMPARE}.click()")
                stage.tab.until("document.querySelector('.differences') !== null")
            if part == "held":
                stage.tab.until("document.querySelector('#view button') !== null")
                stage.tab.run("document.querySelector('#view button').click()")
                found[f"question {width}"] = violations(stage.tab, axe)
                stage.tab.key("Escape", code=27)
            found[f"{part} {width}"] = violations(stage.tab, axe)
    stage.tab.resize(1280)
    with stage.hub.changing() as world:
        world.organizations["org_acme"].roster = kept
    stage.sync()
    assert {where: lines for where, lines in found.items() if lines} == {}


_STOP = """(() => {
  const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
  const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  return [one.textContent.trim() || one.ariaLabel, outlined, box.width > 0 && box.top >= 0];
})()"""


def test_it_is_walked_through_by_keyboard(stage: Stage) -> None:
    """The first stop leads past the frame; every stop is seen and has a name; a part that is entered gets the focus."""
    stage.look("assistants")
    stage.tab.call("Page.reload")
    stage.tab.until("document.querySelector('#view tbody tr') !== null")
    stops = []
    for _ in range(14):
        stage.tab.key("Tab", code=9)
        stops.append(stage.tab.run(_STOP))
    assert all(name and outlined and seen for name, outlined, seen in stops), stops
    names = [name for name, _, _ in stops]
    assert {"Sync now", "Overview", "Checks", "dana/local-chat"} <= set(names), names
    assert "Skip to the content" in names
    stage.look("secrets")
    assert stage.tab.until("document.activeElement.textContent === 'Secrets'")
    assert stage.tab.run("[...document.querySelectorAll('h1')].length") == 1
    assert stage.tab.run("['header','nav','main'].every(name => document.querySelectorAll(name).length === 1)")


def test_it_looks_well_at_every_width(stage: Stage, tmp_path: Path) -> None:
    """Pictures of every part in light and dark: none blank, none wider than its window; and nothing moves where a
    person wants no motion."""
    folder = Path(os.environ.get(PICTURES) or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    for dark in (False, True):
        stage.tab.scheme(dark=dark)
        for width in WIDTHS:
            stage.tab.resize(width)
            for part in PARTS:
                stage.look(part)
                picture = stage.tab.screenshot()
                (folder / f"{part}-{width}-{'dark' if dark else 'light'}.png").write_bytes(picture)
                assert is_drawn(picture), f"{part} at {width}"
                assert stage.tab.run("document.documentElement.scrollWidth") <= width, f"{part} at {width}"
                ground = stage.tab.run("getComputedStyle(document.body).backgroundColor")
                assert (sum(map(int, ground[4:-1].split(","))) < 200) == dark
    for width in BETWEEN:
        stage.tab.resize(width)
        for part in PARTS:
            stage.look(part)
            assert stage.tab.run("document.documentElement.scrollWidth") <= width, f"{part} at {width}"
    stage.tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    assert stage.tab.run("getComputedStyle(document.querySelector('button')).transitionDuration") == "0s"
    stage.tab.scheme(dark=False)
    stage.tab.resize(1280)


def is_drawn(picture: bytes) -> bool:
    """Whether a PNG is no blank: its rows, as they are filtered, would be zeros."""
    assert picture.startswith(b"\x89PNG")
    data, at = b"", 8
    while at < len(picture):
        size = int.from_bytes(picture[at : at + 4])
        if picture[at + 4 : at + 8] == b"IDAT":
            data += picture[at + 8 : at + 8 + size]
        at += size + 12
    return len(set(zlib.decompress(data))) > 64


# The ends


def test_the_daemons_end_is_noticed_and_its_return(tmp_path: Path, axe: str) -> None:
    """The page says so with what to do, stays as it was, and goes on by itself."""
    with HubServer(Hub()) as server:
        home = Home.make(tmp_path / "home", server.url)
        home.login(DEMO_KEY)
        with chromium(home) as browser, page(home) as shown:
            with home.daemon() as daemon:
                tab = browser.open(shown.url)
                tab.until("document.body.innerText.includes('dana/') || document.querySelector('.tiles') !== null")
                daemon.stop()
                tab.until("document.querySelector('#banner').innerText.includes('hublet is not running.')")
                assert "hublet service start" in tab.text()
                assert tab.run("document.querySelector('#sync').disabled") is True
                assert tab.run("document.querySelector('.tiles') !== null")
                assert violations(tab, axe) == []
            with home.daemon():
                tab.until("document.querySelector('#banner').innerText === ''")
                tab.until("document.querySelector('#state').textContent === 'working'")
            shown.process.terminate()
            tab.until("document.querySelector('#banner').innerText.includes('This page has ended.')")
            assert "hublet ui" in tab.text()
