"""hublet in one process, without sockets: the real service on a real store, and the demo Hub behind httpx's transport.

    async with in_process(tmp_path) as it:
        await it.log_in()
        response = await it.ask("GET", "/ide/policy")

The time stands still; `it.clock.advance(60)` moves it, for hublet and for the Hub. A second `in_process` on the same
path is a restart.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from hublet.config.loading import load_config
from hublet.core import operations as ops
from hublet.core.account import Account, origin_of
from hublet.core.messages import Head, Headers, Request, Response
from hublet.core.outcomes import Outcome, PassReport
from hublet.core.records import Fact
from hublet.core.secretstr import SecretStr
from hublet.demo.data import DEMO_KEY
from hublet.demo.faults import Hang, WireFault
from hublet.demo.hub import Hub
from hublet.door.application import Admitted
from hublet.opening import open_service, plan_of
from hublet.passes.summary import Summary
from hublet.passes.sync import Sync
from hublet.serve.admission import SAME_USER, Admission, Identity
from hublet.serve.api import Api
from hublet.serve.service import Service
from hublet.upstream.folder import FolderHub
from hublet.upstream.forward import Forwarder
from hublet.upstream.http import HubClient
from hublet.upstream.order import Ordered, Told, Word, WorkOrder, made
from hublet.upstream.survey import survey

HUB_URL = "https://hub.example"
PORT = 3001
READER = Identity("token", clear=False)
"""Who comes with a local token of scope read."""


@dataclass
class Clock:
    """A wall clock that moves when it is told to."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class HubTransport(httpx.AsyncBaseTransport):
    """The network to the demo Hub. `up` is whether there is one; while `gate` is closed every answer waits before it.

    Faults of the wire become what httpx makes of them: a hang is a time-out, all others are a broken connection.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.up = True
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        if not self.up:
            raise httpx.ConnectError("the network is down", request=request)
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = self.hub.respond(request.method, request.url.raw_path.decode(), headers, body)
        if isinstance(reply.fault, Hang):
            raise httpx.ReadTimeout("the Hub hangs", request=request)
        if isinstance(reply.fault, WireFault):
            raise httpx.RemoteProtocolError("the wire is broken", request=request)
        stream = httpx.ByteStream(reply.read())
        return httpx.Response(reply.status, headers=list(reply.headers), stream=stream, request=request)


@dataclass
class InProcess:
    """A hublet and its Hub. `orders` are the work orders so far: one for each pass, one for each asking in between."""

    service: Service
    api: Api
    hub: Hub
    clock: Clock
    network: HubTransport
    orders: list[WorkOrder] = field(default_factory=list)

    @property
    def sync(self) -> Sync:
        assert self.service.sync is not None
        return self.service.sync

    async def log_in(self, key: str = DEMO_KEY) -> Summary:
        """Store a key, then a first pass."""
        await self.service.keep_account(Account(SecretStr(key), origin_of(self.service.config.hub.url)))
        return await self.sync.run_pass()

    async def ask(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        identity: Identity = SAME_USER,
    ) -> Response:
        """One request of a client who was let in as `identity`; `body` is JSON, or bytes as they are."""
        sent: Headers = (("host", f"localhost:{PORT}"), *((k.lower(), v) for k, v in (headers or {}).items()))
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        response = self.api.respond(Request(Head(method, target, sent), content), Admitted(identity))
        return await response if inspect.isawaitable(response) else response

    def at_once(self, method: str, target: str, body: bytes = b"") -> bool:
        """Whether an answer needs no turn of the event loop: whether it comes from the cache."""
        response = self.api.respond(Request(Head(method, target), body), Admitted(SAME_USER))
        if isinstance(response, Response):
            return True
        assert inspect.iscoroutine(response)
        response.close()
        return False


def text(response: Response) -> str:
    assert isinstance(response.body, bytes)
    return response.body.decode()


def value(response: Response) -> object:
    """What the JSON of a response says."""
    return json.loads(text(response))


@asynccontextmanager
async def in_process(
    path: Path,
    *,
    hub: Hub | None = None,
    clock: Clock | None = None,
    settings: Mapping[str, Mapping[str, object]] | None = None,
    transport: type[HubTransport] = HubTransport,
) -> AsyncIterator[InProcess]:
    """A hublet whose config, store and key are below `path`; not logged in, unless it was before."""
    clock = clock or Clock()
    hub = hub or Hub(clock=clock)
    hub.public_url = HUB_URL
    network = transport(hub)
    orders: list[WorkOrder] = []

    def hub_of(order: WorkOrder) -> HubClient | FolderHub:
        if order.hub.folder is not None:
            return FolderHub(order.hub)
        return HubClient(order.hub, order.validators, transport=network)

    async def run(ordered: Ordered, say: Callable[[Word], None]) -> PassReport:
        """A pass in this process: the same survey, the same client, no worker."""
        order = await made(ordered)
        orders.append(order)
        outcomes: list[tuple[ops.Operation, Outcome]] = []
        icons: list[Fact] = []

        def hear(word: Word) -> None:
            say(word)
            if isinstance(word, Told):
                outcomes.append((word.operation, word.outcome))
            else:
                icons.append(word)

        async with hub_of(order) as upstream:
            await survey(order, upstream, hear)
        return PassReport(tuple(outcomes), tuple(icons), whole=order.whole)

    service = open_service(
        load_config(_config(path, settings or {})), port=PORT, environment={}, run=run, clock=clock
    )  # fmt: skip
    admission = Admission(service, because="there are no sockets")
    forwarder = Forwarder(lambda: plan_of(service.config, None).hub, transport=network, clock=clock)
    it = InProcess(service, Api(service, admission, forwarder), hub, clock, network, orders)
    try:
        yield it
    finally:
        network.gate.set()
        await forwarder.close()
        if service.sync is not None:
            await service.sync.close()
        if service.archive is not None:
            service.archive.close()
        admission.close()


def _config(path: Path, settings: Mapping[str, Mapping[str, object]]) -> Path:
    sections: dict[str, dict[str, object]] = {
        "hub": {"url": HUB_URL},
        "cache": {"directory": path / "data", "runtime_directory": path / "run"},
        "keys": {"file": path / "key" / "kek"},
    }
    for name, keys in settings.items():
        sections.setdefault(name, {}).update(keys)
    file = path / "config.yaml"
    file.touch(mode=0o600)
    lines = [f"{name}:\n" + "".join(f"  {k}: {v}\n" for k, v in keys.items()) for name, keys in sections.items()]
    file.write_text("".join(lines))
    return file
