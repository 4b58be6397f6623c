"""The pretend Hub on a real port: each fault does what it says, and stopping frees everything."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hublet.demo import faults
from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub
from hublet.demo.reply import Fault
from hublet.demo.server import HubServer

KEY = {"Authorization": f"Bearer {DEMO_KEY}"}
POLICY, LIST, ORGANIZATIONS = "/ide/policy", "/ide/list-assistants", "/ide/list-organizations"


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as running:
        yield running
    assert running.crashes == []


def ask(
    server: HubServer, target: str = POLICY, *, headers: dict[str, str] = KEY, timeout: float = 3
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    try:
        connection.request("GET", target, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def all_gone(server: HubServer) -> None:
    began = time.monotonic()
    while server.connections:
        assert time.monotonic() - began < 3
        time.sleep(0.01)


def faulty(server: HubServer, fault: Fault, target: str = POLICY, **how: Any) -> tuple[http.client.HTTPResponse, bytes]:
    with server.hub.failing(fault):
        return ask(server, target, **how)


def test_a_connection_is_kept_for_many_requests(server: HubServer) -> None:
    """HTTP/1.1 keep-alive; a body sent chunked is read like any other."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=3)
    for _ in range(3):
        connection.request("GET", POLICY, headers=KEY)
        assert connection.getresponse().read().startswith(b'{"policy"')
    pieces = iter([b'{"fqs', b'ns":[]}'])
    connection.request("POST", "/ide/sync-secrets", pieces, KEY, encode_chunked=True)
    assert connection.getresponse().read() == b"[]"
    assert server.connections == 1
    connection.close()


def test_bodies_are_gzipped_for_those_who_accept_it(server: HubServer) -> None:
    """Accept-Encoding: gzip gives the same body, packed."""
    response, body = ask(server, LIST, headers={**KEY, "Accept-Encoding": "gzip, deflate"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(body))[0]["packageSlug"] == "local-chat"


def test_the_model_proxy_streams_token_by_token(server: HubServer) -> None:
    """Server-sent events in OpenAI's shape; the first arrives before the last is made."""
    server.hub.token_pace = 0.05
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=3)
    body = json.dumps({"model": "m", "messages": [], "stream": True})
    connection.request("POST", "/model-proxy/v1/chat/completions", body, KEY)
    response = connection.getresponse()
    first, began = response.readline(), time.monotonic()
    rest = response.read()
    assert time.monotonic() - began > 0.15
    events = [line[6:] for line in (first + rest).splitlines() if line]
    said = [json.loads(event)["choices"][0]["delta"].get("content", "") for event in events[:-1]]
    assert "".join(said) == "".join(server.hub.tokens)
    assert events[-1] == b"[DONE]"
    connection.close()


@pytest.mark.parametrize(
    ("fault", "status", "start"),
    [
        (faults.Status(503, "Busy", 30), 503, b'{"message":"Busy"}'),
        (faults.Status(500, None), 500, b""),
        (faults.Html(), 200, b"<!DOCTYPE html>"),
        (faults.ErrorPage(), 502, b"<html>"),
        (faults.RedirectTo("http://elsewhere.example/"), 302, b""),
        (faults.Empty(), 200, b""),
        (faults.NullBody(), 200, b"null"),
        (faults.EmptyList(), 200, b"[]"),
        (faults.WrongShape(), 200, b'[{"policy":'),
        (
            faults.WrongShape(("policy", "allowAnonymousTelemetry")),
            200,
            b'{"policy":{"allowAnonymousTelemetry":"False",',
        ),
        (faults.NotUtf8(), 200, b'{"extra":"caf\xe9 \xff",'),
        (faults.NaN(), 200, b'{"extra":NaN,"policy"'),
        (faults.DeepNesting(5000), 200, b'{"extra":' + b"[" * 5000),
    ],
    ids=repr,
)
def test_a_fault_changes_the_answer(server: HubServer, fault: Fault, status: int, start: bytes) -> None:
    """Each of these is a whole HTTP answer with another status or another body."""
    response, body = faulty(server, fault)
    assert response.status == status
    assert body.startswith(start)
    assert start or not body
    assert ask(server)[1].startswith(b'{"policy"')


