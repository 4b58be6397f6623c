"""What is known of a Question, and how that is written to bytes.

A Content is a template and its bindings. The template is the JSON text that the Hub sent, with a hole wherever a
secret's value or an icon's address stood; each hole is inside a JSON string. The bindings are the values. `render` is
the only way back to a body: it fills the holes with the values for the account's owner, and with `${{ secrets.NAME }}`
for everybody else (a locked cache, a read-only token, history, a diff). A template holds no secret value, so whatever
keeps only templates can't leak one.
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
    """A place in a template's text, inside a JSON string; `at` is its offset in bytes.

    The `name` of a secret's hole is that of its binding, the `name` of an icon's hole the icon's URL without its query.
    """

    at: int
    kind: Literal["secret", "icon"]
    name: str


@dataclass(frozen=True, slots=True)
class Template:
    """JSON text from which the contents of its holes were taken out; `holes` are in the order of `at`."""

    text: bytes
    holes: tuple[Hole, ...] = ()


Bindings = Mapping[str, SecretStr]
"""Secret values, each by the name that its hole has."""

UNNAMED = "unnamed/"
"""The beginning of a binding's name where no reference names the secret; the path to its place follows."""


@dataclass(frozen=True, slots=True)
class View:
    """How a body is rendered. With `clear` the secret holes get their values, without it references; `icon` gives the
    address of an icon from its URL without the query."""

    clear: bool
    icon: Callable[[str], str]


def reference(name: str) -> str:
    """The reference to a secret, as Continue's config files write it."""
    return f"${{{{ secrets.{name} }}}}"


def render(template: Template, bindings: Bindings, view: View) -> bytes:
    """The body of a template: JSON bytes. Takes time linear in the size. Raises KeyError in a `clear` view for a hole
    without a binding."""
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
    """The template of a text in which each hole is written as `mark`, a number and `;`. `hole` gives the kind and the
    name of the hole with a number."""
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

    `traits` has what judgement and tables need without parsing the text. For an assistant: `title`, `version`,
    `endpoints` (core/endpoints.py) and, if the Hub could not load it, `trouble`. For an icon and a download: `type`,
    the media type.
    """

    template: Template
    bindings: Bindings = field(default_factory=dict)
    traits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fact:
    """A Question and what the Hub said of it in one reply."""

    question: Question
    content: Content


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a Question.

    `source` is the Question whose confirmation counts for this one too: the Roster if it came in a list, the Question
    itself if it was asked for directly. `changed_at` is the time of our own clock, in seconds, at which this content
    was first seen.
    """

    content: Content
    source: Question
    changed_at: float


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The tombstone of a Question that the Hub has taken back: the answer that clients get (`status`, `message`), and
    `since` when. With `served` false there never was a record: a client asked for a name, and the Hub refused it."""

    status: int
    message: str
    since: float
    served: bool = True


Known = Record | Withdrawn


_LENGTH = struct.Struct(">I")


def frame(header: object, blob: bytes = b"") -> bytes:
    """`length of the header, 4 bytes ‖ header as JSON ‖ blob`: the format of a record's plaintext, and of the frames
    that the worker writes."""
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
    """Everything of a Content except its text. The result holds secret values: it may be sealed or sent through a pipe
    to our own process, and is never shown."""
    return {
        "holes": [[hole.at, hole.kind, hole.name] for hole in content.template.holes],
        "bindings": {name: value.reveal() for name, value in content.bindings.items()},
        "traits": dict(content.traits),
    }


def content_from_header(header: Mapping[str, object], text: bytes) -> Content:
    """The inverse of `content_to_header`. Raises ValueError for a header that it does not write."""
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
    """The plaintext of a record, before it is sealed. It repeats the Question, so that the reader can check it."""
    header: dict[str, object] = {"question": to_text(question)}
    if isinstance(known, Withdrawn):
        header["withdrawn"] = [known.status, known.message, known.since, known.served]
        return frame(header)
    header |= content_to_header(known.content)
    header |= {"source": to_text(known.source), "changed_at": known.changed_at}
    return frame(header, known.content.template.text)


def decode_known(kind: str, plaintext: bytes) -> tuple[Question, Known]:
    """The inverse of `encode_known`. Raises StoreCorrupt for an unreadable text, or one whose Question is not of
    `kind`."""
    known: Known
    try:
        header, text = unframe(plaintext)
        match header:
            case {"question": str(name), "withdrawn": [int(status), str(message), float() | int() as since, *served]}:
                # Tombstones from before `served` was written down don't have it: they count as served.
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
