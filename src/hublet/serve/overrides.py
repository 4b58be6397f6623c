"""The user's own secret values (`secrets.override`), which are served before the Hub's.

    start, each pass, a changed file ── refresh ── Sync.override ── the next Snapshot
    a name that is new to the cache ── learn ────┘

They are read ahead, held in memory and published with the Snapshot, so that an answer needs no reading. Only a client
that asks for a name that is new to the cache waits for the command, for `serve.wait` seconds at most. A value that
can't be read again is served for as long as the Hub's would be (`secrets.max_stale`), and the status says so: clients
neither hang nor silently get another value.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from pathlib import Path

from hublet.config.loading import SecretsSettings
from hublet.core.questions import Secret
from hublet.core.records import Record
from hublet.core.secretstr import SecretStr
from hublet.core.snapshot import overridden_by
from hublet.core.state import State
from hublet.host.override import Hopeless, OverrideFailed, ask_command, is_name, read_env_file
from hublet.host.signature import Signature, signature
from hublet.passes.sync import Sync

log = logging.getLogger("hublet.override")

_MOST_NAMES = 1000
"""How many names the command is asked for at most: clients can invent names."""
_MOST_TOLD = 5
"""How many names a line about a problem has at most."""

Ask = Callable[[tuple[str, ...], str, Mapping[str, str], float], Awaitable[SecretStr]]


def names_of(state: State) -> set[str]:
    """The names of all secrets that a cache knows of, as far as an override can have values for them."""
    found = set()
    for question, known in state.records.items():
        if isinstance(question, Secret):
            found.add(question.fqsn.name)
        if isinstance(known, Record):
            found |= {overridden_by(name) for name in known.content.bindings}
    return {name for name in found if is_name(name)}


class Overrides:
    """Reads the values and hands them to Sync. Belongs to one event loop.

    `problems` says what could not be read the last time, a line for each kind; `read_at` is when everything was last
    read. What is read is the file or the output of the command that `secrets.override` names.
    """

    def __init__(
        self,
        sync: Sync,
        secrets: SecretsSettings,
        clock: Callable[[], float],
        *,
        environment: Mapping[str, str] = os.environ,
        ask: Ask = ask_command,
    ) -> None:
        self.problems: tuple[str, ...] = ()
        self.read_at: float | None = None
        self._sync, self._clock, self._environment, self._ask = sync, clock, environment, ask
        self._secrets = secrets
        self._kept: dict[str, tuple[SecretStr, float]] = {}
        self._failed: dict[str, str] = {}
        self._signature: Signature | None = None
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watching = False

    @property
    def source(self) -> str | None:
        """What `secrets.override` names: `file`, `command`, or None for nothing."""
        return None if self._secrets.override is None else "file" if self._file is not None else "command"

    @property
    def _file(self) -> Path | None:
        override = self._secrets.override
        return override if isinstance(override, Path) else None

    def begin(self) -> None:
        """From now on ask for names as soon as the cache knows of them."""
        if not self._watching:
            self._watching = True
            self._sync.on_change.append(lambda _: self._notice())

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def configure(self, secrets: SecretsSettings) -> None:
        """Take over another config. What another source said is dropped at once, and everything is read anew."""
        before, self._secrets = self._secrets, secrets
        if secrets.override != before.override:
            self._kept.clear()
            self._failed.clear()
            self._publish()
        self._keep(self.refresh())

    def look(self) -> None:
        """Read the file again if it has changed since it was last read."""
        if self._file is not None and signature(self._file) != self._signature:
            self._keep(self.refresh())

    async def refresh(self) -> None:
        """Read everything again: the file, or the command's answer for each name that is known."""
        async with self._one_at_a_time:
            self._failed.clear()
            if self._file is not None:
                await self._read(self._file)
            elif self._secrets.override is not None:
                await self._run(names_of(self._sync.state) | self._kept.keys())
            self.read_at = self._clock()
            self._publish()

    async def learn(self, names: Iterable[str]) -> None:
        """Ask the command for those of these names that it was never asked for."""
        if self.source != "command":
            return
        async with self._one_at_a_time:
            new = {name for name in names if is_name(name)} - self._kept.keys() - self._failed.keys()
            if new and "" not in self._failed and len(self._kept) + len(self._failed) < _MOST_NAMES:
                await self._run(new)
                self._publish()

    async def learn_within(self, seconds: float, names: Iterable[str]) -> None:
        """`learn` for a waiting client, which waits for so many seconds at most; what takes longer is served later."""
        if self.source == "command":
            task = self._keep(self.learn(names))
            await asyncio.wait({task}, timeout=seconds)

    # Within

    async def _read(self, path: Path) -> None:
        self._signature = signature(path)
        try:
            found = await asyncio.to_thread(read_env_file, path)
        except OverrideFailed as error:
            self._failed[""] = str(error)
            return
        now = self._clock()
        self._kept = {name: (value, now) for name, value in found.items()}

    async def _run(self, names: Iterable[str]) -> None:
        words = self._secrets.override
        assert isinstance(words, tuple)
        wanted = self._secrets.override_environment
        environment = {name: self._environment[name] for name in wanted if name in self._environment}
        for name in sorted(names):
            try:
                value = await self._ask(words, name, environment, self._secrets.override_timeout)
            except OverrideFailed as error:
                self._failed[name] = str(error)
                if isinstance(error, Hopeless):
                    self._failed[""] = f"{error}; what was left is asked for with the next pass"
                    break
            else:
                self._failed.pop(name, None)
                self._kept[name] = (value, self._clock())

    def _publish(self) -> None:
        oldest = self._clock() - self._secrets.max_stale
        troubled = self._kept.keys() if "" in self._failed else self._failed.keys()
        self._kept = {name: kept for name, kept in self._kept.items() if kept[1] > oldest or name not in troubled}
        problems = _told(self._failed)
        for line in problems:
            if line not in self.problems:
                log.warning("secrets.override: %s", line)
        self.problems = problems
        self._sync.override({name: value for name, (value, _) in self._kept.items()})

    def _notice(self) -> None:
        if self.source == "command":
            self._keep(self.learn(names_of(self._sync.state)))

    def _keep(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name="override")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _told(failed: Mapping[str, str]) -> tuple[str, ...]:
    """A line for each kind of failure, with some of the names that it happened to."""
    if "" in failed:
        return (failed[""],)
    by_reason: dict[str, list[str]] = {}
    for name, reason in failed.items():
        by_reason.setdefault(reason, []).append(name)
    return tuple(
        f"{reason} for {', '.join(names[:_MOST_TOLD])}{' and others' if len(names) > _MOST_TOLD else ''}"
        for reason, names in by_reason.items()
    )
