"""The table of all config keys, each with its grammar, default and meaning. loading.py reads files by it, and the
example config follows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from hublet.config.reading import Scalar
from hublet.core.units import parse_count, parse_duration, parse_size
from hublet.core.values import dataclass

Parser = Callable[[Scalar], object]


@dataclass(frozen=True, slots=True)
class Setting:
    """A key of the config: how its value is parsed (ValueError says what is wrong), its default as a file would have
    it, and its meaning."""

    path: str
    parse: Parser
    default: str
    doc: str
    parse_list: Callable[[tuple[str, ...]], object] | None = None
    """How a list of words is parsed; None where the value can't be a list."""

    def default_value(self) -> object:
        if self.parse_list is not None and self.default.startswith("["):
            return self.parse_list(tuple(self.default.strip("[]").split(", ")))
        return self.parse(Scalar(0, self.default))


def _within(parse: Callable[[str], int], least: str, most: str) -> Parser:
    low, high = parse(least), parse(most)

    def parser(value: Scalar) -> int:
        if not low <= (parsed := parse(value.text)) <= high:
            raise ValueError(f"must be {least} to {most}")
        return parsed

    return parser


def _number(text: str) -> int:
    if (number := parse_count(text)) is None:
        raise ValueError("must be a whole number")
    return number


def _choice(*names: str) -> Parser:
    def parser(value: Scalar) -> str:
        if value.text not in names:
            raise ValueError(f"must be {' or '.join((', '.join(names[:-1]), names[-1])) if names[1:] else names[0]}")
        return value.text

    return parser


def boolean(value: Scalar) -> bool:
    """Raises ValueError for anything but true and false without quotes."""
    if not value.plain or value.text not in ("true", "false"):
        raise ValueError("must be true or false")
    return value.text == "true"


def _url(value: Scalar) -> str:
    from hublet.core.address import parse_hub_url

    return parse_hub_url(value.text)


def _path_or_null(value: Scalar) -> Path | None:
    if value.is_null:
        return None
    # A relative path would mean another place when a service manager starts us in another directory.
    if not value.text.startswith(("/", "~/")) or not value.text.isprintable():
        raise ValueError("must be an absolute path, or one that begins with ~/")
    return Path(value.text).expanduser()


def _duration_or_null(value: Scalar) -> int | None:
    return None if value.is_null else cast("int", _within(parse_duration, "1s", "3650d")(value))


