"""Redaction: all logs and crash reports go through here, and secrets in them are replaced by stars.

Two things are replaced. First the secrets that are known at the moment (bindings, the account's key, the user's own
values): those of eight characters or more anywhere, those of four to seven only as whole words. Shorter ones can't be
told from ordinary text. Second, everything that looks like a Hub key, a local token or a bearer, known or not.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import quote

from hublet.core.records import Record
from hublet.core.secretstr import SecretStr

if TYPE_CHECKING:
    from hublet.serve.service import Service

STARS = "**********"
_ANYWHERE = 8
_AS_A_WORD = 4
_LOOKS_SECRET = re.compile(
    r"\b(con_|hublet_)[A-Za-z0-9_\-.~+/=]{8,}|\b(Bearer |Basic )[A-Za-z0-9_\-.~+/=]{8,}", re.IGNORECASE
)
_SIGN_IN = re.compile(r"//[^\s\"']*@")
_FORMATTER = logging.Formatter()


class Redactor(logging.Filter):
    """A filter for the handler that writes the log. `held` gives the secrets of the moment. `stamp` gives the objects
    that they come from: the secrets are gathered anew only when one of these is another object. Those that were held
    before the last change are replaced as well."""

    def __init__(
        self, held: Callable[[], Iterable[SecretStr]] = tuple, stamp: Callable[[], tuple[object, ...]] = tuple
    ) -> None:
        super().__init__()
        self._held, self._stamp = held, stamp
        self._generation: tuple[object, ...] | None = None
        self._now: frozenset[str] = frozenset()
        self._known: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def watch(self, held: Callable[[], Iterable[SecretStr]], stamp: Callable[[], tuple[object, ...]]) -> None:
        """From now on these functions give the secrets and their stamp."""
        self._held, self._stamp, self._generation = held, stamp, None

    def forget(self) -> None:
        """Forget the gathered secrets. Those that are still held are gathered anew with the next text."""
        self._generation, self._now, self._known = None, frozenset(), ((), ())

    def text(self, text: str) -> str:
        """A text in which every secret is replaced by stars."""
        if len(text) < _AS_A_WORD:
            return text
        anywhere, words = self._gathered()
        for value in anywhere:
            if value in text:
                text = text.replace(value, STARS)
        for value in words:
            if value in text:
                text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", STARS, text)
        return _LOOKS_SECRET.sub(lambda match: (match[1] or match[2]) + STARS, text)

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the message and the traceback of a log record. Always lets the record pass."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001  arguments that don't fit the format: logging would print them as they are
            message = f"{record.msg!s:.200} (with arguments that do not fit it)"
        record.msg, record.args = self.text(message), None
        if record.exc_info and not record.exc_text:
            record.exc_text = _FORMATTER.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self.text(record.exc_text)
        if record.stack_info:
            record.stack_info = self.text(record.stack_info)
        return True

    def install(self) -> None:
        """Redact also what is printed of uncaught exceptions: in every thread, and in destructors."""
        sys.excepthook = self._crashed
        threading.excepthook = lambda args: self._crashed(args.exc_type, args.exc_value, args.exc_traceback)
        sys.unraisablehook = lambda args: self._crashed(args.exc_type, args.exc_value, args.exc_traceback)

    def _crashed(self, kind: type[BaseException], error: BaseException | None, at: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt | SystemExit):
            return
        said = "".join(traceback.format_exception(kind, error, at))
        print(self.text(said), end="", file=sys.stderr, flush=True)  # noqa: T201

    def _gathered(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        stamp = self._stamp()
        old = self._generation
        if old is None or len(old) != len(stamp) or any(a is not b for a, b in zip(old, stamp, strict=True)):
            before = self._now
            self._now = frozenset(form for secret in self._held() for form in _forms(secret.reveal()))
            # The longest first, since one may be a part of another.
            every = sorted(before | self._now, key=lambda form: (-len(form), form))
            self._known = (
                tuple(form for form in every if len(form) >= _ANYWHERE),
                tuple(form for form in every if _AS_A_WORD <= len(form) < _ANYWHERE),
            )
            self._generation = stamp
        return self._known


def without_sign_in(text: str) -> str:
    """A text in which the names and passwords in URLs (`//name:password@host`) are replaced by stars."""
    return _SIGN_IN.sub(f"//{STARS}@", text)


def _forms(value: str) -> Iterable[str]:
    """The ways in which a value may be written: as it is, in JSON, in a repr of Python, in a URL."""
    return {value, json.dumps(value)[1:-1], repr(value)[1:-1], quote(value, safe=""), repr(value.encode())[2:-1]}


def watch(redactor: Redactor, service: Service) -> None:
    """Have a redactor replace the secrets that a service holds."""

    def held() -> Iterable[SecretStr]:
        if service.account is not None:
            yield service.account.key
        if service.sync is not None:
            yield from service.sync.overrides.values()
            for known in service.sync.state.records.values():
                if isinstance(known, Record):
                    yield from known.content.bindings.values()

    def stamp() -> tuple[object, ...]:
        sync = service.sync
        return (service.account, *((sync.state.records, sync.overrides) if sync is not None else ()))

    redactor.watch(held, stamp)
    service.on_forgotten.append(redactor.forget)
