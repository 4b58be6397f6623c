"""Whether the Hub can be reached, and whether it takes the key.

This process connects to the Hub step by step (way.py), without the key. Then one question is asked with the key, by
whoever has it: the daemon if one runs, else this process with the key from the store.
"""

from __future__ import annotations

import json
import ssl
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hublet.core.account import origin_of
from hublet.core.address import folder_of
from hublet.core.errors import HubletError
from hublet.core.units import duration
from hublet.doctor.findings import Finding, Findings, ok, problem, warning
from hublet.doctor.scene import Scene
from hublet.doctor.way import Answer, Way, proxy_for
from hublet.serve.examining import network_of, without_sign_in

_OFF, _FAR_OFF = 120.0, 3600.0
"""Seconds by which a clock may be off before it is reported, and before it is a problem (for certificates and ages)."""
_PORTAL = "a captive portal or a proxy answers in the Hub's name: sign in to the network, or see hub.url"


def reachable(scene: Scene) -> Findings:
    """The steps to the Hub (name, connection, proxy, certificate, answer), and whether the clocks agree."""
    url = scene.config.hub.url
    if (folder := folder_of(url)) is not None:
        yield _folder(Path(folder))
        return
    proxy = proxy_for(url)
    yield ok("hub", f"{url}, {f'through the proxy {without_sign_in(proxy)}' if proxy else 'asked directly'}")
    try:
        trust, by = _trust(scene)
    except (OSError, ssl.SSLError) as error:
        yield problem(
            "hub.tls",
            f"{_named(scene)} can't be used: {error.strerror or 'it holds no certificate'}",
            "it has to be a file of certificates in PEM form",
        )
        return
    limits = scene.config.hub
    way = Way(url, trust, by, min(5.0, limits.connect_timeout), min(10.0, limits.timeout), proxy)
    for step in way.steps():
        yield Finding(f"hub.{step.name}", "problem" if step.failed else "ok", step.message, step.fix)
    if way.answer is not None:
        yield _judged(url, way.answer)
        yield from _clock(way.answer)


def _folder(folder: Path) -> Finding:
    try:
        count = sum(1 for _ in folder.iterdir())
    except OSError as error:
        return problem("hub", f"the folder {folder} that is the Hub can't be read: {error.strerror}", "see hub.url")
    return ok("hub", f"the folder {folder}, {count} entries")


def _trust(scene: Scene) -> tuple[ssl.SSLContext | None, str]:
    """The TLS context, and a description of what it trusts; (None, "") for plain http.

    Raises OSError (ssl.SSLError is one) for a file of certificates that can't be used.
    """
    from hublet.upstream.http import trust

    if urlsplit(scene.config.hub.url).scheme != "https":
        return None, ""
    name = _named(scene)
    if name.startswith("SSL_CERT_FILE") and not Path(network_of(scene.environment)["SSL_CERT_FILE"]).is_file():
        raise FileNotFoundError(2, "there is no such file")
    return trust(str(scene.config.hub.ca_file) if scene.config.hub.ca_file else None), name


def _named(scene: Scene) -> str:
    """Where the certificates come from that are trusted."""
    if scene.config.hub.ca_file is not None:
        return f"hub.ca_file ({scene.config.hub.ca_file}) alone"
    network = network_of(scene.environment)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if name in network:
            return f"{name} ({network[name]})"
    return "the usual roots"


def _judged(url: str, answer: Answer) -> Finding:
    """Whether the answer came from a Hub. A Hub that is asked without a key answers 401 with JSON."""
    if 300 <= answer.status < 400:
        where = origin_of(answer.headers.get("location", "")) if "//" in answer.headers.get("location", "") else ""
        if where and where != origin_of(url):
            return problem("hub.http", f"sends us on to {where}, and the key is not sent there", _PORTAL)
        return warning("hub.http", f"answers {answer.status}, a redirect", "hub.url may lack a part of its path")
    if answer.status >= 500:
        return problem("hub.http", f"answers {answer.status}", "it has trouble of its own; what is cached is served")
    try:
        value: Any = json.loads(answer.body) if answer.body else None
    except ValueError:
        html = b"<html" in answer.body[:2000].lower() or "html" in answer.headers.get("content-type", "")
        what = "a web page" if html else "something that is not JSON"
        return problem("hub.http", f"answers {answer.status} with {what}, which no Hub does", _PORTAL)
    if answer.status == 429:
        return warning("hub.http", "has been asked too much (429)", "hublet waits by itself as long as it is told to")
    if answer.status == 404 or not isinstance(value, dict | None):
        return problem("hub.http", f"answers {answer.status} where a Hub tells its policy", "is hub.url a Hub's?")
    return ok("hub.http", f"answers like a Hub ({answer.status})")


def _clock(answer: Answer) -> Findings:
    try:
        said = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return
    age = answer.headers.get("age", "")
    off = answer.began - said - (int(age) if age.isdigit() else 0)
    if abs(off) < _OFF:
        yield ok("clock", "agrees with the Hub's")
        return
    how = f"{duration(abs(off))} {'ahead of' if off > 0 else 'behind'} the Hub's"
    fix = "set this machine's clock (timedatectl set-ntp true)"
    yield Finding("clock", "problem" if abs(off) >= _FAR_OFF else "warning", f"this machine's clock is {how}", fix)


def accepted(scene: Scene) -> Findings:
    """Whether the Hub takes the key, and whether the daemon reaches the Hub with the same settings as this shell."""
    yield from _other_way(scene)
    if scene.probe is None or not scene.status.get("logged_in", True):
        return
    if not scene.status:
        return
    who = "the daemon" if scene.running else "this command"
    try:
        said = scene.probe()
    except HubletError as error:
        yield warning("hub.key", f"could not be tried: {error.message}", error.hint)
        return
    match said:
        case {"outcome": "answered"}:
            yield ok("hub.key", f"the Hub takes the key (asked by {who})")
        case {"outcome": "refused", "status": 401}:
            yield problem(
                "hub.key", "the Hub refuses the key", "make a new one in the Hub's settings, then `hublet login`"
            )
        case {"outcome": "refused", "status": status, "detail": detail}:
            yield problem("hub.key", f"the Hub refuses the account ({status}): {detail}", "see your account at the Hub")
        case {"outcome": "throttled", "detail": detail}:
            yield warning("hub.key", f"not tried: the Hub asked to wait {detail}", "hublet waits by itself")
        case {"detail": detail}:
            yield problem("hub.key", f"{who} got no answer with it: {detail}", "see the Hub's other lines here")


def _other_way(scene: Scene) -> Findings:
    """Variables that differ between this shell and the daemon: a service does not see what a shell's profile sets."""
    told = scene.facts.get("process", {}).get("network") if scene.running else None
    if told is None or folder_of(scene.config.hub.url) is not None:
        return
    here = network_of(scene.environment)
    for name in sorted({*told, *here}):
        if told.get(name) != here.get(name):
            there = f"{told[name]} in the daemon's" if name in told else "not in the daemon's"
            yield warning(
                "hub.environment",
                f"{name} is {here.get(name, 'not set')} in this shell's environment and {there}",
                f"`hublet service install --env {name}=...`"
                if name in here
                else "nothing, if it is the daemon that works",
            )
