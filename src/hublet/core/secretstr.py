"""A string that doesn't show itself."""

from __future__ import annotations

from typing import final


@final
class SecretStr:
    """A secret value. It prints, formats and pickles as stars; `reveal()` is the one way to the text.

    `==` compares the texts, and not in constant time: both are values of ours. What a client sends is compared
    elsewhere, in constant time.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretStr) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "SecretStr(**********)"

    def __str__(self) -> str:
        return "**********"

    def __reduce__(self) -> tuple[type[SecretStr], tuple[str]]:
        return SecretStr, ("**********",)
