"""Icons: fetched with care where their URLs lead, kept without their queries, served to any `<img>` of this machine."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from tests.daemon.visitor import ask
from tests.running import AS_ROOT, Home, RunningDaemon, eventually

from hublet.core.records import Content
from hublet.demo.data import ACME, DEMO_KEY, INITECH
from hublet.demo.hub import Hub
from hublet.demo.icons import png
from hublet.demo.server import HubServer
from hublet.upstream import icons
from hublet.upstream.icons import SIZE_LIMIT, fetch_icon, image_type, is_public

PNG = png((1, 2, 3))
HUB = httpx.URL("https://hub.example")
SIGNED = "https://pictures.example/a/b.png?X-Amz-Signature=abc"


@dataclass
class Net:
    """The addresses to which names lead, and the requests that were sent. Each request is answered with `answer`."""

    addresses: dict[str, list[str]]
    answer: Callable[[httpx.Request], httpx.Response]
    requests: list[httpx.Request]

    def fetch(self, address: str, hub: httpx.URL = HUB) -> Content | None:
        async def go() -> Content | None:
            def respond(request: httpx.Request) -> httpx.Response:
                self.requests.append(request)
                answer = self.answer(request)
                if answer.is_stream_consumed:  # one made of bytes counts as read; from a network none does
                    body = httpx.ByteStream(answer.content)
                    return httpx.Response(answer.status_code, headers=answer.headers, stream=body)
                return answer

            headers = {"User-Agent": "hublet"}
            async with httpx.AsyncClient(transport=httpx.MockTransport(respond), headers=headers) as client:
                return await fetch_icon(client, hub, address)

        return asyncio.run(go())


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Net:
    made = Net({"pictures.example": ["93.184.216.34"]}, lambda _: httpx.Response(200, content=PNG), [])

    def getaddrinfo(host: object, port: object, *rest: object, **more: object) -> list[tuple[object, ...]]:
        name = host.decode() if isinstance(host, bytes) else str(host)
        try:
            found = [str(httpx.URL(f"https://{f'[{name}]' if ':' in name else name}").host)]
            socket.inet_pton(socket.AF_INET6 if ":" in name else socket.AF_INET, found[0])
        except OSError:
            found = made.addresses.get(name, [])
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET6 if ":" in a else socket.AF_INET, 1, 6, "", (a, port)) for a in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(icons.urllib.request, "getproxies", dict)
    return made


# Where a URL may lead


def test_the_connection_goes_to_the_address_that_was_checked(net: Net) -> None:
    """No second look-up, which could lead elsewhere; Host and the TLS name are still the URL's; no credential goes."""
    content = net.fetch(SIGNED)
    assert content is not None
    assert (content.template.text, content.traits) == (PNG, {"type": "image/png"})
    (request,) = net.requests
    assert request.url.host == "93.184.216.34"
    assert request.url.raw_path == b"/a/b.png?X-Amz-Signature=abc"
    assert request.headers["host"] == "pictures.example"
    assert request.extensions["sni_hostname"] == "pictures.example"
    assert "authorization" not in request.headers
    assert "cookie" not in request.headers


def test_a_port_of_its_own_is_kept(net: Net) -> None:
    assert net.fetch("https://pictures.example:8443/x.png") is not None
    (request,) = net.requests
    assert (request.url.host, request.url.port, request.headers["host"]) == (
        "93.184.216.34",
        8443,
        "pictures.example:8443",
    )


PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
    "2001:db8::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_into_a_private_network_is_not_followed(net: Net, address: str) -> None:
    net.addresses["pictures.example"] = [address]
    assert net.fetch(SIGNED) is None
    assert net.requests == []


