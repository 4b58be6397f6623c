"""Who gets to see the page: one browser, by a code that counts once and not for long.

    the code     256 random bits, in the link's fragment: no request line and no Referer ever has it
    the session  what the page's script gets for it, in two halves that count only together:
                 a cookie (HttpOnly, SameSite=Strict), which no script can read
                 a word that the script sends as a header, which no other site can send

Two halves, since cookies do not know ports: a server at another port of this machine that the browser visits is sent
the cookie too. The word is kept by the browser for this origin alone, which has the port in it.
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
"""Seconds: time to copy a link, not to find it later."""
HEADER = "hublet-page"
_AGAIN = "run `hublet ui` again"


class NotAdmitted(HubletError):
    """Why a code opens nothing."""


@dataclass(frozen=True, slots=True)
class Session:
    """Both halves, in clear: for the one answer that tells them."""

    cookie: str = field(repr=False)
    word: str = field(repr=False)


class Admission:
    """Transitions: offered → taken (the code was used) | late (it was not, in its time). Times are `now`'s."""

    def __init__(self, port: int, now: Callable[[], float], *, life: float = CODE_LIFE) -> None:
        self.code = secrets.token_urlsafe(32)
        self.cookie_name = f"hublet-ui-{port}"
        self._now, self._until = now, now() + life
        self._cookie = self._word = b""
        self.taken = False

    @property
    def late(self) -> bool:
        """Whether nobody came, and nobody can come any more."""
        return not self.taken and self._now() >= self._until

    def take(self, code: str) -> Session:
        """Begin the session, once. Raises NotAdmitted."""
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
        """The value of Set-Cookie (RFC 6265). Not `Secure`: this is http, to this machine itself. It ends with the
        browser, and means nothing after this process has ended."""
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
    """What is compared: of one length, whatever came."""
    return sha256(text.encode("utf-8", "surrogateescape")).digest()


def _pairs(head: Head) -> list[tuple[str, str]]:
    """The cookies of a request, by name."""
    found = []
    for line in head.values("cookie"):
        for pair in line.split(";"):
            name, _, value = pair.strip().partition("=")
            found.append((name, value))
    return found
