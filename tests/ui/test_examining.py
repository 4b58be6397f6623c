"""The checks that the page shows: the command itself, and nothing that lies where it was started."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hublet.ui.examining import Doctor

PLANTED = """
from pathlib import Path

Path(__file__).with_name("was run").touch()
"""


@pytest.mark.parametrize("sunset", [False, True])
def test_no_module_of_the_current_folder_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sunset: bool) -> None:
    """`hublet ui` may be started in a folder with another's files, such as a cloned repository."""
    config, folder = tmp_path / "config.yaml", tmp_path / "cloned"
    config.touch(mode=0o600)
    places = f"  directory: {tmp_path / 'data'}\n  runtime_directory: {tmp_path / 'run'}\n"
    config.write_text(f"cache:\n{places}keys:\n  file: {tmp_path / 'key' / 'kek'}\n")
    folder.mkdir()
    for name in ("click", "orjson", "logging"):
        (folder / f"{name}.py").write_text(PLANTED)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = asyncio.run(Doctor(config).examine(sunset=sunset))
    assert not (folder / "was run").exists()
    assert found
