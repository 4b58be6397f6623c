"""A service's end: nothing that works with the store outlasts it, whether a process ends or the store is replaced."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hublet.core.errors import HubletError
from hublet.core.secretstr import SecretStr
from hublet.export.files import Written
from hublet.serve.exporter import Exporter
from hublet.serve.overrides import Overrides
from hublet.serve.service import Unavailable
from tests.in_process import InProcess, in_process


async def with_files(it: InProcess) -> Path:
    """Log in; the pass has begun a writing of `export.directory`, and nothing has waited for it (it may be done)."""
    await it.log_in()
    directory = it.service.config.export.directory
    assert directory is not None
    return directory


def test_files_that_the_last_change_calls_for_are_written_first(tmp_path: Path) -> None:
    """A command that changes something ends with the files as they should be."""

    async def go() -> None:
        async with in_process(tmp_path, settings={"export": {"directory": tmp_path / "files"}}) as it:
            directory = await with_files(it)
            await it.service.close()
            assert list(directory.rglob("*.yaml"))

    asyncio.run(go())


def test_a_change_during_a_writing_is_written_before_the_end(tmp_path: Path) -> None:
    """The writing that runs may have looked before the change; it is not the last one then."""

    async def go() -> None:
        async with in_process(tmp_path, settings={"export": {"directory": tmp_path / "files"}}) as it:
            await with_files(it)
            exporter = it.service.exporter
            assert isinstance(exporter, Exporter)
            written = []

            def write() -> Written:
                written.append("once more")
                return Written()

            await exporter.close()
            exporter._write = write  # type: ignore[method-assign]  # no folder: what counts is how often
            exporter.soon()
            await asyncio.sleep(0)  # it has begun
            exporter.soon()
            await it.service.close()
            assert written == ["once more", "once more"]

    asyncio.run(go())


def test_what_is_let_go_of_is_not_served_and_says_why(tmp_path: Path) -> None:
    async def go() -> None:
        async with in_process(tmp_path) as it:
            await it.log_in()
            assert it.service.opened() is it.service.sync
            heard: list[str] = []

            async def hear() -> None:
                heard.append("end")

            it.service.on_let_go.append(hear)
            await it.service.let_go(Unavailable("it is replaced", "try again"))
            assert heard == ["end"]
            with pytest.raises(HubletError, match="it is replaced") as caught:
                it.service.opened()
            assert caught.value.hint == "try again"
            assert it.service.archive is it.service.account is it.service.overrides is None
            assert (await it.ask("GET", "/ide/policy")).status == 503

    asyncio.run(go())


def test_closing_ends_what_asks_for_the_users_own_values(tmp_path: Path) -> None:
    """No command of theirs goes on when the process is to end."""
    told: list[str] = []

    async def never(_: tuple[str, ...], name: str, *__: object) -> SecretStr:
        told.append(f"asked for {name}")
        try:
            await asyncio.Event().wait()
        finally:
            told.append("ended")
        raise AssertionError

    async def go() -> None:
        async with in_process(tmp_path, settings={"secrets": {"override": '["/bin/vault", "{name}"]'}}) as it:
            overrides = Overrides(it.sync, it.service.config.secrets, it.clock, ask=never)
            it.service.overrides = overrides
            asking = asyncio.create_task(overrides.learn_within(60, ["NEW"]))
            while not told:
                await asyncio.sleep(0)
            await it.service.close()
            assert told == ["asked for NEW", "ended"]
            await asking

    asyncio.run(go())
