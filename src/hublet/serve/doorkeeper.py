"""What every refusal does, at each door: it is counted by its rule, logged without the credential, and noted for the
audit log. Whoever tried a wrong token, or is another user, gets the answer a moment later."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from hublet.core import operations as ops
from hublet.core.messages import Head, Malformed, Response
from hublet.door.application import Connection
from hublet.door.audit import Who, program_of
from hublet.door.brake import Brake, Quiet
from hublet.door.peer import unix_peer
from hublet.serve.auditing import name_of_path
from hublet.serve.service import Service

log = logging.getLogger("hublet.door")

TRIES = {"unknown-token": (0.1, 0.5), "other-user": (0.02, 0.1)}
"""Rules whose refusals are held back, because somebody tries what is not theirs: the first and the longest wait, in
seconds. Short waits are enough to get a script nowhere, and a person who mistyped a token should not have to wonder."""


class Doorkeeper:
    """One for each door's application. Belongs to one event loop."""

    def __init__(
        self,
        service: Service,
        *,
        quiet: Quiet | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service, self._monotonic = service, monotonic
        self._brakes = {rule: Brake(*waits) for rule, waits in TRIES.items()}
        self._quiet = quiet or Quiet()
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._say_left_out(self._monotonic() + self._quiet.window)

    def refuse(
        self, rule: str, response: Response, who: Who, what: str, connection: Connection | None = None
    ) -> Response:
        """Count, log and note a refusal; gives `response` back. With a connection, the answer to a failed try waits."""
        service, now = self._service, self._monotonic()
        service.counters[f"refused:{rule}"] += 1
        if service.audit is not None:
            service.audit.note(service.clock(), who, what, "refused", rule)
        self._say_left_out(now)
        if self._quiet.speaks(rule, now):
            by = f", user {who.uid}" if who.uid is not None else ""
            by += f", pid {who.pid}" if who.pid is not None else ""
            log.warning("refused a request (%s) at the %s door%s", rule, who.door, by)
        elif self._timer is None:
            self._arm()
        if connection is not None and rule in self._brakes:
            connection.hold_back = self._brakes[rule].failed(now)
        return response

    def _arm(self) -> None:
        try:
            self._timer = asyncio.get_running_loop().call_later(self._quiet.window, self._over)
        except RuntimeError:
            return  # no loop runs: what was left out is logged with the next refusal

    def _over(self) -> None:
        self._timer = None
        self._say_left_out(self._monotonic())

    def _say_left_out(self, now: float) -> None:
        for rule, count in self._quiet.due(now):
            log.warning("refused %d more requests (%s)", count, rule)


def caller(door: str, connection: Any) -> Who:
    """Who opened the other end of a connection on a Unix socket; without a uid when the system does not say."""
    try:
        peer = unix_peer(connection)
    except OSError:
        return Who(door)
    pid = peer.pid if peer.pid > 0 else None
    return Who(door, uid=peer.uid, pid=pid, program=program_of(pid) if pid else "")


def asked_for(head: Head) -> str:
    """What a refused request asked for, in words of our own: its path may hold names, and anything else."""
    try:
        segments = head.segments
    except Malformed:
        return "other"
    if segments[0] in ("icons", "healthz", "readyz", "metrics"):
        return segments[0]
    if segments[:2] == ("hublet", "v1") and segments[2:] in (("status",), ("events",), ("openapi.json",)):
        return segments[-1]
    return next((name_of_path(row.path) for row in ops.TABLE if row.match(segments) is not None), "other")
