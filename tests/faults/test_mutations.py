"""Whether the tests notice: deliberate breakages of judgement, store, door and page, each of which must be caught.

    pytest -m slow tests/faults/test_mutations.py

Each is made in a copy of the source that is put before the real one. Who changes a place that is named here changes the
text here too; who adds a rule adds a breakage of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "hublet"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@dataclass(frozen=True)
class Breakage:
    """`old` becomes `new` once in `file`, and the tests in `caught_by` fail."""

    what: str
    file: str
    old: str
    new: str
    caught_by: str


JUDGEMENT = " ".join(
    sorted(str(file.relative_to(ROOT)) for file in (ROOT / "tests" / "core").glob("test_judgement_*.py"))
)
SEALED, FAULTY = "tests/store/test_sealed_store.py", "tests/store/test_store_faults.py"
HTTP1, MALFORMED, GUARD = "tests/door/test_http1.py", "tests/door/test_malformed.py", "tests/door/test_guard.py"
ENVELOPE, LISTENERS, TOKENS = "tests/core/test_envelope.py", "tests/door/test_listeners.py", "tests/door/test_tokens.py"
STREAMS = "tests/door/test_streams.py"
SNAPSHOT = "tests/core/test_snapshot.py"
REPEAT, REPEATING = "tests/door/test_repeat.py", "tests/serve/test_repeating.py"
ANOTHER_ACCOUNT, FOLDER = "tests/daemon/test_another_account.py", "tests/upstream/test_folder_hub.py"
CONFIRMING, DOUBTING = "tests/core/test_confirming.py", "tests/upstream/test_doubting.py"
PAGE_ADMISSION, PAGE_GUARD = "tests/ui/test_admission.py", "tests/ui/test_guard.py"
PAGE_ROUTES, PAGE_FILES = "tests/ui/test_routes.py", "tests/ui/test_files.py"
ANOTHER_HUB, CHANGING = "tests/serve/test_another_hub.py", "tests/serve/test_changing_tokens.py"
EXPORTED = "tests/export/test_files.py"
REFRESHING, UNASKED = "tests/serve/test_refreshing.py", "tests/daemon/test_unasked.py"

BREAKAGES = (
    # what is judged
    Breakage("one pass withdraws", "core/judgement.py", "first is None or first >= self.now:", "False:", JUDGEMENT),
    Breakage("a whole scope may vanish", "core/judgement.py", "len(missing) == len(old) or ", "", JUDGEMENT),
    Breakage("half a scope may vanish", "core/judgement.py", "max(2, len(old) // 5)", "len(old) // 2", JUDGEMENT),
    Breakage(
        "a broken assistant takes the place of a good one",
        "core/judgement.py",
        "if trouble and isinstance(known, Record) and",
        "if False and isinstance(known, Record) and",
        JUDGEMENT,
    ),
    Breakage("a looser policy counts at once", "core/policy.py", "if not weakened:", "if True:", JUDGEMENT),
    Breakage(
        "a looser policy counts though an organization is gone",
        "core/policy.py",
        "now - looser[1] >= interval and trusted",
        "now - looser[1] >= interval",
        JUDGEMENT,
    ),
    Breakage(
        "one 401 is enough to lock", "core/standing.py", "if unauthorized < 2:", "if unauthorized < 1:", JUDGEMENT
    ),
    Breakage("401 locks at once", "core/standing.py", "now - ledger.refused_at >= RELOCK_AFTER", "True", JUDGEMENT),
    Breakage("a Retry-After has no bound", "core/standing.py", "min(wait, LONGEST_WAIT)", "wait", JUDGEMENT),
    Breakage(
        "organizations vanish without a word",
        "core/judgement.py",
        "if gone and isinstance(known, Record):",
        "if False:",
        JUDGEMENT,
    ),
    Breakage(
        "a 304 confirms what was held or left out",
        "core/confirming.py",
        "and known.content == fact.content",
        "",
        CONFIRMING,
    ),
    Breakage(
        "a validator outlives what it is of",
        "core/state.py",
        "if validator is not before.validators.get(operation) or root(operation) not in touched",
        "",
        CONFIRMING,
    ),
    Breakage(
        "any 304 confirms what is kept",
        "core/confirming.py",
        "if state.ledger.validators.get(operation) == outcome.validator else None",
        "",
        f"{JUDGEMENT} {CONFIRMING}",
    ),
    Breakage(
        "another account's validator is sent", "core/confirming.py", "and validator.asker == asker ", "", CONFIRMING
    ),
    Breakage(
        "what is unchanged is believed for ever",
        "core/validators.py",
        "return 0 <= now - validator.at < LONGEST_BELIEVED * (1 - share / 2)",
        "return True",
        CONFIRMING,
    ),
    Breakage(
        "what is dated in the future is new",
        "core/lifetimes.py",
        "(confirmed_at - AHEAD <= now and now - confirmed_at < lifetime)",
        "now - confirmed_at < lifetime",
        SNAPSHOT,
    ),
    Breakage(
        "what is shown without values is never asked for",
        "serve/api.py",
        "if not answer.is_fresh(now):",
        'if grade == "stale":',
        REFRESHING,
    ),
    Breakage(
        "an organization's secrets are kept in the personal scope",
        "passes/refreshing.py",
        "operation = asker.snapshot.to_ask(operation)",
        "pass",
        REFRESHING,
    ),
    Breakage("a pass that broke off counts as none", "core/standing.py", "if report.broken:", "if False:", UNASKED),
    Breakage(
        "after somebody else's pass no other comes", "schedule.py", "elif self._task is None:", "elif False:", UNASKED
    ),
    Breakage("a pass that had to wait is put off", "schedule.py", "if self._wait() > 0:", "if False:", UNASKED),
    Breakage(
        "a report about another account is judged",
        "passes/sync.py",
        "            if epoch != self._epoch:\n                return Verdict",
        "            if False:\n                return Verdict",
        ANOTHER_ACCOUNT,
    ),
    Breakage(
        "a pass of another account is joined",
        "passes/sync.py",
        "if self._pass_epoch == self._epoch and enough:",
        "if enough:",
        ANOTHER_ACCOUNT,
    ),
    Breakage(
        "the old key is asked with during a fresh login",
        "serve/account.py",
        "                sync.configure(keyless, sync.terms)\n",
        "",
        ANOTHER_ACCOUNT,
    ),
    Breakage(
        "another version's taking apart is good enough",
        "core/validators.py",
        "key.encode(), version.encode())",
        "key.encode())",
        f"{CONFIRMING} tests/upstream/test_known_again.py",
    ),
    Breakage(
        "a folder's files rest",
        "passes/ordering.py",
        "if plan.hub.folder is not None:\n        return 0.0",
        "if False:\n        return 0.0",
        FOLDER,
    ),
    Breakage(
        "a fixed version in a folder stays as it was",
        "passes/ordering.py",
        "direct += resting_packages(state)",
        "pass",
        FOLDER,
    ),
    Breakage(
        "a value expires between passes",
        "passes/ordering.py",
        "_PASSES_IN_TIME = 2.5",
        "_PASSES_IN_TIME = 0.0",
        "tests/daemon/test_unasked.py",
    ),
    Breakage("what was lost stays lost", "store/archive.py", "        if lost:", "        if False:", DOUBTING),
    Breakage(
        "a repair keeps what is lost",
        "store/check.py",
        "plaintext = mended(kept[id])",
        "plaintext = kept[id].plaintext",
        DOUBTING,
    ),
    Breakage("a full sync doubts nothing", "passes/sync.py", "return order if self._doubting else", "return", DOUBTING),
    # what is shown
    Breakage(
        "a lock hides nothing",
        "core/snapshot.py",
        "return wanted and not self.locked and",
        "return wanted and",
        SNAPSHOT,
    ),
    Breakage("nothing expires", "core/snapshot.py", "if expiry <= now:", "if False:", SNAPSHOT),
    # what is kept
    Breakage(
        "records are not bound to their place", "core/envelope.py", "self._associated(kind, id))))", 'b"")))', ENVELOPE
    ),
    Breakage(
        "an older record passes for the last",
        "store/manifest.py",
        "return {id: mark for id, mark in expected.items() if mark != found[id]}",
        "return {}",
        FAULTY,
    ),
    Breakage(
        "missing records are not missed",
        "store/manifest.py",
        'or sha256(b"".join(order)).digest() != self.ids',
        "",
        FAULTY,
    ),
    Breakage(
        "a failed commit leaves half",
        "store/sealed.py",
        'with suppress(sqlite3.Error):\n                connection.execute("ROLLBACK")',
        "pass",
        f"{SEALED} {FAULTY}",
    ),
    Breakage(
        "secrets are kept with their length",
        "store/sealing.py",
        "pad(write.plaintext) if write.kind in padded_kinds else write.plaintext",
        "write.plaintext",
        SEALED,
    ),
    Breakage(
        "old ciphertext stays in the WAL",
        "store/sealed.py",
        "self.scrub_due = self.scrub_due or not had.items() <= marks.items()",
        "pass",
        SEALED,
    ),
    # who is let in, and what is understood
    Breakage(
        "any transfer coding passes",
        "door/reading.py",
        'value.lower() != "chunked" or exchange.old',
        "exchange.old",
        MALFORMED,
    ),
    Breakage(
        "chunked passes in HTTP/1.0",
        "door/reading.py",
        'value.lower() != "chunked" or exchange.old',
        'value.lower() != "chunked"',
        MALFORMED,
    ),
    Breakage(
        "a target may have a fragment",
        "door/reading.py",
        'raise self._refuse(400, "the target has a fragment")',
        "pass",
        MALFORMED,
    ),
    Breakage("any Host is ours", "door/guard.py", "or sent[0].lower() not in hosts", "", GUARD),
    Breakage("web pages are answered", "door/guard.py", '"origin" in names', "False", GUARD),
    Breakage(
        "a flood is parsed without end",
        "door/http1.py",
        "len(self._queue) >= self._limits.waiting_requests",
        "False",
        HTTP1 + " " + STREAMS + " " + LISTENERS,
    ),
    Breakage(
        "a flood leaves nobody a turn",
        "door/http1.py",
        "self._messages - messages >= _answers_a_turn",
        "False",
        "tests/door/test_turns.py",
    ),
    Breakage("an expired token lets in", "door/tokens.py", "now >= self.expires_at", "False", TOKENS),
    # what is sent again
    Breakage("a revoked token goes on", "serve/repeating.py", "or service.tokens is not tokens", "", REPEATING),
    Breakage(
        "an answer outlives its Snapshot", "serve/repeating.py", "or sync.snapshot is not snapshot", "", REPEATING
    ),
    Breakage(
        "an expired token goes on", "serve/api.py", "min(until, identity.until, sync", "min(until, sync", REPEATING
    ),
    Breakage(
        "an answer outlives its second", "serve/repeating.py", "confirmed + age + 1)", "confirmed + age + 2)", REPEATING
    ),
    Breakage("nobody asks whether it holds", "door/http1.py", "if again():", "if True:", REPEAT),
    # where a key may go, and which files are ours
    Breakage("a key goes to any origin", "core/account.py", " and self.origin == origin_of(url)", "", ANOTHER_HUB),
    Breakage("a list leads out of its folder", "export/files.py", "if _is_inside(path)\n", "\n", EXPORTED),
    Breakage("tokens change at once", "serve/service.py", "async with self._changing_tokens:", "if True:", CHANGING),
    # what is shown on the page, and to whom
    Breakage("half a session is enough", "ui/admission.py", " & compare_digest", " | compare_digest", PAGE_ADMISSION),
    Breakage(
        "a link opens the page twice", "ui/admission.py", "        if self.taken:", "        if False:", PAGE_ADMISSION
    ),
    Breakage("another origin asks", "ui/guard.py", "if not _is_ours(head):", "if False:", PAGE_GUARD),
    Breakage("another site asks", "ui/guard.py", "if not _is_from_here(head):", "if False:", PAGE_GUARD),
    Breakage("a page hands on whatever it is sent", "ui/routes.py", "set(value) != set(names)", "False", PAGE_ROUTES),
    Breakage("the page may be framed", "ui/files.py", "frame-ancestors 'none'; ", "", PAGE_FILES),
)


def _broken_copy(breakage: Breakage, where: Path) -> Path:
    """A copy of the source with the breakage in it."""
    package = where / "hublet"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    file = package / breakage.file
    text = file.read_text()
    assert text.count(breakage.old) == 1, f"{breakage.file} must have {breakage.old!r} once: update the breakage here"
    file.write_text(text.replace(breakage.old, breakage.new))
    return where


def _tested(modules: list[str], copy: Path) -> subprocess.CompletedProcess[bytes]:
    words = ["-x", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "-m", "not slow", *modules]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        timeout=170,
        check=False,
    )


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda breakage: breakage.what)
def test_a_breakage_is_caught_by_the_tests_of_its_module(breakage: Breakage, tmp_path: Path) -> None:
    copy = _broken_copy(breakage, tmp_path)
    done = _tested(breakage.caught_by.split(), copy)
    told = done.stdout.decode()
    assert done.returncode == 1, f"{breakage.what}: nobody noticed\n{told[-1500:]}"  # 1: tests ran and some failed
    assert " failed" in told


def test_without_a_breakage_the_same_tests_pass(tmp_path: Path) -> None:
    """Else a breakage would look caught by tests that fail anyway."""
    shutil.copytree(SOURCE, tmp_path / "hublet", ignore=shutil.ignore_patterns("__pycache__"))
    modules = sorted({module for breakage in BREAKAGES for module in breakage.caught_by.split()})
    done = _tested(modules, tmp_path)
    assert done.returncode == 0, done.stdout.decode()[-1500:]


def test_there_are_enough_breakages_and_the_copy_is_what_runs(tmp_path: Path) -> None:
    """A module that is not found where the copy is would make every breakage look caught, or none."""
    assert len(BREAKAGES) >= 12
    assert len({breakage.what for breakage in BREAKAGES}) == len(BREAKAGES)
    shutil.copytree(SOURCE, tmp_path / "hublet", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-c", "import hublet; print(hublet.__file__)"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout.decode().startswith(str(tmp_path))