@pytest.mark.parametrize("address", PRIVATE)
def test_a_literal_private_address_is_not_followed(net: Net, address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    assert net.fetch(f"https://{host}/x.png") is None
    assert net.requests == []


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822", "2002:5db8:d822::"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


def test_one_private_address_among_public_ones_is_enough(net: Net) -> None:
    """Nobody can say to which of them a connection would go."""
    net.addresses["pictures.example"] = ["93.184.216.34", "10.0.0.1"]
    assert net.fetch(SIGNED) is None
    assert net.requests == []


@pytest.mark.parametrize(
    "address",
    [
        "http://pictures.example/x.png",
        "ftp://pictures.example/x.png",
        "file:///etc/passwd",
        "https://user:pass@pictures.example/x.png",
        "https://user@pictures.example/x.png",
        "https:///x.png",
        "https://nowhere.example/x.png",
        "https://pictures.example:99999/x.png",
        "https://[::1/x.png",
        "//pictures.example/x.png",
        "x.png",
        "",
    ],
)
def test_other_schemes_credentials_and_what_is_no_url_lead_nowhere(net: Net, address: str) -> None:
    assert net.fetch(address) is None
    assert net.requests == []


def test_the_hubs_own_host_may_be_anywhere(net: Net) -> None:
    """An on-premises Hub is in a private network, and so is a Hub on this machine; its other ports are not the Hub."""
    hub = httpx.URL("http://127.0.0.1:8080")
    assert net.fetch("http://127.0.0.1:8080/icons/x.png", hub) is not None
    assert net.requests[0].url == "http://127.0.0.1:8080/icons/x.png"
    assert net.fetch("http://127.0.0.1:9090/icons/x.png", hub) is None
    assert net.fetch("http://pictures.example/x.png", hub) is not None, "a Hub's own scheme may be http"
    assert len(net.requests) == 2


def test_behind_a_proxy_names_are_the_proxys_and_literal_addresses_are_judged(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(icons.urllib.request, "getproxies", lambda: {"https": "http://proxy.example:3128"})
    monkeypatch.setattr(icons.urllib.request, "proxy_bypass", lambda _: False)
    net.addresses.clear()
    assert net.fetch(SIGNED) is not None
    assert net.requests[0].url.host == "pictures.example"
    for host in ("127.0.0.1", "[::1]", "169.254.169.254", "localhost", "x.localhost", "printer.local", "x.internal"):
        assert net.fetch(f"https://{host}/x.png") is None, host
    assert len(net.requests) == 1


# What may come back


def test_a_redirect_is_not_followed(net: Net) -> None:
    net.answer = lambda _: httpx.Response(302, headers={"location": "https://pictures.example/other.png"}, content=PNG)
    assert net.fetch(SIGNED) is None
    assert len(net.requests) == 1


@pytest.mark.parametrize("status", [204, 206, 403, 404, 500])
def test_only_a_200_is_a_picture(net: Net, status: int) -> None:
    net.answer = lambda _: httpx.Response(status, content=PNG)
    assert net.fetch(SIGNED) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
        b"<?xml version='1.0'?><svg/>",
        b"<!DOCTYPE html><html></html>",
        b" \x89PNG\r\n\x1a\n",
        b"RIFF\0\0\0\0WAVE",
        b"%PDF-1.7",
        b"BM",
        b"\x89PN",
    ],
)
def test_what_is_no_raster_picture_is_not_kept_whatever_its_type_says(net: Net, body: bytes) -> None:
    net.answer = lambda _: httpx.Response(200, content=body, headers={"content-type": "image/png"})
    assert net.fetch(SIGNED) is None


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\1\2\3\4WEBPVP8 ", "image/webp"),
        (b"\x00\x00\x01\x00\x01", "image/x-icon"),
    ],
)
def test_a_picture_is_known_by_its_first_bytes(body: bytes, media_type: str) -> None:
    assert image_type(body) == media_type


def test_a_picture_over_the_limit_is_not_kept(net: Net) -> None:
    """Unpacked, and without reading more than that."""
    at_most = PNG.ljust(SIZE_LIMIT, b"\0")
    net.answer = lambda _: httpx.Response(200, content=at_most)
    assert net.fetch(SIGNED) is not None
    net.answer = lambda _: httpx.Response(200, content=at_most + b"\0")
    assert net.fetch(SIGNED) is None


def test_a_picture_that_breaks_off_is_not_kept(net: Net) -> None:
    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            yield PNG
            raise httpx.ReadError("gone")

    net.answer = lambda _: httpx.Response(200, stream=Broken())
    assert net.fetch(SIGNED) is None


# Through the daemon


@dataclass
class Served:
    """The answers that have icons in them, with the Hub there, and the daemon started again without it."""

    home: Home
    daemon: RunningDaemon
    hub: Hub
    answers: list[bytes]

    @property
    def urls(self) -> list[str]:
        return re.findall(r'"iconUrl":"([^"]*)"', b"".join(self.answers).decode())


