"""What a pass is told to do, and what it tells back: the words between the daemon and its worker.

The work order is one JSON text on the worker's standard input. (The account's key is in it, so it is never an argument
or an environment variable.) The worker writes frames to standard output, each as `length, 4 bytes ‖ frame`
(core/records.py): for each reply its facts and then its outcome, each icon by itself, and at last an end. If the end is
missing, the worker has died.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING

import orjson

from hublet import __version__
from hublet.core import operations as ops
from hublet.core.address import folder_of
from hublet.core.messages import Head
from hublet.core.outcomes import Answered, Malformed, NotModified, Outcome, Refused, Throttled, Unreachable, root
from hublet.core.questions import LATEST, Block, Fqsn, Question, Scope, from_text, to_text
from hublet.core.records import Fact, Known, Record, content_from_header, content_to_header, frame, unframe
from hublet.core.secretstr import SecretStr
from hublet.core.validators import (
    Validator,
    Validators,
    asker_of,
    validator_from_plain,
    validator_to_plain,
    validators_from_plain,
    validators_to_plain,
)
from hublet.core.values import dataclass

if TYPE_CHECKING:
    from hublet.core.state import State


@dataclass(frozen=True, slots=True)
class Hub:
    """How the Hub is reached. `url` is its origin, with a path prefix if it has one, or a folder's address. Times are
    in seconds, sizes in bytes; `parallel` is how many requests a pass makes at once."""

    url: str
    key: SecretStr | None
    ca_file: str | None = None
    timeout: float = 30.0
    connect_timeout: float = 5.0
    size_limit: int = 64 * 1024 * 1024
    parallel: int = 4

    @property
    def folder(self) -> str | None:
        """The path of the folder that is the Hub; None if it is none."""
        return folder_of(self.url)

    @property
    def asker(self) -> str:
        """A hash that stands for the Hub, the key and this version of hublet: a validator is good only for these."""
        return asker_of(self.url, self.key.reveal() if self.key is not None else "", __version__)

    @property
    def closed(self) -> bool:
        """Whether the Hub can't be asked: no key is stored, and the Hub is no folder."""
        return self.key is None and self.folder is None


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """What a pass has to ask. A `whole` pass asks for the policy, the organizations, the list of every scope, the
    secrets to which the assistants refer, and the icons; and for `ask` besides. Any other asks for `ask` alone.

    - `scopes`: the organizations that are known so far, in case that their list can't be had.
    - `proxied`: the scopes whose proxied lists are wanted; with `every_proxied` all of them are.
    - `secrets`: names to ask for in a scope, whether or not an assistant refers to them.
    - `rested`: what is still fresh, and left out this time (core/lifetimes.py).
    - `blocks`: the texts of packages with a fixed version, by what `uses:` says of them. They are never asked for.
    - `icons`: the URLs of icons that are kept and need no fetching.
    - `validators`: by these Operations are asked conditionally.
    - `texts`: the texts of packages among the `validators`, in case that they have not changed.
    """

    hub: Hub
    whole: bool = True
    ask: tuple[ops.Operation, ...] = ()
    scopes: tuple[str, ...] = ()
    proxied: frozenset[Scope] = frozenset()
    every_proxied: bool = False
    secrets: tuple[tuple[Scope, Fqsn], ...] = ()
    rested: frozenset[ops.Operation] = frozenset()
    blocks: tuple[tuple[str, str], ...] = ()
    icons: frozenset[str] = frozenset()
    validators: Validators = field(default_factory=dict)
    texts: Mapping[ops.Operation, str] = field(default_factory=dict)


Ordered = WorkOrder | Awaitable[WorkOrder]
"""A work order, or one that is still being made while the worker starts."""


async def made(order: Ordered) -> WorkOrder:
    """The work order, once it is made."""
    return order if isinstance(order, WorkOrder) else await order


def conditionally(order: WorkOrder, state: State, now: float) -> WorkOrder:
    """The order with the validators that may be sent at this time for what it asks."""
    from hublet.core.confirming import usable  # for the daemon alone: no worker needs to load what a state is

    validators = usable(state, order.hub.asker, now, None if order.whole else order.ask)
    texts: dict[ops.Operation, str] = {
        operation: orjson.loads(known.content.template.text)["content"]
        for operation in validators
        if isinstance(operation, ops.GetBlock) and isinstance(known := state.records.get(root(operation)), Record)
    }
    return replace(order, validators=validators, texts=texts)


def fixed_blocks(records: Mapping[Question, Known]) -> Iterator[tuple[str, str]]:
    """(what `uses:` says, the text) of each package with a fixed version that is kept: it never changes."""
    for question, known in records.items():
        match question, known:
            case Block(slug, version), Record(content=content) if version != LATEST:
                yield f"{slug}@{version}", orjson.loads(content.template.text)["content"]


@dataclass(frozen=True, slots=True)
class Told:
    """One Operation and its Outcome, as the worker tells it."""

    operation: ops.Operation
    outcome: Outcome


Word = Told | Fact
"""What a worker says while a pass runs: an outcome, or the fact of an icon."""


def order_to_json(order: WorkOrder) -> bytes:
    """The work order as JSON. The key is in it in clear: it may only go through a pipe to the worker."""
    hub = order.hub
    return orjson.dumps(
        {
            "hub": [hub.url, hub.key.reveal() if hub.key else None, hub.ca_file, hub.timeout, hub.connect_timeout,
                    hub.size_limit, hub.parallel],
            "whole": order.whole,
            "ask": [_call(operation) for operation in order.ask],
            "scopes": order.scopes,
            "proxied": list(order.proxied),
            "every_proxied": order.every_proxied,
            "secrets": [[scope, fqsn.to_wire()] for scope, fqsn in order.secrets],
            "rested": [_call(operation) for operation in order.rested],
            "blocks": order.blocks,
            "icons": list(order.icons),
            "validators": validators_to_plain(order.validators),
            "texts": [[_call(operation), text] for operation, text in order.texts.items()],
        }
    )  # fmt: skip


