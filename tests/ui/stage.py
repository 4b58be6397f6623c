"""What the browser's tests play on: a demo Hub, a daemon, and a real Chromium with the page in a tab."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hublet.demo.server import HubServer
from tests.running import Home, missing
from tests.ui.devtools import Browser, Tab
from tests.ui.showing import Shown

IN_A_BROWSER = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
    pytest.mark.skipif(bool(missing("chromium")), reason=missing("chromium")),
]


EVIL = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>\u202egnp.exe\u2066'
"""A name from the Hub that would be markup, and turns the writing round."""
PARTS = ("overview", "assistants", "held", "history", "secrets", "refused", "checks")


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

    def fit(self, width: int) -> None:
        """Give the window a width, and wait until the page has taken it: the browser answers before the page has."""
        self.tab.show()
        self.tab.resize(width)
        self.tab.until(f"innerWidth === {width}")

    def settle(self) -> None:
        """Wait until what is shown stays as it is for longer than the page waits before it draws anew."""
        self.tab.run(_SETTLED)

    def press(self, name: str) -> None:
        """Press the button that a screen reader calls so."""
        self.tab.until(f"({BUTTON})({json.dumps(name)}) !== null")
        self.tab.run(f"({BUTTON})({json.dumps(name)}).click()")


_SETTLED = """new Promise((done) => {
  let before = '', since = performance.now();
  const look = (now) => {
    const { scrollWidth, scrollHeight } = document.documentElement;
    const plots = [...document.querySelectorAll('.plot')].map((one) => one.getAttribute('viewBox'));
    const shown = JSON.stringify([innerWidth, scrollWidth, scrollHeight, plots]);
    if (shown !== before) [before, since] = [shown, now];
    if (now - since > 200) done(true);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""
"""app.js draws anew 150 ms after a change of the window's width. Frames only come when the page is really drawn."""

BUTTON = """(name) => [...document.querySelectorAll('button:not(:disabled)')]
  .find(one => (one.getAttribute('aria-label') ?? one.textContent) === name && one.checkVisibility()) ?? null"""


def violations(tab: Tab, axe: str) -> list[str]:
    """What axe-core finds on the page as it is, a line each."""
    tab.run(f"window.axe || (() => {{ {axe} }})(); null")
    found = tab.run("axe.run(document, {resultTypes: ['violations', 'incomplete']}).then(told => told.violations)")
    return [
        f"{one['id']}: {node['html'][:150]} {node['failureSummary'][:300]}" for one in found for node in one["nodes"]
    ]
