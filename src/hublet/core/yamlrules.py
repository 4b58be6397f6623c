"""What plain scalars mean in YAML: by the core schema of version 1.2 (section 10.3), and by the types of version 1.1 as
npm's `yaml` has them, for texts with a `%YAML 1.1` directive. Numbers are those of JavaScript: an integer that it can't
hold exactly is a float.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal

Scalar = None | bool | int | float | str
Rules = Callable[[str], tuple[str, Scalar]]
"""Gives, for the text of a plain scalar, the last word of its tag and its value. Raises ValueError for a type that is
not read."""

_EXACT = 2**53

_NULL = re.compile(r"(?:~|[Nn]ull|NULL)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_NAN = re.compile(r"\.(?:nan|NaN|NAN)")

_BOOL = re.compile(r"[Tt]rue|TRUE|[Ff]alse|FALSE")
_OCTAL = re.compile(r"0o[0-7]+")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")

_TRUE_1_1 = re.compile(r"[Yy]|[Yy]es|YES|[Tt]rue|TRUE|[Oo]n|ON")
_FALSE_1_1 = re.compile(r"[Nn]|[Nn]o|NO|[Ff]alse|FALSE|[Oo]ff|OFF")
_INTEGERS_1_1 = (
    (re.compile(r"[-+]?0b[0-1_]+"), 2, "0b"),
    (re.compile(r"[-+]?0[0-7_]+"), 8, "0"),
    (re.compile(r"[-+]?[0-9][0-9_]*"), 10, ""),
    (re.compile(r"[-+]?0x[0-9a-fA-F_]+"), 16, "0x"),
)
_FLOAT_1_1 = re.compile(
    r"[-+]?(?:[0-9][0-9_]*)?(?:\.[0-9_]*)?[eE][-+]?[0-9]+|[-+]?(?:[0-9][0-9_]*)?\.[0-9_]*", re.ASCII
)
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(\.[0-9_]*)?")
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
    r"(?:(?:t|T|[ \t]+)[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]+)?(?:[ \t]*(?:Z|[-+][012]?[0-9](?::[0-9]{2})?))?)?"
)


def core(text: str) -> tuple[str, Scalar]:
    """The core schema of YAML 1.2."""
    if _NULL.fullmatch(text):
        return "null", None
    if _BOOL.fullmatch(text):
        return "bool", text[0] in "tT"
    if _OCTAL.fullmatch(text):
        return "int", _whole(text[2:], 8)
    if _INTEGER.fullmatch(text):
        return "int", _whole(text, 10)
    if _HEXADECIMAL.fullmatch(text):
        return "int", _whole(text[2:], 16)
    if (special := _special(text)) is not None:
        return "float", special
    if _FLOAT.fullmatch(text):
        return "float", _floated(text)
    return "str", text


def of_1_1(text: str) -> tuple[str, Scalar]:
    """The types of YAML 1.1. Raises ValueError for a date, since JSON has none."""
    if _NULL.fullmatch(text):
        return "null", None
    if _TRUE_1_1.fullmatch(text) or _FALSE_1_1.fullmatch(text):
        return "bool", _TRUE_1_1.fullmatch(text) is not None
    for pattern, base, prefix in _INTEGERS_1_1:
        if pattern.fullmatch(text):
            digits = text.lstrip("+-").removeprefix(prefix).replace("_", "")
            value = _whole(digits, base) if digits else math.nan
            return "int", -value if text[0] == "-" else value
    if (special := _special(text)) is not None:
        return "float", special
    if _FLOAT_1_1.fullmatch(text):
        return "float", _floated(text.replace("_", ""))
    if found := _SEXAGESIMAL.fullmatch(text):
        value = 0.0
        for part in text.lstrip("+-").replace("_", "").split(":"):
            value = value * 60 + float(part)
        return "float" if found[1] is not None else "int", _exact(-value if text[0] == "-" else value)
    if _DATE.fullmatch(text):
        raise ValueError("a date that is not quoted")
    return "str", text


def key_text(key: Scalar) -> str:
    """A scalar key as JavaScript writes it as the name of a property."""
    match key:
        case None:
            return ""
        case bool():
            return "true" if key else "false"
        case float():
            return _float_text(key)
    return str(key)


def _special(text: str) -> float | None:
    if _INFINITE.fullmatch(text):
        return -math.inf if text[0] == "-" else math.inf
    return math.nan if _NAN.fullmatch(text) else None


def _whole(digits: str, base: int) -> int | float:
    if base == 10 and len(digits) > 20:
        return _floated(digits)  # Python refuses to convert very many digits to an int
    value = int(digits, base)
    try:
        return value if abs(value) <= _EXACT else float(value)
    except OverflowError:
        return math.inf


def _floated(text: str) -> int | float:
    try:
        return _exact(float(text))
    except ValueError:
        return math.nan  # `.` and `e5`, which are numbers by the types of 1.1


def _exact(value: float) -> int | float:
    return int(value) if value.is_integer() and abs(value) <= _EXACT else value


def _float_text(value: float) -> str:
    """A number as JavaScript writes it (ECMA-262, Number::toString): without an exponent from 1e-6 up to 1e21."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if 1e-6 <= abs(value) < 1e21:
        text = format(Decimal(repr(value)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, _, exponent = repr(value).partition("e")
    sign = "-" if exponent.startswith("-") else "+"
    return f"{mantissa.removesuffix('.0')}e{sign}{exponent.lstrip('+-').lstrip('0')}"
