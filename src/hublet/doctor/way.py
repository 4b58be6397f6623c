"""The way to the Hub, gone step by step: name, connection, proxy, certificate, answer. Without any key.

It is gone by hand because a client in one piece says only that it failed. Nothing is sent but a question that the Hub
answers with a refusal; where a certificate is not trusted nothing is sent at all, only its names are read.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import field
from urllib.parse import SplitResult, unquote, urlsplit

from hublet import __version__
from hublet.core.values import dataclass

_MOST = 64 * 1024
PATH = "/ide/policy"


@dataclass(frozen=True, slots=True)
class Step:
    """A step that was gone well, or the one (`failed`) where the way ends. `name` is dns, tcp, proxy, tls or http."""

    name: str
    message: str
    failed: bool = False
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    began: float
    """When it was asked for, by the wall clock here."""


@dataclass(slots=True)
class Way:
    """To where, and how. Times are in seconds."""

    url: str
    trust: ssl.SSLContext | None
    trusted_by: str
    connect_timeout: float = 5.0
    timeout: float = 10.0
    proxy: str | None = None
    answer: Answer | None = field(default=None, init=False)

    def steps(self) -> Iterator[Step]:
        """Each step as it is gone; the first that fails is the last. `answer` is there when all went well."""
        parts = urlsplit(self.url)
        host, tls = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
        to = _address(self.proxy)
        if to is not None and to.scheme != "http":
            why = (
                f"the proxy's address begins with {to.scheme}://" if to.scheme else "the proxy's address has no scheme"
            )
            yield Step("proxy", f"{why}, which can't be used here", True, "hublet goes through http:// proxies")
            return
        first = (to.hostname or "", to.port or 80) if to is not None else (host, port)
        whose = f"the proxy {first[0]}" if to is not None else first[0]
        try:
            addresses = socket.getaddrinfo(*first, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            said = getattr(error, "strerror", None) or str(error)
            yield Step(
                "dns",
                f"the name {first[0]} can't be found: {said}",
                True,
                "check the network, and the name itself (hub.url, HTTPS_PROXY)",
            )
            return
        found = list(dict.fromkeys(address[4][0] for address in addresses))
        if found != [first[0]]:
            yield Step("dns", f"{whose} is {', '.join(map(str, found[:3]))}{' ...' if found[3:] else ''}")
        try:
            connection = socket.create_connection(first, self.connect_timeout)
        except OSError as error:
            said = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
            yield Step(
                "tcp",
                f"{whose}, port {first[1]}: {said}",
                True,
                "check the network, a VPN, a firewall; a company's network may want HTTPS_PROXY",
            )
            return
        with closing(connection):
            connection.settimeout(self.timeout)
            yield Step("tcp", f"connected to {whose}, port {first[1]}")
            try:
                yield from self._rest(connection, host, port, tls, to)
            except (OSError, http.client.HTTPException) as error:
                said = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
                yield Step(
                    "http", f"the connection gave no answer: {said}", True, "try again; else ask who runs the Hub"
                )

    def _rest(
        self, connection: socket.socket, host: str, port: int, tls: bool, proxy: SplitResult | None
    ) -> Iterator[Step]:
        sign_in = _sign_in(proxy) if proxy is not None else {}
        named = f"[{host}]" if ":" in host else host
        if proxy is not None and tls:
            said = _request(connection, "CONNECT", f"{named}:{port}", {"Host": f"{named}:{port}", **sign_in})
            if said.status != 200:
                fix = "put its name and password into HTTPS_PROXY" if said.status == 407 else "ask who runs the proxy"
                yield Step("proxy", f"the proxy {proxy.hostname} answered {said.status} {said.reason}", True, fix)
                return
            yield Step("proxy", f"through the proxy {proxy.hostname}")
        if tls:
            assert self.trust is not None
            try:
                connection = self.trust.wrap_socket(connection, server_hostname=host)
            except ssl.SSLCertVerificationError as error:
                shown = self._presented(host, port)
                yield Step(
                    "tls",
                    f"the certificate of {host} is not trusted ({error.verify_message}){shown}",
                    True,
                    _fix(error, self.trusted_by),
                )
                return
            except ssl.SSLError as error:
                yield Step(
                    "tls",
                    f"no encrypted connection with {host}: {error.reason or 'TLS failed'}",
                    True,
                    "something on the way does not let TLS through, or it is not an https server",
                )
                return
            yield Step("tls", f"{connection.version()}, certificate trusted by {self.trusted_by}")
        target = urlsplit(self.url).path.rstrip("/") + PATH
        if proxy is not None and not tls:
            target = f"http://{named}:{port}{target}"
        began = time.time()
        headers = {"Host": f"{named}:{port}" if urlsplit(self.url).port else named, "Accept": "application/json"}
        response = _request(connection, "GET", target, headers | ({} if tls else sign_in))
        body = response.read(_MOST)
        self.answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, body, began)
        connection.close()

    def _presented(self, host: str, port: int) -> str:
        """Who the certificate says that it is for and from; read without believing it."""
        from cryptography import x509

        loose = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        loose.check_hostname, loose.verify_mode = False, ssl.CERT_NONE
        try:
            with (
                _tunnel(self.proxy, host, port, self.connect_timeout) as plain,
                loose.wrap_socket(plain, server_hostname=host) as connection,
            ):
                raw = connection.getpeercert(binary_form=True) or b""
            found = x509.load_der_x509_certificate(raw)
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            shown = [str(name.value) for name in names][:3]
        except x509.ExtensionNotFound:
            shown = []
        except (OSError, ValueError, http.client.HTTPException):
            return ""
        until = found.not_valid_after_utc.date()
        also = f" ({', '.join(shown)})" if shown else ""
        whom, by = found.subject.rfc4514_string(), found.issuer.rfc4514_string()
        return f"; it is for {whom}{also}, issued by {by}, valid until {until}"


def proxy_for(url: str) -> str | None:
    """The proxy that the environment (or the system's settings) has for an address; None for a direct way."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")


def _address(proxy: str | None) -> SplitResult | None:
    return None if not proxy else urlsplit(proxy if "//" in proxy else f"http://{proxy}")


def _sign_in(proxy: SplitResult) -> dict[str, str]:
    user = proxy.netloc.rpartition("@")[0]
    return {"Proxy-Authorization": f"Basic {b64encode(unquote(user).encode()).decode()}"} if user else {}


def _request(connection: socket.socket, method: str, target: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    lines = [f"{method} {target} HTTP/1.1", f"User-Agent: hublet/{__version__}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += ["Connection: close"] if method != "CONNECT" else []
    connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return response


@contextmanager
def _tunnel(proxy: str | None, host: str, port: int, timeout: float) -> Iterator[socket.socket]:
    to = _address(proxy)
    first = (to.hostname or "", to.port or 80) if to is not None else (host, port)
    with closing(socket.create_connection(first, timeout)) as connection:
        if to is not None:
            _request(connection, "CONNECT", f"{host}:{port}", {"Host": f"{host}:{port}", **_sign_in(to)})
        yield connection


def _fix(error: ssl.SSLCertVerificationError, trusted_by: str) -> str:
    """By OpenSSL's own number for what is wrong (X509_V_ERR_...)."""
    if error.verify_code in (9, 10):  # not yet valid, expired
        return "see the clock of this machine first; else whoever runs the Hub has to renew it"
    if error.verify_code in (62, 64):  # another name, another address
        return "something else answers in the Hub's name: a captive portal, a wrong hub.url"
    return f"if it is your company's, name its root in hub.ca_file or SSL_CERT_FILE (believed now: {trusted_by})"
