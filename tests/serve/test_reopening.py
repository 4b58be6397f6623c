"""A cache that can't be opened is tried again: ever more seldom, asking nobody, and only when something may differ."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hublet.config.loading import Config, parse_config
from hublet.core.errors import CredentialError, HubletError, KeySourceError, StoreLocked
from hublet.serve import reopening
from hublet.serve.reopening import Reopening
from hublet.serve.service import Service, Unavailable


class Shut:
    """A service whose cache does not open, and how often that was tried."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, keys: str = "source: keyring") -> None:
        self.now, self.tries = 0.0, 0
        self.error: HubletError = KeySourceError("the keyring is locked")
        self.service = Service(
            parse_config(f"cache:\n  directory: {folder}\nkeys:\n  {keys}\n", "test"), clock=lambda: self.now
        )
        self.service.unavailable = Unavailable("the keyring is locked")
        monkeypatch.setattr(reopening, "open_archive", self._open)
        self.reopening = Reopening(self.service, monotonic=lambda: self.now)

    def _open(self, config: Config, asker: object, *, quiet: bool) -> None:
        assert quiet
        self.tries += 1
        raise self.error

    def run(self, seconds: int) -> None:
        async def beats() -> None:
            for _ in range(0, seconds, 30):
                self.now += 30
                await self.reopening.look()

        asyncio.run(beats())


def test_it_is_tried_ever_more_seldom(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After 30 s, then after twice as long each time, at least every ten minutes."""
    shut = Shut(monkeypatch, tmp_path)
    shut.run(30 + 60 + 120)
    assert shut.tries == 3
    shut.run(86400)
    assert 140 <= shut.tries <= 150


def test_a_command_tries_at_once_and_hears_the_reason_of_now(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shut = Shut(monkeypatch, tmp_path)
    for error in (KeySourceError("another reason", hint="do this"), CredentialError("not a key")):
        shut.error = error
        asyncio.run(shut.reopening.now())
        assert shut.service.unavailable == Unavailable(error.message, error.hint)
    shut.error = StoreLocked("a command has it")
    asyncio.run(shut.reopening.now())
    assert shut.service.unavailable == Unavailable("not a key", "")
    assert shut.tries == 3


def test_a_forgotten_cache_is_not_made_anew_by_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shut = Shut(monkeypatch, tmp_path)
    shut.service.forgotten = True
    shut.run(3600)
    asyncio.run(shut.reopening.now())
    assert shut.tries == 0


def test_a_passphrase_is_tried_again_when_its_file_is_another_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each try is scrypt's work. From a descriptor or a terminal it comes only at the start."""
    file = tmp_path / "passphrase"
    shut = Shut(monkeypatch, tmp_path, f"source: passphrase\n  passphrase_file: {file}")
    shut.run(3600)
    assert shut.tries == 0
    file.write_text("words")
    shut.run(3600)
    assert shut.tries == 1
    asyncio.run(shut.reopening.now(True))  # a login after `forget` has nothing to be wrong about
    assert shut.tries == 2
    shut = Shut(monkeypatch, tmp_path, "source: passphrase\n  passphrase_fd: 0")
    shut.run(3600)
    assert shut.tries == 0
