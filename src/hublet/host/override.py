"""Secret values that do not come from the Hub: from an env file of the user's, or from a command that is run for each
name.

No error ever has a value in it. A command is a list of arguments, and no shell sees it. The name of the secret, which
came over the network, is one of the arguments or a part of one, and has only characters that mean nothing to programs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import stat
from collections.abc import Mapping
from pathlib import Path

from hublet.core.secretstr import SecretStr

_NAME = r"[A-Za-z_][A-Za-z0-9_.-]{0,127}"
_LINE = r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*(.*)"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_LARGEST_FILE = 1024 * 1024
_LONGEST_VALUE = 64 * 1024


class OverrideFailed(Exception):
    """There is no value; the sentence says why, and has no value in it."""


class Hopeless(OverrideFailed):
    """There is no value, and asking for another name would fail in the same way."""


def is_name(text: str) -> bool:
    """Whether a command may be asked for a secret of this name: it can be no option and no path to somewhere else."""
    return re.fullmatch(_NAME, text) is not None and ".." not in text


def read_env_file(path: Path) -> dict[str, SecretStr]:
    """The values of a file with lines `NAME=value`, by name. A value in single quotes is taken as it is. In double
    quotes `\\n`, `\\t` and `\\r` are escapes, and a backslash before any other character stands for that character.
    Without quotes the rest of the line is the value, a `#` too.

    Raises OverrideFailed for a file that others can use, that can't be read, or that has a line which makes no sense.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if (distrust := _judge(os.fstat(descriptor))) is not None:
                raise OverrideFailed(f"{path} {distrust}")
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise OverrideFailed(f"{path} can't be read: {error.strerror}") from None
    if len(data) > _LARGEST_FILE:
        raise OverrideFailed(f"{path} is larger than {_LARGEST_FILE} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise OverrideFailed(f"{path} is not UTF-8") from None
    found: dict[str, SecretStr] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(_LINE, line)
        value = _unquoted(match[2]) if match is not None else None
        if match is None or value is None:
            raise OverrideFailed(f"{path}:{number}: not of the form NAME=value")
        found[match[1]] = SecretStr(value)
    return found


def _judge(info: os.stat_result) -> str | None:
    if not stat.S_ISREG(info.st_mode):
        return "is not a regular file"
    if info.st_uid != os.geteuid():
        return f"belongs to another user (uid {info.st_uid})"
    if info.st_mode & 0o077:
        return f"can be used by others (mode {stat.S_IMODE(info.st_mode):04o}): chmod 600, and think who has read it"
    return None


def _unquoted(text: str) -> str | None:
    """A value without its quotes; None if a quote is not closed."""
    quote = text[:1]
    if quote not in ("'", '"'):
        return text
    if len(text) < 2 or text[-1] != quote:
        return None
    inside = text[1:-1]
    if quote == "'":
        return inside if quote not in inside else None
    if not re.fullmatch(r'(?:[^"\\]|\\.)*', inside):
        return None
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), inside)


async def ask_command(words: tuple[str, ...], name: str, environment: Mapping[str, str], limit: float) -> SecretStr:
    """The first line that a command writes, with `{name}` in its arguments replaced by the name.

    The command gets nothing on standard input and only this environment; its standard error is not read. After `limit`
    seconds it is killed, with all that it has started. Raises OverrideFailed; Hopeless if it can't be started or took
    too long.
    """
    arguments = [word.replace("{name}", name) for word in words]
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env=dict(environment), cwd="/", start_new_session=True, limit=_LONGEST_VALUE,
        )  # fmt: skip
    except OSError as error:
        raise Hopeless(f"{words[0]} can't be started: {error.strerror}") from None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(limit):
            line = await process.stdout.readline()
            code = await process.wait()
    except ValueError:
        raise OverrideFailed(f"{words[0]} wrote a line of more than {_LONGEST_VALUE} bytes") from None
    except TimeoutError:
        raise Hopeless(f"{words[0]} took longer than {limit:g} s") from None
    finally:
        if process.returncode is None:
            # Kill the whole process group: a child that was left could go on asking the user for a fingerprint.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # close its pipes now, not when the garbage collector comes by
    if code != 0:
        raise OverrideFailed(f"{words[0]} ended with {code}")
    try:
        value = line.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise OverrideFailed(f"{words[0]} wrote something that is not UTF-8") from None
    if not value:
        raise OverrideFailed(f"{words[0]} wrote nothing")
    return SecretStr(value)
