"""Taking the cache to another machine: a bundle is a store of its own in one file, sealed with a passphrase.

    make    a store in a folder of the data directory, with every record and revision, but no Hub key and no local token
    take    another cache's records, where they are younger than ours

The commands move the file out of that folder and into it, because a daemon in its sandbox can write nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from hublet.core.account import origin_of
from hublet.core.errors import HubletError, KeySourceError, StoreError
from hublet.core.history import Replaced, Retention
from hublet.core.judgement import judge
from hublet.core.ledger import Ledger
from hublet.core.merging import added, taken_over
from hublet.core.outcomes import Answered
from hublet.core.questions import Assistant, Proposed
from hublet.core.records import Record
from hublet.core.secretstr import SecretStr
from hublet.core.state import Put, State, apply
from hublet.keys import source_of
from hublet.keys.asking import Asker
from hublet.keys.source import KeySource
from hublet.serve.service import Service
from hublet.store.archive import Archive, Loaded
from hublet.store.schema import database_name
from hublet.store.sealed import Store
from hublet.store.unlocking import peek
from hublet.upstream.order import Hub, WorkOrder

log = logging.getLogger("hublet.bundle")

OUTGOING, INCOMING = "outgoing-", "incoming-"
_LABEL = "bundle"


class Bundling:
    """The routes /bundle and /import. Raises HubletError."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def make(self, passphrase: str) -> dict[str, object]:
        """Make a bundle; gives the path of its file, in a folder of its own that the caller has to remove."""
        self._service.require_handing_over()
        sync = self._service.opened()
        asker = Asker(given=SecretStr(passphrase), terminal=False)
        return await asyncio.to_thread(self._make, sync.state, asker)

    def _make(self, state: State, asker: Asker) -> dict[str, object]:
        service = self._service
        archive = service.archive
        assert archive is not None
        data = service.config.locate().data
        for left in data.glob(f"{OUTGOING}*"):  # left by a command that was killed
            shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=OUTGOING, dir=data))
        try:
            other = Archive(Store.open(folder, _source(asker)))
            try:
                changes = [
                    Put(question, known, "added")
                    for question, known in state.records.items()
                    if not isinstance(question, Proposed)
                ]
                old = state.ledger
                ledger = Ledger(
                    confirmed=old.confirmed, lock=old.lock, last_pass=old.last_pass, last_success=old.last_success
                )
                other.retention = Retention(10**6, float("inf"))
                other.save(changes, ledger, _history(archive))
                label = {"origin": origin_of(service.config.hub.url), "made_at": service.clock()}
                other.keep(_LABEL, label)
            finally:
                other.close()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        log.info("a bundle was made")
        return {"file": str(folder / database_name), "records": len(state.records)}

    async def take(self, name: str, passphrase: str) -> dict[str, object]:
        """Take over the bundle in the folder of this name in the data directory. Counts its records (`records`), those
        that were taken (`taken`) and those that could not be read (`lost`)."""
        sync = self._service.opened()
        data = self._service.config.locate().data
        if not name.startswith(INCOMING) or os.sep in name or not (data / name).is_dir():
            raise HubletError("the request makes no sense", hint="is another version of hublet running?")
        asker = Asker(given=SecretStr(passphrase), terminal=False)
        loaded, history = await asyncio.to_thread(_opened, data / name, asker)
        match loaded.documents.get(_LABEL):
            case {"origin": str(origin)}:
                pass
            case _:
                raise HubletError("this is a cache, but no bundle", hint="`hublet bundle FILE` makes one")
        ours = origin_of(self._service.config.hub.url)
        if origin != ours:
            raise HubletError(
                f"the bundle is of another Hub: {origin}, and hub.url is {ours}", hint=f"set hub.url to {origin}"
            )
        taken = await sync.take_over(lambda state: taken_over(state, loaded.state))
        archive = self._service.archive
        assert archive is not None
        kept = archive.timelines()
        await asyncio.to_thread(
            archive.save, (), sync.state.ledger, [one for one in history if one.question not in kept]
        )
        return {"records": len(loaded.state.records), "taken": taken, "lost": loaded.lost}

    async def take_folder(self, path: str) -> dict[str, object]:
        """Take over the assistants of a folder once; it is read like a Hub that is a folder (upstream/folder.py).
        `problems` has a line for each assistant that can't be used."""
        sync = self._service.opened()
        now = self._service.clock()
        report = await sync.read(WorkOrder(Hub(url=f"file://{quote(path)}", key=None)))
        if not any(isinstance(outcome, Answered) for _, outcome in report.outcomes):
            why = next((getattr(outcome, "reason", "") for _, outcome in report.outcomes), "")
            raise HubletError(f"{path} can't be taken over: {why or 'nothing in it could be read'}")
        other = apply(State(), judge(State(), report, now, interval=sync.plan.interval))
        records = other.records.items()
        found = [(q, known) for q, known in records if isinstance(q, Assistant) and isinstance(known, Record)]
        problems = [
            f"{q.slug}: {known.content.traits['trouble']}" for q, known in found if "trouble" in known.content.traits
        ]
        await sync.take_over(lambda state: added(state, other, now))
        return {"records": len(found), "taken": len(found) - len(problems), "problems": problems}


def _source(asker: Asker, parameters: Mapping[str, str] | None = None) -> KeySource:
    return source_of("passphrase", Path(), parameters=parameters, asker=asker)


def _history(archive: Archive) -> list[Replaced]:
    """Every revision that was replaced, with its content and when it stood; in order for each Question."""
    found = []
    for question, timeline in archive.timelines().items():
        for period in timeline.periods:
            content = archive.revision(question, period.revision)
            if content is not None:
                found.append(Replaced(question, content, period))
    return found


def _opened(folder: Path, asker: Asker) -> tuple[Loaded, list[Replaced]]:
    """What a bundle holds, and its history. Raises HubletError for a file that is no bundle, is damaged, or does not
    open with this passphrase."""
    try:
        header = peek(folder)
    except StoreError as error:
        raise HubletError(f"the file is no bundle, or damaged: {error.message}") from None
    if header is None or header.source != "passphrase":
        raise HubletError("the file is no bundle", hint="`hublet bundle FILE` makes one")
    try:
        archive = Archive(Store.open(folder, _source(asker, header.parameters)))
        try:
            return archive.load(), _history(archive)
        finally:
            archive.close()
    except KeySourceError:
        raise HubletError("the passphrase is wrong, or the bundle was changed", hint="nothing was taken") from None
    except StoreError as error:
        raise HubletError(f"the bundle is damaged: {error.message}", hint="nothing was taken") from None
