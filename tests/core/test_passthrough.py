"""Which requests go on to the Hub and what of them goes along: tables, held against texts that nobody would write."""

from __future__ import annotations

import json
from urllib.parse import quote, unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.core.messages import Head, Malformed, is_segment
from hublet.core.passthrough import (
    Care,
    is_refresh,
    is_refresh_answer,
    own_credential,
    request_headers,
    response_headers,
    rule_for,
    target_for,
)

TOKEN = "con_0123-client.own/+=key"


def segments(path: str) -> tuple[str, ...]:
    return Head("GET", path).segments


# Which requests


@pytest.mark.parametrize(
    ("method", "path", "care"),
    [
        ("POST", "/auth/refresh", Care.REFRESH),
        ("GET", "/ide/get-models-add-on-checkout-url", Care.OWN),
        ("GET", "/ide/mcp-auth", Care.OWN),
        ("POST", "/model-proxy/v1/chat/completions", Care.ANY),
        ("POST", "//model-proxy/v1/embeddings", Care.ANY),
        ("GET", "/model-proxy/v1/models", Care.ANY),
        ("GET", "/proxy/context/google-drive/list", Care.ANY),
        ("POST", "/proxy/context/a%2Fb/retrieve", Care.ANY),
        ("GET", "/agents", Care.ANY),
        ("GET", "/agents/devboxes", Care.ANY),
        ("DELETE", "/agents/17/state", Care.ANY),
        ("POST", "/api/checks/resolve", Care.ANY),
    ],
)
def test_the_listed_paths_go_on(method: str, path: str, care: Care) -> None:
    rule = rule_for(method, segments(path), "listed")
    assert rule is not None
    assert rule.care is care
    assert rule_for(method, segments(path), "all") == rule
    assert rule_for(method, segments(path), "none") is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/anything/else"),
        ("GET", "/"),
        ("POST", "/proxy/context/drive/delete"),
        ("GET", "/proxy/context/drive/deeper/list"),
        ("DELETE", "/model-proxy/v1/models"),
        ("POST", "/model-proxy/v2/chat/completions"),
        ("POST", "/model-proxy%2Fv1/chat/completions"),
        ("GET", "/agents%2Fdevboxes"),
        ("GET", "/api/checks/deeper/still"),
    ],
)
def test_others_go_on_only_where_all_may(method: str, path: str) -> None:
    """A slash within a segment is no slash between two."""
    assert rule_for(method, segments(path), "listed") is None
    rule = rule_for(method, segments(path), "all")
    assert rule is not None
    assert rule.care is Care.ANY


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "OPTIONS", "HEAD", "BREW"])
def test_methods_that_no_client_uses_never_go_on(method: str) -> None:
    assert rule_for(method, ("agents",), "all") is None


