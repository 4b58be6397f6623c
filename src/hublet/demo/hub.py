"""The pretend Hub: one synchronous function that answers requests, and the faults that are switched on.

    respond(method, target, headers, body) -> Reply

It uses no sockets; `server.HubServer` puts it on a port. Every public method may be called from any thread.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.utils import formatdate
from hashlib import sha256
from threading import RLock

from hublet.demo.answers import Answers
from hublet.demo.data import Organization, World, sample_world
from hublet.demo.faults import RedirectWithin
from hublet.demo.reply import Fault, Headers, Reply, Seen, message

_OPEN = ("/registry/", "/v0/", "/icons/", "/auth/refresh")
"""Prefixes of targets that the Hub answers whatever the Authorization is."""
_ANONYMOUS = "/ide/get-assistant/continuedev/default-"
"""What it answers also without any Authorization: the CLI asks for these before anybody has signed in."""

_SIGNATURE = re.compile(rb'\?X-Amz-Signature=[^"]*')


@dataclass(eq=False)
class Injection:
    """A fault that is switched on for targets that begin with `prefix` and contain `containing`. `times` is for how
    many more requests; None means until it is switched off."""

    fault: Fault
    prefix: str = ""
    containing: str = ""
    times: int | None = None


class Hub(Answers):
    """A pretend Hub. Change it by its methods, or by `with hub.changing() as world`.

    `clock` gives the time in seconds. `clock_skew` is by how many seconds the Hub's own clock is off, which shows in
    Date and in icon URLs. With `validators` every 200 has an ETag, and If-None-Match is answered with 304 where it
    fits. `llm_url` is the address of the model of the two chat assistants.
    """

    def __init__(
        self,
        llm_url: str | None = None,
        *,
        clock: Callable[[], float] = time.time,
        validators: bool = False,
        world: World | None = None,
    ) -> None:
        super().__init__(world or sample_world(llm_url), clock)
        self.validators = validators
        self.requests: list[Seen] = []
        self._injections: list[Injection] = []
        self._lock = RLock()

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """The Hub's answer. `target` is path and query as they were sent; header names are in lower case."""
        with self._lock:
            target = "/" + target.lstrip("/")
            kind = self._authorization_kind(headers)
            kept = tuple((k, v) for k, v in headers.items() if k != "authorization")
            self.requests.append(Seen(method, target, kind, self.clock(), kept, body))
            fault = self._fault_for(target)
            if fault is not None and not fault.reaches_hub:
                return self._dated(fault.apply(Reply(200, target=target)))
            real = target.removeprefix("/moved") if target.startswith("/moved/") else target
            reply = self._refused(kind, real) or self.answer(method, real, _bearer(headers), body)
            if self.validators and reply.status == 200 and isinstance(reply.body, bytes):
                reply = _validated(reply, headers.get("if-none-match"))
            return self._dated(reply if fault is None else fault.apply(replace(reply, target=target)))

    # Faults

    def inject(self, fault: Fault, prefix: str = "", *, containing: str = "", times: int | None = None) -> Injection:
        """Switch a fault on. Where several fit a request, the one that was switched on last counts."""
        injection = Injection(fault, prefix, containing, times)
        with self._lock:
            self._injections.append(injection)
        return injection

    def heal(self, injection: Injection | None = None) -> None:
        """Switch one fault off, or all."""
        with self._lock:
            self._injections = [each for each in self._injections if injection is not None and each is not injection]

    @contextmanager
    def failing(self, fault: Fault, prefix: str = "", *, containing: str = "") -> Iterator[None]:
        """A fault that is on during a with block."""
        injection = self.inject(fault, prefix, containing=containing)
        try:
            yield
        finally:
            self.heal(injection)

    # What was asked

    def count(self, path_prefix: str = "") -> int:
        """How many requests there were whose target begins with a prefix."""
        with self._lock:
            return sum(seen.target.startswith(path_prefix) for seen in self.requests)

    def forget_requests(self) -> None:
        with self._lock:
            self.requests.clear()

    # Changes of the world

    @contextmanager
    def changing(self) -> Iterator[World]:
        """The world, under the Hub's lock, for any change that has no method of its own."""
        with self._lock:
            yield self.world

    def set_secret(self, name: str, value: str) -> None:
        """Set or rotate a user secret."""
        with self._lock:
            self.world.secrets[name] = value

    def remove_secret(self, name: str) -> None:
        with self._lock:
            self.world.secrets.pop(name, None)

    def set_organization_secret(self, organization: str, name: str, value: str) -> None:
        with self._lock:
            self.world.organizations[organization].secrets[name] = value

    def put_assistant(
        self, slug: str, source: str, *, scopes: tuple[str | None, ...] | None = None, icon: bytes | None = None
    ) -> None:
        """Add or edit an assistant. `scopes` are the lists that name it (None stands for the personal one). Without
        `scopes` a known assistant stays in its lists, and a new one is added to the personal list."""
        with self._lock:
            if scopes is None:
                scopes = () if slug in self.world.sources else (None,)
            self.world.sources[slug] = source
            for scope in scopes:
                roster = self._roster(scope)
                if slug not in roster:
                    roster.append(slug)
            if icon is not None:
                self.world.icons[slug] = icon

    def edit_assistant(self, slug: str, old: str, new: str) -> None:
        """Replace a text in an assistant's source. Raises KeyError when the text is not in it."""
        with self._lock:
            if old not in self.world.sources[slug]:
                raise KeyError(old)
            self.world.sources[slug] = self.world.sources[slug].replace(old, new)

    def remove_assistant(self, slug: str) -> None:
        """Delete an assistant: no list names it and nobody can get it."""
        with self._lock:
            self.world.sources.pop(slug, None)
            for roster in (self.world.roster, *(each.roster for each in self.world.organizations.values())):
                if slug in roster:
                    roster.remove(slug)

    def unlist_assistant(self, slug: str, scope: str | None = None) -> None:
        """Take an assistant off the list of one scope. Clients can still ask for it by name."""
        with self._lock:
            self._roster(scope).remove(slug)

    def add_organization(self, organization: Organization) -> None:
        with self._lock:
            self.world.organizations[organization.id] = organization

    def remove_organization(self, organization: str) -> None:
        with self._lock:
            del self.world.organizations[organization]

    def set_policy(self, policy: dict[str, object] | None, slug: str | None = None) -> None:
        """Set the policy that the account gets, and the organization that has it. None: no organization has a
        policy."""
        with self._lock:
            self.world.policy, self.world.policy_slug = policy, slug if policy is not None else None

    def accept_key(self, key: str, organization: str | None = None) -> None:
        with self._lock:
            self.keys[key] = organization

    def revoke_key(self, key: str) -> None:
        with self._lock:
            self.keys.pop(key, None)

    def _roster(self, scope: str | None) -> list[str]:
        return self.world.roster if scope is None else self.world.organizations[scope].roster

    def _fault_for(self, target: str) -> Fault | None:
        for each in reversed(self._injections):
            if each.times == 0 or not target.startswith(each.prefix) or each.containing not in target:
                continue
            if isinstance(each.fault, RedirectWithin) and target.startswith("/moved/"):
                continue
            if each.times is not None:
                each.times -= 1
            return each.fault
        return None

    def _authorization_kind(self, headers: Mapping[str, str]) -> str:
        if "authorization" not in headers:
            return "none"
        bearer = _bearer(headers)
        if bearer in self.keys:
            return "key" if bearer.startswith("con_") else "session"
        return "unknown-key" if bearer.startswith("con_") else "undefined" if bearer == "undefined" else "other"

    def _refused(self, kind: str, target: str) -> Reply | None:
        if kind in ("key", "session") or target.startswith(_OPEN):
            return None
        if kind == "none" and target.startswith(_ANONYMOUS):
            return None
        return message(401, "Unauthorized")

    def _dated(self, reply: Reply) -> Reply:
        date: Headers = (("Date", formatdate(self.now(), usegmt=True)),)
        return replace(reply, headers=date + reply.headers)


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else ""


def _validated(reply: Reply, asked: str | None) -> Reply:
    """A 200 with an ETag, or a 304. The ETag is weak (RFC 9110 section 8.8.1) when the body has signed URLs in it,
    whose signatures are new each time although nothing else changes."""
    body = reply.read()
    plain = _SIGNATURE.sub(b"", body)
    opaque = f'"{sha256(plain).hexdigest()[:32]}"'
    tag = opaque if plain == body else f"W/{opaque}"
    if asked is not None and opaque in [each.strip().removeprefix("W/") for each in asked.split(",")]:
        return Reply(304, (("ETag", tag),))
    return replace(reply, headers=(*reply.headers, ("ETag", tag)))