def order_from_json(text: bytes) -> WorkOrder:
    """The inverse of `order_to_json`. Raises ValueError or KeyError for any other text; only the daemon writes it."""
    plain = orjson.loads(text)
    url, key, *rest = plain["hub"]
    return WorkOrder(
        hub=Hub(url, SecretStr(key) if key is not None else None, *rest),
        whole=plain["whole"],
        ask=tuple(_operation(call) for call in plain["ask"]),
        scopes=tuple(plain["scopes"]),
        proxied=frozenset(plain["proxied"]),
        every_proxied=plain["every_proxied"],
        secrets=tuple((scope, fqsn) for scope, wire in plain["secrets"] if (fqsn := Fqsn.from_wire(wire)) is not None),
        rested=frozenset(_operation(call) for call in plain["rested"]),
        blocks=tuple((uses, text) for uses, text in plain["blocks"]),
        icons=frozenset(plain["icons"]),
        validators=validators_from_plain(plain["validators"]),
        texts={_operation(call): text for call, text in plain["texts"]},
    )


def _call(operation: ops.Operation) -> list[str | None]:
    call = ops.write(operation)
    return [call.method, call.target, call.body.decode() if call.body is not None else None]


def _operation(call: list[object]) -> ops.Operation:
    """The inverse of `_call`. Raises ValueError for any other list."""
    match call:
        case [str(method), str(target), str() | None as body]:
            head = Head(method, target)
            try:
                return ops.read(method, head.segments, head.query, (body or "").encode())
            except (ops.UnknownPath, ops.MethodNotAllowed):
                pass
    raise ValueError("not an operation")


_LENGTH = struct.Struct(">I")
OUT_OF_MEMORY = 12
"""The exit code of a worker that needed more memory than it may have (the number of ENOMEM)."""
MOST_BYTES_A_FRAME = 128 * 1024 * 1024


def _framed(header: dict[str, object], blob: bytes = b"") -> bytes:
    data = frame(header, blob)
    return _LENGTH.pack(len(data)) + data


END = _framed({"end": True})


def word_to_frames(word: Word) -> Iterator[bytes]:
    """The frames of a word, each with its length in front: of an answer one for each fact, then one for the outcome."""
    if isinstance(word, Fact):
        yield _fact("icon", word)
        return
    outcome = word.outcome
    says: list[object]
    match outcome:
        case Answered(facts, validator):
            for fact in facts:
                yield _fact("fact", fact)
            says = ["answered", *(validator_to_plain(validator) if validator is not None else ())]
        case NotModified(validator):
            says = ["not-modified", *(validator_to_plain(validator) if validator is not None else ())]
        case Refused(status, message):
            says = ["refused", status, message]
        case Throttled(retry_after):
            says = ["throttled", retry_after]
        case Unreachable(reason):
            says = ["unreachable", reason]
        case Malformed(reason):
            says = ["malformed", reason]
    yield _framed({"outcome": says, "call": _call(word.operation)})


def _fact(key: str, fact: Fact) -> bytes:
    header = content_to_header(fact.content) | {key: to_text(fact.question)}
    return _framed(header, fact.content.template.text)


def _validator(fields: list[object]) -> Validator | None:
    validator = validator_from_plain(fields)
    if fields and validator is None:
        raise ValueError("not a validator")
    return validator


class Reader:
    """Puts words together from the bytes of the worker's standard output, in whatever pieces they come.

    Transitions: feed* → ended, which the end frame sets.
    """

    def __init__(self) -> None:
        self.ended = False
        self._rest = bytearray()
        self._facts: list[Fact] = []

    def feed(self, data: bytes) -> Iterator[Word]:
        """The words that are complete with these bytes. Raises ValueError for bytes that are no frames."""
        self._rest += data
        while len(self._rest) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._rest)
            if length > MOST_BYTES_A_FRAME:
                raise ValueError("a frame is larger than any answer may be")
            end = _LENGTH.size + length
            if len(self._rest) < end:
                return
            header, blob = unframe(bytes(self._rest[_LENGTH.size : end]))
            del self._rest[:end]
            word = self._read(header, blob)
            if word is not None:
                yield word

    def _read(self, header: dict[str, object], blob: bytes) -> Word | None:
        match header:
            case {"fact": str(question)}:
                self._facts.append(Fact(from_text(question), content_from_header(header, blob)))
                return None
            case {"icon": str(question)}:
                return Fact(from_text(question), content_from_header(header, blob))
            case {"outcome": list(says), "call": list(call)}:
                facts, self._facts = tuple(self._facts), []
                return Told(_operation(call), _outcome(says, facts))
            case {"end": True}:
                self.ended = True
                return None
        raise ValueError("a frame of an unknown kind")


def _outcome(says: list[object], facts: tuple[Fact, ...]) -> Outcome:
    match says:
        case ["answered", *fields]:
            return Answered(facts, _validator(fields))
        case ["not-modified", *fields]:
            return NotModified(_validator(fields))
        case ["refused", int(status), str(message)]:
            return Refused(status, message)
        case ["throttled", float() | int() | None as retry_after]:
            return Throttled(retry_after)
        case ["unreachable", str(reason)]:
            return Unreachable(reason)
        case ["malformed", str(reason)]:
            return Malformed(reason)
    raise ValueError("an outcome of an unknown kind")
