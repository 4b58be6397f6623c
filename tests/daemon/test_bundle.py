"""The cache carried to another machine, and a folder taken over, with the real commands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hublet.demo.data import DEMO_KEY, USER_SECRETS
from hublet.demo.server import HubServer
from tests.running import AS_ROOT, Home

pytestmark = pytest.mark.slow

OWL = "/ide/get-assistant/dana/night-owl"
LONG = [value.encode() for value in USER_SECRETS.values() if len(value) > 8]


def passphrase(home: Home, words: str = "four words for tests") -> str:
    file = home.path / "words"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(words + "\n")
    home.own()
    return str(file)


def said(home: Home, *words: str, code: int = 0) -> str:
    done = home.hublet(*words)
    assert done.returncode == code, (done.stdout, done.stderr)
    return (done.stdout if code == 0 else done.stderr).decode()


@pytest.fixture
def bundle(logged_in: Home, hub_server: HubServer) -> Path:
    """Made by a home that has seen two revisions of an assistant."""
    said(logged_in, "sync")
    hub_server.hub.edit_assistant("dana/night-owl", "Claude Opus 4", "Claude Opus 5")
    said(logged_in, "sync")
    assert "records" in said(logged_in, "bundle", "it.bundle", "--passphrase-file", passphrase(logged_in))
    return logged_in.path / "it.bundle"


@pytest.fixture
def other(tmp_path: Path, hub_server: HubServer, bundle: Path) -> Home:
    """Another home, with the bundle in it, and no Hub any more."""
    home = Home.make(tmp_path / "other", hub_server.url)
    (home.path / "it.bundle").write_bytes(bundle.read_bytes())
    home.own()
    hub_server.stop()
    return home


def test_a_bundle_is_one_private_file_with_nothing_readable_in_it(bundle: Path, logged_in: Home) -> None:
    data = bundle.read_bytes()
    assert bundle.stat().st_mode & 0o777 == 0o600
    for canary in (*LONG, DEMO_KEY.encode(), b"night-owl", b"Night Owl"):
        assert canary not in data
    assert not list(logged_in.data.glob("outgoing-*"))
    assert "is there already" in said(logged_in, "bundle", "it.bundle", "--passphrase-file", "words", code=2)


def test_another_machine_serves_what_was_in_it_with_its_history(other: Home) -> None:
    with other.daemon() as daemon:
        assert daemon.ask("GET", OWL).status == 503
        assert "taken over" in said(other, "import", "it.bundle", "--passphrase-file", passphrase(other))
        answer: Any = daemon.ask("GET", OWL).json()
        first = answer["configResult"]["config"]["models"][0]
        assert (first["name"], first["apiKey"]) == ("Claude Opus 5", USER_SECRETS["ANTHROPIC_API_KEY"])
        assert "Claude Opus 4" in said(other, "show", "dana/night-owl@previous")
        assert not list(other.data.glob("incoming-*"))
        again = said(other, "import", "it.bundle", "--passphrase-file", passphrase(other))
        assert again.startswith("0 of "), "nothing is younger than what is there"


def test_a_wrong_passphrase_or_file_takes_nothing(other: Home) -> None:
    wrong = passphrase(other, "four other words for tests")
    assert "the passphrase is wrong" in said(other, "import", "it.bundle", "--passphrase-file", wrong, code=1)
    right = passphrase(other)
    (other.path / "junk").write_bytes(b"SQLite format 3\0" + os.urandom(4000))
    data = bytearray((other.path / "it.bundle").read_bytes())
    data[len(data) // 2] ^= 1
    (other.path / "flipped").write_bytes(data)
    other.own()
    said(other, "import", "junk", "--passphrase-file", right, code=1)
    done = other.hublet("import", "flipped", "--passphrase-file", right)
    assert b"Traceback" not in done.stderr
    assert done.returncode == 1 or b"taken over" in done.stdout, "a byte may be one that nobody reads"


def test_a_bundle_of_another_hub_is_refused(other: Home) -> None:
    other.configure("http://localhost:9")
    assert "of another Hub" in said(other, "import", "it.bundle", "--passphrase-file", passphrase(other), code=1)


@pytest.mark.skipif(not AS_ROOT, reason="only root can give files away")
def test_a_folder_of_files_is_served_without_any_hub(other: Home) -> None:
    folder = other.path / "files" / "me"
    folder.mkdir(parents=True)
    (folder / "good.yaml").write_text("name: Good\nversion: 1.0.0\nschema: v1\nmodels: []\nrules: [Be brief.]\n")
    (folder / "bad.yaml").write_text("name: [\n")
    other.own()
    done = other.hublet("import", "files")
    assert done.returncode == 0, done.stderr
    assert b"1 of 2 taken over" in done.stdout
    assert b"me/bad" in done.stderr
    with other.daemon() as daemon:
        answer: Any = daemon.ask("GET", "/ide/list-assistants").json()
        assert [one["packageSlug"] for one in answer] == ["good"]
