"""The config: the table, the file's problems all at once, and where files and directories are looked for."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Literal

import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hublet.config.loading import Config, find_config, judge_file, load_config, parse_config
from hublet.config.locating import user_place
from hublet.config.settings import settings
from hublet.core.errors import ConfigError

example = Path(__file__).parents[1] / "config.example.yaml"
defaults = load_config(None)


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "c.yaml")
    assert caught.value.exit_code == 2
    return [problem.removeprefix("c.yaml:") for problem in caught.value.problems]


def flat(config: Config) -> dict[str, object]:
    return {
        f"{section.name}.{field.name}": getattr(getattr(config, section.name), field.name)
        for section in dataclasses.fields(config)
        for field in dataclasses.fields(getattr(config, section.name))
    }


# --- the table and the example ----------------------------------------------------------------------------------------


def test_the_example_is_exactly_the_defaults_and_names_every_key() -> None:
    """Value by value and key by key, with each key's meaning above it, all of it uncommented."""
    text = example.read_text()
    assert parse_config(text, "example") == defaults
    section, said, found = "", "", {}
    for line in text.splitlines():
        if line.startswith("  # "):
            said += " " + line.removeprefix("  # ")
        elif match := re.fullmatch(r"(  )?(\w+):(?: (.*))?", line):
            if not match[1]:
                section = match[2]
            else:
                found[f"{section}.{match[2]}"] = (match[3], said.strip())
            said = ""
    assert found == {setting.path: (setting.default, setting.doc) for setting in settings}


def test_the_example_says_above_each_section_what_it_is_about() -> None:
    sections = {field.name for field in dataclasses.fields(defaults)}
    assert set(re.findall(r"^# [^\n]+\.\n(\w+):$", example.read_text(), re.MULTILINE)) == sections


def test_the_table_and_the_values_have_the_same_keys() -> None:
    """A key in one of them alone would be read and never used, or used and never read."""
    assert list(flat(defaults)) == [setting.path for setting in settings]


def test_the_defaults_are_the_documented_ones() -> None:
    """The pinned names with their values."""
    values = flat(defaults)
    assert values["hub.url"] == "https://api.continue.dev"
    assert (values["hub.timeout"], values["hub.connect_timeout"], values["hub.size_limit"]) == (30, 5, 64 * 1024**2)
    assert (values["sync.every"], values["sync.proxied"], values["sync.parallel"]) == (900, "auto", 4)
    assert (values["serve.port"], values["serve.access"], values["serve.wait"]) == (3001, "either", 10)
    assert (values["serve.passthrough"], values["serve.passthrough_as_account"]) == ("listed", False)
    assert (values["secrets.max_stale"], values["keys.source"], values["log.level"]) == (604800, "file", "info")
    for path in ("hub.ca_file", "cache.directory", "cache.runtime_directory", "keys.file"):
        assert values[path] is None