ANSWERS = (
    "/ide/list-organizations",
    "/ide/list-assistants",
    f"/ide/list-assistants?organizationId={ACME}",
    f"/ide/list-assistants?organizationId={INITECH}",
    "/ide/get-assistant/dana/polyglot",
)
IMG = {
    "Accept": "image/avif,image/webp,image/*,*/*;q=0.8",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Code/1.90.0 Electron/29.4.0",
    "Referer": "https://webview.example/",
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "no-cors",
    "Sec-Fetch-Dest": "image",
}
"""What an `<img>` in an IDE's webview sends."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with HubServer(Hub()) as server:
        home = Home.make(tmp_path_factory.mktemp("icons") / "home", server.url)
        home.login(DEMO_KEY)
    assert server.crashes == []
    with home.daemon() as daemon:
        yield Served(home, daemon, server.hub, [ask(daemon, "GET", path).body for path in ANSWERS])


def test_icon_urls_lead_here(served: Served) -> None:
    """Every one of them, to a name that tells nothing and is no path of the Hub's."""
    assert len(served.urls) == 10
    for url in served.urls:
        assert re.fullmatch(rf"http://localhost:{served.daemon.port}/icons/[0-9a-f]{{32}}", url)


def test_an_img_of_a_webview_gets_the_bytes_without_the_hub_and_without_an_identity(served: Served) -> None:
    """From any user of the machine and cross-site: the headers keep it from being anything but a picture."""
    known = [*served.hub.world.icons.values(), *(org.icon for org in served.hub.world.organizations.values())]
    bodies = set()
    for url in served.urls:
        answer = ask(served.daemon, "GET", url.partition(str(served.daemon.port))[2], headers=IMG, stranger=AS_ROOT)
        assert answer.status == 200
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox; frame-ancestors 'none'"
        assert "access-control-allow-origin" not in answer.headers
        bodies.add(answer.body)
    assert bodies == {icon for icon in known if icon is not None}


def test_a_name_of_no_icon_is_not_found(served: Served) -> None:
    real = served.urls[0].rpartition("/")[2]
    for name in ("0" * 32, real.upper(), real[:-1], "", f"{real}/x", "%2e%2e"):
        assert ask(served.daemon, "GET", f"/icons/{name}", headers=IMG, stranger=AS_ROOT).status in (400, 404)
    assert ask(served.daemon, "POST", f"/icons/{real}", headers=IMG, stranger=AS_ROOT).status == 405


@pytest.mark.parametrize("path", ["/ide/list-organizations", "/icons/../ide/list-organizations", "/agents", "/readyz"])
def test_only_icons_are_for_browsers(served: Served, path: str) -> None:
    answer = ask(served.daemon, "GET", path, headers=IMG)
    assert answer.status in (400, 403)
    assert b"organizations" not in answer.body


def test_no_query_of_a_pre_signed_url_is_kept_or_told(served: Served) -> None:
    """Who has such a URL may fetch until it expires. It is used once, by the pass with which it came."""
    queries = [seen.target.partition("?")[2] for seen in served.hub.requests if seen.target.startswith("/icons/")]
    assert len(queries) == 8
    signatures = [re.search("X-Amz-Signature=([0-9a-f]+)", query)[1] for query in queries]  # type: ignore[index]
    kept = b"".join(path.read_bytes() for path in served.home.path.rglob("*") if path.is_file())
    told = b"".join(served.answers) + json.dumps(served.home.hublet("status", "--json").stdout.decode()).encode()
    for text in ("X-Amz", "Expires=", *signatures):
        assert text.encode() not in told
        assert text.encode() not in kept


def test_an_icon_is_fetched_once_however_often_its_url_is_signed_anew(home: Home, hub_server: HubServer) -> None:
    """The URL without its query is the icon's name; the answer that has it does not change either."""
    home.login(DEMO_KEY)
    with home.daemon() as daemon:
        eventually(lambda: b"answered," in daemon.log.read_bytes())
        before, fetched = ask(daemon, "GET", "/ide/list-organizations").body, hub_server.hub.count("/icons/")
        assert home.hublet("sync").returncode == 0
        assert ask(daemon, "GET", "/ide/list-organizations").body == before
    assert hub_server.hub.count("/icons/") == fetched == 8
