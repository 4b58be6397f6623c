"""Finds hublet's places on this machine without libraries that take longer to load than the finding."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

_LARGEST = 64 * 1024
_NOT_SET = rb"\s*(#.*|runtime_directory:\s*(null|~)\s*(#.*)?)"


_BELOW_HOME = {"config": ".config", "data": ".local/share", "state": ".local/state"}


def user_place(kind: Literal["config", "data", "state"], name: str) -> Path:
    """This user's directory of a kind for the program `name`, the same as `platformdirs` gives. Nothing is created.

    On Linux, with an absolute home, the XDG variables or their defaults say it, and `platformdirs` is not loaded.
    """
    given, home = os.environ.get(f"XDG_{kind.upper()}_HOME", ""), os.environ.get("HOME", "")
    if sys.platform == "linux" and home.startswith("/") and given[:1] in ("", "/"):
        return Path(given or f"{home}/{_BELOW_HOME[kind]}") / name
    import platformdirs

    return Path(getattr(platformdirs, f"user_{kind}_path")(name, appauthor=False))


def system_runtime(environment: Mapping[str, str]) -> Path | None:
    """hublet's folder in this user's runtime directory, also where XDG_RUNTIME_DIR is missing (in a shell of su, cron
    or ssh). Nothing is created.

    None when there is no such directory: a guessable name in a directory that others can write in would not be safe.
    """
    given = environment.get("XDG_RUNTIME_DIR", "")
    if given.startswith("/"):
        return Path(given) / "hublet"
    usual = Path(f"/run/user/{os.getuid()}")
    try:
        info = usual.stat()
    except OSError:
        return None
    return usual / "hublet" if info.st_uid == os.getuid() and not info.st_mode & 0o077 else None


def usual_socket(flag: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The admin socket's usual path, if the config file surely does not name another; None when that can't be told
    without parsing the file. For a quick question only: a caller that reaches nobody there reads the whole config.

    The file does not name another path if `runtime_directory` appears only in comments or with the value null. (A value
    on the next line would continue the null to a text that is not a path.) A file with a backslash is not decided here,
    because an escape could spell the name.
    """
    runtime = system_runtime(environment)
    named = flag or environment.get("HUBLET_CONFIG")
    home = environment.get("XDG_CONFIG_HOME", "").strip() or str(Path.home() / ".config")
    if runtime is None or (not named and not Path(home).is_dir()):
        return None
    try:
        with open(named or f"{home}/hublet/config.yaml", "rb") as file:  # noqa: PTH123  plain, and it may be no file
            text = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return None if named else runtime / "admin.sock"
    except OSError:
        return None
    mentions = [line for line in text.splitlines() if b"runtime_directory" in line]
    if len(text) > _LARGEST or b"\\" in text or not all(re.fullmatch(_NOT_SET, line) for line in mentions):
        return None
    return runtime / "admin.sock"
