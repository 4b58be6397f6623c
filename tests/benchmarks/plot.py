"""One picture: how far each figure is from its aim."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.table import Figure, Report


def draw(report: Report, file: Path, head: Sequence[str]) -> None:
    """Write a PNG with a bar a figure: to the right of 1 the aim is reached. Named as missing without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Picture
    except ImportError:
        report.lacks("matplotlib", "the picture")
        return
    shown = [(each, _distance(each)) for each in report.figures if each.aim is not None and each.aim.value > 0]
    picture = Picture(figsize=(12, 1.5 + 0.28 * len(shown)), layout="constrained")
    FigureCanvasAgg(picture)
    axes = picture.subplots()
    places = range(len(shown))
    axes.barh(
        places,
        [distance - 1 for _, distance in shown],
        left=1,
        color=["tab:green" if each.reached else "tab:red" for each, _ in shown],
    )
    axes.set_yticks(places, [f"{each.part}: {each.what}" for each, _ in shown], fontsize=7)
    for place, (each, distance) in zip(places, shown, strict=True):
        axes.annotate(f" {each.value:.3g} {each.unit} ({each.aim}) ", (distance, place), va="center", fontsize=6)
    axes.set_xscale("log")
    axes.margins(x=0.2)
    axes.axvline(1, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.set_xlabel("times the aim (right of 1: reached)")
    axes.set_title("\n".join(head), fontsize=7, loc="left")
    picture.savefig(file, dpi=120)


def _distance(figure: Figure) -> float:
    """By which factor an aim is surpassed (above 1) or missed (below)."""
    assert figure.aim is not None
    value = max(figure.value, figure.aim.value / 1000)
    factor = value / figure.aim.value if figure.aim.how == ">=" else figure.aim.value / value
    return min(factor, 10.0)
