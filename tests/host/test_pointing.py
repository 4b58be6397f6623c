"""Pointing clients here, in a folder of the test: what is written, what is left alone, and that all of it is undone."""

from __future__ import annotations

import http.server
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hublet.cli.point import prove_ours
from hublet.config.loading import load_config
from hublet.core.errors import NotRunning
from hublet.host import pointing
from hublet.host.pointing import Pointer, point, pointers, shell_line, unpoint


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "home"
    place.mkdir()
    return place


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def tree(place: Path) -> dict[str, bytes | None]:
    """Everything below a folder: the files with their content."""
    return {
        str(path.relative_to(place)): path.read_bytes() if path.is_file() else None for path in sorted(place.rglob("*"))
    }


def outcomes(done: list[pointing.Done]) -> list[str]:
    return [one.outcome for one in done]


def test_cn_is_pointed_by_a_line_for_the_whole_session(home: Path) -> None:
    (pointer,) = pointers("cn", 3001, {"HOME": str(home)})
    assert pointer.path == home / ".config/environment.d/50-hublet.conf"
    assert pointer.content == "CONTINUE_API_BASE=http://localhost:3001/\n"
    (elsewhere,) = pointers("cn", 4711, {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "cfg")})
    assert elsewhere.path == home / "cfg/environment.d/50-hublet.conf"
    assert elsewhere.content == "CONTINUE_API_BASE=http://localhost:4711/\n"


@pytest.mark.parametrize("client", ["vscode", "jetbrains"])
def test_the_ides_are_pointed_by_an_empty_file(home: Path, client: pointing.Client) -> None:
    assert pointers(client, 3001, {"HOME": str(home)}) == (Pointer(home / ".continue/.local", ""),)
    elsewhere = {"HOME": str(home), "CONTINUE_GLOBAL_DIR": str(home / "else")}
    assert pointers(client, 3001, elsewhere) == (Pointer(home / "else/.local", ""),)


@pytest.mark.parametrize("client", ["vscode", "jetbrains"])
def test_the_ides_know_one_port_only(home: Path, client: pointing.Client) -> None:
    with pytest.raises(ValueError, match="3001"):
        pointers(client, 3002, {"HOME": str(home)})


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "export CONTINUE_API_BASE=http://localhost:3001/"),
        ("zsh", "export CONTINUE_API_BASE=http://localhost:3001/"),
        ("fish", "set -gx CONTINUE_API_BASE http://localhost:3001/"),
    ],
)
def test_each_shell_has_its_line(shell: str, line: str) -> None:
    assert shell_line(shell, 3001) == line
    assert shell in pointing.SHELLS


def all_pointers(home: Path) -> tuple[Pointer, ...]:
    environment = {"HOME": str(home)}
    return pointers("cn", 3001, environment) + pointers("vscode", 3001, environment)


def test_pointing_is_undone_exactly(home: Path, data: Path) -> None:
    """Files and the folders that were made for them; what was there stays as it was."""
    (home / ".config").mkdir()
    (home / ".config/other.conf").write_text("mine")
    before = tree(home)
    assert outcomes(point(all_pointers(home), data)) == ["written", "written"]
    assert tree(home) == before | {
        ".config/environment.d": None,
        ".config/environment.d/50-hublet.conf": b"CONTINUE_API_BASE=http://localhost:3001/\n",
        ".continue": None,
        ".continue/.local": b"",
    }
    assert outcomes(unpoint(data)) == ["removed", "removed"]
    assert tree(home) == before
    assert tree(data) == {}, "nothing is left of the record"
    assert unpoint(data) == []


def test_pointing_twice_changes_nothing_more_and_is_undone_once(home: Path, data: Path) -> None:
    point(all_pointers(home), data)
    after = tree(home)
    assert outcomes(point(all_pointers(home), data)) == ["there already", "there already"]
    assert tree(home) == after
    unpoint(data)
    assert tree(home) == {}


def test_a_dry_run_says_what_would_be_done_and_does_nothing(home: Path, data: Path) -> None:
    assert outcomes(point(all_pointers(home), data, dry_run=True)) == ["would write", "would write"]
    assert tree(home) == {}
    assert not data.exists()
    point(all_pointers(home), data)
    after = tree(home)
    assert outcomes(unpoint(data, dry_run=True)) == ["would remove", "would remove"]
    assert tree(home) == after
    assert outcomes(unpoint(data)) == ["removed", "removed"]


def test_a_file_that_was_there_is_left_alone_whatever_it_says(home: Path, data: Path) -> None:
    """Even with the content that hublet would write: it did not make the file, so it does not remove it."""
    same, other = all_pointers(home)
    same.path.parent.mkdir(parents=True)
    same.path.write_text(same.content)
    other.path.parent.mkdir()
    other.path.write_text("something of the user's")
    before = tree(home)
    assert outcomes(point((same, other), data)) == ["there already", "differs"]
    assert unpoint(data) == []
    assert tree(home) == before


@pytest.mark.parametrize("kind", ["folder", "dangling link", "not text"])
def test_what_is_there_and_is_no_text_file_is_left_alone(home: Path, data: Path, kind: str) -> None:
    pointer = all_pointers(home)[1]
    pointer.path.parent.mkdir()
    if kind == "folder":
        pointer.path.mkdir()
    elif kind == "dangling link":
        pointer.path.symlink_to(home / "nowhere")
    else:
        pointer.path.write_bytes(b"\xff\xfe")
    assert outcomes(point((pointer,), data)) == ["differs"]
    assert os.path.lexists(pointer.path)
    assert not (home / "nowhere").exists()


