"""Limits the length of what is sent to the page, since the Hub's texts can be of any length."""

from __future__ import annotations

from typing import Any

LONGEST_TEXT = 2000
LONGEST_LIST = 5000
CUT = "cut"
"""The member of an answer that says that something was left out."""


def trimmed(value: dict[str, Any]) -> dict[str, Any]:
    """The value with long texts and lists cut short. It has `cut: true` if any was."""
    cut: list[bool] = []
    found = _trimmed(value, cut)
    assert isinstance(found, dict)
    return found | ({CUT: True} if cut else {})


def _trimmed(value: Any, cut: list[bool]) -> Any:
    match value:
        case str() if len(value) > LONGEST_TEXT:
            cut.append(True)
            return value[: LONGEST_TEXT - 1] + "…"
        case list():
            if len(value) > LONGEST_LIST:
                cut.append(True)
            return [_trimmed(item, cut) for item in value[:LONGEST_LIST]]
        case dict():
            return {key: _trimmed(item, cut) for key, item in value.items()}
    return value
