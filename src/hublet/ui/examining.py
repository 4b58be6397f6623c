"""The checks of `hublet doctor`, and the refusals of the audit log, for the page.

The checks are run by starting the command in a child process. So the modules that they load do not stay in memory, a
check that hangs can be killed, and the page shows exactly what the command prints. Python's -P keeps the child from
importing modules out of the current folder: `hublet ui` may have been started in one that holds somebody else's files.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from hublet.core.errors import HubletError, StoreError
from hublet.door.audit import AuditFile

PATIENCE = 120.0
MOST_REFUSALS = 200
_FINDINGS_SAID = (0, 1)
"""Exit codes of a `hublet doctor` that ran through: without problems, and with some."""


class Doctor:
    """Runs one examination at a time. `file` is the config file that this page was started with, None for no file."""

    def __init__(self, file: Path | None, *, patience: float = PATIENCE) -> None:
        self._file, self._patience = file, patience
        self._one_at_a_time = asyncio.Lock()

    async def examine(self, *, sunset: bool) -> dict[str, Any]:
        """What `hublet doctor --json` prints, or with `sunset` what `hublet doctor --sunset --json` prints.

        Raises HubletError when it can't be run, does not end, or prints no JSON.
        """
        words = (sys.executable, "-P", "-m", "hublet.cli.main", "doctor", "--json", *(["--sunset"] if sunset else []))
        environment = os.environ | ({"HUBLET_CONFIG": str(self._file)} if self._file is not None else {})
        async with self._one_at_a_time:
            pipe = asyncio.subprocess.PIPE
            child = await asyncio.create_subprocess_exec(
                *words, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment
            )
            try:
                async with asyncio.timeout(self._patience):
                    said, complained = await child.communicate()
            except TimeoutError:
                raise HubletError("the checks do not end", hint="run `hublet doctor` at a terminal") from None
            finally:
                if child.returncode is None:
                    with suppress(ProcessLookupError):
                        child.kill()
                    await child.wait()
        if child.returncode not in _FINDINGS_SAID:
            first = complained.decode("utf-8", "replace").strip().partition("\n")[0].removeprefix("hublet: ")
            raise HubletError(first or "the checks can't be run", hint="run `hublet doctor` at a terminal")
        with suppress(orjson.JSONDecodeError):
            value = orjson.loads(said)
            if isinstance(value, dict):
                return value
        raise HubletError("the checks can't be read", hint="run `hublet doctor` at a terminal")


def refusals(path: Path) -> list[dict[str, Any]]:
    """The newest refusals in the audit log, the last one first. Reads the whole log, so it must not be called on an
    event loop. Raises StoreError."""
    found: list[dict[str, Any]] = []
    try:
        for line in AuditFile(path).read():
            if line.get("outcome") != "refused":
                continue
            with suppress(ValueError):
                at = datetime.fromisoformat(str(line.get("last", line.get("time")))).timestamp()
                found.append({"at": at, **{key: line.get(key) for key in _SHOWN}})
                if len(found) > 2 * MOST_REFUSALS:
                    del found[:MOST_REFUSALS]
    except OSError as error:
        raise StoreError(f"the audit log can't be read: {error.strerror}", hint=f"it is {path}") from None
    return found[: -MOST_REFUSALS - 1 : -1]


_SHOWN = ("count", "door", "what", "detail", "who", "uid", "pid", "program")
