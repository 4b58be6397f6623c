"""The admin door: the application behind the Unix socket, and behind a command that finds no daemon running.

Whatever changes or reveals something is asked here. Only our own user may come in: the kernel says who is at the other
end. Answers are JSON; those that go on for a while (a pass, the events) are a JSON object a line.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from inspect import isawaitable

import orjson

from hublet.core.errors import HubletError, StoreError
from hublet.core.messages import Head, Malformed, Request, Response, error_response, json_response
from hublet.door.application import Admitted, Connection
from hublet.door.audit import Who, program_of
from hublet.door.guard import refusal
from hublet.serve.auditing import id_of_secret
from hublet.serve.doorkeeper import Doorkeeper, caller
from hublet.serve.parts import Parts
from hublet.serve.routes import NOT_FOUND, Asked, Route, route_of
from hublet.serve.service import Service


class Admin:
    """Belongs to one event loop. A refusal says why, with the exit code that a command ends with."""

    def __init__(self, service: Service, *, uid: int | None = None) -> None:
        self._service, self._parts = service, Parts(service)
        self._uid = os.getuid() if uid is None else uid
        self._doorkeeper = Doorkeeper(service)

    def close(self) -> None:
        self._doorkeeper.close()

    def admit(self, head: Head, connection: Connection) -> Admitted | Response:
        who = caller("admin", connection.socket)
        if who.uid != self._uid:
            response = error_response(403, "only the user who runs hublet may do this")
            return self._doorkeeper.refuse("other-user", response, who, "other", connection)
        refused = refusal(head, None)
        if refused is not None:
            return self._doorkeeper.refuse(refused.rule, refused.response(), who, "other", connection)
        return Admitted(replace(who, how="same-user"))

    def respond(self, request: Request, admitted: Admitted) -> Response | Awaitable[Response]:
        assert isinstance(admitted.identity, Who)
        return self._respond(request, admitted.identity)

    async def _respond(self, request: Request, who: Who) -> Response:
        try:
            return await self.handle(request.head.method, request.head.segments, request.body, who)
        except Malformed:
            return error_response(400, "the request makes no sense")
        except HubletError as error:
            return json_response(400, {"message": error.message, "hint": error.hint, "exit_code": error.exit_code})

    async def handle(self, method: str, segments: tuple[str, ...], body: bytes, who: Who | None = None) -> Response:
        """Answer one admin request and write it to the audit log. Without `who` it is this process that asks.

        What reveals something is written down before it is done as well, so that a secret that can't be audited is not
        told. Raises HubletError, and Malformed for a body that is not what the request needs.
        """
        if who is None:
            who = Who("admin", "same-user", self._uid, os.getpid(), program_of(os.getpid()))
        route, names = route_of(method, segments) or (None, ())
        asked = Asked(names, _value(body))
        if self._service.archive is None and route is not None and route.reopens:
            await self._service.reopen(False)
        action = route.action if route is not None else "other"
        audit = self._service.audit if action else None
        reveals = route is not None and route.reveals
        about = route.token_of(asked) if route is not None else ""
        ids = self._ids(route, asked)

        async def note(outcome: str, detail: str = "") -> None:
            if audit is None:
                return
            if method == "GET" and not reveals:
                audit.note(self._service.clock(), who, action, outcome, detail)
                return
            with suppress(StoreError):  # the daemon's log has the error, and what was asked for is done
                await audit.record(who, action, outcome, detail, about=about, ids=ids)

        if audit is not None and reveals:
            await audit.record(who, action, "begun", about=about, ids=ids)
        try:
            response = await self._answer(route, asked)
        except (HubletError, Malformed) as error:
            await note("refused", type(error).__name__)
            raise
        await (note("answered") if response.status == 200 else note("refused", str(response.status)))
        return response

    async def _answer(self, route: Route | None, asked: Asked) -> Response:
        if route is None:
            return NOT_FOUND
        told = route.answer(self._parts, asked)
        if isawaitable(told):
            told = await told
        return told if isinstance(told, Response) else json_response(200, told)

    def _ids(self, route: Route | None, asked: Asked) -> tuple[str, ...]:
        """The audit log's id of the secret that is asked for: its name comes from the Hub, and is not written there."""
        archive = self._service.archive
        secret = route.secret_of(asked) if route is not None else ""
        return (id_of_secret(archive.envelope, secret),) if secret and archive is not None else ()


def _value(body: bytes) -> dict[str, object]:
    """The body's JSON object, an empty one without a body. Raises Malformed."""
    try:
        value = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        raise Malformed("the body is not JSON") from None
    if not isinstance(value, dict):
        raise Malformed("the body is no JSON object")
    return value
