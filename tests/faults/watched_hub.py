"""The demo Hub and the network to it, with a note of what really came over: what the model is told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import httpx
from tests.faults.seen_by_clients import Delivery
from tests.faults.small_world import could_be_meant
from tests.in_process import HubTransport

from hublet.core import operations as ops
from hublet.core.messages import Head, Malformed
from hublet.demo import faults
from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub
from hublet.demo.reply import Fault, Reply


@dataclass
class Report:
    """What one work order brought, as it came off the network."""

    whole: bool
    deliveries: list[Delivery] = field(default_factory=list)


REPORT: ContextVar[Report] = ContextVar("report")


class WatchedHub(Hub):
    """The demo Hub, and a note of each answer as it is sent."""

    fault: Fault | None = None
    spared = 0
    """How many answers were a 304."""

    def _fault_for(self, target: str) -> Fault | None:
        self.fault = super()._fault_for(target)
        return self.fault

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        self.fault = None
        reply = super().respond(method, target, headers, body)
        self._sends(method, target, body, reply)
        return reply

    def _sends(self, method: str, target: str, body: bytes, reply: Reply) -> None:
        head = Head(method, target.removeprefix("/moved"))
        try:
            operation = ops.read(method, head.segments, head.query, body)
        except (Malformed, ops.UnknownPath):
            return
        if isinstance(reply.fault, faults.WireFault):
            return
        if reply.status == 304:  # it means what it would have been answered with
            reply = self.answer(method, target.removeprefix("/moved"), DEMO_KEY, body)
            self.fault = None
            self.spared += 1
        if 300 <= reply.status < 400:
            return
        after = reply.header("retry-after")
        delivery = Delivery(
            operation, reply.status, self._meant(operation, reply),
            float(after) if after is not None and reply.status in (429, 503) else None,
        )  # fmt: skip
        REPORT.get().deliveries.append(delivery)

    def _meant(self, operation: ops.Operation, reply: Reply) -> Any:
        if isinstance(self.fault, faults.HugeBody | faults.GzipBomb):
            return None
        body = reply.read()
        if reply.status == 200 and isinstance(operation, ops.DownloadPackage):
            return body.hex() if could_be_meant(self.fault, operation, None) else None
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return None
        if reply.status == 200:
            return value if could_be_meant(self.fault, operation, value) else None
        return value if isinstance(value, dict) and isinstance(value.get("message"), str) else None


class Network(HubTransport):
    """Counts what is under way at the same time, for the same thing and the same reason (a pass, or a client)."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self.under_way: Counter[tuple[Any, ...]] = Counter()
        self.twice: list[tuple[Any, ...]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        key = (request.method, request.url.raw_path, await request.aread(), REPORT.get().whole)
        self.under_way[key] += 1
        if self.under_way[key] > 1:
            self.twice.append(key)
        try:
            return await super().handle_async_request(request)
        finally:
            self.under_way[key] -= 1
