"""The stage of a module's tests in the browser, and axe-core."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from tests.npm import installed
from tests.running import Home
from tests.ui.devtools import chromium
from tests.ui.showing import page
from tests.ui.stage import Stage

AXE = "axe-core@4.14.1"


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


@pytest.fixture(scope="module")
def axe() -> str:
    return (installed([AXE]) / "axe-core" / "axe.min.js").read_text()
