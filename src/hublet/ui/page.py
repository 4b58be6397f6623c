"""The application behind the page's port: admits requests, serves the files, passes questions on and streams events.

GET  /, /*.js ...    the page's files; no session is needed, since they hold no data
POST /session        exchanges the code of the link for a session
GET  /api/...        questions to the daemon (routes.py), and a few that are answered here
POST /api/...        changes
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from hublet.core.errors import AdminError, HubletError, NotRunning
from hublet.core.messages import Head, Malformed, Request, Response, error_response, json_response
from hublet.door import encoding
from hublet.door.application import Admitted, Connection
from hublet.door.brake import Quiet
from hublet.door.guard import Refused, hosts_of
from hublet.door.peer import Peers, Verdict
from hublet.ui.admission import Admission, NotAdmitted
from hublet.ui.asking import Daemon
from hublet.ui.examining import Doctor, refusals
from hublet.ui.files import POLICY, read_files
from hublet.ui.guard import refusal
from hublet.ui.routes import route_of, words_of
from hublet.ui.streaming import Stream
from hublet.ui.trimming import trimmed

log = logging.getLogger("hublet.ui")

MOST_STREAMS = 4
"""Event streams at a time. A browser opens six connections to one server; the others are needed for questions."""
_PASS_PATIENCE = 900.0
_OURS = (Verdict.SAME_USER, Verdict.CONTAINER, Verdict.UNKNOWN_CGROUP)
"""Who may connect. A browser from Flatpak or Snap runs in a container of its own; it has the link all the same."""

_FILE, _BEGIN, _API = "file", "session", "api"


class Page:
    """Belongs to one event loop.

    `peers` is None where the kernel can't tell who connects. `taken` is called when the code is used. `changed` is
    called with the number of open pages whenever that number changes.
    """

    def __init__(
        self,
        port: int,
        admission: Admission,
        daemon: Daemon,
        doctor: Doctor,
        *,
        peers: Peers | None = None,
        taken: Callable[[], None] = lambda: None,
        changed: Callable[[int], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hosts = hosts_of(port)
        self._admission, self._daemon, self._doctor, self._peers = admission, daemon, doctor, peers
        self._taken, self._changed, self._monotonic = taken, changed, monotonic
        self._files = read_files()
        self._streams: set[Stream] = set()
        self._quiet = Quiet()

    # Admission

    def admit(self, head: Head, connection: Connection) -> Admitted | Response:
        if not self._is_same_user(connection):
            return self._refuse(Refused("other-user", 403, "only the user who runs this page is answered"))
        refused = refusal(head, self._hosts)
        if refused is not None:
            return self._refuse(refused)
        if head.method in ("GET", "HEAD") and head.target in self._files:
            return Admitted(_FILE, known=False)
        if (head.method, head.target) == ("POST", "/session"):
            return Admitted(_BEGIN, known=False)
        if not self._admission.knows(head):
            return self._refuse(Refused("no-session", 401, "this page needs a link of its own: run `hublet ui`"))
        return Admitted(_API)

    def _is_same_user(self, connection: Connection) -> bool:
        """Whether the same user connects. The kernel is asked once for each connection: the owner of a connected socket
        does not change."""
        if self._peers is None:
            return True
        if not isinstance(connection.scratch, Verdict):
            connection.scratch = self._peers.same_user(connection.socket)
        return connection.scratch in _OURS

    def _refuse(self, refused: Refused) -> Response:
        if self._quiet.speaks(refused.rule, self._monotonic()):
            log.warning("refused a request (%s)", refused.rule)
        return refused.response()

    # Answers

    def respond(self, request: Request, admitted: Admitted) -> Response | Awaitable[Response]:
        head = request.head
        match admitted.identity:
            case "file":
                return self._files[head.target]
            case "session":
                return self._begin(request.body)
        if (head.method, head.target) == ("GET", "/api/events"):
            return self._stream()
        return self._answer(head, request.body)

    def _begin(self, body: bytes) -> Response:
        try:
            session = self._admission.take(str(words_of(body, ("code",))["code"]))
        except Malformed as error:
            return error_response(400, str(error))
        except NotAdmitted as error:
            return error_response(403, error.message, hint=error.hint)
        self._taken()
        response = json_response(200, {"word": session.word})
        return encoding.of_a_page(response, POLICY, cookie=self._admission.set_cookie(session))

    def _stream(self) -> Response:
        if len(self._streams) >= MOST_STREAMS:
            return error_response(503, "this page is open too often", hint="close it elsewhere")
        stream = Stream(self._daemon, self._forget)
        self._streams.add(stream)
        self._changed(len(self._streams))
        return Response(200, (("Content-Type", "text/event-stream; charset=utf-8"),), stream)

    def _forget(self, stream: Stream) -> None:
        self._streams.discard(stream)
        self._changed(len(self._streams))

    async def _answer(self, head: Head, body: bytes) -> Response:
        try:
            first, *path = head.segments
            found = await self._asked(head.method, tuple(path), body) if first == "api" else None
        except Malformed as error:
            return error_response(400, str(error))
        except NotRunning as error:
            return error_response(503, error.message, hint=error.hint)
        except HubletError as error:
            return error_response(409, error.message, hint=error.hint)
        return json_response(200, trimmed(found)) if found is not None else error_response(404, "Not found")

    async def _asked(self, method: str, path: tuple[str, ...], body: bytes) -> dict[str, Any] | None:
        match method, path:
            case "GET", ("refused",):
                told = await self._daemon.call("GET", "/audit")
                return {"refusals": await asyncio.to_thread(refusals, Path(told["file"]))}
            case "GET", ("doctor",):
                return await self._doctor.examine(sunset=False)
            case "GET", ("sunset",):
                return await self._doctor.examine(sunset=True)
            case "POST", ("sync",):
                words_of(body, ())
                return await self._sync()
        route = route_of(method, path)
        if route is None:
            return None
        target, value = route.question(path, body)
        found: dict[str, Any] = await self._daemon.call(route.admin, target, value, patience=route.patience)
        if path[0] == "history":
            found["entries"].sort(key=lambda entry: entry["since"], reverse=True)  # the oldest are what is left out
        return found

    async def _sync(self) -> dict[str, Any]:
        """Make a pass now; its summary. Progress on the way reaches the page as events."""
        async with aclosing(self._daemon.lines("POST", "/sync", patience=_PASS_PATIENCE)) as lines:
            async for line in lines:
                if isinstance(line.get("summary"), dict):
                    return {"summary": line["summary"]}
        raise AdminError("the pass was ended", hint="see the daemon's log")

    def end(self, message: str) -> None:
        """Tell every open page that this process ends."""
        for stream in tuple(self._streams):
            stream.end(message)
