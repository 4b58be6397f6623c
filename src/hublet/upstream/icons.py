"""Fetching icons from pre-signed URLs. The Hub chooses these URLs, so it is checked where they lead.

Only https or the Hub's own scheme is used, without Authorization (such a URL needs none) and without redirects. The
name is looked up once, and the connection goes to the very address that was checked, so that a second look-up can't
lead elsewhere. It never leads into a private network, unless the Hub itself is there.
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
"""IPv6 addresses that stand for IPv4 addresses (RFC 6052): the IPv4 address is the one that is judged."""
_TYPES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
)


async def fetch_icon(client: httpx.AsyncClient, hub: httpx.URL, address: str) -> Content | None:
    """The image at an address; None if there is none, or none that may be fetched or kept. Never raises for what a
    network or a server does."""
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
    """The URL with the address to connect to in place of the name; None if it leads where no icon may be fetched."""
    if (url.host, url.port) == (hub.host, hub.port):
        return url  # the Hub itself, wherever it is
    port = url.port or (443 if url.scheme == "https" else 80)
    if url.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(url.host):
        # The proxy looks up the name, and has to protect its own network. Here only literal addresses can be judged.
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
    """Whether an IP address is one of the public internet. Raises ValueError for a text that is no IP address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        within = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            within = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = within or ip
    return ip.is_global and not ip.is_multicast


def image_type(body: bytes) -> str | None:
    """The media type of a raster image, by its first bytes; None for everything else, above all for SVG, which can run
    code."""
    for magic, media_type in _TYPES:
        if body.startswith(magic):
            return media_type
    return "image/webp" if body[:4] == b"RIFF" and body[8:12] == b"WEBP" else None
