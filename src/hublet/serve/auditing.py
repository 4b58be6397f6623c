"""Notes that are taken while requests are answered, and how they get into the audit log.

Taking a note only appends to a list: no disk access, no task. Equal notes are counted together. A thread writes what
has gathered, `every` seconds after the first note, or sooner when there is much. So a process that is killed loses the
notes of at most `every` seconds, a power cut also what the system had not written to the disk yet, and a daemon that
ends in order nothing. What changes or reveals something (`record`) is on the disk before the request is answered.
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
"""How many different notes are kept while nothing can be written. More are lost; how many is written later."""

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
    """Counts equal requests that follow each other, without a note for each. Made by `Audit.repeated`."""

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
        """The note and how often, from when and until when it was counted. Counting begins anew."""
        number, self._number = self._number, 0
        return self._note, _Times(self._first, self._last, number)


Identify = Callable[[Question], str]
"""Gives a Question's id for the audit log; empty while the cache is not open, since its key makes the ids."""


class Audit:
    """Takes notes and writes them to the audit log. Belongs to one event loop; writing is done in threads.

    Transitions of a note: noted → folded (equal ones counted together) → written, or lost where nothing can be written.
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
        """Note that a request was answered or refused; it is written at the latest after `every` seconds."""
        self._recent.append((now, _Note(who, what, outcome, detail)))
        if self._timer is None:
            self._arm()
        if len(self._recent) + len(self._repeating) >= _UNFOLDED:
            self._fold()
            if len(self._folded) >= _FOLDED and not self._failing:
                self._begin()

    def repeated(self, who: Who, what: What, outcome: str, detail: str = "") -> Repeated:
        """A counter for a request that is sent again and again. Nothing is noted before it counts."""
        return Repeated(_Note(who, what, outcome, detail), self._repeats)

    async def record(
        self, who: Who, what: str, outcome: str, detail: str = "", *, about: str = "", ids: tuple[str, ...] = ()
    ) -> None:
        """Write this line, and what has gathered before, and wait until it is on the disk. Raises StoreError."""
        now = self._clock()
        await self._write([(now, _Note(who, what, outcome, detail, about, ids))], sync=True)

    async def flush(self) -> None:
        """Write what has gathered. What can't be written now is kept for later, and the daemon's log says so once."""
        try:
            await self._write([], sync=False)
        except StoreError:
            return  # logged by `_write`

    async def close(self) -> None:
        """Write what has gathered, and begin nothing more by itself."""
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
        """Start the one timer. It runs only while something waits to be written, so an idle process is not woken."""
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
        """Runs in a thread: the ids are computed here, not while a request is answered."""
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
    """A Question's id in the audit log, 128 bits in hex. It differs from the id of its record in the store, so that
    somebody who reads both files can't tell which record was asked for."""
    return envelope.identify(orjson.dumps(["audit", to_text(question)]))[:16].hex()


def id_of_secret(envelope: Envelope, name: str) -> str:
    """The audit log's id of a secret's own name, by which a person asks for its value."""
    return envelope.identify(orjson.dumps(["audit-secret", name]))[:16].hex()


def name_of_operation(operation: ops.Operation) -> str:
    """The endpoint's name in the Hub's API, without the names in its path: `get-assistant`."""
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
