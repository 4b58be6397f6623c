"""What a client of a hublet may see, as a small model: told what the Hub said, asked about every answer.

It knows nothing of records, templates, ledgers or snapshots. It is told each finished report as the Hub sent it (before
hublet has read it) and what people did, and then judges answers: what is served was said, what is withdrawn, locked or
expired is not, the policy is no weaker than what was allowed, and Age is no younger than the Hub's word.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any

from tests.faults.small_world import CANARY

from hublet.core import operations as ops
from hublet.core.questions import Everything, Organizations, Roster, Scope, Slug

Json = Any
Key = tuple[Any, ...]
INTERVAL, MAX_STALE, RELOCK, LONGEST_WAIT = 900.0, 7 * 86400.0, 600.0, 3600.0
_UNREADABLE = "${{ secrets.unnamed/rawYaml }}"
"""What stands for YAML in which nobody can tell where the secrets are."""
_OF_THE_ACCOUNT = ("User not found", "Organization not found")


@dataclass(frozen=True)
class Said:
    """One thing that the Hub said, and when it last did."""

    value: Json
    at: float


@dataclass(frozen=True)
class Delivery:
    """One answer as it came off the network: `value` is its JSON (or bytes), None where it could be no answer."""

    operation: ops.Operation
    status: int
    value: Json
    retry_after: float | None = None


@dataclass
class Expected:
    """The model's whole memory; `told` keeps the last word on each thing."""

    told: dict[Key, Said] = field(default_factory=dict)
    rosters: dict[Key, tuple[Slug, ...]] = field(default_factory=dict)
    absent: dict[Key, float] = field(default_factory=dict)
    held: dict[Key, frozenset[Slug]] = field(default_factory=dict)
    organizations: frozenset[str] | None = None
    gone: frozenset[str] = frozenset()
    strict: dict[str, Json] | None = None
    looser: tuple[str, float] | None = None
    refused_at: float | None = None
    locked: set[str] = field(default_factory=set)
    not_before: float = 0.0

    def kept(self) -> Expected:
        """What would be there after a restart, if it was saved now."""
        return copy.copy(self)._with_own_memory()

    def _with_own_memory(self) -> Expected:
        for name in ("told", "rosters", "absent", "held", "locked"):
            setattr(self, name, copy.copy(getattr(self, name)))
        self.strict = dict(self.strict) if self.strict is not None else None
        return self

    # What the Hub says

    def hears(self, report: list[Delivery], now: float, *, whole: bool) -> None:
        """A report that is about to be judged. Organizations go first, as in the rules."""
        shows_account = any(map(_shows_account, report))
        for each in sorted(report, key=lambda each: not isinstance(each.operation, ops.ListOrganizations)):
            if each.status == 200 and each.value is not None:
                self._answered(each.operation, each.value, now, whole=whole)
            elif each.status in (403, 404) and each.value is not None and whole and shows_account:
                self._refused(each.operation, each.value["message"], now)
            if each.retry_after is not None:
                self.not_before = max(self.not_before, now + min(each.retry_after, LONGEST_WAIT))
        if whole:
            self._account(report, now)

    def _answered(self, op: ops.Operation, value: Json, now: float, *, whole: bool) -> None:
        match op:
            case ops.ListAssistants(scope, proxied):
                self._list((scope, proxied), value, now, whole=whole)
            case ops.GetAssistant(scope, proxied, slug):
                if slug not in self.rosters.get((scope, proxied), ()):
                    self.absent.pop((scope, proxied, slug), None)
                self._assistant((scope, proxied, slug), value, now)
            case ops.ListOrganizations():
                ids = tuple(each["id"] for each in value["organizations"])
                self.gone = (self.organizations or frozenset()) - set(ids)
                self.organizations = self.gone | set(ids)
            case ops.GetPolicy():
                self._policy(value["policy"] or {}, json.dumps(value), now)
            case ops.SyncSecrets(scope):
                for fqsn, result in zip(op.fqsns, value, strict=True):
                    if fqsn is not None and result is not None:
                        self._secret(("secret", scope, fqsn), result, now, whole=whole)
            case _:
                self.told[(op,)] = Said(value, now)

    def _secret(self, key: Key, result: Json, now: float, *, whole: bool) -> None:
        """What takes a value away is believed when a second pass says it."""
        old = self.told[key].value if key in self.told else {"found": False}
        same_place = old.get("secretLocation", {}).get("secretType") == result["secretLocation"]["secretType"]
        lost = old["found"] and (not result["found"] or (same_place and "value" in old and "value" not in result))
        if not lost or (whole and self._absent(key, now)):
            self.absent.pop(key, None)
            self.told[key] = Said(result, now)

    def _list(self, roster: Key, items: list[Json], now: float, *, whole: bool) -> None:
        """Few missing: gone when a second list says so. More, or all: nothing happens until a person agrees."""
        new = [Slug(item["ownerSlug"], item["packageSlug"]) for item in items]
        old = self.rosters.get(roster, ())
        missing = [slug for slug in old if slug not in new]
        kept = set(missing)
        self.held.pop(roster, None)
        if missing and (len(missing) == len(old) or len(missing) > max(2, len(old) // 5)):
            self.held[roster] = frozenset(missing)
        else:
            kept -= {slug for slug in missing if whole and self._absent((*roster, slug), now)}
        for slug, item in zip(new, items, strict=True):
            self.absent.pop((*roster, slug), None)
            self._assistant((*roster, slug), item, now)
        self.rosters[roster] = (*new, *(slug for slug in old if slug in kept))

    def _assistant(self, key: Key, item: Json, now: float) -> None:
        """One that did not load never takes the place of one that did."""
        if not (_broken(item) and key in self.told and not _broken(self.told[key].value)):
            self.told[key] = Said(_without_icon(item), now)

    def _absent(self, key: Key, now: float) -> bool:
        first = self.absent.get(key)
        if first is None or first >= now:
            self.absent[key] = now
            return False
        del self.absent[key]
        self.told.pop(key, None)
        return True

    def _refused(self, op: ops.Operation, message: str, now: float) -> None:
        """There is none, or not for this account: gone when a second pass says so."""
        match op:
            case ops.GetAssistant(scope, proxied, slug):
                key: Key = (scope, proxied, slug)
            case ops.GetBlock() | ops.DownloadPackage():
                scope, key = None, (op,)
            case _:
                return
        if message not in _OF_THE_ACCOUNT and key in self.told and scope not in self.gone:
            self._absent(key, now)

    def _policy(self, policy: dict[str, Json], text: str, now: float) -> None:
        """What is stricter counts at once; what is looser when it is said again an interval later."""
        says = {key: value for key, value in policy.items() if value is not True}
        lost = {key: value for key, value in (self.strict or {}).items() if policy.get(key, True) != value}
        if lost:
            if self.looser is None or self.looser[0] != text or self.looser[1] > now:
                self.looser = (text, now)
            if now - self.looser[1] < INTERVAL or self.gone:
                self.strict = says | lost
                return
        self.strict, self.looser = says, None

    def _account(self, report: list[Delivery], now: float) -> None:
        """401 twice, ten minutes apart, with no answer between: locked until the Hub takes the key again."""
        if any(_shows_account(each) for each in report):
            self.refused_at = None
            self.locked.discard("refused")
        elif sum(each.status == 401 and each.value is not None for each in report) >= 2:
            if self.refused_at is None or self.refused_at > now:
                self.refused_at = now
            elif now - self.refused_at >= RELOCK:
                self.locked.add("refused")

    # What people do

    def accepts(self, held: Roster | Organizations | Everything) -> None:
        """A person agrees with what is held."""
        if isinstance(held, Roster):
            roster = (held.scope, held.proxied)
            slugs = self.held.pop(roster)
            self.rosters[roster] = tuple(slug for slug in self.rosters[roster] if slug not in slugs)
            self._forget(lambda key: key[:2] == roster and key[2] in slugs)
            return
        scopes = self.gone if isinstance(held, Organizations) else {*(key[0] for key in self.rosters), *self.gone}
        self._forget(lambda key: isinstance(held, Everything) or (key[1] if key[0] == "secret" else key[0]) in scopes)
        self.rosters = {key: slugs for key, slugs in self.rosters.items() if key[0] not in scopes}
        self.held = {key: slugs for key, slugs in self.held.items() if key[0] not in scopes}
        if isinstance(held, Everything):
            self.organizations = self.strict = None
        elif self.organizations is not None:
            self.organizations -= self.gone
        self.gone = frozenset()

    def _forget(self, which: Any) -> None:
        self.told = {key: said for key, said in self.told.items() if not which(key)}
        self.absent = {key: at for key, at in self.absent.items() if not which(key)}

    # What a client may see

    def may_see(self, op: ops.Operation, status: int, age: int, value: Json, view: View) -> None:
        """Raises AssertionError when this answer must not have been given."""
        assert status not in (401, 500), f"{op}: a client is never told {status}"
        if view.hides_all or self.locked:
            assert CANARY not in json.dumps(value), f"{op}: a secret value is shown to one who must not see it"
        match op:
            case ops.ListAssistants(scope, proxied) if (scope, proxied) in self.rosters:
                assert status == 200, f"{op} was said and is lost: {status} {value}"
                slugs = [Slug(item["ownerSlug"], item["packageSlug"]) for item in value]
                assert sorted(slugs) == sorted(self.rosters[scope, proxied]), f"{op}: other members than were said"
                for slug, item in zip(slugs, value, strict=True):
                    self._may_see((scope, proxied, slug), _without_icon(item), age, view)
            case ops.GetAssistant(scope, proxied, slug) if (scope, proxied, slug) in self.told:
                assert status == 200, f"{op} was said and is lost: {status} {value}"
                self._may_see((scope, proxied, slug), _without_icon(value), age, view)
            case ops.ListOrganizations() if self.organizations is not None:
                assert {each["id"] for each in value["organizations"]} == self.organizations
            case ops.GetPolicy() if self.strict is not None:
                policy = value["policy"] or {}
                assert not [k for k, v in self.strict.items() if policy.get(k, True) != v], "the policy is too weak"
            case ops.SyncSecrets(scope):
                assert status == 200, "a batch of secrets is never an error for all"
                for fqsn, result in zip(op.fqsns, value, strict=True):
                    self._may_see_secret(scope, fqsn, result, age, view)
            case ops.ListFullSlugs(scope):
                named = [Slug(each["ownerSlug"], each["packageSlug"]) for each in (value or {}).get("fullSlugs", ())]
                assert set(named) <= set(self.rosters.get((scope, False), ()))
            case _ if (op,) in self.told:
                assert status == 200, f"{op} was said and is lost: {status} {value}"
                assert value == self.told[op,].value
                assert age >= int(view.now - self.told[op,].at), f"{op}: Age {age} is younger than the Hub's word"
            case _:
                assert status != 200, f"{op}: the Hub never said {value}"

    def _may_see(self, key: Key, shown: Json, age: int, view: View) -> None:
        said = self.told.get(key)
        assert said is not None, f"{key}: never said, or withdrawn"
        assert age >= int(view.now - said.at), f"{key}: Age {age} is younger than the Hub's word"
        if view.now - said.at >= MAX_STALE:
            assert CANARY not in json.dumps(shown), f"{key}: an expired value is shown"
        assert shown == said.value or (view.may_hide(said) and _same_but_secrets(said.value, shown)), f"{key}: {shown}"

    def _may_see_secret(self, scope: Scope, fqsn: Any, shown: Json, age: int, view: View) -> None:
        said = self.told.get(("secret", scope, fqsn))
        if not shown.get("found"):
            hidden = said is None or "value" not in said.value or view.may_hide(said)
            assert hidden, f"{fqsn}: said and lost"
            return
        same = [
            other for (kind, *rest), other in self.told.items()
            if kind == "secret" and rest[0] == scope and rest[1].name == fqsn.name
        ]  # fmt: skip
        fits = [
            each for each in ([said] if said is not None else same) if each.value.get("value") == shown.get("value")
        ]
        assert fits, f"{fqsn}: {shown} is not what the Hub said last"
        at = max(each.at for each in fits)
        assert age >= int(view.now - at), f"{fqsn}: Age {age} is younger than the Hub's word"
        assert view.now - at < MAX_STALE or "value" not in shown, f"{fqsn}: an expired value is shown"


@dataclass(frozen=True)
class View:
    """Who looks, and when. `hides_all` for one who may see no values; `hiding` while hublet says that it is locked;
    `latest` is the latest time that ever was (a clock set back does not bring back what has expired)."""

    now: float
    hides_all: bool
    hiding: bool
    latest: float

    def may_hide(self, said: Said) -> bool:
        return self.hides_all or self.hiding or self.latest - said.at >= MAX_STALE


def _shows_account(each: Delivery) -> bool:
    public = isinstance(each.operation, ops.GetBlock | ops.DownloadPackage)
    return each.status == 200 and each.value is not None and not public


def _broken(item: Json) -> bool:
    return item["configResult"]["config"] is None


def _without_icon(item: Json) -> Json:
    return {key: value for key, value in item.items() if key != "iconUrl"}


def _same_but_secrets(said: Json, shown: Json) -> bool:
    """Whether two JSON values differ only where a value has become a reference."""
    match said, shown:
        case dict(), dict():
            return said.keys() == shown.keys() and all(_same_but_secrets(said[key], shown[key]) for key in said)
        case list(), list():
            return len(said) == len(shown) and all(map(_same_but_secrets, said, shown))
        case str(), str():
            return said == shown or (CANARY in said and "${{ secrets." in shown) or shown == _UNREADABLE
    return bool(said == shown)
