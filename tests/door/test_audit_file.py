"""The audit log on disk: whole lines, private, of limited size, never through a link."""

from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path

import pytest

from hublet.door.audit import AuditFile, Line, Syslog, Who, most_ids, program_of, timestamp

who = Who("api", "same-user", 1000)


def line(what: str = "list-assistants", **more: object) -> Line:
    return Line(0.0, 0.0, 1, who, what, "answered", "fresh", **more)  # type: ignore[arg-type]


def test_a_line_has_what_is_known_and_nothing_else() -> None:
    """Known answers, for a single request and for many equal ones."""
    assert json.loads(line(scope="personal", ids=("aa",)).to_json()) == {
        "time": "1970-01-01T00:00:00.000Z", "door": "api", "what": "list-assistants", "scope": "personal",
        "ids": ["aa"], "outcome": "answered", "detail": "fresh", "who": "same-user", "uid": 1000,
    }  # fmt: skip
    many = Line(1.5, 2.25, 7, Who("socket", "token:zed", 1000, 12, "zed"), "policy", "refused", "host")
    assert json.loads(many.to_json()) == {
        "time": "1970-01-01T00:00:01.500Z", "last": "1970-01-01T00:00:02.250Z", "count": 7, "door": "socket",
        "what": "policy", "outcome": "refused", "detail": "host", "who": "token:zed", "uid": 1000, "pid": 12,
        "program": "zed",
    }  # fmt: skip
    assert json.loads(Line(0, 0, 1, Who("api"), "other", "refused", "gone").to_json())["uid"] is None


def test_a_hostile_name_stays_within_its_line() -> None:
    """A program can call itself what it likes."""
    text = Line(0, 0, 1, Who("socket", "nobody", 1, 2, 'x"\n{"door":"admin"}\x1b[2J'), "a\nb", "refused").to_json()
    assert b"\n" not in text
    assert b"\x1b" not in text
    assert json.loads(text)["program"] == 'x"\n{"door":"admin"}\x1b[2J'


def test_a_request_of_many_things_names_some_and_counts_the_others() -> None:
    """The length of a line is bounded."""
    told = json.loads(line(ids=tuple(f"{n:032x}" for n in range(most_ids + 5))).to_json())
    assert (len(told["ids"]), told["more_ids"]) == (most_ids, 5)


def test_lines_are_appended_to_a_file_that_only_we_can_read(tmp_path: Path) -> None:
    """Whatever the umask is; and a file that was made readable for others is closed again."""
    file = AuditFile(tmp_path / "audit.log")
    before = os.umask(0)
    try:
        file.append([b'{"a":1}'])
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    file.path.chmod(0o644)
    file.append([b'{"a":2}', b'{"a":3}'], sync=True)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert file.path.read_bytes() == b'{"a":1}\n{"a":2}\n{"a":3}\n'
    assert list(file.read()) == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_the_size_is_limited_and_the_oldest_go_first(tmp_path: Path) -> None:
    """A limit for each file, some older ones, and reading begins with the oldest."""
    file = AuditFile(tmp_path / "audit.log", size_limit=100, kept=2)
    for number in range(60):
        file.append([b'{"n":%d}' % number])
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"audit.log", "audit.log.1", "audit.log.2"}
    assert all(size <= 100 for size in sizes.values())
    kept = [told["n"] for told in file.read()]
    assert kept == list(range(60 - len(kept), 60))
    assert len(kept) > 20
    file.append([b'{"n":"%s"}' % (b"x" * 500)])
    assert (tmp_path / "audit.log").stat().st_size > 500  # a batch is never cut in two
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in tmp_path.iterdir())


def test_a_write_that_was_cut_short_costs_one_line(tmp_path: Path) -> None:
    """The next write begins on a line of its own; the line that was cut short is skipped by reading."""
    file = AuditFile(tmp_path / "audit.log")
    file.append([b'{"n":1}'])
    with file.path.open("ab") as raw:
        raw.write(b'{"n":2,"x":')
    file.append([b'{"n":3}'])
    with file.path.open("ab") as raw:
        raw.write(b"\xff\xfe\n[1]\n\n")
    assert list(file.read()) == [{"n": 1}, {"n": 3}]


def test_without_a_data_directory_nothing_is_made(tmp_path: Path) -> None:
    """There is no cache that anybody could have asked."""
    file = AuditFile(tmp_path / "none" / "audit.log")
    file.append([b"{}"])
    assert list(tmp_path.iterdir()) == []
    assert list(file.read()) == []


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_what_is_not_our_regular_file_is_not_written_to(tmp_path: Path, kind: str) -> None:
    """A symbolic link could lead anywhere, and a pipe could block us."""
    target, path = tmp_path / "target", tmp_path / "audit.log"
    target.write_text("mine\n")
    {"link": lambda: path.symlink_to(target), "fifo": lambda: os.mkfifo(path), "directory": path.mkdir}[kind]()
    with pytest.raises(OSError):
        AuditFile(path).append([b"{}"])
    assert target.read_text() == "mine\n"


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to own another user's file")
def test_somebody_elses_file_is_not_written_to(tmp_path: Path) -> None:
    """Its owner could read it."""
    path = tmp_path / "audit.log"
    path.touch(0o600)
    os.chown(path, 64101, 64101)
    with pytest.raises(OSError):
        AuditFile(path).append([b"{}"])
    assert path.read_bytes() == b""


def test_syslog_gets_each_line_as_a_datagram_of_the_private_facility(tmp_path: Path) -> None:
    """authpriv.info, which systems keep from other users."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as system:
        system.bind(str(tmp_path / "log"))
        Syslog(str(tmp_path / "log")).send([b'{"n":1}', b'{"n":2}'])
        told = [system.recv(1000), system.recv(1000)]
    assert told == [b'<86>hublet-audit[%d]: {"n":%d}' % (os.getpid(), n) for n in (1, 2)]


def test_a_syslog_that_nobody_reads_is_an_error_and_no_wait(tmp_path: Path) -> None:
    """The caller says so once and goes on."""
    with pytest.raises(OSError):
        Syslog(str(tmp_path / "none")).send([b"{}"])


def test_a_program_is_called_what_it_calls_itself() -> None:
    """And a process that has ended is called nothing."""
    assert program_of(os.getpid()) == Path("/proc/self/comm").read_text().strip()
    assert program_of(2**22 + 1) == ""


def test_times_are_in_utc() -> None:
    """RFC 3339, to the millisecond."""
    assert timestamp(1_767_323_045.0004) == "2026-01-02T03:04:05.000Z"
