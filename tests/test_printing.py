"""What commands print: many things at once, and what came from elsewhere as text."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hublet.cli.main import cli
from hublet.cli.printing import printable, together

HOSTILE = "\x1b]52;c;Y3VybA==\x07\x1b[2J\x9b1macme\u202e"
"""What a Hub may say to set the clipboard, clear the screen, or turn the writing round."""


def test_few_lines_of_one_reason_stay_as_they_are() -> None:
    """Up to three are named in full, each on its line."""
    assert together([("policy", "no"), ("icons", "yes"), ("lists", "no")]) == ["policy: no", "lists: no", "icons: yes"]


def test_many_lines_of_one_reason_become_one() -> None:
    """A Hub that is away is one line, not thirty."""
    lines = together([(f"question {n}", "could not connect") for n in range(30)] + [("policy", "weaker")])
    assert lines == ["question 0, question 1, question 2 and 27 more: could not connect", "policy: weaker"]


class Says:
    """A daemon that hands on what a hostile Hub has said."""

    running = True

    def __init__(self, answer: dict[str, object]) -> None:
        self._answer = answer

    def call(self, *_: object, **__: object) -> dict[str, object]:
        return self._answer


@contextmanager
def at_the_api(answers: dict[str, object]) -> Iterator[int]:
    """The same at the loopback API: these bodies by path, and for all else a 404 with a hostile message; the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path)
            body = json.dumps(found or {"message": f"{HOSTILE}\nok       policy (IDE)"}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def run(tmp_path: Path, *words: str) -> Result:
    config = tmp_path / "config.yaml"
    config.touch(mode=0o600)
    config.write_text(f"cache:\n  directory: {tmp_path / 'data'}\n  runtime_directory: {tmp_path / 'run'}\n")
    done = CliRunner().invoke(cli, ["--config", str(config), *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def answering(monkeypatch: pytest.MonkeyPatch, module: str, answer: dict[str, object]) -> None:
    @contextmanager
    def connected(*_: object, **__: object) -> Iterator[Says]:
        yield Says(answer)

    monkeypatch.setattr(f"hublet.cli.{module}.connected", connected)


def assert_harmless(text: str) -> None:
    assert "acme" in text
    assert text == printable(text)


def test_point_shows_what_the_hub_says_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An organization's slug and the reason of a refusal; each is one line, which can't pretend to be another."""
    organizations = {"organizations": [{"id": "org1", "name": "x", "slug": HOSTILE}]}
    answering(monkeypatch, "point", {})
    with at_the_api({"/ide/list-organizations": organizations}) as port:
        monkeypatch.setattr("hublet.cli.point.prove_ours", lambda *_: port)
        done = run(tmp_path, "point", "--check")
    assert_harmless(done.stdout)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["missing", "ok", *["missing"] * 4]


def test_pin_shows_what_the_hub_says_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of an organization."""
    answering(monkeypatch, "history", {"revision": "abc", "until": None, "left": [HOSTILE]})
    done = run(tmp_path, "pin", "acme/dev@abc")
    assert_harmless(done.stdout)
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize("value", ["plain", "two\nlines\twith a tab", "gr\u00fc\u00df"])
def test_a_secrets_value_is_printed_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    done = got(tmp_path, monkeypatch, value)
    assert (done.stdout, done.stderr) == (f"{value}\n", "")


def test_a_secrets_value_does_not_steer_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And that it was changed for that is said."""
    done = got(tmp_path, monkeypatch, HOSTILE)
    assert_harmless(done.stdout)
    assert "marks" in done.stderr


def got(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> Result:
    """What `hublet secrets get` prints at a terminal."""
    terminal: Any = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr("hublet.cli.secrets.sys", SimpleNamespace(stdin=terminal, stdout=terminal))
    answering(monkeypatch, "secrets", {"value": value})
    return run(tmp_path, "secrets", "get", "KEY")


@pytest.mark.parametrize("command", ["log", "quarantine show x", "status"])
def test_json_is_the_same_value_and_harmless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Also what JSON would let through: controls above ASCII, and what turns the writing round."""
    said = {"what": HOSTILE, "title": "Stra\u00dfe \u2601"}
    words = command.split()
    module = {"log": "history"}.get(words[0], words[0])
    answering(monkeypatch, module, {"entries": said, "held": said, "status": said})
    done = run(tmp_path, *words, "--json")
    assert_harmless(done.stdout)
    found = json.loads(done.stdout)
    assert said in (found, found.get("status"))
    assert "Stra\u00dfe" in done.stdout
