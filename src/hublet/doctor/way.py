"""Connecting to the Hub step by step: name, connection, proxy, certificate, answer. No key is used.

An HTTP client would only say that it failed; done by hand, each step can say what went wrong. One question is sent,
which the Hub refuses since it comes without a key. If the certificate is not trusted nothing is sent at all: only the
names in the certificate are read.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import field
from urllib.parse import SplitResult, unquote, urlsplit

from hublet import __version__
from hublet.core.values import dataclass

_MOST = 64 * 1024
PATH = "/ide/policy"


@dataclass(frozen=True, slots=True)
class Step:
    """A step that went well, or the one that `failed`, which is the last. `name` is dns, tcp, proxy, tls or http."""

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
    """When the request was sent, in seconds of this machine's wall clock."""


class _Stopped(Exception):
    """A step failed, so the way to the Hub ends here. `step` says which one and why."""

    def __init__(self, name: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.step = Step(name, message, True, fix)


@dataclass(frozen=True, slots=True)
class _Goal:
    """Where the way leads: the Hub's host and port."""

    host: str
    port: int
    tls: bool

    @classmethod
    def of(cls, url: str) -> _Goal:
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        return cls(parts.hostname or "", parts.port or (443 if tls else 80), tls)

    @property
    def named(self) -> str:
        """The host as it stands in a URL: an IPv6 address in brackets (RFC 3986 section 3.2.2)."""
        return f"[{self.host}]" if ":" in self.host else self.host


@dataclass(slots=True)
class Way:
    """The way to the Hub at `url`. `trust` is None for plain http; `trusted_by` describes what it trusts. Times are in
    seconds."""

    url: str
    trust: ssl.SSLContext | None
    trusted_by: str
    connect_timeout: float = 5.0
    timeout: float = 10.0
    proxy: str | None = None
    answer: Answer | None = field(default=None, init=False)

    def steps(self) -> Iterator[Step]:
        """Each step once it is done; the first one that fails is the last. `answer` is set when all went well."""
        try:
            yield from self._gone()
        except _Stopped as end:
            yield end.step

    def _gone(self) -> Iterator[Step]:
        """The steps that went well. Raises _Stopped for the one that fails."""
        goal, proxy = _Goal.of(self.url), _address(self.proxy)
        _judge(proxy)
        host, port = (proxy.hostname or "", proxy.port or 80) if proxy is not None else (goal.host, goal.port)
        whose = f"the proxy {host}" if proxy is not None else host
        found = _resolved(host, port)
        if found != [host]:
            yield Step("dns", f"{whose} is {', '.join(found[:3])}{' ...' if found[3:] else ''}")
        with ExitStack() as until_the_end:
            connection = until_the_end.enter_context(closing(_connected(host, port, whose, self.connect_timeout)))
            connection.settimeout(self.timeout)
            yield Step("tcp", f"connected to {whose}, port {port}")
            try:
                if proxy is not None and goal.tls:
                    _tunnelled(connection, goal, proxy)
                    yield Step("proxy", f"through the proxy {proxy.hostname}")
                if goal.tls:
                    encrypted = until_the_end.enter_context(closing(self._encrypted(connection, goal)))
                    yield Step("tls", f"{encrypted.version()}, certificate trusted by {self.trusted_by}")
                    connection = encrypted
                self.answer = self._asked(connection, goal, proxy)
            except (OSError, http.client.HTTPException) as error:
                said = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
                raise _Stopped(
                    "http", f"the connection gave no answer: {said}", "try again; else ask who runs the Hub"
                ) from None

    def _encrypted(self, connection: socket.socket, goal: _Goal) -> ssl.SSLSocket:
        """The connection, encrypted. Raises _Stopped when the certificate is not trusted or TLS fails."""
        assert self.trust is not None
        try:
            return self.trust.wrap_socket(connection, server_hostname=goal.host)
        except ssl.SSLCertVerificationError as error:
            shown = self._presented(goal.host, goal.port)
            message = f"the certificate of {goal.host} is not trusted ({error.verify_message}){shown}"
            raise _Stopped("tls", message, _fix(error, self.trusted_by)) from None
        except ssl.SSLError as error:
            message = f"no encrypted connection with {goal.host}: {error.reason or 'TLS failed'}"
            fix = "something on the way does not let TLS through, or it is not an https server"
            raise _Stopped("tls", message, fix) from None

    def _asked(self, connection: socket.socket, goal: _Goal, proxy: SplitResult | None) -> Answer:
        """The Hub's answer to one question, without a key. Raises OSError, HTTPException."""
        parts = urlsplit(self.url)
        target = parts.path.rstrip("/") + PATH
        headers = {"Host": f"{goal.named}:{goal.port}" if parts.port else goal.named, "Accept": "application/json"}
        if proxy is not None and not goal.tls:
            target = f"http://{goal.named}:{goal.port}{target}"
            headers |= _sign_in(proxy)
        began = time.time()
        response = _request(connection, "GET", target, headers)
        body = response.read(_MOST)
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, body, began)

    def _presented(self, host: str, port: int) -> str:
        """Whom the Hub's certificate names, and who issued it, as the end of a sentence. Nothing in it is trusted; it
        is read over a second connection."""
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
    """The proxy that the environment or the system's settings name for a URL; None to connect directly."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")


def _judge(proxy: SplitResult | None) -> None:
    """Raises _Stopped for a proxy of a kind that hublet does not go through."""
    if proxy is not None and proxy.scheme != "http":
        begins = f"begins with {proxy.scheme}://" if proxy.scheme else "has no scheme"
        message = f"the proxy's address {begins}, which can't be used here"
        raise _Stopped("proxy", message, "hublet goes through http:// proxies")


def _resolved(host: str, port: int) -> list[str]:
    """The addresses of a name, each once. Raises _Stopped."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or str(error)
        fix = "check the network, and the name itself (hub.url, HTTPS_PROXY)"
        raise _Stopped("dns", f"the name {host} can't be found: {said}", fix) from None
    return list(dict.fromkeys(str(address[4][0]) for address in addresses))


def _connected(host: str, port: int, whose: str, timeout: float) -> socket.socket:
    """A connection to the Hub or the proxy. Raises _Stopped."""
    try:
        return socket.create_connection((host, port), timeout)
    except OSError as error:
        said = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
        fix = "check the network, a VPN, a firewall; a company's network may want HTTPS_PROXY"
        raise _Stopped("tcp", f"{whose}, port {port}: {said}", fix) from None


def _tunnelled(connection: socket.socket, goal: _Goal, proxy: SplitResult) -> None:
    """Have the proxy open a tunnel to the Hub (CONNECT, RFC 9110 section 9.3.6).

    Raises _Stopped when it refuses, OSError or HTTPException when the connection fails.
    """
    authority = f"{goal.named}:{goal.port}"
    said = _request(connection, "CONNECT", authority, {"Host": authority, **_sign_in(proxy)})
    if said.status != 200:
        fix = "put its name and password into HTTPS_PROXY" if said.status == 407 else "ask who runs the proxy"
        raise _Stopped("proxy", f"the proxy {proxy.hostname} answered {said.status} {said.reason}", fix)


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
    """What to do about a certificate that is not trusted, by OpenSSL's number for the reason (X509_V_ERR_...)."""
    if error.verify_code in (9, 10):  # not yet valid, expired
        return "see the clock of this machine first; else whoever runs the Hub has to renew it"
    if error.verify_code in (62, 64):  # another name, another address
        return "something else answers in the Hub's name: a captive portal, a wrong hub.url"
    return f"if it is your company's, name its root in hub.ca_file or SSL_CERT_FILE (believed now: {trusted_by})"
