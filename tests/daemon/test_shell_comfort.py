"""Completions in the real shells, the manual page by the real formatters, what a terminal sees and a pipe does not."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
import pytest

from hublet.cli.main import cli
from hublet.config.settings import settings
from hublet.demo.data import DEMO_KEY
from hublet.demo.faults import SlowDrip
from hublet.demo.server import HubServer
from tests.clients.terminal import Terminal
from tests.running import HUBLET, Home, missing

ESCAPE = b"\x1b"


@pytest.fixture
def installed(home: Home) -> Home:
    """A home with `hublet` on its PATH, as pipx would have put it there."""
    folder = home.path / "bin"
    folder.mkdir()
    program = folder / "hublet"
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom hublet.cli.main import main\nsys.exit(main())\n")
    program.chmod(0o755)
    home.environment["PATH"] = f"{folder}:/usr/bin:/bin"
    for shell in ("bash", "zsh", "fish"):
        (home.path / f"completion.{shell}").write_bytes(home.hublet("completion", shell).stdout)
    home.own()
    return home


def completed(home: Home, *words: str) -> list[str]:
    """What hublet answers to a shell that completes the last of these words."""
    environment = {"_HUBLET_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(("hublet", *words))}
    done = home.start_and_wait([*HUBLET], env={**environment, "COMP_CWORD": str(len(words))}, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    return [line.partition(",")[2] for line in done.stdout.decode().splitlines() if line]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "before"),
    [
        (("bash", "--norc", "--noprofile", "-i"), "source completion.bash"),
        (("zsh", "-f", "-i"), "autoload -Uz compinit && compinit -u -D; source completion.zsh"),
    ],
)
def test_the_shell_completes_commands_and_options(installed: Home, words: tuple[str, ...], before: str) -> None:
    """Typed into an interactive shell: a command, one below it, an option, a choice."""
    if why := missing(words[0]):
        pytest.skip(why)
    with Terminal(installed, list(words), {"PS1": "> ", "HISTFILE": "/dev/null"}) as terminal:
        terminal.type(f"{before}; echo rea''dy\n")
        terminal.wait_for("ready")
        for begun, rest in (
            ("hublet quaran", "hublet quarantine "),
            ("hublet token revo", "hublet token revoke "),
            ("hublet status --js", "hublet status --json "),
            ("hublet keys move passph", "hublet keys move passphrase "),
        ):
            at = len(terminal.text)
            terminal.type(f"{begun}\t")
            terminal.wait_for(rest, after=at)
            terminal.type("\x15")  # the line is not meant to be run


@pytest.mark.skipif(bool(missing("fish")), reason=missing("fish") or "there")
def test_fish_completes_commands_and_tells_what_they_do(installed: Home) -> None:
    """fish answers without a terminal: the candidates, and each one's help."""
    said = installed.start_and_wait(["fish", "-N", "-c", 'source completion.fish; complete -C "hublet quaran"']).stdout
    assert said.decode().startswith("quarantine\t")
    said = installed.start_and_wait(["fish", "-N", "-c", 'source completion.fish; complete -C "hublet run --"']).stdout
    assert "--debug" in said.decode()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_the_shell_can_read(installed: Home, shell: str) -> None:
    """And it is printed without asking any shell how old it is."""
    if why := missing(shell):
        pytest.skip(why)
    done = installed.start_and_wait([shell, "-n", f"completion.{shell}"])
    assert (done.returncode, done.stderr) == (0, b"")
    assert "_HUBLET_COMPLETE" in (installed.path / f"completion.{shell}").read_text()


@pytest.mark.slow
def test_names_are_asked_of_a_running_daemon(home: Home) -> None:
    """Assistants, tokens and secrets; but none with a space or a sign that a shell would take for something else."""
    with home.daemon(env={"CONTINUE_API_KEY": DEMO_KEY}):
        assert home.hublet("sync").returncode == 0
        for name in ("ci-box", "cellar", "two words", "$(reboot)"):
            assert home.hublet("token", "--name", name).returncode == 0
        assert completed(home, "token", "revoke", "") == ["cellar", "ci-box"]
        assert completed(home, "token", "revoke", "ci") == ["ci-box"]
        assert "dana/rust-smith" in completed(home, "log", "dana/")
        assert "LLM_KEY" in completed(home, "secrets", "get", "L")
        assert completed(home, "quarantine", "accept", "") == []
    assert completed(home, "token", "revoke", "") == [], "without a daemon the store is not opened for this"


@contextmanager
def silent(path: Path) -> Iterator[None]:
    """A daemon that takes every connection and never answers."""
    held = []
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        path.chmod(0o777)
        sock.listen()

        def take() -> None:
            with suppress(OSError):
                while True:
                    held.append(sock.accept()[0])

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        try:
            yield
        finally:
            sock.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for each in held:
                each.close()


