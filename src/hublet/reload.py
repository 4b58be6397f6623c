"""Taking over a changed config file while everything runs: all of a good file, nothing of a bad one.

SIGHUP, or the file has changed (host/watching)
    └── read ── refused: the running config stays, and each problem is named with its line
         └── taken over: what can be at once; the rest is said to need a restart
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import fields, replace
from pathlib import Path

from hublet.config.loading import Config, load_config
from hublet.core.errors import ConfigError, HubletError
from hublet.host.calm import Calm
from hublet.host.notify import Notifier
from hublet.host.signature import Signature
from hublet.host.watching import FileWatch
from hublet.serve.service import Service

log = logging.getLogger("hublet.reload")

_AFTER_START = 1.0
"""Seconds until watching begins, so that its imports don't delay the first answers."""
_SETTLED = 0.25
"""Seconds without a further change after which the file is read."""
_LONGEST_UNREST = 2.0
"""Seconds after the first change at which it is read at the latest."""

_AT_START_ONLY = ("cache", "keys")
"""Sections that can't change under an open store."""

Take = Callable[[Config, frozenset[str]], Awaitable[tuple[str, ...]]]
"""Makes a config the running one, given the names of the keys that differ. Returns a line for each key that has to wait
for a restart. Raises HubletError; then nothing has changed."""


def differences(old: Config, new: Config) -> frozenset[str]:
    """The dotted names of the keys that differ."""
    return frozenset(
        f"{section.name}.{key.name}"
        for section in fields(Config)
        for key in fields(getattr(old, section.name))
        if getattr(getattr(old, section.name), key.name) != getattr(getattr(new, section.name), key.name)
    )


def apart(running: Config, new: Config) -> tuple[Config, tuple[str, ...]]:
    """The new config with the running one's values of what can't change at run time, and a line for each such key that
    differs."""
    late = sorted(name for name in differences(running, new) if name.partition(".")[0] in _AT_START_ONLY)
    live = replace(new, **{name: getattr(running, name) for name in _AT_START_ONLY})
    return live, tuple(f"{name}: takes effect after a restart" for name in late)


class Reloader:
    """Transitions: (made) → start → (reload)* → stop; all on one event loop.

    The service's `config_problems` has what is wrong with the file, `config_pending` what waits for a restart.
    """

    def __init__(
        self,
        file: Path,
        service: Service,
        take: Take,
        *,
        notifier: Notifier | None = None,
        status: Callable[[], str] = str,
        avoid: Iterable[Path] = (),
        seen: Signature | None = None,
    ) -> None:
        self.file = file
        self._service, self._take, self._status = service, take, status
        self._notifier = notifier or Notifier()
        self._calm = Calm(self.look, settled=_SETTLED, longest=_LONGEST_UNREST)
        self._watch = FileWatch(file, self._calm.nudge_from_a_thread, avoid=avoid, seen=seen)
        self._was_there = file.exists()
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Begin to watch the file, after a moment."""
        self._keep(self._begin())

    async def stop(self) -> None:
        self._calm.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._watch.stop)

    def look(self) -> None:
        """Reload if the file has changed. The heartbeat calls this, for files that can't be watched."""
        if self._watch.look():
            log.info("the config file has changed")
            self.soon()

    def soon(self) -> None:
        """Reload now, without waiting for it."""
        self._keep(self.reload())

    async def reload(self) -> None:
        """Read the file and take it over, or name what is wrong with it."""
        async with self._one_at_a_time:
            self._notifier.reloading()
            try:
                await self._reload()
            except ConfigError as error:
                self._refuse(error.problems)
            except HubletError as error:
                self._refuse((f"{self.file}: {error.message}",))
            except Exception:
                log.exception("the config could not be taken over")
                self._refuse((f"{self.file}: could not be taken over; the log says why",))
            finally:
                self._notifier.ready(self._status())

    # Within

    async def _reload(self) -> None:
        running = self._service.config
        self._watch.look()  # the watch takes note of the file as it is now: it is no change any more
        if self._watch.path.exists():
            self._was_there = True
        elif self._was_there:
            raise ConfigError((f"{self.file}: there is no such file any more",))
        new = await asyncio.to_thread(load_config, self.file if self._was_there else None)
        live, pending = apart(running, new)
        changed = differences(running, live)
        pending = (*pending, *await self._take(live, changed))
        self._service.config_problems, self._service.config_pending = (), pending
        told = f"{', '.join(sorted(changed))} changed" if changed else "nothing changed"
        log.info("config: %s", told)
        self._service.events.tell("config", what="taken over", detail=told)
        for line in pending:
            log.warning("config: %s", line)

    def _refuse(self, problems: tuple[str, ...]) -> None:
        self._service.config_problems = problems
        self._service.events.tell("config", what="refused", detail=f"{len(problems)} problems: see `hublet status`")
        log.error("the changed config is refused as a whole; the running one stays")
        for problem in problems:
            log.error("config: %s", problem)

    async def _begin(self) -> None:
        await asyncio.sleep(_AFTER_START)
        try:
            await asyncio.to_thread(self._watch.start)
        except OSError as error:
            log.warning("the config file can't be watched, it is looked at now and then: %s", error.strerror or error)
        self.look()

    def _keep(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