@pytest.mark.parametrize(
    "path",
    ["/auth/refresh", "/auth/refresh/", "/Auth/REFRESH", "//auth//refresh", "/auth/%72efresh", "/ide//MCP-auth/"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_paths_with_care_keep_it_in_every_spelling_and_with_every_method(path: str, method: str) -> None:
    """Many servers don't mind a slash more or capitals: nothing may slip past the care for a token in that way."""
    rule = rule_for(method, segments(path), "all")
    assert rule is None or rule.care is not Care.ANY


@pytest.mark.parametrize(
    ("target", "refresh"),
    [
        ("/auth/refresh", True),
        ("//auth/refresh?x=1", True),
        ("/auth/refresh/", True),
        ("/auth/%72efresh", True),
        ("/AUTH/Refresh", True),
        ("/auth/refresh/x", False),
        ("/auth", False),
        ("/ide/policy?next=/auth/refresh", False),
    ],
)
def test_a_refresh_is_known_by_its_target(target: str, refresh: bool) -> None:
    assert is_refresh(target) is refresh


# The target


TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)
AWKWARD = st.sampled_from(
    [
        "",
        "a b",
        "a%2Fb",
        "%",
        "%2e%2e",
        "..",
        ".",
        "...",
        "http:",
        "user@evil.example",
        "//",
        "\\",
        "?",
        "#",
        "é",
        "鍵",
        "+",
    ]
)


@given(st.lists(st.one_of(TEXTS, AWKWARD), min_size=1, max_size=6))
def test_a_rebuilt_target_says_the_same_and_leads_nowhere_else(parts: list[str]) -> None:
    """Whatever a client has written: the path begins with one slash and stays a path, on the origin it is put to."""
    head = Head("GET", "/" + "/".join(quote(part, safe="") for part in parts))
    try:
        wanted = head.segments
    except Malformed:
        assert not all(map(is_segment, parts))
        return
    target = target_for(head)
    assert tuple(unquote(part) for part in target[1:].split("/")) == wanted
    assert target.startswith("/")
    assert not any(c in target for c in "\r\n\t :@\\?#")
    assert not {".", ".."} & set(target.split("/"))
    assert not target.startswith("//")
    assert Head("GET", target).segments == wanted
    url = httpx.URL("https://hub.example:8443/prefix" + target)
    assert (url.scheme, url.host, url.port, url.userinfo) == ("https", "hub.example", 8443, b"")
    assert url.raw_path.decode() == "/prefix" + target


@given(st.text(max_size=30))
def test_whatever_is_sent_as_a_target_is_refused_or_stays_on_the_origin(text: str) -> None:
    """Raw bytes this time, as no client encodes them."""
    head = Head("GET", "/" + text)
    try:
        target = target_for(head)
    except Malformed:
        return
    assert target.isascii()
    assert target.isprintable()
    assert " " not in target
    url = httpx.URL("https://hub.example" + target)
    assert (url.scheme, url.host, url.port, url.userinfo) == ("https", "hub.example", None, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/agents/../ide/policy",
        "/agents/%2e%2e/ide",
        "/agents/.%2E/x",
        "/agents/./x",
        "/a%0d%0ab",
        "/a%00",
        "/a%ff",
        "/..",
    ],
)
def test_dot_segments_control_characters_and_no_utf8_make_no_target(path: str) -> None:
    with pytest.raises(Malformed):
        target_for(Head("GET", path))


@pytest.mark.parametrize("query", ["a=b c", "a=\x7f", "a=é", "a=1#frag", "a=\t"])
def test_a_query_that_could_not_stand_in_a_request_line_makes_no_target(query: str) -> None:
    with pytest.raises(Malformed):
        target_for(Head("GET", f"/agents?{query}"))


def test_a_query_goes_along_as_it_is() -> None:
    """What stands in a query can't lead anywhere, so it is not touched: `@`, `://` and `%2F` in it are its own."""
    query = "url=https%3A%2F%2Fmcp.example%2F&slug=a/b&x=http://user@evil.example/..&y=%zz"
    assert target_for(Head("GET", f"//ide/mcp-auth?{query}")) == f"/ide/mcp-auth?{query}"


def test_leading_slashes_become_one_and_a_slash_within_a_segment_stays_there() -> None:
    assert target_for(Head("GET", "///agents/a%2Fb%3Fc")) == "/agents/a%2Fb%3Fc"


# Headers


def test_of_a_clients_headers_only_the_listed_go_along() -> None:
    """No credential, no cookie, nothing that a proxy adds and nothing that describes this connection."""
    sent = {
        "accept": "*/*",
        "accept-encoding": "gzip",
        "content-type": "text/plain",
        "user-agent": "Continue/1.3.33 (vscode; extension)",
        "x-continue-unique-id": "u-1",
        "x-extension-version": "1.3.33",
        "x-is-prerelease": "false",
    }
    kept_here = {
        "authorization": f"Bearer {TOKEN}",
        "cookie": "session=1",
        "forwarded": "for=10.0.0.1",
        "x-forwarded-for": "10.0.0.1",
        "via": "1.1 proxy",
        "host": "localhost:3001",
        "connection": "keep-alive",
        "keep-alive": "timeout=5",
        "proxy-authorization": "Basic eDp5",
        "te": "trailers",
        "trailer": "x",
        "transfer-encoding": "chunked",
        "content-length": "5",
        "upgrade": "h2c",
        "origin": "https://evil.example",
        "referer": "https://evil.example/",
        "sec-fetch-mode": "cors",
        "if-none-match": '"x"',
        "range": "bytes=0-1",
        "expect": "100-continue",
        "x-anything": "else",
    }
    head = Head("POST", "/agents", tuple((sent | kept_here).items()))
    assert request_headers(head) == sent


