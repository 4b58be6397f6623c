"""What is noted while requests are answered, and how it gets into the audit log.

A note is an append to a list: no disk, no task. Equal notes are counted together, and what has gathered is written by
a thread `every` seconds after the first of it, sooner when much has gathered. So a process that is killed loses the
notes of at most `every` seconds, and a power cut what the system had not written yet; a daemon that ends in order loses
nothing. What changes or reveals (`record`) is on the disk before it is answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

import orjson

from hublet.core import operations as ops
from hublet.core.envelope import Envelope
from hublet.core.errors import StoreError
from hublet.core.outcomes import roots
from hublet.core.questions import Question, to_text
from hublet.door.audit import AuditFile, Line, Syslog, Who

log = logging.getLogger("hublet.audit")

EVERY = 30.0
_UNFOLDED = 512
_FOLDED = 2048
_MOST = 4 * _FOLDED
"""So many different notes wait while nothing can be written; further ones are lost, and their number is told."""

What = ops.Operation | str


class _Note(NamedTuple):
    who: Who
    what: What
    outcome: str
    detail: str
    about: str = ""
    ids: tuple[str, ...] = ()


class _Times(NamedTuple):
    first: float
    last: float
    number: int


class Repeated:
    """Equal askings that follow each other, counted without a note for each. Made by `Audit.repeated`."""

    __slots__ = ("_first", "_last", "_note", "_number", "_open")

    def __init__(self, note: _Note, open_: Callable[[Repeated], None]) -> None:
        self._note, self._open = note, open_
        self._first = self._last = 0.0
        self._number = 0

    def once_more(self, now: float) -> None:
        if not self._number:
            self._first = now
            self._open(self)
        self._number += 1
        self._last = now

    def taken(self) -> tuple[_Note, _Times]:
        """What was counted; it begins anew."""
        number, self._number = self._number, 0
        return self._note, _Times(self._first, self._last, number)


Identify = Callable[[Question], str]
"""A Question's id for the audit log; empty while there is no key for it."""


