"""The way to the Hub, with each fault really made: real certificates, proxies, pages and clocks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.doctor.looking import Place, grades, only
from tests.upstream.test_network import VARIABLES, Proxy, certificate, tls_hub

from hublet.demo.faults import Html, RedirectTo, Status
from hublet.demo.server import HubServer
from hublet.doctor import hub
from hublet.doctor.findings import Finding

pytestmark = pytest.mark.slow

proxy_variables = (*VARIABLES, *(name.lower() for name in VARIABLES))


@pytest.fixture(autouse=True)
def no_proxy_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in proxy_variables:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    found = Proxy()
    thread = threading.Thread(target=found.serve, daemon=True)
    thread.start()
    yield found
    found.listener.shutdown(socket.SHUT_RDWR)
    found.listener.close()
    thread.join(5)
    for sock in found.sockets:
        sock.close()


def reach(place: Place, url: str, **settings: object) -> list[Finding]:
    """What is found on the way there; the environment is this process's."""
    place.configure(hub={"url": url, **settings})
    place.environment |= {name: os.environ[name] for name in proxy_variables if name in os.environ}
    return place.found(hub.reachable)


def test_a_hub_that_answers(place: Place, hub_server: HubServer) -> None:
    """Without a key, which it refuses as a Hub does; nothing else is sent."""
    found = reach(place, hub_server.url)
    assert grades(found) == dict.fromkeys(("hub", "hub.tcp", "hub.http", "clock"), "ok")
    assert [(seen.target, seen.authorization_kind) for seen in hub_server.hub.requests] == [("/ide/policy", "none")]


def test_a_name_that_is_not_to_be_found(place: Place) -> None:
    found = reach(place, "https://no-such-hub.invalid")
    assert only(found, "hub.dns").grade == "problem"
    assert "no-such-hub.invalid can't be found" in only(found, "hub.dns").message
    assert "hub.tcp" not in grades(found)


