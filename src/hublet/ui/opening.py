"""Opening the browser without giving the code away.

A browser is started with the address as an argument, and every user of the machine can read the arguments of a process.
So the browser is given the name of a file instead (mode 0600, in the runtime directory, which only we can enter). The
file redirects to the page.
"""

from __future__ import annotations

import html
import os
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path

_DOOR = """\
<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<title>hublet</title>
<meta http-equiv="refresh" content="0; url={url}">
<p><a href="{url}">Go to hublet's page</a></p>
"""


class Doorway:
    """The file that redirects to the page. Transitions: (made) → write → remove. One that a killed process leaves
    behind is harmless: its code works no more."""

    def __init__(self, runtime: Path, port: int) -> None:
        self.path = runtime / f"ui-{port}.html"

    def write(self, url: str) -> None:
        """Write the file. Raises OSError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)  # left by a killed process that had the same port
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self.path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(_DOOR.format(url=html.escape(url)))

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def has_screen(environment: Mapping[str, str]) -> bool:
    """Whether there is a screen for a browser. A browser in text mode would take over the terminal."""
    return sys.platform == "darwin" or any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def open_browser(path: Path) -> bool:
    """Have the user's browser open a file; False when no browser was found. May block, so it must not be called on an
    event loop."""
    try:
        return webbrowser.open(path.as_uri())
    except webbrowser.Error:
        return False
