"""Real clients from npm, a pretend model for them to talk to, and an outage to try them in."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from hublet.demo.hub import Hub
from hublet.demo.server import HubServer
from tests.clients.pretend_llm import PretendLlm
from tests.npm import installed
from tests.running import Home, RunningDaemon

PACKAGES = (
    "@continuedev/cli@1.5.45",
    "@continuedev/sdk@0.0.13",
    "@continuedev/config-yaml@1.42.0",
    "yaml@2.9.1",
    "dotenv@16.6.1",
    "cn-without-hub@npm:@continuedev/cli@1.5.47",
    "@modelcontextprotocol/inspector@1.0.3",
)
"""The last clients that speak to a Hub, and the parsers and unrolling that they share; the first `cn` that has no Hub
code; and the last inspector of the Model Context Protocol that Node 18 can run. (The SDK imports config-yaml without
saying so in its dependencies.)"""

T = TypeVar("T")


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder with the clients."""
    return installed(PACKAGES)


@pytest.fixture
def llm() -> Iterator[PretendLlm]:
    with PretendLlm() as server:
        yield server


@pytest.fixture
def hub_server(llm: PretendLlm) -> Iterator[HubServer]:
    """The demo Hub on a real port; its chat assistants use the pretend model."""
    with HubServer(Hub(llm.url)) as server:
        yield server
    assert server.crashes == []


@pytest.fixture
def home(hub_server: HubServer) -> Iterator[Home]:
    """A home on a path that its user may walk: Node asks with access(2), for which the right to read counts nothing."""
    with tempfile.TemporaryDirectory(prefix="hublet-clients-") as place:
        Path(place).chmod(0o755)
        yield Home.make(Path(place, "home"), hub_server.url)


def up_then_down(home: Home, hub_server: HubServer, ask: Callable[[RunningDaemon], T]) -> tuple[T, T]:
    """What a client gets with the Hub up, and with the Hub stopped and hublet started again on the same port."""
    with home.daemon() as daemon:
        up = ask(daemon)
        port = daemon.port
    hub_server.stop()
    home.configure(hub_server.url, port=port)
    with home.daemon() as daemon:
        assert daemon.port == port
        return up, ask(daemon)
