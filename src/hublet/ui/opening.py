"""Opening the browser without telling anybody the code on the way.

A browser is started with what it is to open among its arguments, which every user of the machine can read. So it gets
the name of a file (0600, in the runtime directory, which only we can enter), and the file leads to the page.
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
    """The file. Transitions: (made) → write → remove; what a killed process leaves leads nowhere."""

    def __init__(self, runtime: Path, port: int) -> None:
        self.path = runtime / f"ui-{port}.html"

    def write(self, url: str) -> None:
        """Raises OSError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)  # of a killed one that had this port
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self.path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(_DOOR.format(url=html.escape(url)))

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def has_screen(environment: Mapping[str, str]) -> bool:
    """Whether a browser could be shown here: one of a terminal would take the terminal."""
    return sys.platform == "darwin" or any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def open_browser(path: Path) -> bool:
    """Have the person's browser open a file; whether one was found. May block: not on an event loop."""
    try:
        return webbrowser.open(path.as_uri())
    except webbrowser.Error:
        return False
