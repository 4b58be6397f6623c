"""Each rule of the guard, and that real clients pass all of them."""

from __future__ import annotations

import json

import pytest

from hublet.core.messages import Head
from hublet.door.guard import hosts_of, refusal, rules

hosts = hosts_of(3001)
host = ("host", "localhost:3001")
cn = (
    host,
    ("connection", "keep-alive"),
    ("authorization", "Bearer con_x"),
    ("accept", "*/*"),
    ("accept-language", "*"),
    ("sec-fetch-mode", "cors"),
    ("user-agent", "node"),
    ("accept-encoding", "gzip, deflate"),
)
ide = (
    ("authorization", "Bearer undefined"),
    ("x-extension-version", "1.3.33"),
    ("x-is-prerelease", "false"),
    ("accept", "*/*"),
    ("content-type", "text/plain;charset=UTF-8"),
    ("user-agent", "node-fetch"),
    ("accept-encoding", "gzip, deflate, br"),
    ("connection", "close"),
    host,
)
python_sdk = (host, ("accept-encoding", "identity"), ("user-agent", "OpenAPI-Generator/1.0.0/python"))
curl = (host, ("user-agent", "curl/7.88.1"), ("accept", "*/*"))


@pytest.mark.parametrize("headers", [cn, ide, python_sdk, curl])
@pytest.mark.parametrize("target", ["/ide/list-assistants?alwaysUseProxy=false", "//ide/list-assistants", "/"])
def test_real_clients_pass(headers: tuple[tuple[str, str], ...], target: str) -> None:
    """cn sends `sec-fetch-mode: cors` and none of its siblings."""
    for method in ("GET", "POST", "HEAD", "OPTIONS"):
        assert refusal(Head(method, target, headers), hosts) is None


browser = [
    ("origin", ("origin", "https://evil.example")),
    ("origin", ("origin", "null")),
    ("origin", ("origin", "http://localhost:3001")),
    ("referer", ("referer", "http://localhost:3001/")),
    ("cookie", ("cookie", "a=b")),
    ("sec-fetch", ("sec-fetch-site", "same-origin")),
    ("sec-fetch", ("sec-fetch-dest", "empty")),
    ("sec-fetch", ("sec-fetch-user", "?1")),
    ("browser-agent", ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)")),
    ("browser-agent", ("user-agent", "mozilla/4.0")),
]
everywhere = [
    ("forwarded", ("forwarded", "for=1.2.3.4")),
    ("forwarded", ("via", "1.1 proxy")),
    ("forwarded", ("x-real-ip", "1.2.3.4")),
    ("forwarded", ("x-forwarded-for", "1.2.3.4")),
    ("forwarded", ("x-forwarded-host", "evil.example")),
    ("forwarded", ("x-forwarded-proto", "https")),
    ("forwarded", ("x-original-url", "/admin")),
    ("forwarded", ("x-original-host", "evil.example")),
    ("upgrade", ("upgrade", "websocket")),
    ("upgrade", ("connection", "keep-alive, Upgrade")),
    ("upgrade", ("connection", "Upgrade, HTTP2-Settings")),
    ("upgrade", ("http2-settings", "AAMAAABkAAQAAP__")),
]


@pytest.mark.parametrize(("rule", "header"), browser + everywhere)
def test_each_header_that_no_client_sends_is_refused_by_its_rule(rule: str, header: tuple[str, str]) -> None:
    """With 403 and a JSON message; on the admin socket as well."""
    for ours in (hosts, None):
        refused = refusal(Head("GET", "/", (host, header)), ours)
        assert refused is not None
        assert (refused.rule, refused.status) == (rule, 403)
        assert json.loads(refused.response().body) == {"message": refused.message}
        assert header[1] not in refused.message


@pytest.mark.parametrize(("rule", "header"), browser)
def test_icons_may_be_loaded_by_a_webview(rule: str, header: tuple[str, str]) -> None:
    """The browser rules are skipped for icons."""
    assert refusal(Head("GET", "/icons/x", (host, header)), hosts, browsers=True) is None


@pytest.mark.parametrize(("rule", "header"), everywhere)
def test_icons_keep_the_other_rules(rule: str, header: tuple[str, str]) -> None:
    """Host, forwarding and upgrades are refused for icons too."""
    refused = refusal(Head("GET", "/icons/x", (host, header)), hosts, browsers=True)
    assert refused is not None
    assert refused.rule == rule
    assert refusal(Head("GET", "/icons/x", (("host", "evil.example:3001"),)), hosts, browsers=True) is not None


@pytest.mark.parametrize(
    ("method", "target", "rule"),
    [
        ("GET", "http://localhost:3001/", "target-form"),
        ("OPTIONS", "*", "target-form"),
        ("CONNECT", "localhost:3001", "target-form"),
        ("CONNECT", "/", "method"),
        ("TRACE", "/", "method"),
    ],
)
def test_a_server_is_no_proxy(method: str, target: str, rule: str) -> None:
    """Absolute, asterisk and authority form, CONNECT and TRACE."""
    refused = refusal(Head(method, target, (host,)), hosts)
    assert refused is not None
    assert refused.rule == rule


@pytest.mark.parametrize("sent", ["localhost:3001", "LocalHost:3001", "127.0.0.1:3001", "[::1]:3001"])
def test_our_own_names_pass(sent: str) -> None:
    """In upper and lower case, with the port."""
    assert refusal(Head("GET", "/", (("host", sent),)), hosts) is None


@pytest.mark.parametrize(
    "sent",
    [
        *("localhost", "127.0.0.1", "[::1]", "localhost:3002", "localhost:03001", "localhost.:3001", "localhost:3001."),
        *(
            "evil.example:3001",
            "evil.localhost:3001",
            "127.0.0.2:3001",
            "127.1:3001",
            "0.0.0.0:3001",
            "2130706433:3001",
        ),
        *("[::ffff:127.0.0.1]:3001", "::1:3001", "user@localhost:3001", "localhost:3001, localhost:3001", "", " "),
    ],
)
def test_any_other_name_is_refused(sent: str) -> None:
    """DNS rebinding sends the name of the page's own host."""
    refused = refusal(Head("GET", "/", (("host", sent),)), hosts)
    assert refused is not None
    assert (refused.rule, refused.status) == ("host", 403)


def test_exactly_one_host() -> None:
    """No Host and two Hosts are refused, even if both are ours. On the Unix socket Host is not checked."""
    for headers in ((), (host, host)):
        refused = refusal(Head("GET", "/", headers), hosts)
        assert refused is not None
        assert refused.rule == "host"
    assert refusal(Head("GET", "/", (("host", "whatever"),)), None) is None
    assert refusal(Head("GET", "/", ()), None) is None


def test_port_80_may_be_left_out() -> None:
    """No other port may be."""
    assert "localhost" in hosts_of(80)
    assert "[::1]:80" in hosts_of(80)
    assert hosts == {"localhost:3001", "127.0.0.1:3001", "[::1]:3001"}


def test_every_rule_is_shown_by_a_test() -> None:
    """A new rule needs a row above."""
    shown = {rule for rule, _ in browser + everywhere} | {"target-form", "method"}
    assert {rule.name for rule in rules} == shown
    assert {rule.name for rule in rules if rule.browser} == {rule for rule, _ in browser}