def test_given_values_are_taken_and_the_rest_stays() -> None:
    """Block or flow style, quoted or not, empty sections left alone."""
    config = parse_config(
        'hub: {url: "http://localhost:1"}\nsync:\n  every: 90s\nserve:\n  port: 0\ncache:\nlog: null\n', "c"
    )
    assert {path: value for path, value in flat(config).items() if value != flat(defaults)[path]} == {
        "hub.url": "http://localhost:1",
        "sync.every": 90,
        "serve.port": 0,
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null\n", "{}\n", "\ufeff# a mark at the front\n"])
def test_an_empty_file_means_the_defaults(text: str, tmp_path: Path) -> None:
    """As without a file."""
    (tmp_path / "c.yaml").write_text(text)
    assert load_config(tmp_path / "c.yaml") == defaults


def test_paths_are_absolute_or_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative one would depend on who starts the service."""
    monkeypatch.setenv("HOME", "/home/kim")
    config = parse_config(
        "cache: {directory: ~/hub, runtime_directory: /run/x}\nkeys: {file: '~/k'}\nhub: {ca_file: ~}", "c"
    )
    assert config.locate().data == Path("/home/kim/hub")
    assert config.locate().admin_socket == Path("/run/x/admin.sock")
    assert config.locate().key_file == Path("/home/kim/k")
    assert config.hub.ca_file is None
    for value in ("data", "./data", "'~'", "~kim/x", '""', '"/a\\0b"', '"/a\\nb"'):
        assert len(problems(f"cache:\n  directory: {value}")) == 1


# --- problems ---------------------------------------------------------------------------------------------------------


def test_all_problems_are_told_at_once_with_their_lines() -> None:
    """In the order of the file, each with key and line."""
    text = """\
hub: {url: "http://kim:canary@example.com", ca_fil: /x}
sync:
  every: 15
  proxied: on
  every: 10m
  parallel: 012
prot: 3
port: 3001
serve:
  - a
keys: &x
  source: !foo file
log: *x
serve.port: 3
secrets: {max_stale: [1d], 7: 8, ? [a] : b}
colour: green
"""
    assert problems(text) == [
        "1: hub.url: an address has no user name or password: `hublet login` keeps the key",
        "1: hub.ca_fil: unknown key: did you mean ca_file?",
        "3: sync.every: a duration needs a unit: 15s or 15m",
        "4: sync.proxied: must be auto, always or never",
        "5: sync.every: given twice, first in line 3",
        "6: sync.parallel: must be a whole number",
        "7: prot: unknown key: did you mean port below serve?",
        "8: port: unknown key: did you mean port below serve?",
        "10: serve: must hold keys, each on a line of its own below it",
        "11: keys: anchors (&) are not used here",
        "12: keys.source: tags (!) are not used here",
        "13: log: aliases (*) are not used here: write the value itself",
        "14: serve.port: unknown key: did you mean port below serve?",
        "15: secrets: a key must be a word",
        "15: secrets.max_stale: must be a single value",
        "15: secrets.7: unknown key",
        "16: colour: unknown key",
    ]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("hub.timeout: 0s", "must be 1s to 1h"),
        ("hub.timeout: 2h", "must be 1s to 1h"),
        ("hub.timeout: null", "a duration is"),
        ("hub.size_limit: 64", "a size is"),
        ("hub.size_limit: 2GiB", "must be 1KiB to 1GiB"),
        ("hub.url: null", "this is not an address"),
        ("sync.parallel: 0", "must be 1 to 32"),
        ("sync.every: soon", "a duration is"),
        ("serve.port: 65536", "must be 0 to 65535"),
        ("serve.port: -1", "must be a whole number"),
        ("serve.port: 0x10", "must be a whole number"),
        ("serve.access: Token", "must be either, same-user, token or both"),
        ("serve.passthrough_as_account: yes", "must be true or false"),
        ("serve.passthrough_as_account: 'true'", "must be true or false"),
        ("serve.passthrough_as_account:", "must be true or false"),
        ("keys.source: tpm", "must be file, keyring, passphrase or credential"),
        ("keys.passphrase_fd: 1", "must be the number of a descriptor that can be read"),
        ("log.level: loud", "must be debug, info, warning or error"),
    ],
)
def test_each_value_is_held_to_its_grammar(line: str, what: str) -> None:
    """One line, one problem, at that line and key."""
    path, _, value = line.partition(":")
    section, _, key = path.partition(".")
    (problem,) = problems(f"# a comment\n{section}:\n  {key}:{value}\n")
    assert problem.startswith(f"3: {path}: {what}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("hub: {", "1: this is not YAML"),
        ("a: b: c", "1: this is not YAML"),
        ("hub:\n\turl: x", "2: this is not YAML"),
        ("hub:\n  url: \x01", "2: a character that YAML does not allow"),
        ("hub:\n---\nsync:", "2: a second document"),
        ("- hub", "1: must hold keys"),
        ("hub", "1: must hold keys"),
        ("[" * 30_000, "1: this is nested too deeply"),
        ("{a: " * 15_000, "1: this is nested too deeply"),
        ("- " * 30_000, "1: this is nested too deeply"),
        ("<<: {hub: {}}", "1: <<: unknown key"),
    ],
)
def test_what_is_not_a_config_at_all_is_a_problem_too(text: str, problem: str) -> None:
    """With its line, and without ending the process: a YAML bomb is refused while it is being read."""
    (told,) = problems(text)
    assert told.startswith(problem)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("null", None),
        ("/home/kim/own.env", Path("/home/kim/own.env")),
        ('[op, read, "op://x/{name}"]', ("op", "read", "op://x/{name}")),
        ("\n  - pass\n  - show\n  - hublet/{name}", ("pass", "show", "hublet/{name}")),
    ],
)
def test_an_override_is_a_file_or_a_list_of_words(override: str, value: object) -> None:
    """A program and its arguments, one of which has the secret's name; never a line for a shell."""
    assert parse_config(f"secrets:\n  override: {override}\n", "c").secrets.override == value


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("override: pass show x", "override: must be an absolute path"),
        ("override: []", "override: a command is a list of words"),
        ("override: [op, read]", "override: one of the program's arguments must hold {name}"),
        ("override: ['{name}', x]", "override: one of the program's arguments must hold {name}"),
        ("override: [op, [a], '{name}']", "override: must be a list of words"),
        ("override: {op: x}", "override: must be a single value"),
        ("override_environment: HOME", "override_environment: must be a list, such as"),
        ("override_environment: [A=1]", "override_environment: must be a list of names"),
        ("override_timeout: 0s", "override_timeout: must be 1s to 2m"),
    ],
)
def test_what_can_be_no_override_is_a_problem(line: str, what: str) -> None:
    (problem,) = problems(f"secrets:\n  {line}\n")
    assert problem.startswith(f"2: secrets.{what}")


