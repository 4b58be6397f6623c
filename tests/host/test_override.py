"""The user's own values: what is read from an env file, and from a command, which may fail, hang or write too much."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.host.override import Hopeless, OverrideFailed, ask_command, is_name, read_env_file

CANARY = "canary-own-3be71f88"


def env_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "own.env"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_an_env_file_is_read_as_people_write_them(tmp_path: Path) -> None:
    """Comments, export, quotes of both kinds; without quotes the whole line counts."""
    found = read_env_file(
        env_file(
            tmp_path,
            "\ufeff# mine\n\nA=plain\nexport B = spaced out \nC='single # \\n'\n"
            'D="double \\"x\\" \\n \\\\ #"\nE=9#k4\nF=\nG=a=b\nU=schlüssel-鍵\n',
        )
    )
    assert {name: value.reveal() for name, value in found.items()} == {
        "A": "plain", "B": "spaced out", "C": "single # \\n", "D": 'double "x" \n \\ #', "E": "9#k4", "F": "",
        "G": "a=b", "U": "schlüssel-鍵",
    }  # fmt: skip
    assert "plain" not in repr(found)


@pytest.mark.parametrize(
    "line", [CANARY, f"='{CANARY}'", f"A='{CANARY}", f'A="{CANARY}', f'A="{CANARY}"x"', f"A-B: {CANARY}"]
)
def test_a_line_that_makes_no_sense_is_an_error_without_the_value(tmp_path: Path, line: str) -> None:
    """The error has the number of the line. Nothing of the file is used then."""
    with pytest.raises(OverrideFailed) as caught:
        read_env_file(env_file(tmp_path, f"OK=1\n{line}\n"))
    assert re.search(r"own\.env:2: not of the form NAME=value", str(caught.value))
    assert CANARY not in str(caught.value)


def test_a_file_that_is_not_ours_alone_is_refused(tmp_path: Path) -> None:
    """Because of its mode or owner, or because it is a link, no file, too large, not text or missing."""

    def refused(match: str, path: Path) -> None:
        with pytest.raises(OverrideFailed, match=match):
            read_env_file(path)

    for mode in (0o640, 0o604, 0o620, 0o644):
        refused("can be used by others", env_file(tmp_path, "A=1\n", mode))
    path = env_file(tmp_path, "A=1\n")
    (tmp_path / "link").symlink_to(path)
    refused("can't be read", tmp_path / "link")
    refused("not a regular file|can't be read", tmp_path)
    refused("can't be read: No such file", tmp_path / "none")
    os.mkfifo(tmp_path / "pipe", 0o600)
    refused("not a regular file", tmp_path / "pipe")
    refused("is larger than", env_file(tmp_path, "#" * (1024 * 1024 + 1)))
    path.write_bytes(b"A=\xff")
    refused("is not UTF-8", path)
    if os.getuid() == 0:
        path.write_text("A=1")
        os.chown(path, 64100, 64100)
        refused("belongs to another user", path)


@given(st.text(max_size=40))
def test_a_name_can_be_neither_an_option_nor_a_path(name: str) -> None:
    if is_name(name):
        assert not name.startswith(("-", ".", "/"))
        assert "/" not in name
        assert ".." not in name
        assert name.isascii()
        assert name.isprintable()


@pytest.mark.parametrize("name", ["", "-x", "a/b", "../a", "a..b", "a b", "a\nb", "$(id)", "é", "a" * 129, "{name}"])
def test_such_names_are_never_asked_for(name: str) -> None:
    assert not is_name(name)


# Commands


def command(code: str, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import os, sys, time, subprocess\n{code}", *words, "{name}")


def ask(
    words: tuple[str, ...], name: str = "KEY", environment: Mapping[str, str] | None = None, limit: float = 20
) -> str:
    return asyncio.run(ask_command(words, name, environment or {}, limit)).reveal()


def test_the_first_line_of_a_command_is_the_value() -> None:
    """Without its line end. Blanks in it count; later lines do not."""
    assert ask(command("print('a value '); print('more')")) == "a value "
    assert ask(command("sys.stdout.write('no newline')")) == "no newline"
    assert ask(command("sys.stdout.write('windows\\r\\n')")) == "windows"


def test_the_name_is_one_argument_and_no_shell_sees_it() -> None:
    """`{name}` may be a whole argument or a part of one, in any place."""
    words = command("print(sys.argv[1:])", "op://x/{name}", "; echo {name} $HOME `id`", "*")
    assert ask(words, "A.B-c_1") == "['op://x/A.B-c_1', '; echo A.B-c_1 $HOME `id`', '*', 'A.B-c_1']"


def test_the_environment_is_the_named_one_and_nothing_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable, no descriptor, no terminal, no working directory of ours."""
    monkeypatch.setenv("CONTINUE_API_KEY", CANARY)
    said = ask(
        command("print(sorted(set(os.environ) - {'LC_CTYPE'}), os.getcwd(), sys.stdin.read())"),
        environment={"HOME": "/x"},
    )
    assert said == "['HOME'] / "
    with open(os.devnull) as file:  # noqa: PTH123
        os.set_inheritable(file.fileno(), True)
        assert ask(command("print(len(os.listdir('/proc/self/fd')))")) == "4"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("print('x'); sys.exit(3)", "ended with 3"),
        ("os.kill(os.getpid(), 9)", "ended with -9"),
        ("", "wrote nothing"),
        ("print()", "wrote nothing"),
        ("sys.stdout.buffer.write(b'\\xff\\n')", "not UTF-8"),
        ("print('x' * 200000)", "wrote a line of more than"),
    ],
)
def test_a_failing_command_says_why_and_nothing_it_wrote(code: str, why: str) -> None:
    """Not even on standard error: that could quote anything."""
    with pytest.raises(OverrideFailed, match=why) as caught:
        ask(command(f"print({CANARY!r}, file=sys.stderr)\n{code}"))
    assert CANARY not in str(caught.value)
    assert not isinstance(caught.value, Hopeless)


def test_a_program_that_is_not_there_is_hopeless() -> None:
    """Asking for the next name would fail in the same way."""
    for program in ("/nonexistent/op", "no-such-program-at-all"):
        with pytest.raises(Hopeless, match="can't be started"):
            ask((program, "{name}"), environment={"PATH": "/usr/bin:/bin"})


@pytest.mark.parametrize("code", ["time.sleep(60)", "subprocess.Popen(['sleep', '61.25']); time.sleep(60)"])
def test_a_command_that_hangs_is_killed_with_its_children(code: str) -> None:
    """In time, and nothing of it is left."""
    begun = time.monotonic()
    with pytest.raises(Hopeless, match=r"took longer than 0\.6 s"):
        ask(command(code, "a-word-to-be-found"), limit=0.6)
    assert time.monotonic() - begun < 5
    words = [_words(path) for path in Path("/proc").iterdir() if path.name.isdigit()]
    assert not [line for line in words if "a-word-to-be-found" in line or "61.25" in line]


def _words(process: Path) -> str:
    try:
        return (process / "cmdline").read_text(errors="replace")
    except OSError:
        return ""
