"""Writing `export.directory` whenever what is served has changed."""

from __future__ import annotations

import asyncio
import logging

from hublet.core.errors import HubletError
from hublet.core.questions import Assistant, Pinned, Roster
from hublet.core.state import Change
from hublet.export.files import Written, write_beside, write_files
from hublet.serve.exporting import export, not_served, wish_of
from hublet.serve.service import Service

log = logging.getLogger("hublet.export")


class Exporter:
    """Writes `export.directory`, in a thread, one writing at a time. Belongs to one event loop.

    `at` is when it was last written, `problem` why the last try failed, `kept` names the files
    that are left as they are because the user has edited them.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._task: asyncio.Task[None] | None = None
        self._again = False
        self.at: float | None = None
        self.problem = ""
        self.kept: tuple[str, ...] = ()

    def changed(self, changes: tuple[Change, ...]) -> None:
        """Called by Sync after each change."""
        if any(isinstance(change.question, Assistant | Roster | Pinned) for change in changes):
            self.soon()

    def soon(self) -> None:
        """Write now, or once more after the writing that runs, if the config wants any."""
        if self._service.config.export.directory is None:
            return
        if self._task is not None and not self._task.done():
            self._again = True
            return
        self._task = asyncio.get_running_loop().create_task(self._run(), name="export")

    async def close(self, *, abandon: bool = False) -> None:
        """Wait for the writing that runs, and for the one that a change has asked for meanwhile; with `abandon` that
        one is not begun. Called when nothing changes any more."""
        if abandon:
            self._again = False
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._again = False
            try:
                done = await asyncio.to_thread(self._write)
            except HubletError as error:
                if error.message != self.problem:
                    log.error("the export failed: %s", error.message)
                self.problem = error.message
            except Exception:
                log.exception("the export failed")
                self.problem = "a fault of hublet's own; its log has more"
            else:
                self.at, self.problem = self._service.clock(), ""
                if done.written or done.removed:
                    log.info("exported: %d files written, %d removed", len(done.written), len(done.removed))
                kept = tuple(sorted(done.kept))
                for path in sorted(set(kept) - set(self.kept)):
                    log.warning("%s was edited and is left as it is; the new one is beside it", path)
                self.kept = kept
            if not self._again:
                return

    def _write(self) -> Written:
        wanted = self._service.config.export
        assert wanted.directory is not None
        answer = export(self._service, wish_of(wanted))
        if answer["withheld"]:
            # Values expire after the Hub has ended, which is when the files of before are needed most.
            raise not_served(answer["withheld"])
        if not answer["files"]:
            return Written()  # a cache without assistants is new: the files of before stay
        done = write_files(wanted.directory, answer["files"])
        if wanted.env is not None:
            done.kept |= write_beside(wanted.env, answer["env"]).kept
        return done
