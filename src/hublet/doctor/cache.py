"""How fresh the cache is, and why its answers may differ from what the Hub says now."""

from __future__ import annotations

from typing import Any

from hublet.core.units import duration
from hublet.doctor.findings import Findings, ok, problem, warning
from hublet.doctor.scene import Scene

_LATE = 24 * 3600.0
"""Seconds since the last sync after which it is reported as old, unless syncs come more seldom than that anyway."""
_SOON = 2 * 24 * 3600.0
"""Seconds. Secrets that stop being served within this time are reported."""
_MOST = 4
"""How many names a message lists."""


def daemon(scene: Scene) -> Findings:
    """Whether a daemon runs and answers."""
    if scene.daemon_error is not None:
        yield problem(
            "daemon",
            f"a hublet runs and does not answer: {scene.daemon_error.message}",
            "`hublet service restart`, and see its log",
        )
    elif not scene.running:
        yield warning(
            "daemon",
            "no hublet runs: clients are not answered",
            "`hublet service install` or `hublet service start`, or `hublet run` in a terminal",
        )
    else:
        since = scene.status.get("started_at")
        yield ok("daemon", f"runs{f' for {duration(scene.now - since)}' if since else ''}, port {scene.port}")


def state(scene: Scene) -> Findings:
    """The account, the last sync, locks, quarantines and the other things that `hublet status` shows."""
    value = scene.status
    if not value or value.get("state") in ("unavailable", "starting"):
        return
    yield from _account(value)
    yield from _age(scene, value)
    if lock := value.get("lock"):
        fixes = {"asked": "`hublet unlock --offline`", "restored": "`hublet store accept`, if you put the copy back"}
        fix = fixes.get(lock["why"], "`hublet login`, or `hublet unlock --offline`")
        yield problem("cache.lock", f"locked for {duration(scene.now - lock['since'])}: no secret value is served", fix)
    for held in value.get("quarantine", []):
        if not held["rejected"]:
            yield warning(
                "cache.quarantine", f"{held['what']} is in quarantine", "`hublet quarantine` shows what is held"
            )
    if value.get("unsaved_since"):
        yield problem(
            "cache.unsaved",
            f"not saved to disk for {duration(scene.now - value['unsaved_since'])}: {value['unsaved_reason']}",
            "make room, or see the folder's rights",
        )
    policy = value.get("policy") or {}
    if policy.get("error"):
        yield warning(
            "cache.policy", f"the policy could not be refreshed: {policy['error']}", "the last one is in force"
        )
    for line in (value.get("override") or {}).get("problems", []):
        yield warning("secrets.override", line, "see secrets.override in the config")
    export = value.get("export") or {}
    if export.get("problem"):
        yield warning("export", export["problem"], "see export.directory in the config")
    if value.get("counters", {}).get("other-key"):
        yield warning(
            "cache.account", "clients sent another con_ key: all are answered from the account logged in here"
        )


def _account(value: dict[str, Any]) -> Findings:
    if not value.get("logged_in"):
        yield problem("account", f"no key is stored for {value.get('hub')}", "`hublet login`")
    elif value.get("key_from_environment"):
        yield warning(
            "account",
            "the key is CONTINUE_API_KEY's, in the environment of whatever started hublet",
            "`hublet login` keeps it sealed",
        )
    else:
        yield ok("account", f"logged in at {value.get('hub')}")


def _age(scene: Scene, value: dict[str, Any]) -> Findings:
    at, failures = value.get("last_success_at"), value.get("failures", 0)
    if at is None:
        if value.get("logged_in"):
            yield warning("cache.age", "nothing was ever synced", "`hublet sync`")
        return
    said = f"last sync {duration(scene.now - at)} ago"
    if scene.now < at - 300:
        yield warning("cache.age", "the last sync is in the future: this machine's clock was set back", "set the clock")
    elif scene.now - at > max(_LATE, 3.0 * scene.config.sync.every):
        yield warning("cache.age", f"{said}; what is served is that old", "`hublet sync` says what stands in the way")
    elif failures:
        yield warning("cache.age", f"{said}; {failures} tries since then brought nothing", "see the Hub's lines here")
    else:
        yield ok("cache.age", said)
    troubles: dict[str, list[str]] = {}
    for trouble in value.get("troubles", []):
        troubles.setdefault(trouble["detail"], []).append(trouble["what"])
    for detail, whats in troubles.items():
        yield warning("cache.troubles", f"{_listed(whats)}: {detail}", "the last good answer is served")


def secrets(scene: Scene) -> Findings:
    """Secrets that have expired, that will expire soon, and that the Hub does not have although an assistant needs
    them."""
    if "secrets" not in scene.facts or not scene.facts.get("store"):
        return
    known: list[dict[str, Any]] = scene.facts["secrets"]
    expired = [one["name"] for one in known if one["state"] == "expired"]
    if expired:
        yield problem(
            "secrets.expired",
            f"not served any more, unconfirmed for too long: {_listed(expired)}",
            "`hublet sync`; secrets.max_stale says how long they are served",
        )
    soon = {one["name"]: one["expires_in"] for one in known if _ends_soon(scene, one)}
    if soon:
        yield warning(
            "secrets.expiring",
            f"end in {duration(min(soon.values()))} unless the Hub confirms them: {_listed(list(soon))}",
            "`hublet sync` while the Hub answers",
        )
    missing = [one for one in known if one["state"] == "missing" and one["referred_by"]]
    for one in missing:
        where = f"organization {one['scope']}" if one["scope"] else "your account"
        yield warning(
            "secrets.missing",
            f"{one['name']}: the Hub finds none for {where}; {_listed(one['referred_by'])} needs it",
            "make it in the Hub's settings, where that assistant's owner can use it; or in secrets.override",
        )
    if not expired and not soon and not missing:
        yield ok("secrets", f"{len(known)} known, none missing, none about to expire")


def _ends_soon(scene: Scene, one: dict[str, Any]) -> bool:
    within = min(_SOON, scene.config.secrets.max_stale / 2)
    return one["state"] == "stale" and one["expires_in"] is not None and one["expires_in"] < within


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST
    return ", ".join(names[:_MOST]) + (f" and {more} more" if more > 0 else "")
