"""Answering the Hub's API: Operation and Snapshot in, Response out.

What is cached is answered at once, in the turn of the event loop in which the request came. A question that was never
asked before is put to the Hub while the client waits, for `serve.wait` seconds at most. Nothing else waits for the Hub.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import replace
from math import inf
from typing import assert_never

from hublet.core import operations as ops
from hublet.core.messages import Head, Headers, Malformed, Request, Response, error_response, json_response, type_json
from hublet.core.outcomes import Answered, NotModified, Outcome, Refused, Throttled, Unreachable
from hublet.core.outcomes import Malformed as MalformedAnswer
from hublet.core.passthrough import Care, Rule, is_refresh, rule_for
from hublet.core.snapshot import Answer, Snapshot, Unknown
from hublet.door.application import Admitted, Connection
from hublet.passes.sync import Sync
from hublet.serve import telling
from hublet.serve.admission import Admission, Identity
from hublet.serve.repeating import Basis, again, basis_of, span
from hublet.serve.service import Service
from hublet.upstream.forward import REFRESH_FAILED, Forwarder

log = logging.getLogger("hublet.serve")

_A_YEAR = 365 * 86400
_MOST_NONCE = 64
_ALIVE = json_response(200, {"status": "alive"})


class Api:
    """The application behind the loopback port."""

    def __init__(self, service: Service, admission: Admission, forwarder: Forwarder) -> None:
        self._service, self._admission, self._forwarder = service, admission, forwarder

    def admit(self, head: Head, connection: Connection) -> Admitted | Response:
        admitted = self._admission.admit(head, connection)
        if isinstance(admitted, Response):
            # A refused refresh of a browser sign-in must not look like the Hub's refusal, which would end that session.
            return REFRESH_FAILED if is_refresh(head.target) else admitted
        rule = self._passing(head)
        streamed = rule is not None and rule.care is Care.ANY and not self._is_cached(head)
        return Admitted(admitted.identity, streamed, basis_of(self._service), admitted.known)

    def _passing(self, head: Head) -> Rule | None:
        try:
            return rule_for(head.method, head.segments, self._service.config.serve.passthrough)
        except Malformed:
            return None

    @staticmethod
    def _is_cached(head: Head) -> bool:
        """Whether hublet answers this path itself and never passes it on."""
        return head.segments[0] in ("healthz", "readyz", "icons", "hublet", "metrics") or ops.is_known(head.segments)

    def respond(self, request: Request, admitted: Admitted) -> Response | Awaitable[Response]:
        identity = admitted.identity
        assert isinstance(identity, Identity)
        head = request.head
        try:
            match head.segments:
                case ("healthz",):
                    return _only_get(head) or _ALIVE
                case ("readyz",):
                    return _only_get(head) or self._ready(identity)
                case ("hublet", "v1", "proof", nonce) if len(nonce) <= _MOST_NONCE:
                    plain = (("Content-Type", "text/plain; charset=utf-8"),)
                    return _only_get(head) or Response(200, plain, self._service.proof(nonce).encode())
                case segments if segments in telling.PATHS and identity.known:
                    return _only_get(head) or self._tell(head, identity)
                case ("icons", name):
                    return _only_get(head) or self._icon(name, identity)
                case segments:
                    operation = ops.read(head.method, segments, head.query, request.body)
                    if isinstance(operation, ops.GetCheckoutUrl):
                        return self._pass_on(request, identity)
        except Malformed as error:
            return error_response(400, str(error))
        except ops.UnknownPath:
            return self._pass_on(request, identity)
        except ops.MethodNotAllowed as error:
            return _not_allowed(error.allow)
        return self._answer(operation, head, identity, admitted.basis)

    def _note(self, identity: Identity, what: ops.Operation | str, outcome: str, detail: str) -> None:
        if (audit := self._service.audit) is not None:
            audit.note(self._service.clock(), identity.who, what, outcome, detail)

    def _answer(
        self, operation: ops.Operation, head: Head, identity: Identity, basis: object
    ) -> Response | Awaitable[Response]:
        sync = self._service.sync
        if sync is None:
            self._note(identity, operation, "failed", "unavailable")
            return self._unavailable()
        sync.republish_if_due()  # a machine that wakes may be asked before the next heartbeat
        answer = sync.snapshot.answer(operation, clear=identity.clear)
        if isinstance(answer, Answer):
            return self._hit(sync, operation, answer, head, identity, basis)
        self._service.tally.answers[type(operation), "miss"] += 1
        return self._miss(sync, operation, answer, head, identity)

    def _pass_on(self, request: Request, identity: Identity) -> Response | Awaitable[Response]:
        """Pass a request on to the Hub that hublet does not answer itself, if `serve.passthrough` and the identity
        allow it."""
        head = request.head
        rule = self._passing(head)
        if rule is None:
            return error_response(404, "Not found")
        what = f"pass-through /{'/'.join(rule.path)}"
        if not identity.clear:
            refused = error_response(403, "a token of scope read is not passed through to the Hub")
            return self._admission.doorkeeper.refuse("token-scope", refused, identity.who, what)
        if rule.care is Care.REFRESH and identity.how != "same-user":
            return self._admission.doorkeeper.refuse("refresh", REFRESH_FAILED, identity.who, what)
        self._note(identity, what, "answered", "passed through")
        if self._service.sync is not None:
            self._service.sync.refreshing.spend(rule.spends)
        self._service.counters["passed-through"] += 1
        return self._forwarder.forward(request, rule)

    def _hit(
        self, sync: Sync, operation: ops.Operation, answer: Answer, head: Head, identity: Identity, basis: object
    ) -> Response:
        service, audit = self._service, self._service.audit
        now, answer = service.clock(), sync.refreshing.as_spent(operation, answer)
        grade = answer.grade(now)
        key = (type(operation), grade)
        service.tally.answers[key] += 1
        if audit is not None:
            audit.note(now, identity.who, operation, "answered", grade)
        if not answer.is_fresh(now):  # whatever the grade: values that are withheld may be back with a new answer
            sync.refreshing.want(operation)
        response = _reply(answer, head, now, f"hublet; hit; ttl={_ttl(answer, now)}{_detail(answer, grade)}")
        if isinstance(basis, Basis) and basis.snapshot is sync.snapshot:
            since, until = span(answer, now)
            within = since, min(until, identity.until, sync.snapshot.next_expiry)
            repeated = audit.repeated(identity.who, operation, "answered", grade) if audit is not None else None
            return replace(response, again=again(service, basis, within, key, repeated))
        return response

    async def _miss(
        self, sync: Sync, operation: ops.Operation, unknown: Unknown, head: Head, identity: Identity
    ) -> Response:
        patience = self._service.config.serve.wait
        outcome, _ = await asyncio.gather(sync.ask(unknown.ask, wait=patience), self._learn(operation, patience))
        snapshot = sync.snapshot
        answer = snapshot.answer(operation, clear=identity.clear)
        if isinstance(answer, Unknown) and isinstance(operation, ops.SyncSecrets):
            # Never an error for the whole batch: after one, a client does not look into its own .env files.
            answer = snapshot.secrets(operation, clear=identity.clear)
        if isinstance(answer, Answer):
            now = self._service.clock()
            self._note(identity, operation, "answered", "asked the Hub")
            return _reply(answer, head, now, f"hublet; fwd=uri-miss; stored; ttl={_ttl(answer, now)}")
        response = self._explain(outcome, operation, snapshot)
        self._note(identity, operation, "failed", str(response.status))
        return response

    async def _learn(self, operation: ops.Operation, wait: float) -> None:
        """Ask the user's own source (`secrets.override`) for secrets whose names are new."""
        overrides = self._service.overrides
        if overrides is not None and isinstance(operation, ops.SyncSecrets):
            await overrides.learn_within(wait, {fqsn.name for fqsn in operation.fqsns if fqsn is not None})

    def _explain(self, outcome: Outcome, operation: ops.Operation, snapshot: Snapshot) -> Response:
        """The response when there is no answer. A 401 of the Hub is never handed on: clients would drop their
        assistants and profile for good."""
        scope = getattr(operation, "scope", None)
        known_scopes = [id_ for id_, _, _ in snapshot.organizations()]
        offline = isinstance(outcome, Unreachable | Throttled | MalformedAnswer)
        if offline and scope is not None and known_scopes and scope not in known_scopes:
            return error_response(404, "Organization not found")
        if not self._service.has_hub:
            return error_response(
                503, "hublet is not logged in to a Hub and has nothing cached", hint="run `hublet login`"
            )
        match outcome:
            case Refused(404, message) | Refused(403, message):
                return error_response(outcome.status, message)
            case Refused(410, message):
                return error_response(503, f"the Hub is gone, and nothing is cached for this: {message}")
            case Refused(401, _):
                return error_response(503, "the Hub refused the account's key", hint="run `hublet login`")
            case Throttled(retry_after):
                after = (("Retry-After", str(int(retry_after or 30))),)
                return error_response(503, "the Hub asked to wait, and nothing is cached for this", after)
            case Unreachable(reason) | MalformedAnswer(reason):
                return error_response(503, f"the Hub did not answer, and nothing is cached for this: {reason}")
            case Answered() | NotModified() | Refused():
                return error_response(404, "Not found")
            case _:
                assert_never(outcome)

    def _unavailable(self) -> Response:
        why = self._service.unavailable
        if why is None:
            return error_response(503, "hublet is starting", (("Retry-After", "1"),))
        return error_response(503, why.reason, hint=why.hint)

    def _ready(self, identity: Identity) -> Response:
        """/readyz: 200 once there are records and the last successful pass is within `serve.ready_within`. Only known
        identities are told the age."""
        sync = self._service.sync
        if sync is None or not sync.state.records:
            return error_response(503, "not ready")
        body: dict[str, object] = {"status": "ready"}
        within, last = self._service.config.serve.ready_within, sync.state.ledger.last_success
        age = self._service.clock() - last if last is not None else inf
        if within is not None and age > within:
            return error_response(503, "not ready: the Hub has not been heard of for longer than serve.ready_within")
        if identity.known and last is not None:
            body["age"] = max(0, int(age))
        return json_response(200, body)

    def _tell(self, head: Head, identity: Identity) -> Response:
        if head.segments != ("metrics",):  # they hold no names, and are scraped all day long
            self._note(identity, head.segments[-1], "answered", "")
        return telling.tell(self._service, head, clear=identity.clear)

    def _icon(self, name: str, identity: Identity) -> Response:
        sync = self._service.sync
        found = sync.snapshot.icon(name) if sync is not None else None
        self._note(identity, "icons", "answered" if found is not None else "failed", "" if found is not None else "404")
        if found is None:
            return error_response(404, "Not found")
        body, media_type = found
        headers = (("Content-Type", media_type), ("Cross-Origin-Resource-Policy", "cross-origin"))
        return Response(200, headers, body)


