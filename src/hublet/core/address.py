"""The Hub's address: which texts are one, and the one spelling in which each address is written.

An address is the URL of a Hub, or `file:///path/to/folder` of a folder that serves as the Hub.
"""

from __future__ import annotations

from ipaddress import ip_address
from posixpath import normpath
from urllib.parse import quote, unquote, urlsplit

_no_address = "this is not an address such as https://api.continue.dev"


def parse_hub_url(text: str) -> str:
    """The address with its scheme and host in lower case and without a slash at its end.

    The account's key goes to this address with every request, so it must be https, or http to this machine itself.
    Raises ValueError with a sentence that says what is wrong; it does not repeat the text, which may hold a password.
    """
    if text.lower().startswith("file:"):
        return _parse_folder(text)
    if not text.isascii() or not text.isprintable() or set(text) & set(' \\"<>^`{|}'):
        # Checked first: urlsplit drops tabs and line ends, and programs differ on what a backslash means.
        raise ValueError("an address has no spaces, quotes or letters beyond ASCII (write such a host as xn--)")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(_no_address) from None
    if "@" in parts.netloc:
        raise ValueError("an address has no user name or password: `hublet login` keeps the key")
    if "?" in text or "#" in text:
        raise ValueError("an address has no query (?) or fragment (#)")
    if parts.scheme not in ("https", "http") or port == 0 or not _is_host(host) or parts.netloc.endswith(":"):
        raise ValueError(_no_address)
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("http is for this machine only (localhost, 127.0.0.1, ::1): your key would be sent in clear")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def folder_of(url: str) -> str | None:
    """The folder's path from an address as `parse_hub_url` writes it; None when it is the address of no folder."""
    return unquote(url.removeprefix("file://")) if url.startswith("file:///") else None


def _parse_folder(text: str) -> str:
    path = unquote(text[len("file://") :], errors="replace")
    if not text.lower().startswith("file:///") or not path.isprintable() or "\ufffd" in path:
        raise ValueError("a folder's address is file:// and an absolute path, such as file:///home/me/hub")
    if "?" in text or "#" in text:
        raise ValueError("a folder's address has no query (?) or fragment (#): write them as %3F and %23")
    path = normpath("/" + path.lstrip("/"))
    if path == "/":
        raise ValueError("the whole file system is no Hub: name a folder")
    return f"file://{quote(path)}"


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine, without asking a name server: `localhost`, names below it (RFC 6761 section
    6.3), or a loopback address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            return "%" not in host and ip_address(host).version == 6
        except ValueError:
            return False
    return bool(host) and all(
        label and set(label) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_") for label in host.split(".")
    )
