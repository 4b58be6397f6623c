"""What is noted, how it gathers, when it is written, and what is lost."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from hublet.core import operations as ops
from hublet.core.envelope import Envelope, Key
from hublet.core.errors import StoreError
from hublet.core.questions import Assistant, Fqsn, Policy, Question, Secret, Slug
from hublet.door.audit import AuditFile, Syslog, Who
from hublet.serve import auditing
from hublet.serve.auditing import Audit, id_of

who = Who("api", "same-user", 1000)
envelope = Envelope(Key(b"d" * 32), b"u" * 16)
SLUG = Slug("acme", "secret-plan")


def audit_at(path: Path, **more: Any) -> Audit:
    return Audit(AuditFile(path / "audit.log"), lambda: 99.0, lambda question: id_of(envelope, question), **more)


def written(path: Path) -> list[dict[str, Any]]:
    return list(AuditFile(path / "audit.log").read())


def test_equal_notes_become_one_line_with_their_number(tmp_path: Path) -> None:
    """Whoever, whatever or however else is another line."""

    async def main() -> None:
        audit = audit_at(tmp_path)
        for at in range(1000):
            audit.note(float(at), who, ops.GetPolicy(), "answered", "fresh")
        audit.note(5.0, who, ops.GetPolicy(), "answered", "stale")
        audit.note(6.0, Who("socket", "same-user", 1000, 7, "x"), ops.GetPolicy(), "answered", "fresh")
        await audit.close()

    asyncio.run(main())
    lines = written(tmp_path)
    assert [(line.get("count"), line["detail"], line["door"]) for line in lines] == [
        (1000, "fresh", "api"), (None, "stale", "api"), (None, "fresh", "socket"),
    ]  # fmt: skip
    assert (lines[0]["time"], lines[0]["last"]) == ("1970-01-01T00:00:00.000Z", "1970-01-01T00:16:39.000Z")


def test_no_name_stands_in_a_line(tmp_path: Path) -> None:
    """The kind of a Question and of its scope in clear, the Question itself as an id that only the key can make."""
    fqsn = Fqsn((SLUG,), "OPENAI_KEY")
    asked: list[tuple[ops.Operation, str, str, list[Question]]] = [
        (ops.GetAssistant(None, False, SLUG), "get-assistant", "personal", [Assistant(None, False, SLUG)]),
        (ops.GetAssistant("org_1", False, SLUG), "get-assistant", "organization", [Assistant("org_1", False, SLUG)]),
        (ops.SyncSecrets.of("org_1", (fqsn, fqsn)), "sync-secrets", "organization", [Secret("org_1", fqsn)] * 2),
        (ops.SyncSecrets(None, "acme", ()), "sync-secrets", "organization", []),
        (ops.GetPolicy(), "policy", "", [Policy()]),
        (ops.GetBlock(SLUG, "1.0.0"), "registry", "", []),
        (ops.DownloadPackage(SLUG, "1.0.0"), "download", "", []),
        (ops.GetAuthScope(), "auth/scope", "", []),
    ]

    async def main() -> None:
        audit = audit_at(tmp_path)
        for at, (operation, *_) in enumerate(asked):
            audit.note(float(at), who, operation, "answered", "fresh")
        await audit.close()

    asyncio.run(main())
    for line, (_, what, scope, questions) in zip(written(tmp_path), asked, strict=True):
        assert (line["what"], line.get("scope", "")) == (what, scope)
        if questions:
            assert line["ids"] == [id_of(envelope, question) for question in questions]
    text = (tmp_path / "audit.log").read_text()
    assert not any(word in text for word in ("acme", "secret-plan", "OPENAI", "org_1", "1.0.0"))


def test_an_id_is_not_that_of_the_record() -> None:
    """And another store's, or the same store's after its key was replaced, is another one."""
    question = Assistant(None, False, SLUG)
    from hublet.core.questions import to_text

    assert not envelope.identify(to_text(question).encode()).hex().startswith(id_of(envelope, question))
    assert id_of(envelope, question) != id_of(Envelope(Key(b"e" * 32), b"u" * 16), question)
    assert len(id_of(envelope, question)) == 32


def test_a_note_writes_nothing_and_wakes_nobody_while_there_is_none(tmp_path: Path) -> None:
    """One timer while something waits, none otherwise; then all of it is written together."""

    async def main() -> None:
        audit = audit_at(tmp_path, every=0.1)
        assert audit._timer is None
        for _ in range(10):
            audit.note(1.0, who, "policy", "refused", "host")
        assert not (tmp_path / "audit.log").exists()
        timer = audit._timer
        assert timer is not None
        await asyncio.sleep(0.3)
        assert len(written(tmp_path)) == 1
        assert audit._timer is None
        await audit.close()

    asyncio.run(main())


def test_a_note_costs_microseconds(tmp_path: Path) -> None:
    """Folding included: the hot path is an append."""

    async def main() -> float:
        audit, operation = audit_at(tmp_path), ops.ListAssistants(None)
        began = time.process_time()
        for _ in range(20_000):
            audit.note(1.0, who, operation, "answered", "fresh")
        took = time.process_time() - began
        assert len(audit._recent) < auditing._UNFOLDED
        await audit.close()
        return took / 20_000

    assert asyncio.run(main()) < 50e-6


def test_many_different_notes_are_written_before_their_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What gathers is bounded."""
    monkeypatch.setattr(auditing, "_FOLDED", 100)
    monkeypatch.setattr(auditing, "_UNFOLDED", 10)

    async def main() -> None:
        audit = audit_at(tmp_path)
        for number in range(120):
            audit.note(1.0, Who("api", uid=number), "policy", "refused", "host")
        await asyncio.sleep(0.2)
        assert len(written(tmp_path)) >= 100
        await audit.close()
        assert len(written(tmp_path)) == 120

    asyncio.run(main())


