"""Looking for secrets in an assistant, for the tests of it."""

from __future__ import annotations

from hublet.core import secretrefs, yamltree
from hublet.core.secretrefs import Found


def find(config: object, raw: str, **blocks: str) -> Found:
    return secretrefs.find(config, raw, yamltree.read(raw), {name.replace("__", "/"): v for name, v in blocks.items()})


def put_back(text: str, pieces: tuple[str, ...], found: Found) -> str:
    """What stood there: literals, and values for names."""
    assert text
    return "".join(p if at % 2 == 0 else found.bindings[p].reveal() for at, p in enumerate(pieces))


def strings(value: object, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], str]:
    match value:
        case str():
            return {path: value}
        case dict():
            return {p: s for key, child in value.items() for p, s in strings(child, (*path, key)).items()}
        case list():
            return {p: s for at, child in enumerate(value) for p, s in strings(child, (*path, at)).items()}
    return {}