def _command(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words or not words[0] or not all(word.isprintable() for word in words):
        raise ValueError("a command is a list of words, the program first")
    if "{name}" in words[0] or not any("{name}" in word for word in words):
        raise ValueError("one of the program's arguments must hold {name}, which becomes the secret's name")
    return words


def _variables(words: tuple[str, ...]) -> tuple[str, ...]:
    if not all(word.isidentifier() and word.isascii() for word in words):
        raise ValueError("must be a list of names of environment variables")
    return words


def _must_be_a_list(_: Scalar) -> object:
    raise ValueError("must be a list, such as [PATH, HOME]")


def _descriptor_or_null(value: Scalar) -> int | None:
    if value.is_null:
        return None
    number = parse_count(value.text)
    if number is None or number in (1, 2) or number > 1023:
        raise ValueError("must be the number of a descriptor that can be read: 0, or 3 to 1023")
    return number


def _slug_or_null(value: Scalar) -> str | None:
    if value.is_null:
        return None
    from hublet.core.questions import Slug

    return str(Slug.parse(value.text))


_wait = _within(parse_duration, "0s", "1h")
_time_limit = _within(parse_duration, "1s", "1h")

settings: tuple[Setting, ...] = (
    Setting(
        "hub.url",
        _url,
        "https://api.continue.dev",
        "The Hub's address (another one needs another `hublet login`), or file:///path/to/folder.",
    ),
    Setting("hub.ca_file", _path_or_null, "null", "Certificates to trust instead of the system's, a PEM file."),
    Setting("hub.timeout", _time_limit, "30s", "The longest that one request to the Hub may take as a whole."),
    Setting("hub.connect_timeout", _time_limit, "5s", "The longest that connecting to the Hub may take."),
    Setting("hub.size_limit", _within(parse_size, "1KiB", "1GiB"), "64MiB", "The largest answer taken from the Hub."),
    Setting(
        "sync.every",
        _within(parse_duration, "1s", "30d"),
        "15m",
        "How old an answer may be before the Hub is asked for a newer one.",
    ),
    Setting(
        "sync.proxied",
        _choice("auto", "always", "never"),
        "auto",
        "Keep the alwaysUseProxy=true variant fresh too: auto is once a client has asked for it.",
    ),
    Setting(
        "sync.unasked",
        _choice("normal", "slow", "pause"),
        "slow",
        "While no client finds anything older than that: sync as often, eight times less often, or not by itself.",
    ),
    Setting(
        "sync.on_battery",
        _choice("normal", "slow", "pause"),
        "slow",
        "On battery or a metered connection: as usual, less often, or only when a client or you ask for something.",
    ),
    Setting("sync.parallel", _within(_number, "1", "32"), "4", "How many requests to the Hub may run at once."),
    Setting(
        "sync.hold_commands",
        boolean,
        "false",
        "Quarantine an assistant that changes what it runs or where it sends things, until you accept it.",
    ),
    Setting("serve.port", _within(_number, "0", "65535"), "3001", "The port on 127.0.0.1 and ::1; 0 is any free one."),
    Setting(
        "serve.socket",
        _path_or_null,
        "null",
        "A Unix socket to answer on as well, in a directory that is yours alone (~/.hublet/api.sock); null is none.",
    ),
    Setting(
        "serve.access",
        _choice("either", "same-user", "token", "both"),
        "either",
        "Who is answered: a client of the same user, one with a token, either of them, or only one that is both.",
    ),
    Setting(
        "serve.wait", _wait, "10s", "How long a client waits for something that was never asked of the Hub before."
    ),
    Setting(
        "serve.ready_within",
        _duration_or_null,
        "null",
        "/readyz answers 503 when no pass has brought anything for so long; null is any age.",
    ),
    Setting(
        "serve.passthrough",
        _choice("listed", "all", "none"),
        "listed",
        "Requests that are not cached and go on to the Hub: the listed ones, all, or none.",
    ),
    Setting(
        "serve.passthrough_as_account",
        boolean,
        "false",
        "Send those with the account's key when the client brings none of its own.",
    ),
    Setting(
        "cache.directory", _path_or_null, "null", "Where the sealed cache is; null is the platform's data directory."
    ),
    Setting(
        "cache.runtime_directory",
        _path_or_null,
        "null",
        "Where the admin socket is; null is $XDG_RUNTIME_DIR/hublet, else `run` in the data directory.",
    ),
    Setting(
        "secrets.max_stale",
        _within(parse_duration, "0s", "3650d"),
        "7d",
        "Secret values that the Hub has not confirmed for so long are no longer served.",
    ),
    Setting(
        "secrets.override",
        _path_or_null,
        "null",
        "Answers before the Hub: an env file, yours and of mode 600, or a command like [pass, show, 'hublet/{name}'].",
        _command,
    ),
    Setting(
        "secrets.override_environment",
        _must_be_a_list,
        "[PATH, HOME]",
        "The variables that such a command gets of the daemon's environment; all others are left out.",
        _variables,
    ),
    Setting(
        "secrets.override_timeout",
        _within(parse_duration, "1s", "2m"),
        "10s",
        "The longest that such a command may take for one secret.",
    ),
    Setting(
        "history.keep",
        _within(_number, "0", "1000"),
        "50",
        "How many earlier revisions are kept of each assistant, block, the policy and the organizations.",
    ),
    Setting(
        "history.max_age",
        _within(parse_duration, "0s", "3650d"),
        "365d",
        "Earlier revisions that were replaced longer ago are dropped.",
    ),
    Setting(
        "export.directory",
        _path_or_null,
        "null",
        "A folder to keep like `hublet export` writes it, after each change; ~/.continue makes VS Code 2.x follow.",
    ),
    Setting(
        "export.layout",
        _choice("agents", "single", "skills"),
        "agents",
        "What it holds: a file an assistant, config.yaml alone, or Agent Skills, which take neither of the next two.",
    ),
    Setting(
        "export.default", _slug_or_null, "null", "The assistant in config.yaml; null is the first of your own list."
    ),
    Setting(
        "export.env",
        _path_or_null,
        "null",
        "A file for the values of the secrets, such as ~/.continue/.env, in clear, mode 600; null writes none.",
    ),
    Setting(
        "keys.source",
        _choice("file", "keyring", "passphrase", "credential"),
        "file",
        "Where the key is kept that unlocks the cache. `hublet keys move` moves it.",
    ),
    Setting(
        "keys.file",
        _path_or_null,
        "null",
        "The file of the key source `file`; null is hublet-key/kek in the platform's state directory.",
    ),
    Setting(
        "keys.passphrase_file",
        _path_or_null,
        "null",
        "A file with the passphrase of the key source `passphrase`, mode 600; null is to ask at a terminal.",
    ),
    Setting(
        "keys.passphrase_fd",
        _descriptor_or_null,
        "null",
        "An open file descriptor to read that passphrase from instead, once.",
    ),
    Setting("audit.syslog", boolean, "false", "Send each line of the audit log to the system's log, too."),
    Setting("log.level", _choice("debug", "info", "warning", "error"), "info", "What is logged."),
)