def test_a_fault_says_when_to_come_back_or_where_to_go(server: HubServer) -> None:
    """Retry-After and Location are sent; a redirect within the origin leads to the good answer."""
    assert faulty(server, faults.Status(429, "Slow down", 7))[0].headers["Retry-After"] == "7"
    with server.hub.failing(faults.RedirectWithin()):
        response, _ = ask(server)
        assert (response.status, response.headers["Location"]) == (307, f"/moved{POLICY}")
        assert ask(server, response.headers["Location"])[1].startswith(b'{"policy"')


def test_lists_are_emptied_by_their_shape(server: HubServer) -> None:
    """An object keeps its keys and loses the members of its lists; duplicate keys are really in the text."""
    assert faulty(server, faults.EmptyList(), ORGANIZATIONS)[1] == b'{"organizations":[]}'
    assert faulty(server, faults.EmptyList(), LIST)[1] == b"[]"
    assert faulty(server, faults.EmptyList(), "/ide/list-assistant-full-slugs")[0].status == 429
    pairs = json.loads(faulty(server, faults.DuplicateKeys())[1], object_pairs_hook=list)
    assert [key for key, _ in pairs] == ["policy", "orgSlug", "policy"]


def test_bodies_grow_as_large_as_asked(server: HubServer) -> None:
    """HugeBody with and without its length; GzipBomb is small on the wire and large when unpacked; both are JSON."""
    for declared in (True, False):
        response, body = faulty(server, faults.HugeBody(3_000_000, declared))
        assert len(body) == 3_000_000
        assert ("Content-Length" in response.headers) is declared
        assert json.loads(body)["orgSlug"] == "acme"
    response, body = faulty(server, faults.GzipBomb(5_000_000))
    assert (response.headers["Content-Encoding"], len(body) < 100_000) == ("gzip", True)
    assert len(zlib.decompress(body, 31)) > 5_000_000


def test_lengths_lie(server: HubServer) -> None:
    """Truncated ends early, WrongLength says less or more than comes."""
    with pytest.raises(http.client.IncompleteRead):
        faulty(server, faults.Truncated())
    _, whole = ask(server)
    assert faulty(server, faults.WrongLength())[1] == whole[:-7]
    with pytest.raises(http.client.IncompleteRead):
        faulty(server, faults.WrongLength(+5))


def test_connections_break(server: HubServer) -> None:
    """Reset is an RST, Disconnect an end without an answer; neither reaches the Hub's operations."""
    checkout = "/ide/get-models-add-on-checkout-url"
    with pytest.raises(ConnectionResetError):
        faulty(server, faults.Reset(), checkout)
    with pytest.raises(http.client.RemoteDisconnected):
        faulty(server, faults.Disconnect(), checkout)
    assert server.hub.checkout_sessions == 0
    assert server.hub.count(checkout) == 2


