"""Who may see the page: one browser, which is admitted by a code that works once and for a short time.

    the code     256 random bits in the fragment of the link, which is never sent in a request line or a Referer
    the session  what the page's script gets for the code, in two halves that are valid only together:
                 a cookie (HttpOnly, SameSite=Strict), which no script can read
                 a word that the script sends as a header, which no other site can send

There are two halves because cookies are not separated by port (RFC 6265 section 8.5): a browser sends the cookie to a
server on any other port of this machine too. The word is in the browser's storage for this origin alone, and the port
is a part of an origin.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import field
from hashlib import sha256
from hmac import compare_digest

from hublet.core.errors import HubletError
from hublet.core.messages import Head
from hublet.core.values import dataclass

CODE_LIFE = 300.0
"""Seconds for which the code works: long enough to copy a link, too short for somebody to find it later."""
HEADER = "hublet-page"
_AGAIN = "run `hublet ui` again"


class NotAdmitted(HubletError):
    """The code is not accepted: it is wrong, used already or too old."""


@dataclass(frozen=True, slots=True)
class Session:
    """Both halves of the session in clear, for the one response that hands them out."""

    cookie: str = field(repr=False)
    word: str = field(repr=False)


class Admission:
    """Transitions: offered → taken (the code was used) | late (it was not used in time). `now` gives seconds."""

    def __init__(self, port: int, now: Callable[[], float], *, life: float = CODE_LIFE) -> None:
        self.code = secrets.token_urlsafe(32)
        self.cookie_name = f"hublet-ui-{port}"
        self._now, self._until = now, now() + life
        self._cookie = self._word = b""
        self.taken = False

    @property
    def late(self) -> bool:
        """Whether the code was not used and no longer works."""
        return not self.taken and self._now() >= self._until

    def take(self, code: str) -> Session:
        """Use the code and begin the session. Works once. Raises NotAdmitted."""
        if not compare_digest(_digest(code), _digest(self.code)):
            raise NotAdmitted("this link is not one of this page", hint=_AGAIN)
        if self.taken:
            raise NotAdmitted("this link has been used: it opens the page once", hint=_AGAIN)
        if self.late:
            raise NotAdmitted("this link is too old", hint=_AGAIN)
        self.taken = True
        session = Session(secrets.token_urlsafe(32), secrets.token_urlsafe(32))
        self._cookie, self._word = _digest(session.cookie), _digest(session.word)
        return session

    def set_cookie(self, session: Session) -> str:
        """The value of Set-Cookie (RFC 6265). It is not `Secure`, since the page is served over http on this machine.
        The browser drops it when it is closed, and it is worth nothing once this process has ended."""
        return f"{self.cookie_name}={session.cookie}; Path=/; HttpOnly; SameSite=Strict"

    def knows(self, head: Head) -> bool:
        """Whether a request belongs to the session. Both halves are always compared, in constant time."""
        if not self.taken:
            return False
        cookies = [value for name, value in _pairs(head) if name == self.cookie_name]
        words = head.values(HEADER)
        one_each = len(cookies) == 1 and len(words) == 1
        cookie, word = (cookies[0], words[0]) if one_each else ("", "")
        fits = compare_digest(_digest(cookie), self._cookie) & compare_digest(_digest(word), self._word)
        return bool(fits and one_each)


def _digest(text: str) -> bytes:
    """The SHA-256 of a text: compared in its place, so that all lengths are equal."""
    return sha256(text.encode("utf-8", "surrogateescape")).digest()


def _pairs(head: Head) -> list[tuple[str, str]]:
    """The cookies of a request as (name, value)."""
    found = []
    for line in head.values("cookie"):
        for pair in line.split(";"):
            name, _, value = pair.strip().partition("=")
            found.append((name, value))
    return found
