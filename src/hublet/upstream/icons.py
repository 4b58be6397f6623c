"""Fetching icons from pre-signed URLs, which the Hub chooses: so with care where they lead.

https or the Hub's own scheme, no Authorization (the URL is its own), no redirects. The name is looked up once and the
connection goes to the very address that was checked, so that a second look-up can't lead elsewhere: never into a
private network, unless the Hub itself is there.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import urllib.request

import httpx

from hublet.core.records import Content, Template
from hublet.upstream.unpacking import TooLarge, Unreadable, read_body

SIZE_LIMIT = 256 * 1024
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 addresses as IPv6 ones (RFC 6052): what they stand for is what counts."""
_TYPES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
)


async def fetch_icon(client: httpx.AsyncClient, hub: httpx.URL, address: str) -> Content | None:
    """The image at an address; None when there is none, or none that may be fetched or kept."""
    try:
        url = httpx.URL(address)
        if url.scheme not in ("https", hub.scheme) or url.userinfo or not url.host or (url.port or 443) > 65535:
            return None
        where = await _checked(url, hub)
        if where is None:
            return None
        headers, extensions = {"Host": url.netloc.decode("ascii")}, {"sni_hostname": url.host}
        request = client.build_request("GET", where, headers=headers, extensions=extensions)
        response = await client.send(request, stream=True, follow_redirects=False)
        try:
            body = await read_body(response, SIZE_LIMIT) if response.status_code == 200 else b""
        finally:
            await response.aclose()
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError, ValueError, TooLarge, Unreadable):
        return None
    media_type = image_type(body)
    return Content(Template(body), {}, {"type": media_type}) if media_type else None


async def _checked(url: httpx.URL, hub: httpx.URL) -> httpx.URL | None:
    """The URL with the address to connect to in place of the name; None when it leads where no icon can be."""
    if (url.host, url.port) == (hub.host, hub.port):
        return url  # the Hub itself, wherever it is
    port = url.port or (443 if url.scheme == "https" else 80)
    if url.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(url.host):
        # The proxy looks the name up, and keeps its own network to itself; only literal addresses can be judged here.
        return url if _literal_is_public(url.host) else None
    found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(is_public(address) for address in addresses):
        return None
    return url.copy_with(host=addresses[0])


def _literal_is_public(host: str) -> bool:
    try:
        return is_public(host)
    except ValueError:
        return host != "localhost" and not host.endswith((".localhost", ".local", ".internal"))


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet. Raises ValueError for what is no address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        within = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            within = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = within or ip
    return ip.is_global and not ip.is_multicast


def image_type(body: bytes) -> str | None:
    """The media type of a raster image by its first bytes; None for everything else, SVG above all: it can run code."""
    for magic, media_type in _TYPES:
        if body.startswith(magic):
            return media_type
    return "image/webp" if body[:4] == b"RIFF" and body[8:12] == b"WEBP" else None
