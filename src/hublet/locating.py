"""Where things are on this machine, found without loading what takes longer to load than to find them."""

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
    """This user's directory of a kind for programs called `name`, as `platformdirs` has it. Nothing is created.

    On Linux, with a usual home, that is what the XDG variables or their defaults say, and the library is not loaded.
    """
    given, home = os.environ.get(f"XDG_{kind.upper()}_HOME", ""), os.environ.get("HOME", "")
    if sys.platform == "linux" and home.startswith("/") and given[:1] in ("", "/"):
        return Path(given or f"{home}/{_BELOW_HOME[kind]}") / name
    import platformdirs

    return Path(getattr(platformdirs, f"user_{kind}_path")(name, appauthor=False))


def system_runtime(environment: Mapping[str, str]) -> Path | None:
    """The system's runtime directory for this user, also where a shell (su, cron, ssh) has lost the variable for it.

    None rather than a guessable name in a directory that others can write in.
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
    """A running daemon's admin socket, where the config file surely does not put it elsewhere; None when that takes
    reading. Only for asking: whoever can't be reached there is looked for as the whole config has it.

    It does not if it never names `runtime_directory` but in comments or to say null (a value on the next line would
    make that another word, which is no path). A backslash could spell the name in another way.
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
