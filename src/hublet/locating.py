"""Where a running daemon's admin socket is, found without the config's reader, which takes longer to load than to ask.

Only for asking: whoever can't be reached there is looked for as the whole config has it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

_LARGEST = 64 * 1024
_NOT_SET = re.compile(rb"\s*(#.*|runtime_directory:\s*(null|~)\s*(#.*)?)")


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
    """The admin socket, where the config file surely does not put it elsewhere; None when that takes reading.

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
    if len(text) > _LARGEST or b"\\" in text or not all(_NOT_SET.fullmatch(line) for line in mentions):
        return None
    return runtime / "admin.sock"