def test_a_file_that_was_changed_since_is_left_alone_and_named(home: Path, data: Path) -> None:
    """However often it is tried. Once it has its old content again, it is removed."""
    cn, ide = all_pointers(home)
    point((cn, ide), data)
    cn.path.write_text(cn.content + "MORE=1\n")
    done = unpoint(data)
    assert [(one.path, one.outcome) for one in done] == [(cn.path, "changed since"), (ide.path, "removed")]
    assert cn.path.read_text() == cn.content + "MORE=1\n"
    assert outcomes(unpoint(data)) == ["changed since"]
    cn.path.write_text(cn.content)
    assert outcomes(unpoint(data)) == ["removed"]
    assert tree(home) == {}


def test_a_link_that_has_taken_the_files_place_is_left_alone(home: Path, data: Path) -> None:
    """A manager of dotfiles has moved it into its own folder: it says the same, but is not the file we wrote."""
    cn = all_pointers(home)[0]
    point((cn,), data)
    cn.path.rename(home / "dotfile")
    cn.path.symlink_to(home / "dotfile")
    assert outcomes(unpoint(data)) == ["changed since"]
    assert cn.path.is_symlink()


def test_a_file_that_the_user_has_removed_is_gone_and_forgotten(home: Path, data: Path) -> None:
    cn = all_pointers(home)[0]
    point((cn,), data)
    cn.path.unlink()
    assert outcomes(unpoint(data, dry_run=True)) == ["gone"]
    assert outcomes(unpoint(data)) == ["gone"]
    assert unpoint(data) == []


def test_a_folder_that_holds_something_by_now_stays(home: Path, data: Path) -> None:
    point(all_pointers(home), data)
    (home / ".continue/config.yaml").write_text("mine")
    unpoint(data)
    assert tree(home) == {".continue": None, ".continue/config.yaml": b"mine"}


def test_what_could_not_be_written_leaves_nothing_behind(home: Path, data: Path) -> None:
    """Neither a folder nor a record that would later name a file of somebody else's."""
    (home / "blocked").write_text("a file where a folder has to be")
    cn = Pointer(home / "blocked/environment.d/50-hublet.conf", "x")
    with pytest.raises(OSError, match="blocked"):
        point((cn,), data)
    assert tree(home) == {"blocked": b"a file where a folder has to be"}
    assert unpoint(data) == []


def test_the_record_is_the_users_alone_and_survives_a_crash_between(home: Path, data: Path) -> None:
    """Written before the file is: a crash between leaves a record of a file that is gone, never a file without a
    record."""
    cn = all_pointers(home)[0]
    point((cn,), data)
    record = data / "pointing.json"
    assert record.stat().st_mode & 0o777 == 0o600
    assert json.loads(record.read_text())[str(cn.path)]["content"] == cn.content
    cn.path.unlink()
    assert outcomes(point((cn,), data)) == ["written"]
    assert outcomes(unpoint(data)) == ["removed"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"/x": "y"}', "null", "\0"])
def test_a_record_that_cant_be_read_is_an_error_and_removes_nothing(home: Path, data: Path, text: str) -> None:
    data.mkdir()
    (data / "pointing.json").write_text(text)
    with pytest.raises(OSError, match=r"pointing\.json"):
        unpoint(data)
    with pytest.raises(OSError, match=r"pointing\.json"):
        point(all_pointers(home), data)
    assert tree(home) == {}


# Who listens


class FakeDoor:
    """A stand-in for a daemon's admin socket, which tells this port and this proof."""

    def __init__(self, port: int, proof: str, *, running: bool = True) -> None:
        self.port, self.proof, self.running = port, proof, running

    def call(self, method: str, path: str, value: object = None) -> dict[str, object]:
        return {"proof": self.proof, "port": self.port}

    def stream(self, method: str, path: str) -> Iterator[dict[str, object]]:
        raise NotImplementedError


@contextmanager
def listener(family: socket.AddressFamily, host: str, port: int, says: bytes) -> Iterator[int]:
    """Answers every request with these bytes: an HTTP answer's body, or, when they begin so, the raw answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not says.startswith(b"raw:"):
                self.send_response(200)
                self.send_header("Content-Length", str(len(says)))
                self.end_headers()
            self.wfile.write(says.removeprefix(b"raw:"))
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(http.server.HTTPServer):
        address_family = family

        def server_bind(self) -> None:
            self.socket.bind(self.server_address)
            self.server_address = self.socket.getsockname()

    with Server((host, port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("impostor", [b"wrong", b"", b"raw:SSH-2.0-other\r\n", b"raw:"])
@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
def test_an_impostor_on_either_address_is_found_out(address: str, impostor: bytes) -> None:
    """A client that says `localhost` may come to either of them."""
    config = load_config(None)
    v4, v6 = (impostor, b"right") if address == "127.0.0.1" else (b"right", impostor)
    with (
        listener(socket.AF_INET, "127.0.0.1", 0, v4) as port,
        listener(socket.AF_INET6, "::1", port, v6),
        pytest.raises(NotRunning) as error,
    ):
        prove_ours(FakeDoor(port, "right"), config)
    assert f"{address}:{port} is not this hublet" in error.value.message


def test_whoever_knows_the_proof_on_both_addresses_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked directly, whatever proxy the environment names: a proxy would ask its own machine."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with (
        listener(socket.AF_INET, "127.0.0.1", 0, b"right") as port,
        listener(socket.AF_INET6, "::1", port, b"right"),
    ):
        assert prove_ours(FakeDoor(port, "right"), load_config(None)) == port


def test_without_a_daemon_nothing_is_asked() -> None:
    with pytest.raises(NotRunning, match="no hublet is running"):
        prove_ours(FakeDoor(1, "right", running=False), load_config(None))
