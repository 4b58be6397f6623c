"""The key source `credential`: what a service manager hands over, in the forms that people make keys in."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from key_source_contract import KeySourceContract, kek

from hublet.core.envelope import Key
from hublet.core.errors import KeySourceError
from hublet.keys import source_of
from hublet.keys.credential import CredentialSource
from hublet.keys.source import KeySource


class TestCredentialSource(KeySourceContract):
    @pytest.fixture
    def source(self, tmp_path: Path) -> KeySource:
        self.file = tmp_path / "hublet-key"
        return CredentialSource({"CREDENTIALS_DIRECTORY": str(tmp_path)})

    def again(self, source: KeySource) -> KeySource:
        return CredentialSource({"CREDENTIALS_DIRECTORY": str(self.file.parent)})

    def put(self, source: KeySource) -> None:
        self.file.write_bytes(kek.reveal())

    def test_an_empty_source_gives_none_and_changes_nothing(self, source: KeySource) -> None:
        """Here empty means that somebody forgot it in the unit: an error, so that no store is made without it."""
        for _ in range(2):
            with pytest.raises(KeySourceError, match="gives no credential hublet-key") as caught:
                source.load()
            assert "LoadCredential=hublet-key:FILE" in caught.value.hint
        assert list(self.file.parent.iterdir()) == []


raw = kek.reveal()


@pytest.mark.parametrize(
    "content",
    [
        raw,
        raw.hex().encode(),
        raw.hex().upper().encode() + b"\n",
        base64.b64encode(raw),
        base64.b64encode(raw) + b"\r\n",
        b" " + base64.b64encode(raw) + b"\n\n",
    ],
)
def test_a_key_is_32_bytes_or_their_hex_or_base64(tmp_path: Path, content: bytes) -> None:
    """With or without a newline, as `xxd -p`, `base64` and editors leave it."""
    (tmp_path / "hublet-key").write_bytes(content)
    assert CredentialSource({"CREDENTIALS_DIRECTORY": str(tmp_path)}).load() == kek


@pytest.mark.parametrize(
    "content",
    [
        b"", raw[:31], raw + b"\n", b"canary" * 40, b"\xff" * 64, raw.hex().encode()[:-1] + b"g",
        base64.b64encode(raw)[1:], base64.b64encode(raw[:30]), b"x" * 1000, base64.b64encode(raw).replace(b"=", b"!"),
    ],
)  # fmt: skip
def test_anything_else_is_no_key_and_is_not_repeated(tmp_path: Path, content: bytes) -> None:
    """One error for all of them, which quotes nothing and hangs on to no error that does."""
    (tmp_path / "hublet-key").write_bytes(content)
    with pytest.raises(KeySourceError, match="is not a key") as caught:
        CredentialSource({"CREDENTIALS_DIRECTORY": str(tmp_path)}).load()
    assert "head -c 32 /dev/urandom" in caught.value.hint
    assert caught.value.__context__ is None
    assert "canary" not in repr(caught.value)


def test_a_shell_has_no_credentials() -> None:
    """Neither has a variable that is not a directory's path."""
    for environment in ({}, {"CREDENTIALS_DIRECTORY": ""}, {"CREDENTIALS_DIRECTORY": "relative"}):
        with pytest.raises(KeySourceError, match="CREDENTIALS_DIRECTORY is not set") as caught:
            CredentialSource(environment).load()
        assert "start hublet as a unit" in caught.value.hint


def test_something_else_in_its_place_is_refused(tmp_path: Path) -> None:
    """A folder, and a pipe that nobody writes into."""
    source = CredentialSource({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    (tmp_path / "hublet-key").mkdir()
    with pytest.raises(KeySourceError, match=r"can't be read|not a regular file"):
        source.load()
    (tmp_path / "hublet-key").rmdir()
    os.mkfifo(tmp_path / "hublet-key")
    with pytest.raises(KeySourceError, match="not a regular file"):
        source.load()


def test_hublet_neither_makes_nor_replaces_nor_removes_it(tmp_path: Path) -> None:
    """create says how to make one; stage answers with the credential itself; discard leaves it."""
    (tmp_path / "hublet-key").write_bytes(raw)
    source = CredentialSource({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    with pytest.raises(KeySourceError, match="can't make a credential") as caught:
        source.create(Key(bytes(32)))
    assert "LoadCredential" in caught.value.hint
    assert source.successor().stage(Key(bytes(32))) == kek
    source.promote()
    source.discard()
    assert (tmp_path / "hublet-key").read_bytes() == raw


def test_the_environment_is_the_process_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the config names it."""
    (tmp_path / "hublet-key").write_bytes(raw)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert source_of("credential", tmp_path / "kek").load() == kek
