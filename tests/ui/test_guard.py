"""What the page itself never sends is refused, whoever sends it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core.messages import Head
from hublet.door.guard import hosts_of
from hublet.ui.guard import refusal

PORT = 4711
HOST = f"localhost:{PORT}"
ORIGIN = f"http://{HOST}"
JSON = ("content-type", "application/json")
FOLLOWED = (("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"))


def rule(method: str, target: str, *headers: tuple[str, str], host: str = HOST) -> str:
    """The name of the rule that refuses; empty when all let it pass."""
    found = refusal(Head(method, target, (("host", host), *headers)), hosts_of(PORT))
    return found.rule if found is not None else ""


ACCEPTED = [
    ("GET", "/", ()),
    ("GET", "/", (("sec-fetch-site", "none"), *FOLLOWED)),
    ("GET", "/", (("sec-fetch-site", "cross-site"), *FOLLOWED)),
    ("GET", "/app.js", (("sec-fetch-site", "same-origin"),)),
    ("GET", "/app.js", (("sec-fetch-site", "same-origin"), ("origin", ORIGIN))),
    ("GET", "/api/status", (("sec-fetch-site", "same-origin"), ("cookie", "a=b"), ("user-agent", "Mozilla/5.0"))),
    ("POST", "/session", (("sec-fetch-site", "same-origin"), ("origin", ORIGIN), JSON)),
    ("POST", "/api/sync", (("origin", ORIGIN), JSON)),
]


@pytest.mark.parametrize(("method", "target", "headers"), ACCEPTED)
def test_what_the_page_sends_passes(method: str, target: str, headers: tuple[tuple[str, str], ...]) -> None:
    """Of browsers that say where a request comes from, and of older ones; and a person who follows the link."""
    assert rule(method, target, *headers) == ""


REFUSED = [
    ("GET", "/api/status", (("sec-fetch-site", "cross-site"),), "sec-fetch"),
    ("GET", "/api/status", (("sec-fetch-site", "same-site"),), "sec-fetch"),
    ("GET", "/api/status", (("sec-fetch-site", "none"),), "sec-fetch"),
    ("GET", "/api/status", (("sec-fetch-site", "cross-site"), *FOLLOWED), "sec-fetch"),
    ("GET", "/app.js", (("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "script")), "sec-fetch"),
    ("GET", "/", (("sec-fetch-site", "cross-site"), FOLLOWED[0], ("sec-fetch-dest", "iframe")), "sec-fetch"),
    ("GET", "/", (("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site"), *FOLLOWED[:1]), "sec-fetch"),
    ("GET", "/api/status", (("origin", "http://evil.example"),), "origin"),
    ("GET", "/api/status", (("origin", "null"),), "origin"),
    ("GET", "/api/status", (("origin", f"http://127.0.0.1:{PORT}"),), "origin"),
    ("GET", "/api/status", (("origin", f"http://localhost:{PORT + 1}"),), "origin"),
    ("GET", "/api/status", (("origin", f"https://{HOST}"),), "origin"),
    ("GET", "/api/status", (("origin", ORIGIN), ("origin", ORIGIN)), "origin"),
    ("POST", "/api/sync", (JSON,), "origin"),
    ("POST", "/api/sync", (("origin", "null"), JSON), "origin"),
    ("POST", "/api/sync", (("origin", ORIGIN), ("sec-fetch-site", "cross-site"), *FOLLOWED, JSON), "sec-fetch"),
    ("POST", "/api/sync", (("origin", ORIGIN),), "content-type"),
    ("POST", "/api/sync", (("origin", ORIGIN), ("content-type", "text/plain")), "content-type"),
    ("POST", "/api/sync", (("origin", ORIGIN), ("content-type", "application/json; charset=utf-8")), "content-type"),
    ("OPTIONS", "/api/sync", (("origin", ORIGIN),), "method"),
    ("DELETE", "/api/sync", (("origin", ORIGIN),), "method"),
    ("CONNECT", "/", (), "method"),
    ("GET", "http://localhost/", (), "target-form"),
    ("GET", "/", (("forwarded", "for=1.2.3.4"),), "forwarded"),
    ("GET", "/", (("x-forwarded-for", "1.2.3.4"),), "forwarded"),
    ("GET", "/", (("upgrade", "websocket"), ("connection", "Upgrade")), "upgrade"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "target", "headers", "name"), REFUSED)
def test_what_others_send_does_not(method: str, target: str, headers: tuple[tuple[str, str], ...], name: str) -> None:
    """Each by the rule that is meant for it."""
    assert rule(method, target, *headers) == name


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "localhost", f"localhost:{PORT + 1}", ""])
def test_only_our_own_names_lead_here(host: str) -> None:
    """A name that was bent to this machine (DNS rebinding) does not."""
    assert rule("GET", "/", host=host) == "host"


@given(
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    target=st.sampled_from(["/", "/app.js", "/session", "/api/status", "/api/sync"]),
    site=st.text(max_size=20),
    mode=st.sampled_from(["navigate", "cors", "no-cors", "same-origin", "websocket"]),
    dest=st.sampled_from(["document", "iframe", "empty", "image", "script", "object"]),
)
def test_another_site_reaches_nothing_but_the_empty_page(
    method: str, target: str, site: str, mode: str, dest: str
) -> None:
    """Whatever kind of request its page makes the browser send; and that one only as the whole window."""
    headers = (("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest), ("origin", ORIGIN), JSON)
    passes = rule(method, target, *headers) == ""
    followed = (mode, dest, target) == ("navigate", "document", "/") and method != "POST"
    assert passes == (site == "same-origin" or followed)
