"""Finds the absolute path of a hublet that a service manager can start, and that will still be there later."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hublet.core.errors import UsageError

_TEMPORARY = tuple(Path(place) for place in (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm", "/run"))  # noqa: S108


def find_program(environment: Mapping[str, str], *, prefix: Path | None = None) -> Path:
    """The script `hublet` of this installation: the link to it on PATH that pipx and uv make, or the script itself.

    `prefix` is the virtual environment, for tests. Raises UsageError when there is no script, and when it lies in a
    folder that is cleared now and then.
    """
    scripts = prefix / "bin" if prefix is not None else Path(sysconfig.get_path("scripts"))
    script = scripts / "hublet"
    if not os.access(script, os.X_OK):
        raise UsageError(
            f"there is no program {script} that a service could start",
            hint="install hublet with `pipx install` or `uv tool install`, or into a virtual environment of its own",
        )
    for place in (script, Path(sys.prefix) if prefix is None else prefix):
        _refuse_passing(place, environment)
    linked = shutil.which("hublet", path=environment.get("PATH", ""))
    if linked is not None and Path(linked).is_absolute() and Path(linked).resolve() == script.resolve():
        # The link lasts longer than what it points to: an upgrade may make another virtual environment.
        return script if _passing(Path(linked), environment) else Path(linked)
    return script


def _refuse_passing(place: Path, environment: Mapping[str, str]) -> None:
    folder = _passing(place, environment)
    if folder is not None:
        raise UsageError(
            f"{place} would vanish: {folder} is cleared now and then",
            hint="install hublet for good, with `pipx install` or `uv tool install`; then call that one",
        )


def _passing(place: Path, environment: Mapping[str, str]) -> Path | None:
    """The folder above `place` that is cleared now and then, a temporary one or a cache (uvx, pipx run); None when
    there is none."""
    home = Path(environment.get("HOME") or Path.home())
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    folders = [
        *_TEMPORARY,
        Path(environment.get("XDG_CACHE_HOME") or home / ".cache"), home / "Library" / "Caches",
        data / "pipx" / ".cache", home / ".local" / "pipx" / ".cache",
        *(Path(environment["PIPX_HOME"], ".cache") for _ in range("PIPX_HOME" in environment)),
        *(Path(environment["UV_CACHE_DIR"]) for _ in range("UV_CACHE_DIR" in environment)),
    ]  # fmt: skip
    for seen in (place.absolute(), place.resolve()):
        for folder in folders:
            if folder in seen.parents or folder.resolve() in seen.parents:
                return folder
    return None