@pytest.mark.parametrize("fault", [faults.Hang(), faults.Hang(after_head=True)], ids=repr)
def test_answers_never_come(server: HubServer, fault: faults.Hang) -> None:
    """A hung answer outlasts the client's patience, and its connection ends when the client goes."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=0.2)
    with server.hub.failing(fault):
        connection.request("GET", ORGANIZATIONS, headers=KEY)
        hung = contextlib.closing(connection.getresponse()) if fault.after_head else contextlib.nullcontext(connection)
        with hung as waiting, pytest.raises(TimeoutError):
            waiting.read() if isinstance(waiting, http.client.HTTPResponse) else waiting.getresponse()
    connection.close()
    all_gone(server)


@pytest.mark.parametrize("head", [False, True])
def test_answers_drip(server: HubServer, head: bool) -> None:
    """Bytes come one by one at the rate asked for, with or without the head; the client may go half-way."""
    with server.hub.failing(faults.SlowDrip(50, head)), socket.create_connection(("127.0.0.1", server.port), 3) as raw:
        raw.sendall(f"GET {POLICY} HTTP/1.1\r\nHost: x\r\nAuthorization: {KEY['Authorization']}\r\n\r\n".encode())
        began, got = time.monotonic(), b""
        while time.monotonic() - began < 0.3:
            got += raw.recv(1)
        assert (b"\r\n\r\n" in got) is not head
        body = got if head else got.partition(b"\r\n\r\n")[2]
        assert 0 < len(body) <= 17
    all_gone(server)


def test_faults_are_for_a_path_for_a_scope_and_for_a_while() -> None:
    """A prefix and a text narrow a fault; `times` counts down; the last one switched on wins; heal ends them."""
    hub = Hub()
    say = {"authorization": KEY["Authorization"]}

    def status(target: str) -> int:
        return hub.respond("GET", target, say).status

    hub.inject(faults.Status(500), "/ide/list", containing="organizationId=org_acme")
    twice = hub.inject(faults.Status(418), POLICY, times=2)
    assert status(f"{LIST}?organizationId=org_acme") == 500
    assert status(f"{LIST}?organizationId=org_initech") == 200
    assert [status(POLICY) for _ in range(3)] == [418, 418, 200]
    hub.inject(faults.Status(502))
    assert status(POLICY) == 502
    hub.heal(twice)
    assert status(POLICY) == 502
    hub.heal()
    assert status(f"{LIST}?organizationId=org_acme") == 200


def test_stopping_ends_hanging_connections_and_frees_the_port() -> None:
    """After stop nobody listens and clients see an end; restart answers on the same port."""
    server = HubServer().start()
    hanging = socket.create_connection(("127.0.0.1", server.port), timeout=3)
    server.hub.inject(faults.Hang())
    hanging.sendall(f"GET {POLICY} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    while not server.hub.count():
        time.sleep(0.005)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 1
    assert hanging.recv(100) == b""
    hanging.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=1)
    url = server.url
    server.hub.heal()
    server.restart()
    try:
        assert server.url == url
        assert ask(server)[0].status == 200
    finally:
        server.stop()
    server.stop()
    with HubServer().start(server.port) as other, pytest.raises(OSError):
        HubServer().start(other.port)


def test_many_clients_are_answered_at_once(server: HubServer) -> None:
    """Threads of many connections share one Hub; one that hangs holds nobody up."""
    server.hub.inject(faults.Hang(), ORGANIZATIONS)
    hanging = http.client.HTTPConnection("127.0.0.1", server.port, timeout=3)
    hanging.request("GET", ORGANIZATIONS, headers=KEY)
    threads = [threading.Thread(target=ask, args=(server,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.hub.count(POLICY) == 8
    hanging.close()


def test_it_speaks_https_and_never_to_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With an SSLContext the same answers and faults come over TLS; a client that breaks off says nothing here."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = tmp_path / "hub.pem"
    pem.write_bytes(certificate + key.private_bytes(serialization.Encoding.PEM, *form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    trusting = ssl._create_unverified_context()
    with HubServer(tls=context) as server:
        assert server.url.startswith("https://127.0.0.1:")
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=3, context=trusting)
        connection.request("GET", POLICY, headers=KEY)
        assert connection.getresponse().read().startswith(b'{"policy"')
        server.hub.inject(faults.Hang())
        connection.request("GET", POLICY, headers=KEY)
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=3)
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        plain.recv(100)
        plain.close()
    connection.close()
    assert server.crashes == []
    assert capfd.readouterr() == ("", "")


def test_it_runs_by_itself_until_interrupted() -> None:
    """python -m hublet.demo prints the URL that answers, and ends quietly at Ctrl-C."""
    command = [sys.executable, "-m", "hublet.demo"]
    # Started from a script's background, this process ignores Ctrl-C and would hand that on.
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("URL http://127.0.0.1:")
        connection = http.client.HTTPConnection(line.split("//")[1].strip(), timeout=3)
        connection.request("GET", POLICY, headers=KEY)
        assert connection.getresponse().status == 200
        connection.close()
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=5)
    assert (process.returncode, complaints) == (0, "")
