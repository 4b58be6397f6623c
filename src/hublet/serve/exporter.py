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
    """Writes `export.directory` after what is served has changed. Belongs to one event loop; one writing at a time."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._task: asyncio.Task[None] | None = None
        self._again = False
        self.at: float | None = None
        self.problem = ""
        self.kept: tuple[str, ...] = ()

    def changed(self, changes: tuple[Change, ...]) -> None:
        """Listens to Sync."""
        if any(isinstance(change.question, Assistant | Roster | Pinned) for change in changes):
            self.soon()

    def soon(self) -> None:
        """Write when the turn comes; once for all that asked meanwhile."""
        if self._service.config.export.directory is None:
            return
        if self._task is not None and not self._task.done():
            self._again = True
            return
        self._task = asyncio.get_running_loop().create_task(self._run(), name="export")

    async def close(self) -> None:
        """Let a writing that runs come to its end."""
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
            raise not_served(answer["withheld"])  # as at a Hub's end, which is what the folder is for
        if not answer["files"]:
            return Written()  # a cache that knows no assistant is new, and says nothing of these files
        done = write_files(wanted.directory, answer["files"])
        if wanted.env is not None:
            done.kept |= write_beside(wanted.env, answer["env"]).kept
        return done