def test_a_daemon_that_hangs_and_a_config_that_is_broken_complete_nothing(home: Home) -> None:
    """No waiting, no message in the middle of somebody's line; commands are completed all the same."""
    home.runtime.mkdir(mode=0o755)
    with silent(home.runtime / "admin.sock"):
        assert completed(home, "token", "revoke", "") == []
    home.config.write_text("nonsense: [")
    assert completed(home, "token", "revoke", "") == []
    assert completed(home, "quaran") == ["quarantine"]


# The manual page


def commands(group: click.Group, path: str = "hublet") -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("man") / "hublet.1"
    file.write_bytes(subprocess.run([*HUBLET, "man"], capture_output=True, check=True).stdout)
    return file


@pytest.mark.parametrize(
    "words",
    [("groff", "-man", "-ww", "-Tutf8", "-z"), ("man", "--warnings=w", "--local-file")],
    ids=lambda words: words[0],
)
def test_the_manual_page_is_formatted_without_a_warning(page: Path, words: tuple[str, ...]) -> None:
    if why := missing(words[0]):
        pytest.skip(why)
    env = {"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LANG": "C.UTF-8"}
    done = subprocess.run([*words, str(page)], capture_output=True, check=False, env=env)
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_the_manual_page_has_every_command_option_setting_and_exit_code(page: Path) -> None:
    """It is made from the same help that `--help` prints, and can't fall behind."""
    text = page.read_text().replace(r"\-", "-").replace(r"\(aq", "'").replace(r"\(ga", "`")
    for path, command in commands(cli):
        section = text.partition(f".SS {path}\n")[2].partition("\n.S")[0]
        assert section or f".SS {path}\n" in text, path
        for param in command.params:
            for name in param.opts if isinstance(param, click.Option) else ():
                assert name in section, (path, name)
        assert (command.get_short_help_str(300).split(".")[0]).split()[0] in section
    for setting in settings:
        assert rf"\fB{setting.path}: {setting.default}\fR" in text
    for code in range(16):
        assert re.search(rf"\\fB{code}\\fR\n[A-Z]", text), code
    assert text == text.encode("ascii").decode(), "what is not ASCII has to be an escape"


# Progress and colours


@pytest.mark.slow
def test_a_terminal_sees_progress_and_a_pipe_does_not(home: Home, hub_server: HubServer) -> None:
    """login's first sync, sync, and a change of the key, on a Hub that takes its time: a bar that is gone at the end.
    The same in a pipe is lines of words."""
    slow = hub_server.hub.failing(SlowDrip(bytes_per_second=3000), "/ide/policy")
    with slow, Terminal(home, [*HUBLET, "login"], {}) as terminal:
        terminal.wait_for("Hub key")
        terminal.type(f"{DEMO_KEY}\n")
        terminal.wait_for("asking the Hub", within=60)
        terminal.wait_for("questions answered", within=60)
        assert ESCAPE in terminal._drawn
    with Terminal(home, [*HUBLET, "sync"], {}) as terminal:
        terminal.wait_for("asking the Hub", within=60)
        terminal.wait_for("questions answered", within=60)
    with Terminal(home, [*HUBLET, "keys", "rotate"], {}) as terminal:
        terminal.wait_for("sealing everything anew", within=60)
        terminal.wait_for("The cache has a new key", within=60)
    with Terminal(home, ["env", "TERM=dumb", *HUBLET, "sync"], {}) as terminal:
        terminal.wait_for("questions answered", within=60)
        assert "asking the Hub" not in terminal.text
        assert ESCAPE not in terminal._drawn
    for line in ("sync", "keys rotate", "status", "secrets", "audit", "quarantine", "config check", "store check"):
        words = line.split()
        done = home.hublet(*words, env={"TERM": "xterm-256color"})
        assert done.returncode == 0, (words, done.stderr)
        assert ESCAPE not in done.stdout + done.stderr, words
        assert b"asking the Hub" not in done.stderr


@pytest.mark.slow
def test_no_color_is_kept_to_on_a_terminal(home: Home) -> None:
    """https://no-color.org: no colours and no bold in what the commands draw; a bar may still move the cursor."""
    home.login(DEMO_KEY)
    for words in (["sync"], ["secrets"], ["status"], ["diff", "dana/rust-smith"]):
        with Terminal(home, [*HUBLET, *words], {"NO_COLOR": "1"}) as terminal:
            while terminal._process.poll() is None:
                terminal.watch(0.05)
            assert terminal.text
            drawn = bytes(terminal._drawn)
        colours = re.findall(rb"\x1b\[((?:\d+;)*(?:3[0-9]|4[0-9]|9[0-7]|10[0-7])[\d;]*)m", drawn)
        assert colours == [], words
