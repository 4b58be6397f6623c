"""Fixtures that several modules share: the demo Hub, and daemons for the tests of pass-through, one for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from tests.daemon.passing import Place, quiet
from tests.daemon.visitor import RawHub, raw_hub
from tests.running import Home, RunningDaemon


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    """The demo Hub on a real port, for all tests of a module."""
    with HubServer(Hub()) as server:
        yield server
    assert server.crashes == []


@pytest.fixture
def online(hub: HubServer) -> Iterator[HubServer]:
    """The module's Hub, up and healed before and after, with all requests so far forgotten."""
    hub.hub.forget_requests()
    yield hub
    hub.hub.heal()
    if not hub.running:
        hub.start(hub.port)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, hub: HubServer) -> Home:
    """A home that is logged in and synced, to be copied: quicker than a login for each test."""
    home = Home.make(tmp_path_factory.mktemp("template") / "home", hub.url)
    home.path.parent.chmod(0o755)
    home.login(DEMO_KEY)
    return home


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with HubServer(Hub()) as server:
        home = Home.make(tmp_path_factory.mktemp("passing") / "home", server.url)
        home.login(DEMO_KEY)
        settings = {"hub": {"timeout": "1s", "connect_timeout": "1s"}, "log": {"level": "debug"}}
        home.configure(server.url, settings=settings)
        with home.daemon() as daemon:
            quiet(daemon)
            yield Place(server, home, daemon)
        assert server.crashes == []


@pytest.fixture
def place(shared: Place) -> Iterator[Place]:
    shared.hub.forget_requests()
    yield shared
    shared.hub.heal()
    shared.hub.token_pace = 0.0


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RawHub, RunningDaemon]]:
    """A daemon that is not logged in, in front of a Hub whose bytes the test writes: all that comes is passed through.
    Everything goes on (`serve.passthrough: all`)."""
    with raw_hub() as hub:
        settings: dict[str, dict[str, object]] = {
            "hub": {"timeout": "2s", "connect_timeout": "1s"},
            "serve": {"passthrough": "all"},
        }
        home = Home.make(tmp_path_factory.mktemp("bare") / "home", hub.url, settings=settings)
        with home.daemon() as daemon:
            yield hub, daemon


@pytest.fixture
def wire(bare: tuple[RawHub, RunningDaemon]) -> tuple[RawHub, RunningDaemon]:
    hub, daemon = bare
    hub.forget()
    hub.answer_with(b'HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 2\nSet-Cookie: s="1"', b"{}")
    return hub, daemon
