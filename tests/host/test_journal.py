"""The journal's native protocol, against a decoder that follows its description and a stand-in for the socket."""

from __future__ import annotations

import io
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.host.journal import JournalHandler, encode, is_journal, priority
from hublet.redaction import Redactor


def decode(entry: bytes) -> dict[str, bytes]:
    """As systemd's page on the native journal protocol has it. Raises ValueError for anything else."""
    fields: dict[str, bytes] = {}
    while entry:
        line, end, rest = entry.partition(b"\n")
        if not end:
            raise ValueError("a field without an end")
        name, equals, value = line.partition(b"=")
        if not equals:
            length = int.from_bytes(rest[:8], "little")
            value, rest = rest[8 : 8 + length], rest[8 + length :]
            if len(value) != length or rest[:1] != b"\n":
                raise ValueError("a value of another length")
            rest = rest[1:]
        fields[name.decode()] = value
        entry = rest
    return fields


_NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True)


@given(st.dictionaries(_NAMES, st.text(max_size=60), max_size=6))
def test_whatever_a_field_says_it_is_read_back(fields: dict[str, str]) -> None:
    """No value becomes another field: not line ends, equals signs, other fields' names or text that is not UTF-8."""
    found = decode(encode(fields))
    assert found == {name: text.encode("utf-8", "backslashreplace") for name, text in fields.items()}


@given(st.text(max_size=70))
def test_only_what_the_journal_takes_is_a_name(name: str) -> None:
    """The journal would drop another field, or take it for one of its own, which begin with an underscore."""
    fine = name.isascii() and 0 < len(name) <= 64 and set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
    fine = fine and not name.startswith("_") and not name[0].isdigit()
    if fine:
        assert decode(encode({name: "x"})) == {name: b"x"}
    else:
        with pytest.raises(ValueError, match="field"):
            encode({name: "x"})


def test_levels_as_syslog_numbers_them() -> None:
    levels = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
    assert [priority(level) for level in levels] == [7, 6, 4, 3, 2]


class Stand:
    """Takes datagrams as journald does, those in a memfd too."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(5)
        self.sealed = False

    def take(self) -> dict[str, bytes]:
        data, descriptors, _, _ = socket.recv_fds(self.socket, 1 << 20, 1)
        for descriptor in descriptors:
            self.sealed = _sealed(descriptor)
            with os.fdopen(descriptor, "rb") as file:
                file.seek(0)
                data = file.read()
        return decode(data)


def _sealed(descriptor: int) -> bool:
    import fcntl

    wanted = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
    return fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) == wanted


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Stand]:
    stand = Stand(tmp_path / "socket")
    yield stand
    stand.socket.close()


@pytest.fixture
def log(journal: Stand) -> Iterator[logging.Logger]:
    """A logger of its own that writes to the stand-in through the redactor."""
    logger = logging.Logger("hublet.of-a-test", logging.DEBUG)
    handler = JournalHandler(str(journal.path))
    handler.addFilter(Redactor())
    logger.addHandler(handler)
    yield logger
    handler.close()


def test_an_entry_has_its_level_its_place_and_its_event(log: logging.Logger, journal: Stand) -> None:
    log.warning("the Hub\ndoes %s answer", "not", extra={"event": "offline", "event_id": 7})
    found = journal.take()
    assert found["MESSAGE"] == b"the Hub\ndoes not answer"
    assert (found["PRIORITY"], found["SYSLOG_IDENTIFIER"], found["LOGGER"]) == (b"4", b"hublet", b"hublet.of-a-test")
    assert (found["HUBLET_EVENT"], found["HUBLET_EVENT_ID"]) == (b"offline", b"7")
    assert found["CODE_FILE"].endswith(b"test_journal.py")
    assert found["CODE_FUNC"] == b"test_an_entry_has_its_level_its_place_and_its_event"
    assert int(found["CODE_LINE"]) > 1
    log.info("nothing special")
    assert "HUBLET_EVENT" not in journal.take()


def test_no_secret_and_the_whole_traceback(log: logging.Logger, journal: Stand) -> None:
    try:
        raise ValueError("con_" + "x" * 30)
    except ValueError:
        log.exception("it failed with %s", "hublet_" + "y" * 43)
    found = journal.take()
    assert b"xxx" not in b"".join(found.values())
    assert b"yyy" not in b"".join(found.values())
    assert found["MESSAGE"].startswith(b"it failed with hublet_***")
    assert b"Traceback (most recent call last)" in found["MESSAGE"]
    assert b"ValueError: con_***" in found["MESSAGE"]


def test_what_is_too_large_for_a_datagram_comes_as_sealed_memory(log: logging.Logger, journal: Stand) -> None:
    """Journald takes only memory that nobody can change any more."""
    text = "long " * 200_000
    log.info("%s", text)
    assert journal.take()["MESSAGE"] == text.encode()
    assert journal.sealed


def test_where_the_socket_is_not_lines_go_to_stderr_with_their_level(tmp_path: Path) -> None:
    """Each line of a message, as sd-daemon(3) has it."""
    said = io.StringIO()
    handler = JournalHandler(str(tmp_path / "nowhere"), fallback=said)
    handler.emit(logging.LogRecord("hublet", logging.ERROR, "x.py", 1, "one\ntwo", None, None))
    assert said.getvalue() == "<3>hublet: one\n<3>two\n"
    handler.close()


def test_a_full_journal_costs_lines_and_says_how_many(journal: Stand) -> None:
    """It blocks nobody for long, and the next entry that it takes tells how many were lost."""
    handler = JournalHandler(str(journal.path), patience=0.0)
    record = logging.LogRecord("hublet", logging.INFO, "x.py", 1, "line", None, None)
    while not handler.lost:
        handler.emit(record)
    handler.emit(record)
    assert handler.lost == 2
    assert journal.take()["MESSAGE"] == b"line"
    handler.emit(record)
    journal.socket.setblocking(False)
    found = []
    with suppress(BlockingIOError):
        while True:
            found.append(journal.take()["MESSAGE"])
    assert found[-1] == b"line\n(2 lines before this one were lost: the journal was full)"
    assert handler.lost == 0
    handler.close()


def test_the_stream_is_the_journals_only_when_it_is_the_very_one(tmp_path: Path) -> None:
    """A variable that was inherited by a program whose standard error goes elsewhere does not count."""
    with (tmp_path / "err").open("wb") as file:
        info = os.fstat(file.fileno())
        name = f"{info.st_dev}:{info.st_ino}"
        assert is_journal({"JOURNAL_STREAM": name}, file.fileno())
        for other in ("", name + "1", f"{info.st_dev}", "x:y", f"{info.st_dev}:-{info.st_ino}"):
            assert not is_journal({"JOURNAL_STREAM": other}, file.fileno()), other
        assert not is_journal({}, file.fileno())
        gone = os.dup(file.fileno())
        os.close(gone)
        assert not is_journal({"JOURNAL_STREAM": name}, gone)
