"""The config, the versions of hublet, Python and the system, the rights of the process, and the disk."""

from __future__ import annotations

import os
import platform
import stat
import sys
from pathlib import Path

from hublet import __version__
from hublet.doctor.findings import Finding, Findings, ok, problem, warning
from hublet.doctor.scene import Scene
from hublet.door.peer import token_required_because

_OLDEST = (3, 11)


def config(scene: Scene) -> Findings:
    """Which config file is used and what is wrong with it; and where a running daemon goes on with an older config."""
    error = scene.config_error
    if error is not None:
        for line in error.problems:
            yield problem("config", line, error.hint)
        yield warning("config", "the checks below go on with the defaults", "repair the config, then look again")
    elif scene.file is None:
        yield ok("config", "no file: all defaults")
    else:
        yield ok("config", f"{scene.file}{_linked(scene.file)}")
        if _others_may_read(scene.file):
            yield warning(
                "config",
                f"{scene.file} can be read by others: it says where your Hub and your files are",
                f"chmod 600 {scene.file}",
            )
    for line in scene.managed.described():
        yield ok("config.managed", f"{scene.managed.file} settles {line}")
    for line in scene.status.get("config_problems", []):
        yield problem("config.running", f"the daemon refuses the changed file: {line}", "repair that line")
    for line in scene.status.get("config_pending", []):
        yield warning("config.running", line, "`hublet service restart`")
    yield from _another_home(scene)


def _linked(file: Path) -> str:
    return f" (a link to {file.resolve()})" if file.is_symlink() else ""


def _others_may_read(file: Path) -> bool:
    """Whether other users can read a file. They can't if one of its folders can be entered by the owner alone."""
    if not file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        return False
    return all(folder.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH) for folder in file.absolute().parents)


def _another_home(scene: Scene) -> Findings:
    """Warnings where the daemon and this shell have different configs: other data directories or other Hubs."""
    told = scene.facts.get("places")
    if not scene.running or not told or scene.config_error is not None:
        return
    if told["data"] != str(scene.places.data):
        yield warning(
            "config.running",
            f"the daemon keeps its cache in {told['data']}; this shell's config says {scene.places.data}",
            "give both the same XDG_DATA_HOME and config: `hublet service install` takes over this shell's",
        )
    if told["hub"] != scene.config.hub.url:
        yield warning(
            "config.running",
            f"the daemon asks {told['hub']}; this shell's config says {scene.config.hub.url}",
            "`hublet service restart`, or use the daemon's config: `hublet --config FILE doctor`",
        )


def version(scene: Scene) -> Findings:
    """The version of hublet and of what it runs on, and whether the daemon has the same version."""
    here = f"hublet {__version__}, Python {platform.python_version()}, {platform.system()} {platform.release()}"
    if sys.version_info < _OLDEST:
        yield problem("version", f"{here}: hublet needs Python 3.11", "install it with a newer Python")
    elif sys.platform not in ("linux", "darwin"):
        yield warning("version", f"{here}: hublet is made for Linux and macOS")
    else:
        yield ok("version", here)
    running = scene.status.get("version")
    if scene.running and running not in (None, __version__):
        yield warning("version", f"the daemon that runs is hublet {running}", "`hublet service restart`")


def rights(scene: Scene) -> Findings:
    """The user that hublet runs as, whether clients need a token because of that, and whether a crash leaves a core
    dump."""
    process = scene.facts.get("process", {}) if scene.running else {}
    uid = process.get("uid", os.geteuid())
    why = process["token_required"] if "token_required" in process else token_required_because()
    if uid == 0:
        yield warning(
            "machine.user",
            "hublet runs as root: every client needs a token, and its files are root's",
            "run it as the user whose assistants these are",
        )
    elif why:
        yield warning("machine.user", f"every client needs a token: {why}", "`hublet token --name NAME`")
    else:
        yield ok("machine.user", "your own processes are let in without a token")
    if (container := _container(scene)) is not None:
        yield ok("machine.container", f"inside a container ({container}): who asks from outside of it needs a token")
    if process.get("dumpable") or process.get("core_limit"):
        yield warning(
            "machine.core-dumps",
            "a crash of the daemon would leave its memory on the disk",
            "ulimit -c 0 before it is started",
        )
    elif process:
        yield ok("machine.core-dumps", "a crash of the daemon leaves no core dump")


def _container(scene: Scene) -> str | None:
    if named := scene.environment.get("container"):
        return named
    for mark in ("/.dockerenv", "/run/.containerenv"):
        if os.path.lexists(mark):
            return mark
    return None


def disk(scene: Scene) -> Findings:
    """Room for the cache. hublet serves on with a full disk, but saves nothing."""
    place = scene.places.data
    while not place.exists() and place != place.parent:
        place = place.parent
    info = os.statvfs(place)
    free, inodes = info.f_bavail * info.f_frsize, info.f_favail
    said = f"{free // 2**20} MB free for {scene.places.data}"
    if info.f_flag & os.ST_RDONLY:
        yield problem(
            "disk", f"{scene.places.data} is on a read-only file system", "cache.directory names another place"
        )
    elif free < 16 * 2**20 or (info.f_files and inodes < 16):
        yield problem("disk", said if free < 16 * 2**20 else f"no inodes are left for {scene.places.data}", "make room")
    elif free < 256 * 2**20:
        yield warning("disk", said, "make room")
    else:
        yield ok("disk", said)


def private(path: Path, check: str, what: str) -> Finding | None:
    """A problem when other users can enter a folder or own it; None when all is well or there is no folder."""
    try:
        info = path.stat()
    except FileNotFoundError:
        return None
    if info.st_uid != os.geteuid():
        return problem(
            check, f"{what} {path} belongs to uid {info.st_uid}", "see who made it; hublet needs it for itself"
        )
    if info.st_mode & 0o077:
        mode = stat.S_IMODE(info.st_mode)
        return problem(check, f"{what} {path} is open to others (mode {mode:04o})", f"chmod 700 {path}")
    return None