def test_what_a_connection_header_names_stays_behind() -> None:
    """RFC 9110 section 7.6.1: however often the header comes and however its names are written."""
    head = Head(
        "GET",
        "/agents",
        (
            ("connection", "close, X-Continue-Unique-Id"),
            ("user-agent", "node"),
            ("accept", "*/*"),
            ("x-continue-unique-id", "u-1"),
            ("connection", " ACCEPT "),
        ),
    )
    assert request_headers(head) == {"user-agent": "node"}


def test_of_the_hubs_headers_only_the_listed_are_handed_back() -> None:
    back = (("content-type", "text/event-stream"), ("content-encoding", "gzip"), ("x-request-id", "r-1"))
    dropped = (
        ("set-cookie", "session=1"),
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("content-length", "5"),
        ("access-control-allow-origin", "*"),
        ("strict-transport-security", "max-age=1"),
        ("www-authenticate", "Bearer"),
        ("alt-svc", "h3"),
        ("server", "nginx"),
        ("date", "Mon, 01 Jan 2024 00:00:00 GMT"),
        ("x-accel-redirect", "/etc"),
    )
    assert response_headers((*dropped, *back), None) == back
    assert response_headers((("connection", "ETag"), ("etag", '"1"'), *back), None) == back


@pytest.mark.parametrize(
    ("location", "kept"),
    [
        ("https://elsewhere.example/path?x=1", True),
        ("/relative", True),
        (f"https://elsewhere.example/?token={TOKEN}", False),
        ("https://elsewhere.example/?token=con_0123-client.own%2F%2B%3Dkey", False),
        ("https://user:pass@elsewhere.example/", False),
        ("https://@elsewhere.example/", False),
        ("https://[broken/", False),
    ],
)
def test_a_location_is_handed_back_unless_it_carries_a_credential(location: str, kept: bool) -> None:
    given = (("location", location),)
    assert response_headers(given, TOKEN) == (given if kept else ())


@pytest.mark.parametrize(
    ("authorization", "own"),
    [
        (None, None),
        ("", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Bearer undefined", None),
        ("Bearer null", None),
        ("Basic eDp5", None),
        ("Bearer hublet_abcdef", None),
        ("bearer  hublet_abcdef ", None),
        (f"Bearer {TOKEN}", TOKEN),
        ("bearer eyJhbGciOi.x.y", "eyJhbGciOi.x.y"),
    ],
)
def test_the_clients_own_credential_is_never_a_local_token(authorization: str | None, own: str | None) -> None:
    assert own_credential(authorization) == own


# The refresh's answer


@pytest.mark.parametrize(
    ("status", "body", "hubs"),
    [
        (200, {"accessToken": "a", "refreshToken": "b", "user": {"id": "u"}}, True),
        (401, {"message": "Invalid refresh token"}, True),
        (200, {"accessToken": "a"}, False),
        (200, {"accessToken": "a", "refreshToken": None}, False),
        (200, {}, False),
        (200, [], False),
        (200, None, False),
        (401, {"error": "x"}, False),
        (401, "Unauthorized", False),
        (400, {"message": "Bad request"}, False),
        (403, {"message": "Forbidden"}, False),
        (404, {"message": "Not found"}, False),
        (500, {"message": "Internal server error"}, False),
        (201, {"accessToken": "a", "refreshToken": "b"}, False),
    ],
)
def test_only_the_hubs_own_word_counts_as_the_answer_to_a_refresh(status: int, body: object, hubs: bool) -> None:
    assert is_refresh_answer(status, json.dumps(body).encode()) is hubs


@pytest.mark.parametrize("body", [b"", b"<html>401 Unauthorized</html>", b'{"message":', b"\xff", b"NaN"])
def test_what_is_not_json_is_no_answer_to_a_refresh(body: bytes) -> None:
    assert not is_refresh_answer(200, body)
    assert not is_refresh_answer(401, body)
