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
    """One line: what was measured, in which unit, what it is to be. `counted` is what the machine's mood can't move."""

    part: str
    what: str
    value: float
    unit: str = ""
    aim: Aim | None = None
    counted: bool = False
    apart: bool = False
    """Not in the table: it is in a grid."""

    @property
    def reached(self) -> bool | None:
        return self.aim.reached(self.value) if self.aim is not None else None


@dataclass(frozen=True)
class Grid:
    """Figures that are read side by side: a value for each name and column, where there is one."""

    title: str
    columns: tuple[str, ...]
    rows: dict[str, dict[str, float]]

    def cells(self) -> list[list[str]]:
        lines = [
            [name, *(_number(row[c]) if c in row else "" for c in self.columns)] for name, row in self.rows.items()
        ]
        return [[self.title, *self.columns], *lines]


@dataclass
class Report:
    """What a run has found, in order. `missing` says which tools there were none of, and so what was left out."""

    figures: list[Figure] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)

    def add(
        self, part: str, what: str, value: float, unit: str = "", aim: str | None = None, *, counted: bool = False
    ) -> None:
        self.figures.append(Figure(part, what, value, unit, Aim.of(aim) if aim else None, counted))

    def add_grid(
        self, part: str, title: str, unit: str, columns: tuple[str, ...], rows: dict[str, dict[str, float]]
    ) -> None:
        """Figures that are shown as a grid and told one by one."""
        self.grids.append(Grid(f"{part}: {title}", columns, rows))
        for name, row in rows.items():
            for column, value in row.items():
                self.figures.append(Figure(part, f"{column}, {name}, {title}", value, unit, apart=True))

    def lacks(self, tool: str, left_out: str) -> None:
        self.missing[tool] = left_out

    def text(self, head: Iterable[str]) -> str:
        """The table as plain text, aligned, below lines that say where it is from."""
        left_out = [f"not installed: {tool} ({what} left out)" for tool, what in self.missing.items()]
        tables = [_aligned(cells) for cells in (*(grid.cells() for grid in self.grids), self._cells())]
        return "\n".join([*head, *left_out, "", *"\n\n".join(tables).splitlines(), "", *self.notes]).rstrip()

    def markdown(self, head: Iterable[str]) -> str:
        """The same for the README: the grids, and of the rest what has an aim."""
        rows = [row for row in self._cells() if row[3]]
        tables = ["\n".join(_piped(cells)) for cells in (*(grid.cells() for grid in self.grids), rows)]
        return "\n\n".join(["  \n".join(head), *tables]) + "\n"

    def _cells(self) -> list[list[str]]:
        marks = {True: "reached", False: "NOT reached", None: ""}
        rows = [["what", "measured", "unit", "aim", "is"]]
        for each in self.figures:
            if not each.apart:
                aim = str(each.aim) if each.aim is not None else ""
                what = f"{each.part}: {each.what}"
                rows.append([what, _number(each.value), each.unit, aim, marks[each.reached]])
        return rows

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


def _aligned(cells: list[list[str]]) -> str:
    """The first column to the left, numbers to the right, words to the left."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numbers = {n for n, column in enumerate(zip(*cells[1:], strict=True)) if n and all(map(_is_number, column))}
    lines = [
        "  ".join(
            cell.rjust(width) if n in numbers else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
    return "\n".join([lines[0].rstrip(), "-" * max(map(len, lines)), *(line.rstrip() for line in lines[1:])])


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").replace("-", "").replace("e", "").isdigit() or not text


def _piped(cells: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (cells[0], ["---"] * len(cells[0]), *cells[1:])]


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