class Audit:
    """Notes what was asked and writes it down. Belongs to one event loop; writing is done in threads.

    Transitions: noted → folded (equal ones counted together) → written, or lost where nothing can be written.
    """

    def __init__(
        self,
        file: AuditFile,
        clock: Callable[[], float],
        identify: Identify,
        *,
        syslog: Callable[[], Syslog | None] = lambda: None,
        every: float = EVERY,
    ) -> None:
        self.file, self._syslog = file, syslog
        self.lost = 0
        self._clock, self._identify, self._every = clock, identify, every
        self._recent: list[tuple[float, _Note]] = []
        self._repeating: list[Repeated] = []
        self._folded: dict[_Note, _Times] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._failing = False
        self._syslog_failing = False

    def note(self, now: float, who: Who, what: What, outcome: str, detail: str = "") -> None:
        """Something was asked and answered, or refused: written down before long."""
        self._recent.append((now, _Note(who, what, outcome, detail)))
        if self._timer is None:
            self._arm()
        if len(self._recent) + len(self._repeating) >= _UNFOLDED:
            self._fold()
            if len(self._folded) >= _FOLDED and not self._failing:
                self._begin()

    def repeated(self, who: Who, what: What, outcome: str, detail: str = "") -> Repeated:
        """To count what will be asked again and again; nothing is noted yet."""
        return Repeated(_Note(who, what, outcome, detail), self._repeats)

    async def record(
        self, who: Who, what: str, outcome: str, detail: str = "", *, about: str = "", ids: tuple[str, ...] = ()
    ) -> None:
        """Write this down, with what has gathered, and wait until it is on the disk. Raises StoreError."""
        now = self._clock()
        await self._write([(now, _Note(who, what, outcome, detail, about, ids))], sync=True)

    async def flush(self) -> None:
        """Write what has gathered. What can't be written now is kept for later; the log says so once."""
        try:
            await self._write([], sync=False)
        except StoreError:
            return  # said by `_write`

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        await self.flush()

    # Within

    def _repeats(self, repeated: Repeated) -> None:
        self._repeating.append(repeated)
        if self._timer is None:
            self._arm()

    def _arm(self) -> None:
        """One timer, and only while something waits: nobody is woken for nothing."""
        try:
            self._timer = asyncio.get_running_loop().call_later(self._every, self._due)
        except RuntimeError:
            return  # no loop runs: `close` writes it

    def _due(self) -> None:
        self._timer = None
        self._begin()

    def _begin(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self.flush(), name="audit")

    def _fold(self) -> None:
        recent, self._recent = self._recent, []
        for at, note in recent:
            self._add(note, _Times(at, at, 1))
        repeating, self._repeating = self._repeating, []
        for repeated in repeating:
            self._add(*repeated.taken())

    def _add(self, note: _Note, times: _Times) -> None:
        known = self._folded.get(note)
        if known is not None:
            first, last = min(known.first, times.first), max(known.last, times.last)
            self._folded[note] = _Times(first, last, known.number + times.number)
        elif len(self._folded) < _MOST:
            self._folded[note] = times
        else:
            self.lost += times.number

    async def _write(self, now: list[tuple[float, _Note]], *, sync: bool) -> None:
        async with self._one_at_a_time:
            self._fold()
            batch, self._folded = self._folded, {}
            lost, self.lost = self.lost, 0
            entries = [*batch.items(), *((note, _Times(at, at, 1)) for at, note in now)]
            if lost:
                at = self._clock()
                entries.append((_Note(Who("none"), "lost", "failed", f"{lost} notes"), _Times(at, at, 1)))
            if not entries:
                return
            try:
                lines = await asyncio.to_thread(self._append, entries, sync)
            except OSError as error:
                self.lost += lost
                for note, times in [*batch.items(), *((note, _Times(at, at, 1)) for at, note in now)]:
                    self._add(note, times)
                reason = error.strerror or type(error).__name__
                if not self._failing:
                    log.error("the audit log can't be written: %s", reason)
                self._failing = True
                if self._timer is None:
                    self._arm()
                raise StoreError(f"the audit log can't be written: {reason}", hint=f"it is {self.file.path}") from None
            if self._failing:
                log.info("the audit log can be written again")
            self._failing = False
            if (syslog := self._syslog()) is not None:
                await asyncio.to_thread(self._tell_system, syslog, lines)

    def _append(self, entries: list[tuple[_Note, _Times]], sync: bool) -> list[bytes]:
        """In a thread: ids are computed here, not where requests are answered."""
        entries.sort(key=lambda entry: entry[1].first)
        lines = [self._line(note, times).to_json() for note, times in entries]
        self.file.append(lines, sync=sync)
        return lines

    def _tell_system(self, syslog: Syslog, lines: list[bytes]) -> None:
        try:
            syslog.send(lines)
        except OSError as error:
            if not self._syslog_failing:
                log.warning("the system's log takes no audit lines: %s", error.strerror or type(error).__name__)
            self._syslog_failing = True
        else:
            self._syslog_failing = False

    def _line(self, note: _Note, times: _Times) -> Line:
        who, what, outcome, detail, about, ids = note
        if isinstance(what, str):
            return Line(*times, who, what, outcome, detail, ids=ids, about=about)
        ids = tuple(filter(None, (self._identify(question) for question in roots(what))))
        return Line(*times, who, name_of_operation(what), outcome, detail, _scope_of(what), ids)


def id_of(envelope: Envelope, question: Question) -> str:
    """A Question's id in the audit log, 128 bits in hex. Not the id of its record, so that who reads both files does
    not see which record was asked for."""
    return envelope.identify(orjson.dumps(["audit", to_text(question)]))[:16].hex()


def id_of_secret(envelope: Envelope, name: str) -> str:
    """The same for a secret's own name, by which a person asks for its value."""
    return envelope.identify(orjson.dumps(["audit-secret", name]))[:16].hex()


def name_of_operation(operation: ops.Operation) -> str:
    """The endpoint's own name, without what stands in its path: `get-assistant`."""
    return name_of_path(ops.row_of(operation).path)


def name_of_path(path: tuple[str, ...]) -> str:
    """A row's path as one word or two: `list-assistants`, `auth/scope`, `registry`."""
    words = [word for word in path if word not in (ops.Row.wildcard, "v0", "v1", "ide")]
    return "/".join(words)


def _scope_of(operation: ops.Operation) -> str:
    if not hasattr(operation, "scope"):
        return ""
    named = operation.scope is not None or getattr(operation, "scope_slug", None) is not None
    return "organization" if named else "personal"
