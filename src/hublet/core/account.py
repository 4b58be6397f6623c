"""The account that hublet is logged in to: its Hub key, and the one origin to which that key may be sent."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urlsplit

from hublet.core.address import folder_of
from hublet.core.errors import CredentialError
from hublet.core.secretstr import SecretStr
from hublet.core.values import dataclass

KEY_PREFIX = "con_"
_KEY = re.compile(r"con_[A-Za-z0-9_\-.~+/=]{1,500}")


@dataclass(frozen=True, slots=True)
class Account:
    """A Hub key and its Hub. `origin` is the Hub's scheme, host and port, or a folder's address; `from_environment` is
    true when the key came from CONTINUE_API_KEY."""

    key: SecretStr
    origin: str
    from_environment: bool = False

    def key_for(self, url: str) -> SecretStr | None:
        """The key, if it may be sent to the Hub at this URL; None for another origin, and for a folder, which takes no
        key."""
        return self.key if folder_of(url) is None and self.origin == origin_of(url) else None

    def to_plain(self) -> dict[str, str]:
        """A JSON value with the key in clear: it may only be sealed."""
        return {"key": self.key.reveal(), "origin": self.origin}

    @classmethod
    def from_plain(cls, value: object) -> Account | None:
        """The inverse of `to_plain`; None for any other value."""
        match value:
            case {"key": str(key), "origin": str(origin)}:
                return cls(SecretStr(key), origin)
        return None


@lru_cache(maxsize=8)  # it is looked at with each heartbeat, and a config has one
def origin_of(url: str) -> str:
    """The origin of a Hub's URL, `https://host:port` (RFC 6454), to which a stored key is bound. The address of a
    folder is its own origin."""
    if url.startswith("file:"):
        return url
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host.lower()}:{port}"


def check_key(text: str) -> SecretStr:
    """A Hub key from a text that was typed or piped in. Raises CredentialError, which never repeats the text."""
    key = text.strip()
    if not key:
        raise CredentialError("no key was given", hint="type it at the prompt, or pipe it in")
    if not key.startswith(KEY_PREFIX):
        raise CredentialError(
            f"that is not a Hub key: keys begin with {KEY_PREFIX}",
            hint="make one in the Hub's account settings, under API keys; a browser sign-in alone has none",
        )
    if not _KEY.fullmatch(key):
        raise CredentialError("that key has characters that no Hub key has", hint="was it cut off or pasted twice?")
    return SecretStr(key)
