"""The table of all config keys: each one's grammar, default and meaning. Reading and the example follow it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hublet.configfile import Scalar
from hublet.core.units import parse_count, parse_duration, parse_size

Parser = Callable[[Scalar], object]


class Setting(NamedTuple):
    """A key: how its value is read (ValueError says what is wrong), its default as a file has it, its meaning."""

    path: str
    parse: Parser
    default: str
    doc: str


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


def _boolean(value: Scalar) -> bool:
    if not value.plain or value.text not in ("true", "false"):
        raise ValueError("must be true or false")
    return value.text == "true"


def _url(value: Scalar) -> str:
    from hublet.core.address import parse_hub_url

    return parse_hub_url(value.text)


def _path_or_null(value: Scalar) -> Path | None:
    if value.is_null:
        return None
    # A relative path would mean another place whenever a service manager starts us elsewhere.
    if not value.text.startswith(("/", "~/")) or not value.text.isprintable():
        raise ValueError("must be an absolute path, or one that begins with ~/")
    return Path(value.text).expanduser()


_wait = _within(parse_duration, "0s", "1h")
_time_limit = _within(parse_duration, "1s", "1h")

settings: tuple[Setting, ...] = (
    Setting(
        "hub.url", _url, "https://api.continue.dev", "The Hub's address. Another one needs another `hublet login`."
    ),
    Setting("hub.ca_file", _path_or_null, "null", "Certificates to trust instead of the system's, a PEM file."),
    Setting("hub.timeout", _time_limit, "30s", "The longest that one request to the Hub may take as a whole."),
    Setting("hub.connect_timeout", _time_limit, "5s", "The longest that connecting to the Hub may take."),
    Setting("hub.size_limit", _within(parse_size, "1KiB", "1GiB"), "64MiB", "The largest answer taken from the Hub."),
    Setting("sync.every", _within(parse_duration, "1s", "30d"), "15m", "How often the Hub is asked for what is new."),
    Setting(
        "sync.proxied",
        _choice("auto", "always", "never"),
        "auto",
        "Keep the alwaysUseProxy=true variant fresh too: auto is once a client has asked for it.",
    ),
    Setting("sync.parallel", _within(_number, "1", "32"), "4", "How many requests to the Hub may run at once."),
    Setting("serve.port", _within(_number, "0", "65535"), "3001", "The port on 127.0.0.1 and ::1; 0 is any free one."),
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
        "serve.passthrough",
        _choice("listed", "all", "none"),
        "listed",
        "Requests that are not cached and go on to the Hub: the listed ones, all, or none.",
    ),
    Setting(
        "serve.passthrough_as_account",
        _boolean,
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
    Setting("keys.source", _choice("file"), "file", "Where the key is kept that unlocks the cache."),
    Setting(
        "keys.file",
        _path_or_null,
        "null",
        "The file of the key source `file`; null is hublet-key/kek in the platform's state directory.",
    ),
    Setting("log.level", _choice("debug", "info", "warning", "error"), "info", "What is logged."),
)
