"""Makes the store that is kept of a format, when that format is released: never again, since it has to open for ever.

PYTHONPATH=. python tests/store/keep_a_store.py tests/store/kept/format-N.sqlite3
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from tests.faults.small_world import small_world
from tests.in_process import Clock, in_process

from hublet.core.envelope import Key
from hublet.demo.hub import Hub
from hublet.serve.admin import Admin
from hublet.store.backup import back_up

KEY = bytes(range(32))
CODE = Key(bytes(range(32, 64)))


async def keep(folder: Path, file: Path) -> None:
    world = small_world()
    world.organizations.clear()
    world.roster = ["ada/a0", "ada/a1"]
    (folder / "key").mkdir(mode=0o700)
    (folder / "key" / "kek").touch(mode=0o600)
    (folder / "key" / "kek").write_bytes(KEY)
    clock = Clock()
    async with in_process(folder, hub=Hub(clock=clock, world=world), clock=clock) as it:
        await it.log_in()
        clock.advance(1000)
        it.hub.edit_assistant("ada/a1", "A1", "The second A1")
        await it.sync.run_pass()
        await Admin(it.service).handle("POST", ("tokens",), b'{"name": "kept", "scope": "read"}')
        assert it.service.archive is not None
        it.service.archive.escrow(CODE, clock())
    back_up(folder / "data" / "hublet.sqlite3", file)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(keep(Path(scratch), Path(scratch) / "kept"))
        shutil.copy(Path(scratch) / "kept", sys.argv[1])