def test_what_can_t_be_written_is_kept_up_to_a_limit_and_what_is_lost_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Said once in the log; in the audit log itself, how many are missing."""
    monkeypatch.setattr(auditing, "_MOST", 50)
    monkeypatch.setattr(auditing, "_UNFOLDED", 10)

    async def main() -> None:
        audit = audit_at(tmp_path)
        (tmp_path / "audit.log").mkdir()
        for number in range(80):
            audit.note(1.0, Who("api", uid=number), "policy", "refused", "host")
        await audit.flush()
        await audit.flush()
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert audit.lost == 30
        (tmp_path / "audit.log").rmdir()
        await audit.close()

    asyncio.run(main())
    lines = written(tmp_path)
    assert len([line for line in lines if line["what"] == "policy"]) == 50
    assert [line["detail"] for line in lines if line["what"] == "lost"] == ["30 notes"]


def test_what_reveals_is_on_the_disk_before_it_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what came before it, and fsync; an error is the caller's to heed."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))

    async def main() -> None:
        audit = audit_at(tmp_path)
        audit.note(1.0, who, "policy", "refused", "host")
        await audit.record(who, "token make", "begun", about="zed")
        assert [line["what"] for line in written(tmp_path)] == ["policy", "token make"]
        assert synced == [(tmp_path / "audit.log").stat().st_size]
        (tmp_path / "audit.log").unlink()
        (tmp_path / "audit.log").mkdir()
        with pytest.raises(StoreError):
            await audit.record(who, "token make", "begun")
        await audit.close()

    asyncio.run(main())


def test_the_systems_log_gets_the_same_lines_when_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that is not there costs a warning, once, and no line of the file."""

    async def main(syslog: Syslog) -> None:
        audit = audit_at(tmp_path, syslog=lambda: syslog)
        await audit.record(who, "login", "answered")
        await audit.record(who, "lock", "answered")
        await audit.close()

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as system:
        system.bind(str(tmp_path / "log"))
        asyncio.run(main(Syslog(str(tmp_path / "log"))))
        said = [json.loads(system.recv(2000).partition(b": ")[2]) for _ in range(2)]
    assert said == written(tmp_path)
    asyncio.run(main(Syslog(str(tmp_path / "none"))))
    assert len(written(tmp_path)) == 4
    assert len(caplog.records) == 1