def test_a_bomb_of_aliases_is_refused_without_being_expanded() -> None:
    """Each alias is one problem, whatever it stands for."""
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
    )
    assert len(problems(bomb)) == 21 + 21 + 40


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_a_config_or_a_list_of_problems(text: str) -> None:
    """Nothing but ConfigError, each problem one line with its place."""
    told: tuple[str, ...] = ()
    try:
        parse_config(text, "c.yaml")
    except ConfigError as error:
        told = error.problems
    assert all(re.match(r"c\.yaml:\d+: .*\Z", problem) for problem in told)


# --- the file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o777])
def test_a_file_that_others_can_change_is_refused(tmp_path: Path, mode: int) -> None:
    """It names where the account's key is sent."""
    path = tmp_path / "c.yaml"
    path.write_text("")
    path.chmod(mode)
    with pytest.raises(ConfigError, match="can be changed by others"):
        load_config(path)
    path.chmod(0o644)
    assert load_config(path) == defaults


def test_a_file_must_belong_to_us_or_to_root(tmp_path: Path) -> None:
    """Whatever its mode is."""
    (tmp_path / "c.yaml").write_text("")
    values = list((tmp_path / "c.yaml").stat())
    for owner, uid, trusted in ((1000, 1000, True), (0, 1000, True), (1001, 1000, False), (1000, 0, False)):
        values[4] = owner
        assert (judge_file(os.stat_result(values), uid) is None) == trusted


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    """A directory, and a pipe that nobody writes into."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ConfigError, match=r"not a regular file|can't be read"):
            load_config(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"hub:\n  url: \xff\n", "c.yaml:2: this is not UTF-8"), (b"#" * 70_000, "c.yaml: is larger than 65536 bytes")],
)
def test_bytes_that_are_no_text_and_too_many_of_them_are_problems(tmp_path: Path, content: bytes, problem: str) -> None:
    """Each said with the file's name."""
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "c.yaml")
    assert caught.value.problems == (f"{tmp_path}/{problem}",)


def test_the_flag_goes_before_the_environment_and_that_before_the_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of them that is named is used. Only the platform's file may be missing."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    flag, named = tmp_path / "flag.yaml", tmp_path / "named.yaml"
    flag.write_text("")
    named.write_text("")
    assert find_config(flag, {"HUBLET_CONFIG": str(named)}) == flag
    assert find_config(None, {"HUBLET_CONFIG": str(named)}) == named
    assert find_config(None, {"HUBLET_CONFIG": ""}) is None
    assert find_config(None, {}) is None
    for given_flag, environ in ((tmp_path / "none.yaml", {}), (None, {"HUBLET_CONFIG": str(tmp_path / "none.yaml")})):
        with pytest.raises(ConfigError, match=r"none\.yaml: there is no such file"):
            find_config(given_flag, environ)


@pytest.mark.skipif(sys.platform == "darwin", reason="the XDG variables are Linux's")
def test_directories_are_the_platforms_unless_they_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data, key and runtime directories are three places, and nothing is made by asking."""
    home = tmp_path / "home"
    for variable, folder in (("DATA", "share"), ("STATE", "state"), ("CONFIG", "config")):
        monkeypatch.setenv(f"XDG_{variable}_HOME", str(home / folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    places = defaults.locate()
    assert places.data == home / "share" / "hublet"
    assert places.key_file == home / "state" / "hublet-key" / "kek"
    assert places.runtime == home / "run" / "hublet"
    (tmp_path / "config" / "hublet").mkdir(parents=True)
    assert not home.exists()
    for lost in ("", "relative"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", lost)
        assert defaults.locate().runtime in (places.data / "run", Path(f"/run/user/{os.getuid()}/hublet"))
    (home / "config" / "hublet").mkdir(parents=True)
    (home / "config" / "hublet" / "config.yaml").symlink_to(home / "nowhere")
    with pytest.raises(ConfigError, match="can't be read"):
        load_config(find_config(None, {}))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the library is always asked")
@pytest.mark.parametrize("home", [None, "/home/a", "relative", ""])
@pytest.mark.parametrize("xdg", [None, "/x/y", "/x/y/", "relative", "", " ", "~/x"])
@pytest.mark.parametrize("kind", ["config", "data", "state"])
def test_a_place_is_the_same_with_and_without_the_library(
    kind: Literal["config", "data", "state"], xdg: str | None, home: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("HOME", home), (f"XDG_{kind.upper()}_HOME", xdg)):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    library = getattr(platformdirs, f"user_{kind}_path")("hublet", appauthor=False)
    assert user_place(kind, "hublet") == library


def test_the_defaults_need_no_yaml() -> None:
    """Importing the config and having no file loads neither YAML nor cryptography nor SQLite."""
    code = (
        "import sys; from hublet.config.loading import load_config; load_config(None);"
        "print(sorted({'yaml', 'cryptography', 'sqlite3', 'platformdirs', 'difflib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "[]\n"