def test_a_port_where_nobody_listens(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert "refused" in only(reach(place, f"http://127.0.0.1:{port}"), "hub.tcp").message.lower()


def test_a_hub_that_accepts_and_says_nothing(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = reach(place, f"http://127.0.0.1:{silent.getsockname()[1]}", timeout="1s")
    assert (found[-1].check, found[-1].grade) == ("hub.http", "problem")
    assert "no answer in time" in found[-1].message


@pytest.mark.parametrize(
    ("host", "days", "trusted", "why", "fix"),
    [
        ("127.0.0.1", 30, False, "self", "hub.ca_file"),
        ("127.0.0.1", -1, True, "expired", "clock"),
        ("127.0.0.9", 30, True, "mismatch", "captive portal"),
    ],
)
def test_a_certificate_that_is_not_trusted_is_named(
    place: Place, host: str, days: int, trusted: bool, why: str, fix: str
) -> None:
    """For whom and from whom it is, until when, and what may be behind it; the Hub was asked nothing."""
    pem = certificate(place.path, host=host, days=days)
    other = certificate(place.path, days=29)
    with tls_hub(pem) as server:
        found = only(reach(place, server.url, ca_file=pem if trusted else other), "hub.tls")
        assert server.hub.requests == []
    assert found.grade == "problem"
    assert why in found.message
    assert f"it is for CN=a pretend Hub ({host}), issued by CN=a pretend Hub, valid until 20" in found.message
    assert fix in found.fix


def test_who_is_believed_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """hub.ca_file alone, else SSL_CERT_FILE."""
    pem = certificate(place.path)
    with tls_hub(pem) as server:
        found = reach(place, server.url, ca_file=pem)
        assert grades(found)["hub.http"] == "ok"
        assert f"hub.ca_file ({pem}) alone" in only(found, "hub.tls").message
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        place.settings["hub"].pop("ca_file")
        found = reach(place, server.url)
        assert grades(found)["hub.http"] == "ok"
        assert f"SSL_CERT_FILE ({pem})" in only(found, "hub.tls").message


@pytest.mark.parametrize("variable", [True, False])
def test_a_file_of_roots_that_cant_be_used(place: Place, monkeypatch: pytest.MonkeyPatch, variable: bool) -> None:
    """One that is not there, named by the environment; one that holds no certificate, named by the config."""
    empty = place.write("empty.pem", "nothing\n")
    if variable:
        monkeypatch.setenv("SSL_CERT_FILE", str(place.path / "nowhere.pem"))
        found = reach(place, "https://127.0.0.1:9")
    else:
        found = reach(place, "https://127.0.0.1:9", ca_file=empty)
    assert only(found, "hub.tls").grade == "problem"
    assert ("SSL_CERT_FILE" if variable else "hub.ca_file") in only(found, "hub.tls").message
    assert "hub.tcp" not in grades(found)


def test_a_server_that_does_not_speak_tls(place: Place, hub_server: HubServer) -> None:
    found = only(reach(place, hub_server.url.replace("http:", "https:")), "hub.tls")
    assert (found.grade, "no encrypted connection" in found.message) == ("problem", True)


def test_the_proxy_is_named_without_its_password_and_gone_through(
    place: Place, monkeypatch: pytest.MonkeyPatch, proxy: Proxy
) -> None:
    pem = certificate(place.path)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//me:pass%20word@"))
    with tls_hub(pem) as server:
        found = reach(place, server.url, ca_file=pem)
    assert grades(found)["hub.http"] == "ok"
    assert f"through the proxy {proxy.url}" in only(found, "hub").message
    assert "word" not in str(found)
    assert "Proxy-Authorization: Basic bWU6cGFzcyB3b3Jk" in proxy.seen[0]


def test_a_certificate_behind_a_proxy_is_named_too(place: Place, monkeypatch: pytest.MonkeyPatch, proxy: Proxy) -> None:
    """As of a proxy that opens the encryption: its own certificate comes."""
    pem, other = certificate(place.path), certificate(place.path, days=29)
    monkeypatch.setenv("https_proxy", proxy.url)
    with tls_hub(pem) as server:
        assert "issued by CN=a pretend Hub" in only(reach(place, server.url, ca_file=other), "hub.tls").message


def test_no_proxy_goes_round_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, proxy: Proxy, hub_server: HubServer
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert "asked directly" in only(reach(place, hub_server.url), "hub").message
    assert proxy.seen == []


def test_a_proxy_that_is_not_there(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{port}")
    found = only(reach(place, "https://hub.example"), "hub.tcp")
    assert (found.grade, found.message.startswith("the proxy 127.0.0.1")) == ("problem", True)


@pytest.mark.parametrize(("status", "fix"), [(407, "name and password"), (403, "who runs the proxy")])
def test_a_proxy_that_refuses(place: Place, monkeypatch: pytest.MonkeyPatch, status: int, fix: str) -> None:
    with answering(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        found = only(reach(place, "https://hub.example"), "hub.proxy")
    assert (found.grade, str(status) in found.message, fix in found.fix) == ("problem", True, True)


def test_a_proxy_of_a_kind_that_cant_be_used(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1080")
    assert "socks5" in only(reach(place, "https://hub.example"), "hub.proxy").message


@contextlib.contextmanager
def answering(data: bytes) -> Iterator[int]:
    """A server that says the same to everybody."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(data)

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Html(), "a web page"),
        (RedirectTo("https://portal.example/login"), "https://portal.example:443"),
        (Status(502), "answers 502"),
        (Status(404), "where a Hub tells its policy"),
    ],
    ids=["a page", "a portal", "an error", "no hub"],
)
def test_what_answers_is_no_hub(place: Place, hub_server: HubServer, fault: object, words: str) -> None:
    """A captive portal's page, its redirect, a broken gateway, a server of something else."""
    hub_server.hub.inject(fault)  # type: ignore[arg-type]
    found = only(reach(place, hub_server.url), "hub.http")
    assert (found.grade, words in found.message) == ("problem", True), found


def test_an_answer_that_is_not_http(place: Place) -> None:
    with answering(b"SSH-2.0-OpenSSH_9.2\r\n") as port:
        assert only(reach(place, f"http://127.0.0.1:{port}"), "hub.http").grade == "problem"


@pytest.mark.parametrize(
    ("skew", "grade", "words"),
    [(3 * 365 * 86400, "problem", "1094 d behind"), (-600, "warning", "10 min ahead"), (30, "ok", "agrees")],
)
def test_a_clock_that_is_off(place: Place, hub_server: HubServer, skew: float, grade: str, words: str) -> None:
    """Seen in the Hub's Date."""
    hub_server.hub.clock_skew = skew
    found = only(reach(place, hub_server.url), "clock")
    assert (found.grade, words in found.message) == (grade, True), found


def test_a_folder_that_is_the_hub(place: Place) -> None:
    (place.home / "hub").mkdir()
    assert grades(reach(place, f"file://{place.home}/hub")) == {"hub": "ok"}
    assert grades(reach(place, f"file://{place.home}/nowhere")) == {"hub": "problem"}


def key(place: Place) -> list[Finding]:
    return place.found(hub.accepted)


def test_the_key_is_tried_without_a_daemon(place: Place, hub_server: HubServer) -> None:
    """By this command, with the key from the store; nothing in the cache changes by it."""
    place.configure(hub={"url": hub_server.url})
    place.with_store()
    before = (place.data / "hublet.sqlite3").read_bytes()
    assert only(key(place), "hub.key").grade == "ok"
    assert {seen.authorization_kind for seen in hub_server.hub.requests} == {"key"}
    hub_server.hub.inject(Status(401))
    assert "refuses the key" in only(key(place), "hub.key").message
    hub_server.hub.heal()
    hub_server.hub.inject(Html())
    assert only(key(place), "hub.key").grade == "problem"
    hub_server.stop()
    assert "could not connect" in only(key(place), "hub.key").message
    assert (place.data / "hublet.sqlite3").read_bytes() == before


def test_the_key_is_tried_by_the_daemon(place: Place) -> None:
    """Which tells what came of it, and judges nothing by it: two such probes don't lock."""

    async def scenario() -> None:
        async with place.running() as it:
            assert "hub.key" not in grades(await place.told(hub.accepted)), "there is no key yet"
            await it.log_in()
            assert (
                only(await place.told(hub.accepted), "hub.key").message == "the Hub takes the key (asked by the daemon)"
            )
            it.hub.inject(Status(401))
            before = it.sync.state
            for _ in range(3):
                assert only(await place.told(hub.accepted), "hub.key").grade == "problem"
                it.clock.advance(700)
            assert it.sync.state is before
            it.hub.heal()
            it.hub.inject(Status(404, "User not found"))
            assert (
                "refuses the account (404): User not found" in only(await place.told(hub.accepted), "hub.key").message
            )

    asyncio.run(scenario())


def test_a_hub_that_asked_to_wait_is_not_asked(place: Place) -> None:
    async def scenario() -> list[Finding]:
        async with place.running() as it:
            await it.log_in()
            it.hub.inject(Status(429, retry_after=120))
            await it.sync.run_pass()
            it.hub.forget_requests()
            found = await place.told(hub.accepted)
            assert it.hub.requests == []
            return found

    found = only(asyncio.run(scenario()), "hub.key")
    assert (found.grade, "asked to wait" in found.message) == ("warning", True)


def test_a_daemon_that_goes_another_way_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the shell's profile is not in a service's environment."""

    async def scenario() -> list[Finding]:
        async with place.running() as it:
            await it.log_in()
            place.configure(hub={"url": "https://hub.example"})
            place.environment["HTTPS_PROXY"] = "http://me:password@proxy:3128"
            return await place.told(hub.accepted)

    found = only(asyncio.run(scenario()), "hub.environment")
    assert "HTTPS_PROXY is http://proxy:3128 in this shell" in found.message
    assert "--env HTTPS_PROXY" in found.fix
    assert "password" not in str(found)
