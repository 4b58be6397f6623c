"""What changes or reveals: the application behind the Unix socket, and, without a daemon, behind the commands.

Only our own user may come in (the kernel says who is at the other end). Answers are JSON; `POST /sync` answers with one
JSON line for each outcome as it comes and a last one with the summary.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson

from hublet.core.account import Account, check_key, origin_of
from hublet.core.address import folder_of
from hublet.core.errors import HubletError, StoreError
from hublet.core.locking import is_restored
from hublet.core.messages import Head, Malformed, Request, Response, error_response, json_response
from hublet.core.naming import name_of, names_by_id
from hublet.door import tokens
from hublet.door.application import Admitted, Connection
from hublet.door.audit import Who, program_of
from hublet.door.guard import refusal
from hublet.serve import telling
from hublet.serve.actions import REVEALING, about_of, action_of, is_urgent, secret_of
from hublet.serve.auditing import id_of, id_of_secret
from hublet.serve.doorkeeper import Doorkeeper, caller
from hublet.serve.service import Service
from hublet.serve.status import status
from hublet.summary import describe
from hublet.sync import Sync
from hublet.upstream.order import Told, Word

log = logging.getLogger("hublet.admin")

Part = TypeVar("Part")
_OLDER = "the cache is an older copy that was put back"


class Admin:
    """Routes of the admin door. A refusal says why with the exit code that a command ends with."""

    def __init__(self, service: Service, *, uid: int | None = None) -> None:
        self._service = service
        self._parts: dict[Callable[[Service], Any], Any] = {}
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
        except (Malformed, orjson.JSONDecodeError):
            return error_response(400, "the request makes no sense")
        except HubletError as error:
            return json_response(400, {"message": error.message, "hint": error.hint, "exit_code": error.exit_code})

    async def handle(self, method: str, segments: tuple[str, ...], body: bytes, who: Who | None = None) -> Response:
        """One admin request, written to the audit log; without `who` it is this process that asks. Raises HubletError.

        What reveals is written down before it is done as well: a secret that can't be audited is not told.
        """
        if who is None:
            who = Who("admin", "same-user", self._uid, os.getpid(), program_of(os.getpid()))
        value = orjson.loads(body) if body else {}
        if self._service.archive is None and segments[:1] not in (("proof",), ("forget",)):
            await self._service.reopen(False)
        action, about = action_of(method, segments), about_of(segments, value)
        audit, archive = self._service.audit, self._service.archive
        ids: tuple[str, ...] = ()
        if archive is not None and (secret := secret_of(segments, value)):
            ids = (id_of_secret(archive.envelope, secret),)

        async def note(outcome: str, detail: str = "") -> None:
            if audit is None or not action:
                return
            if not is_urgent(method, action):
                audit.note(self._service.clock(), who, action, outcome, detail)
                return
            with suppress(StoreError):  # said in the daemon's log, and what it tells of has happened already
                await audit.record(who, action, outcome, detail, about=about, ids=ids)

        if audit is not None and action in REVEALING:
            await audit.record(who, action, "begun", about=about, ids=ids)
        try:
            response = await self._handle(method, segments, value)
        except HubletError as error:
            await note("refused", type(error).__name__)
            raise
        await (note("answered") if response.status == 200 else note("refused", str(response.status)))
        return response

    async def _handle(self, method: str, segments: tuple[str, ...], value: Any) -> Response:
        service = self._service
        match method, segments, value:
            case "GET", ("status",), _:
                return json_response(200, status(service))
            case "GET", ("tally",), _:
                return json_response(200, service.tally.to_plain())
            case "GET", ("examine",), _:
                from hublet.serve.examining import examine

                return json_response(200, await examine(service))
            case "POST", ("probe",), _:
                from hublet.serve.examining import probe

                return json_response(200, await probe(service))
            case "GET", ("events",), _:
                return telling.lines(service, None)
            case "GET", ("events", after), _:
                return telling.lines(service, telling.id_of(after))
            case "GET", ("proof", nonce), _:
                return json_response(200, {"proof": service.proof(nonce), "port": service.port})
            case "POST", ("sync",), _:
                return Response(200, (("Content-Type", "application/x-ndjson"),), self._sync(self._service.opened()))
            case "POST", ("login",), {"key": str(key)}:
                return await self._login(key, fresh=value.get("fresh") is True)
            case "POST", ("lock",), _:
                await self._service.opened().lock()
                return json_response(200, {})
            case "POST", ("unlock",), _:
                return await self._unlock()
            case "POST", ("quarantine", action), {"what": str(what)}:
                from hublet.serve.quarantine import Quarantine

                told = await self._part(Quarantine).handle(action, what)
                return json_response(200, told) if told is not None else error_response(404, "Not found")
            case "GET", ("forget",), _:
                from hublet.serve.forgetting import plan

                return json_response(200, await asyncio.to_thread(plan, service))
            case "POST", ("forget",), _:
                from hublet.serve.forgetting import Forgetting

                return json_response(200, await self._part(Forgetting).forget())
            case "POST", ("store", "accept"), _:
                return await self._accept_older()
            case _, ("store", action), dict():
                from hublet.serve.upkeep import Upkeep

                return json_response(200, await self._part(Upkeep).handle(method, action, value))
            case _, ("keys", *rest), dict():
                from hublet.serve.keys import Keys

                return json_response(200, await self._part(Keys).handle(method, tuple(rest), value))
            case _, ("secrets", *rest), dict():
                from hublet.serve.secrets import Secrets

                return json_response(200, await self._part(Secrets).handle(method, tuple(rest), value))
            case _, ("history" | "diff" | "pins", *_), dict():
                from hublet.serve.history import History

                answer = await self._part(History).handle(method, segments, value)
                return json_response(200, answer) if answer is not None else error_response(404, "Not found")
            case "POST", ("export", *rest), dict():
                from hublet.serve.exporting import Wish, export

                wish = Wish.of(value)
                if (wish.values != "none") != (rest == ["values"]):
                    return error_response(404, "Not found")  # what tells values is written down by its path
                return json_response(200, await asyncio.to_thread(export, service, wish))
            case "GET", ("assistants" | "policy", *_), _:
                from hublet.serve.showing import show

                shown = await show(service, segments)
                return json_response(200, shown) if shown is not None else error_response(404, "Not found")
            case "GET", ("sunset",), _:
                from hublet.serve.sunset import sunset

                return json_response(200, await asyncio.to_thread(sunset, service))
            case "POST", (("bundle" | "import"), *_), dict():
                return await self._bundle(segments, value)
            case "GET", ("audit",), _:
                return json_response(200, await self._audit())
            case "GET", ("tokens",), _:
                self._service.opened()
                return json_response(200, {"tokens": [_shown(token) for token in service.tokens]})
            case "POST", ("tokens",), {"name": str(name), "scope": ("read" | "secrets" | "admin") as scope}:
                return await self._make_token(name, scope, value.get("expires_in"))
            case "DELETE", ("tokens", name), _:
                return await self._revoke_token(name)
        return error_response(404, "Not found")

    def _part(self, kind: Callable[[Service], Part]) -> Part:
        """The one that answers a group of routes, made when it is first asked. Its module is imported then, too: most
        daemons never need most of them, and all stay in memory what they have loaded."""
        if kind not in self._parts:
            self._parts[kind] = kind(self._service)
        part: Part = self._parts[kind]
        return part

    async def _bundle(self, segments: tuple[str, ...], value: Any) -> Response:
        from hublet.serve.bundling import Bundling

        bundling = self._part(Bundling)
        match segments, value:
            case ("bundle",), {"passphrase": str(passphrase)}:
                return json_response(200, await bundling.make(passphrase))
            case ("import",), {"folder": str(name), "passphrase": str(passphrase)}:
                return json_response(200, await bundling.take(name, passphrase))
            case ("import", "folder"), {"path": str(path)}:
                return json_response(200, await bundling.take_folder(path))
        return error_response(404, "Not found")

    async def _audit(self) -> dict[str, object]:
        """Where the audit log is, with nothing left to be written, and what the ids in it mean today."""
        from hublet.serve.secrets import entries

        service, audit = self._service, self._service.audit
        assert audit is not None
        await audit.flush()
        names = {}
        if service.sync is not None and service.archive is not None:
            envelope = service.archive.envelope
            organizations = names_by_id(service.sync.snapshot.organizations())
            names = {
                id_of(envelope, question): name_of(question, organizations) for question in service.sync.state.records
            }
            secrets = {entry.name for entry in entries(service.sync.snapshot)}
            names |= {id_of_secret(envelope, name): f"secret {name}" for name in secrets}
        return {"file": str(audit.file.path), "names": names, "lost": audit.lost}

    async def _sync(self, sync: Sync) -> AsyncIterator[bytes]:
        words: asyncio.Queue[Word] = asyncio.Queue()
        running = asyncio.create_task(sync.run_pass(words.put_nowait, force=True))
        try:
            while not (running.done() and words.empty()):
                next_word = asyncio.ensure_future(words.get())
                await asyncio.wait({next_word, running}, return_when=asyncio.FIRST_COMPLETED)
                if next_word.done():
                    yield orjson.dumps(_heard(next_word.result())) + b"\n"
                else:
                    next_word.cancel()
            summary = await running
            yield orjson.dumps({"summary": summary.to_plain()}) + b"\n"
        finally:
            running.cancel()  # this listener only: the pass itself goes on

    async def _unlock(self) -> Response:
        """Serve secret values again on the user's word. Where the administrator wants the Hub's word, only a lock that
        the user asked for can be lifted so, and it ends with the next answer of the Hub that takes the key."""
        service = self._service
        managed = service.managed
        lock = service.sync.state.ledger.lock if service.sync is not None else None
        if not managed.unlock_offline and (lock is None or lock.why != "asked"):
            raise HubletError(
                f"unlocking without the Hub's word is not allowed on this machine: {managed.file} says so",
                hint="`hublet unlock` asks the Hub",
            )
        sync = self._service.opened()
        if is_restored(sync.state.ledger):
            raise HubletError(_OLDER, hint="`hublet store accept`, if it was you who put it back")
        log.warning(
            "unlocked on the user's word%s", "" if managed.unlock_offline else ", as soon as the Hub takes the key"
        )
        await sync.unlock(hub_must_agree=not managed.unlock_offline)
        return json_response(200, {"locked": sync.snapshot.locked})

    async def _accept_older(self) -> Response:
        """Agree with an older store that was put back."""
        sync, service = self._service.opened(), self._service
        if not is_restored(sync.state.ledger):
            raise HubletError("the cache is no older copy that was put back", hint="nothing has to be accepted")
        managed = service.managed
        log.warning("the older copy of the cache that was put back is accepted on the user's word")
        await sync.accept_older(hub_must_agree=not managed.unlock_offline)
        return json_response(200, {"locked": sync.snapshot.locked})

    async def _login(self, key: str, *, fresh: bool) -> Response:
        if self._service.forgotten:
            async with self._service.busy:  # it is forgotten to its end first
                self._service.forgotten = False
        await self._service.reopen(True)
        sync = self._service.opened()
        if folder_of(self._service.config.hub.url) is not None:
            raise HubletError("the Hub is a folder: it takes no key", hint="hublet syncs with it by itself")
        account = Account(check_key(key), origin_of(self._service.config.hub.url))
        before = sync.plan
        keyless = replace(before, hub=replace(before.hub, key=None))
        try:
            if fresh:
                # Nothing is asked with the old key meanwhile: its answers would become the new account's.
                sync.configure(keyless, sync.terms)
                await sync.start_over()
            await self._service.keep_account(account)
        except BaseException:
            if sync.plan is keyless:  # else another config has come, or the cache was forgotten
                sync.configure(before, sync.terms)
            raise
        log.info("logged in to %s", account.origin)
        return json_response(200, {"origin": account.origin})

    async def _make_token(self, name: str, scope: tokens.Scope, expires_in: object) -> Response:
        def with_it(before: tuple[tokens.Token, ...]) -> tuple[tokens.Token, ...]:
            self._service.opened()
            if any(one.name == name for one in before):
                raise HubletError(f"there is a token of the name {name} already", hint=f"`hublet token revoke {name}`")
            return (*before, token)

        if is_restored(self._service.opened().state.ledger):
            raise HubletError(_OLDER, hint="its tokens count again after `hublet store accept`")
        if not name or not name.isprintable() or len(name) > 64:
            raise HubletError("a token's name has 1 to 64 printable characters")
        now = self._service.clock()
        until = datetime.fromtimestamp(now + expires_in, UTC) if isinstance(expires_in, int | float) else None
        text, token = tokens.make(name, scope, os.urandom(32), datetime.fromtimestamp(now, UTC), until)
        await self._service.change_tokens(with_it)
        return json_response(200, {"token": text} | _shown(token))

    async def _revoke_token(self, name: str) -> Response:
        def without_it(before: tuple[tokens.Token, ...]) -> tuple[tokens.Token, ...]:
            self._service.opened()
            kept = tuple(token for token in before if token.name != name)
            if len(kept) == len(before):
                raise HubletError(f"there is no token of the name {name}", hint="see `hublet token list`")
            return kept

        await self._service.change_tokens(without_it)
        return json_response(200, {})


def _shown(token: tokens.Token) -> dict[str, object]:
    return {
        "name": token.name,
        "scope": token.scope,
        "created_at": token.created_at.timestamp(),
        "expires_at": token.expires_at.timestamp() if token.expires_at else None,
    }


def _heard(word: Word) -> dict[str, object]:
    if isinstance(word, Told):
        return {"asked": describe(word.operation), "outcome": type(word.outcome).__name__.lower()}
    return {"asked": "icon", "outcome": "answered"}
