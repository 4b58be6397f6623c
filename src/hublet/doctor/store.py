"""The cache on the disk and the key that it is sealed with."""

from __future__ import annotations

import os
import stat

from hublet.core.errors import HubletError, KeySourceError, StoreError, StoreLocked
from hublet.doctor.findings import Finding, Findings, ok, problem, warning
from hublet.doctor.scene import Scene
from hublet.doctor.setup import private
from hublet.keys import source_of
from hublet.keys.source import OutOfReach
from hublet.store import schema
from hublet.store.failures import reset_hint

_LARGE_WAL = 64 * 2**20

_PROTECTS = {
    "file": "protects a copy of the cache made without the key's folder, not a full copy of the home",
    "keyring": "protects copies of the home as well as your login password does",
    "passphrase": "protects every copy as well as the passphrase is long",
    "credential": "as safe as the file that systemd hands over",
}
_OUT_OF_REACH = {
    "credential": (
        "only the service is given the credential: the cache can't be looked into from a shell",
        "`hublet service start`, then look again",
    ),
    "passphrase": (
        "the passphrase is not asked for here: the cache can't be looked into",
        "start hublet, then look again",
    ),
}
"""Message and fix for a source whose key a doctor at a shell can't get, by the source's name."""


def key(scene: Scene) -> Findings:
    """Whether the key source has the key of the cache, and against what a key in that source protects."""
    name = scene.config.keys.source
    told = scene.facts.get("store")
    if told:
        shown = told["source"]
        where = source_of(shown, scene.places.key_file).describe() if shown == "file" else shown
        yield ok("key", f"{where}: {_PROTECTS.get(shown, '')}")
        if shown == name == "file":
            folder = scene.places.key_file.parent
            if scene.places.data in (folder, *folder.parents):
                yield warning(
                    "key",
                    f"the key lies within the cache's own folder {scene.places.data}: a copy of it has both",
                    "keys.file names another place; move the file there first",
                )
        if told["count_problem"]:
            yield warning("key", f"older copies of the cache would not be noticed: {told['count_problem']}")
        return
    error = _reason(scene)
    if isinstance(error, KeySourceError):
        yield from _unreachable(name, error)
    elif scene.running and error is not None:
        yield warning("key", f"keys.source is {name}; the daemon could not open the cache with it", error.hint)
    elif _is_new(scene):
        yield ok("key", f"keys.source is {name}; a key is made with the first login")
    else:
        yield warning("key", f"keys.source is {name}; it was not tried, since the cache can't be looked into")


def _unreachable(name: str, error: KeySourceError) -> Findings:
    """Why the source gave no key. It is only a warning when nothing is wrong but that this process can't reach the
    key."""
    if isinstance(error, OutOfReach) and name in _OUT_OF_REACH:
        yield warning("key", *_OUT_OF_REACH[name])
    else:
        yield problem("key", error.message, error.hint)


def store(scene: Scene) -> Findings:
    """Whether the cache can be opened and is undamaged, and whether only its owner can read it."""
    if (open_folder := private(scene.places.data, "store.modes", "the data directory")) is not None:
        yield open_folder
    yield from _modes(scene)
    if told := scene.facts.get("store"):
        yield from _integrity(scene, told)
    else:
        yield _not_looked_into(scene)


def _not_looked_into(scene: Scene) -> Finding:
    """Why the contents of the cache could not be checked."""
    match _reason(scene):
        case StoreLocked() as error:
            return problem("store", error.message, "it answers at no admin socket: end that process, or see its log")
        case KeySourceError():
            return warning("store", "not looked into: its key is not there")
        case StoreError() as error:
            return problem("store", error.message, error.hint or reset_hint)
        case HubletError() as error:
            return problem("store", error.message, error.hint)
    if scene.daemon_error is not None:
        return warning("store", "not looked into: the daemon that has it does not answer")
    if _is_new(scene):
        return warning("store", f"there is no cache yet in {scene.places.data}", "`hublet login`")
    return warning("store", "the daemon does not tell: it is another version", "`hublet service restart`")


def _integrity(scene: Scene, told: dict[str, object]) -> Findings:
    if told["problem"]:
        yield problem("store", str(told["problem"]), str(told["hint"]))
        return
    if told["misplaced"]:
        yield warning(
            "store",
            "the cache's file was deleted or replaced while hublet had it open",
            "hublet puts it back with the next sync",
        )
    lost = scene.status.get("lost_records") or told["unreadable"]
    if lost:
        yield warning("store", f"{lost} records can't be read", "`hublet sync` brings them back while the Hub answers")
    else:
        yield ok("store", f"every record opens and belongs here; commit {told['generation']}, format {told['format']}")


def _modes(scene: Scene) -> Findings:
    path = scene.places.data / schema.database_name
    for file in (path, *schema.beside(path)):
        try:
            info = file.lstat()
        except OSError:
            continue
        if info.st_uid != os.geteuid():
            yield problem("store.modes", f"{file} belongs to uid {info.st_uid}", "see who made it")
        elif info.st_mode & 0o077:
            mode = stat.S_IMODE(info.st_mode)
            yield problem("store.modes", f"{file} is open to others (mode {mode:04o})", f"chmod 600 {file}")
        if file.name.endswith("-wal") and info.st_size > _LARGE_WAL:
            size = info.st_size // 2**20
            yield warning(
                "store.wal",
                f"{file} has grown to {size} MB: something reads the cache and does not let go",
                "close what else has it open, then `hublet service restart`",
            )


def _reason(scene: Scene) -> HubletError | None:
    """Why the cache could not be opened, by this process or by the daemon; None if it could, or if there is none."""
    if not scene.running:
        return scene.facts_error
    reason = scene.status.get("reason")
    return HubletError(reason, hint=scene.status.get("hint", "")) if reason else None


def _is_new(scene: Scene) -> bool:
    return not scene.running and not os.path.lexists(scene.places.data / schema.database_name)