def _reply(answer: Answer, head: Head, now: float, cache_status: str) -> Response:
    """The response with Age (RFC 9111 section 5.1), ETag (RFC 9110 section 8.8.3) and Cache-Status (RFC 9211); 304 when
    the client has the body already."""
    headers: Headers = (("Age", str(_age(answer, now))), ("Cache-Status", cache_status))
    if answer.status != 200:
        return Response(answer.status, (("Content-Type", type_json), *headers), answer.body)
    headers = (("ETag", answer.etag), *headers)
    if head.method in ("GET", "HEAD") and _matches(head.header("if-none-match"), answer.etag):
        return Response(304, headers)
    return Response(200, (("Content-Type", answer.media_type), *headers), answer.body)


def _age(answer: Answer, now: float) -> int:
    return max(0, int(now - answer.confirmed_at)) if answer.confirmed_at != float("inf") else 0


def _ttl(answer: Answer, now: float) -> int:
    return int(min(answer.fresh_for, _A_YEAR)) - _age(answer, now)


def _detail(answer: Answer, grade: str) -> str:
    words = [word for word, said in (("pinned", answer.pinned), ("secrets withheld", answer.withheld)) if said]
    if grade == "stale":
        words.append("stale")
    text = ", ".join(words)
    return "" if not text else f"; detail={text}" if text.isalpha() else f'; detail="{text}"'


def _matches(sent: str | None, etag: str) -> bool:
    """Whether If-None-Match names this tag: any of its list, by weak comparison (RFC 9110 section 13.1.2)."""
    if sent is None:
        return False
    return sent.strip() == "*" or any(tag.strip().removeprefix("W/") == etag for tag in sent.split(","))


def _only_get(head: Head) -> Response | None:
    return None if head.method in ("GET", "HEAD") else _not_allowed(("GET", "HEAD"))


def _not_allowed(allow: tuple[str, ...]) -> Response:
    return error_response(405, "Method not allowed", (("Allow", ", ".join(allow)),))
