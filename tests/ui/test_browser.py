"""The page in a real Chromium, of the daemon's own user: what a person sees, presses and hears."""

from __future__ import annotations

import json
import sys
import tempfile
import unicodedata
from pathlib import Path

from hublet.demo.data import DEMO_KEY
from hublet.demo.faults import Status
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from tests.running import Home, eventually
from tests.ui.devtools import chromium
from tests.ui.showing import page
from tests.ui.stage import BUTTON, EVIL, IN_A_BROWSER, Stage, violations

pytestmark = IN_A_BROWSER


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
    stage.tab.run(f"({BUTTON})([...document.querySelectorAll('#view button')][0].getAttribute('aria-label')).focus()")
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
