"""Figures, each with its aim, and the table that they end in."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

_COMPARED: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "<": operator.lt,
    "=": operator.eq,
}


@dataclass(frozen=True)
class Aim:
    """What a figure is to reach, such as `>= 1.2`."""

    how: str
    value: float

    @classmethod
    def of(cls, text: str) -> Aim:
        how, _, value = text.partition(" ")
        return cls(how, float(value))

    def reached(self, value: float) -> bool:
        return _COMPARED[self.how](value, self.value)

    def __str__(self) -> str:
        return f"{self.how} {self.value:g}"


@dataclass(frozen=True)
class Figure:
    """One line: what was measured, in which unit, what it is to be. `counted` is one that the machine's mood can't move."""

    part: str
    what: str
    value: float
    unit: str = ""
    aim: Aim | None = None
    counted: bool = False

    @property
    def reached(self) -> bool | None:
        return self.aim.reached(self.value) if self.aim is not None else None


@dataclass
class Report:
    """What a run has found, in order. `missing` says which tools there were none of, and so what was left out."""

    figures: list[Figure] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(
        self, part: str, what: str, value: float, unit: str = "", aim: str | None = None, *, counted: bool = False
    ) -> None:
        self.figures.append(Figure(part, what, value, unit, Aim.of(aim) if aim else None, counted))

    def lacks(self, tool: str, left_out: str) -> None:
        self.missing[tool] = left_out

    def text(self, head: Iterable[str]) -> str:
        """The table as plain text, aligned, below lines that say where it is from."""
        rows = [("what", "measured", "unit", "aim", "")]
        marks = {True: "reached", False: "NOT reached", None: ""}
        lines: list[str] = []
        for figure in self.figures:
            aim = str(figure.aim) if figure.aim is not None else ""
            rows.append(
                (f"{figure.part}: {figure.what}", _number(figure.value), figure.unit, aim, marks[figure.reached])
            )
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        for what, value, *others in rows:
            cells = [what.ljust(widths[0]), value.rjust(widths[1]), *map(str.ljust, others, widths[2:])]
            lines.append("  ".join(cells).rstrip())
        lines.insert(1, "-" * max(map(len, lines)))
        left_out = [f"not installed: {tool} ({what} left out)" for tool, what in self.missing.items()]
        return "\n".join([*head, *left_out, "", *lines, *(["", *self.notes] if self.notes else [])])

    def plain(self) -> dict[str, object]:
        """The same as JSON values."""
        return {
            "figures": [
                {
                    "part": each.part,
                    "what": each.what,
                    "value": each.value,
                    "unit": each.unit,
                    "aim": str(each.aim) if each.aim else None,
                    "reached": each.reached,
                    "counted": each.counted,
                }
                for each in self.figures
            ],
            "missing": self.missing,
            "notes": self.notes,
        }


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def slope(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """(slope, r²) of the least-squares line through (x, y) points."""
    xs, ys = zip(*points, strict=True)
    found = statistics.linear_regression(xs, ys)
    return found.slope, statistics.correlation(xs, ys) ** 2
