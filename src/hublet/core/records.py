"""What is known of a Question, and how it is written down.

A Content is a template and its bindings. The template is the JSON text that the Hub said with holes in it, each hole
inside a JSON string, where a secret's value or an icon's address stood. `render` is the only way back to a body: with
the values for the account's owner, with `${{ secrets.NAME }}` put back for everybody else (a locked cache, a read-only
token, history, a diff). Templates hold no secret value, so what keeps only templates can't leak one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Literal

import orjson

from hublet.core.errors import StoreCorrupt
from hublet.core.questions import Question, from_text, to_text
from hublet.core.secretstr import SecretStr
from hublet.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Hole:
    """A place in a template's text, inside a JSON string. `at` is a byte offset.

    `secret`: `name` is the name of a binding. `icon`: `name` is the icon's URL without its query.
    """

    at: int
    kind: Literal["secret", "icon"]
    name: str


@dataclass(frozen=True, slots=True)
class Template:
    """JSON text without what stood in its holes; holes are in order of `at`."""

    text: bytes
    holes: tuple[Hole, ...] = ()


Bindings = Mapping[str, SecretStr]
"""Secret values by the name of their hole."""

UNNAMED = "unnamed/"
"""How the name of a binding begins whose value has no name of its own; the path to its place follows."""


@dataclass(frozen=True, slots=True)
class View:
    """For whom a body is rendered: `clear` shows values, else references; `icon` gives an icon's address."""

    clear: bool
    icon: Callable[[str], str]


def reference(name: str) -> str:
    """A secret's reference as Continue writes it."""
    return f"${{{{ secrets.{name} }}}}"


def render(template: Template, bindings: Bindings, view: View) -> bytes:
    """The body of a template: JSON bytes. Pure, and linear in the size."""
    if not template.holes:
        return template.text
    pieces: list[bytes] = []
    done = 0
    for hole in template.holes:
        pieces.append(template.text[done : hole.at])
        done = hole.at
        if hole.kind == "icon":
            inside = view.icon(hole.name)
        elif view.clear:
            inside = bindings[hole.name].reveal()
        else:
            inside = reference(hole.name)
        pieces.append(orjson.dumps(inside)[1:-1])
    pieces.append(template.text[done:])
    return b"".join(pieces)


def cut(text: bytes, mark: str, hole: Callable[[int], tuple[Literal["secret", "icon"], str]]) -> Template:
    """The template of a text in which `mark`, a number and `;` stand for each hole; `hole` tells its kind and name."""
    first, *pieces = text.split(mark.encode())
    kept, holes = [first], []
    at = len(first)
    for piece in pieces:
        number, _, rest = piece.partition(b";")
        kind, name = hole(int(number))
        holes.append(Hole(at, kind, name))
        kept.append(rest)
        at += len(rest)
    return Template(b"".join(kept), tuple(holes))


@dataclass(frozen=True, slots=True)
class Content:
    """What the Hub said of one Question.

    `traits` is what judgement and tables need to know without parsing the text: for an assistant `title`, `version`
    and, when it did not load, `trouble`; for an icon `type`, its media type.
    """

    template: Template
    bindings: Bindings = field(default_factory=dict)
    traits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fact:
    """A Question and what the Hub said of it, as one reply brought it."""

    question: Question
    content: Content


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a Question.

    `source` is the Question whose confirmation confirms this one: its Roster when it came in a list, itself when it was
    asked for directly. `changed_at` is when this content was first seen, by our own clock, in seconds.
    """

    content: Content
    source: Question
    changed_at: float


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The tombstone of a Question that the Hub has taken back: what clients are told, and since when. Without `served`
    there never was anything: somebody asked for a name, and that is what the Hub said."""

    status: int
    message: str
    since: float
    served: bool = True


Known = Record | Withdrawn


_LENGTH = struct.Struct(">I")


def frame(header: object, blob: bytes = b"") -> bytes:
    """`length of header, 4 bytes ‖ header as JSON ‖ blob`: how records are sealed and how the worker speaks."""
    text = orjson.dumps(header)
    return _LENGTH.pack(len(text)) + text + blob


def unframe(data: bytes) -> tuple[dict[str, object], bytes]:
    """The inverse of `frame`. Raises ValueError for anything else."""
    if len(data) < _LENGTH.size:
        raise ValueError("too short for a frame")
    (length,) = _LENGTH.unpack_from(data)
    end = _LENGTH.size + length
    if end > len(data):
        raise ValueError("a frame was cut off")
    header = orjson.loads(data[_LENGTH.size : end])
    if not isinstance(header, dict):
        raise ValueError("a frame's header must be an object")
    return header, data[end:]


def content_to_header(content: Content) -> dict[str, object]:
    """Everything of a Content but its text. The result holds secret values: it is sealed or piped, never shown."""
    return {
        "holes": [[hole.at, hole.kind, hole.name] for hole in content.template.holes],
        "bindings": {name: value.reveal() for name, value in content.bindings.items()},
        "traits": dict(content.traits),
    }


def content_from_header(header: Mapping[str, object], text: bytes) -> Content:
    """The inverse of `content_to_header`. Raises ValueError."""
    match header:
        case {"holes": list(holes), "bindings": dict(bindings), "traits": dict(traits)}:
            template = Template(text, tuple(_hole(hole) for hole in holes))
            return Content(template, {name: SecretStr(str(value)) for name, value in bindings.items()}, traits)
    raise ValueError("not a content")


def _hole(value: object) -> Hole:
    match value:
        case [int(at), "secret" | "icon" as kind, str(name)]:
            return Hole(at, kind, name)
    raise ValueError("not a hole")


def encode_known(question: Question, known: Known) -> bytes:
    """The plaintext of a sealed record; it repeats its Question, which `decode_known` checks."""
    header: dict[str, object] = {"question": to_text(question)}
    if isinstance(known, Withdrawn):
        header["withdrawn"] = [known.status, known.message, known.since, known.served]
        return frame(header)
    header |= content_to_header(known.content)
    header |= {"source": to_text(known.source), "changed_at": known.changed_at}
    return frame(header, known.content.template.text)


def decode_known(kind: str, plaintext: bytes) -> tuple[Question, Known]:
    """The inverse of `encode_known`. Raises StoreCorrupt when the text is of another kind of Question or unreadable."""
    known: Known
    try:
        header, text = unframe(plaintext)
        match header:
            case {"question": str(name), "withdrawn": [int(status), str(message), float() | int() as since, *served]}:
                # Of an earlier one nothing tells whether it was served: it is kept as if it had been.
                question, known = from_text(name), Withdrawn(status, message, float(since), served != [False])
            case {"question": str(name), "source": str(source), "changed_at": float() | int() as changed_at}:
                content = content_from_header(header, text)
                question, known = from_text(name), Record(content, from_text(source), float(changed_at))
            case _:
                raise ValueError("neither a record nor a tombstone")
    except (ValueError, TypeError):
        raise StoreCorrupt("a record can't be read although its seal is intact") from None
    if question.kind != kind:
        raise StoreCorrupt("a record is of another kind than the one it is stored as")
    return question, known
