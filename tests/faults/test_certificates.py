"""A Hub whose certificate is no longer good: what a client of a real daemon gets, and that the Hub is told nothing."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.daemon.asking import EVERYTHING, bodies
from tests.faults.hours_later import INTERVAL, Later, daemon_of, stale
from tests.running import Home

from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer

BAD = {
    "expired": "certificate not trusted (certificate has expired)",
    "not yet good": "certificate not trusted (certificate is not yet valid)",
    "of another host": "certificate not trusted (IP address mismatch",
    "of nobody we know": "certificate not trusted (self",
}


def certificate(path: Path, *, host: str = "127.0.0.1", begins: int = -60, ends: int = 30) -> bytes:
    """A self-signed certificate (days from now) with its key in a PEM file; the certificate alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, path.stem)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=begins))
        .not_valid_after(now + datetime.timedelta(days=ends))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    plain = serialization.NoEncryption()
    path.write_bytes(public + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return public


def context(pem: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(pem)
    return made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    folder.chmod(0o755)
    trusted = certificate(folder / "good.pem")
    trusted += certificate(folder / "expired.pem", ends=-1)
    trusted += certificate(folder / "not yet good.pem", begins=10)
    trusted += certificate(folder / "of another host.pem", host="127.0.0.9")
    certificate(folder / "of nobody we know.pem")
    (folder / "trusted.pem").write_bytes(trusted)
    return folder


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[HubServer]:
    with HubServer(Hub(), tls=context(place / "good.pem")) as running:
        yield running


@pytest.fixture(scope="module")
def later(place: Path, server: HubServer) -> Iterator[Later]:
    settings = {"hub": {"ca_file": str(place / "trusted.pem")}}
    home = Home.make(place / "home", server.url, settings=settings)
    home.login(DEMO_KEY)
    with daemon_of(home) as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("which", BAD)
def test_nothing_is_told_to_a_hub_that_cant_prove_who_it_is(
    later: Later, server: HubServer, place: Path, which: str
) -> None:
    """The last good answers are served as old, the reason is said, no request reached the other end; a good certificate
    is believed again."""
    assert later.sync() == (0, "")
    good = later.ask(EVERYTHING)
    server.stop()
    server.tls = context(place / f"{which}.pem")
    server.start(server.port)
    server.hub.forget_requests()
    try:
        code, said = later.sync()
        assert code == 12
        assert BAD[which] in said
        later.put_forward(INTERVAL + 1)
        answers = later.ask(EVERYTHING)
        assert bodies(answers) == bodies(good)
        assert all(stale(answer) for answer in answers)
        assert server.hub.requests == []
    finally:
        server.stop()
        server.tls = context(place / "good.pem")
        server.start(server.port)
    assert later.sync() == (0, "")
    assert not any(stale(answer) for answer in later.ask(EVERYTHING))
