"""The ways to a Hub that a company's machine has: its own certificates, a proxy, and what goes wrong on them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hublet.core import operations as ops
from hublet.core.outcomes import Outcome, Unreachable
from hublet.core.secretstr import SecretStr
from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub as DemoHub
from hublet.demo.server import HubServer
from hublet.upstream.child import child_environment, run_in_child
from hublet.upstream.http import HubClient, Said
from hublet.upstream.order import Hub, WorkOrder

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def no_proxy_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *(name.lower() for name in VARIABLES)):
        monkeypatch.delenv(name, raising=False)


def certificate(folder: Path, *, host: str = "127.0.0.1", days: int = 30) -> Path:
    """A self-signed certificate for an address, with its key, in one PEM file; expired when `days` is negative."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a pretend Hub")])
    now = datetime.datetime.now(datetime.UTC)
    begins = now - datetime.timedelta(days=60)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"hub-{host}-{days}.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@contextlib.contextmanager
def tls_hub(pem: Path) -> Iterator[HubServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with HubServer(DemoHub(), tls=context) as server:
        yield server


def asked(hub: Hub) -> Outcome | Said:
    async def ask() -> Outcome | Said:
        async with HubClient(hub) as client:
            return await client.ask(ops.GetPolicy())

    return asyncio.run(ask())


def hub_at(url: str, ca_file: Path | None = None) -> Hub:
    return Hub(url, SecretStr(DEMO_KEY), ca_file=str(ca_file) if ca_file else None, timeout=10)


def test_a_company_certificate_is_trusted_by_ca_file(tmp_path: Path) -> None:
    """`hub.ca_file` names whom to believe."""
    pem = certificate(tmp_path)
    with tls_hub(pem) as server:
        assert isinstance(asked(hub_at(server.url, pem)), Said)


def test_a_company_certificate_is_trusted_by_ssl_cert_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE works as it does for other programs."""
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with tls_hub(pem) as server:
        assert isinstance(asked(hub_at(server.url)), Said)


@pytest.mark.parametrize(
    ("host", "days", "trusted"), [("127.0.0.1", 30, False), ("127.0.0.1", -1, True), ("127.0.0.9", 30, True)]
)
def test_an_untrusted_expired_or_foreign_certificate_says_nothing(
    tmp_path: Path, host: str, days: int, trusted: bool
) -> None:
    """No answer, a sentence that says why, and the key was never sent."""
    pem = certificate(tmp_path, host=host, days=days)
    other = certificate(tmp_path, days=29)
    with tls_hub(pem) as server:
        outcome = asked(hub_at(server.url, pem if trusted else other))
        assert isinstance(outcome, Unreachable)
        assert "certificate not trusted" in outcome.reason
        assert server.hub.requests == []


@dataclass
class Proxy:
    """A proxy that tunnels (CONNECT) and notes where to; one thread a connection, ended with its sockets."""

    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    seen: list[str] = field(default_factory=list)
    sockets: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.sockets.append(client)
            threading.Thread(target=self.tunnel, args=(client,), daemon=True).start()

    def tunnel(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            head = client.recv(4096).decode()
            self.seen.append(head)
            host, _, port = head.split()[1].rpartition(":")
            server = socket.create_connection((host, int(port)))
            self.sockets.append(server)
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            threading.Thread(target=self.pump, args=(server, client), daemon=True).start()
            self.pump(client, server)

    @staticmethod
    def pump(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


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


def test_https_proxy_is_the_way_and_sees_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: Proxy) -> None:
    """HTTPS_PROXY is asked for a tunnel; what goes through it is encrypted."""
    pem = certificate(tmp_path)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with tls_hub(pem) as server:
        assert isinstance(asked(hub_at(server.url, pem)), Said)
        assert [head.split()[:2] for head in proxy.seen] == [["CONNECT", f"127.0.0.1:{server.port}"]]
        assert DEMO_KEY not in proxy.seen[0]


def test_no_proxy_goes_round_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: Proxy) -> None:
    """A host that NO_PROXY names is asked directly."""
    pem = certificate(tmp_path)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with tls_hub(pem) as server:
        assert isinstance(asked(hub_at(server.url, pem)), Said)
    assert proxy.seen == []


def test_a_dead_proxy_is_a_hub_that_cant_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no silent way round a proxy that is configured."""
    pem = certificate(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    with tls_hub(pem) as server:
        assert isinstance(asked(hub_at(server.url, pem)), Unreachable)
        assert server.hub.requests == []


def test_the_worker_takes_the_way_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: Proxy) -> None:
    """A pass in a child process has the same proxy and certificates, and nothing else of the environment."""
    pem = certificate(tmp_path)
    monkeypatch.setenv("https_proxy", proxy.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with tls_hub(pem) as server:
        order = WorkOrder(hub_at(server.url), whole=False, ask=(ops.GetPolicy(),))
        report = asyncio.run(run_in_child(order, lambda _: None))
        assert [type(outcome).__name__ for _, outcome in report.outcomes] == ["Answered"]
        assert len(proxy.seen) == 1


def test_a_worker_inherits_nothing_that_could_be_a_secret() -> None:
    """Only names that lead to the network or to a locale are handed on."""
    given = dict.fromkeys((*VARIABLES, "https_proxy", "PATH", "HOME"), "x")
    secret = {"CONTINUE_API_KEY": "con_x", "OPENAI_API_KEY": "sk", "NOTIFY_SOCKET": "/x", "PYTHONPATH": "/evil"}
    assert child_environment({**given, **secret}) == given
