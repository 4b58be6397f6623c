"""What a check reports, and how the checks are run: at the same time, each with a time limit.

A check is a function that takes the Scene and yields Findings. Each runs in a thread of its own, because what a check
waits for (a name server, a full disk, a hung program) can't always be interrupted. At its time limit the findings that
it has yielded so far are used, and its thread is left running.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from hublet.core.errors import HubletError
from hublet.core.values import dataclass

if TYPE_CHECKING:
    from hublet.doctor.scene import Scene

Grade = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    `check` is a name that programs may rely on. `fix` says what to do; it is empty when nothing has to be done.
    `leads_here` is set by the checks of clients: it says that the client asks this hublet.
    """

    check: str
    grade: Grade
    message: str
    fix: str = ""
    leads_here: bool = False

    def to_plain(self) -> dict[str, str]:
        return {"check": self.check, "grade": self.grade, "message": self.message, "fix": self.fix}


Findings = Iterator[Finding]


@dataclass(frozen=True, slots=True)
class Check:
    """A check by its name. `limit` is how many seconds it may take."""

    name: str
    look: Callable[[Scene], Findings]
    limit: float = 20.0


def ok(check: str, message: str) -> Finding:
    return Finding(check, "ok", message)


def warning(check: str, message: str, fix: str = "") -> Finding:
    return Finding(check, "warning", message, fix)


def problem(check: str, message: str, fix: str = "") -> Finding:
    return Finding(check, "problem", message, fix)


def run(checks: Sequence[Check], scene: Scene) -> list[Finding]:
    """All findings, in the order of the checks. A check that raises, or does not end in time, is reported as a
    problem."""
    running = [(check, _start(check, scene)) for check in checks]
    began = time.monotonic()
    found: list[Finding] = []
    for check, said in running:
        found += _gathered(check, said, began)
    # The answer of a Hub or a proxy may quote the request, with the key in it.
    text = scene.redactor.text
    return [replace(one, message=text(one.message), fix=text(one.fix)) for one in found]


def _start(check: Check, scene: Scene) -> queue.SimpleQueue[Finding | None]:
    said: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()

    def look() -> None:
        try:
            for finding in check.look(scene):
                said.put(finding)
        except HubletError as error:
            said.put(problem(check.name, error.message, error.hint))
        except OSError as error:
            said.put(problem(check.name, f"could not be looked at: {error.filename or ''} {error.strerror or error}"))
        except Exception as error:  # noqa: BLE001  a bug in one check must not hide what the others found
            said.put(problem(check.name, f"could not be looked at ({type(error).__name__})", "report this as a bug"))
        finally:
            said.put(None)

    threading.Thread(target=look, name=check.name, daemon=True).start()
    return said


def _gathered(check: Check, said: queue.SimpleQueue[Finding | None], began: float) -> list[Finding]:
    found: list[Finding] = []
    while True:
        left = max(0.0, began + check.limit - time.monotonic())
        try:
            finding = said.get(timeout=left) if left else said.get_nowait()
        except queue.Empty:
            found.append(problem(check.name, f"not known after {check.limit:.0f} s: what it looks at does not answer"))
            return found
        if finding is None:
            return found
        found.append(finding)
