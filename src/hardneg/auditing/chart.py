"""The chart: contamination over hardness, a line a rule with its 95 % interval, as SVG and PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hardneg.auditing.points import OWN, RULES
from hardneg.errors import MissingExtraError
from hardneg.files import write_whole
from hardneg.terminal import printable

COLOURS = ("#4c78a8", "#54a24b", "#f58518", "#b279a2", "#d62728")
"""Of RULES."""
LEAST_YIELD = 0.1
"""A level that finds less than this share of the negatives asked for is not drawn: it is noise."""
WIDTH, HEIGHT, SCALE = 640, 400, 2


def draw(numbers: Mapping[str, Any], folder: Path) -> None:
    """Write audit.svg and audit.png. Raises MissingExtraError without the libraries that draw."""
    try:
        import vl_convert

        figure = chart(numbers).to_dict()
    except ImportError as error:
        raise MissingExtraError("the chart", "charts") from error
    write_whole(vl_convert.vegalite_to_svg(figure).encode(), folder / "audit.svg")
    write_whole(vl_convert.vegalite_to_png(figure, scale=SCALE), folder / "audit.png")


def chart(numbers: Mapping[str, Any]) -> Any:
    """The same as an `altair.LayerChart`."""
    import altair

    rows = _rows(numbers)
    by = numbers["hardness_by"]
    unit = "standard deviations" if by == "standardised" else f"score of {_plain(by)}"
    highest = max((row["high"] for row in rows), default=1.0)
    x = altair.X("hardness:Q", title=f"hardness: mean {unit} of the negatives (harder →)")
    y = altair.Y("contamination:Q", title="contamination: hidden positives among the negatives")
    x, y = x.scale(zero=False, nice=False, padding=12), y.axis(format=".1%" if highest < 0.05 else "%")
    layers = [*_curves(rows, x, y), *_selection(rows, f"selection {_plain(numbers['selection'])}", x, y)]
    return (
        altair.layer(*layers)
        .properties(width=WIDTH, height=HEIGHT, title=_title(numbers), background="white")
        .configure_title(anchor="start", fontSize=16, subtitleFontSize=12, subtitlePadding=6, offset=14)
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", gridColor="#eeeeee")
        .configure_legend(labelFontSize=12, orient="top-left", padding=8, fillColor="white")
        .configure_view(strokeWidth=0)
    )


def _curves(rows: Sequence[Mapping[str, Any]], x: Any, y: Any) -> list[Any]:
    """Bands, lines from the loosest level to the strictest, and a dot a level."""
    import altair

    legend = altair.Legend(title=None, symbolType="circle", symbolOpacity=1)
    colour = altair.Color("rule:N", legend=legend).scale(domain=list(RULES), range=list(COLOURS))
    curves = altair.Chart(altair.Data(values=[row for row in rows if row["rule"] != OWN]))
    low = altair.Y("low:Q", title="")
    return [
        curves.mark_errorband(opacity=0.14).encode(x, low, y2="high:Q", color=colour),
        curves.mark_line(strokeWidth=2).encode(x, y, color=colour, order="level:O"),
        curves.mark_point(filled=True, size=28, opacity=1).encode(x, y, color=colour),
    ]


def _selection(rows: Sequence[Mapping[str, Any]], name: str, x: Any, y: Any) -> list[Any]:
    """A diamond where the selection's own settings lie."""
    import altair

    own = altair.Chart(altair.Data(values=[{**row, "name": name} for row in rows if row["rule"] == OWN]))
    text = {"align": "right", "dx": -12, "dy": -8, "fontSize": 12}
    return [
        own.mark_point(shape="diamond", size=140, color="black", filled=False).encode(x, y),
        own.mark_text(**text, stroke="white", strokeWidth=4).encode(x, y, text="name:N"),
        own.mark_text(**text).encode(x, y, text="name:N"),
    ]


def _plain(name: str) -> str:
    """A retriever is called after a file. Vega takes escapes in a title for what they stand for, and what XML
    has not ends the process."""
    return printable(name).replace("\\", "\N{REPLACEMENT CHARACTER}")


def _title(numbers: Mapping[str, Any]) -> dict[str, Any]:
    hidden, queries = numbers["hidden"], numbers["queries"]
    return {
        "text": "Contamination against hardness: a lower bound",
        "subtitle": [
            f"{hidden['share']:.0%} of the known positives hidden, {times(hidden['repeats'])}; "
            f"{queries['measured']:,} of {queries['total']:,} queries; bands: 95 % intervals",
            "Positives that nobody labelled count as right negatives here: the truth is no lower",
        ],
    }


def times(repeats: int) -> str:
    return "once" if repeats == 1 else f"{repeats} times"


def _rows(numbers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a point that can be drawn."""
    return [
        {
            "rule": point["rule"],
            "level": level,
            "hardness": point["hardness"]["mean_score"],
            "contamination": point["contamination"]["share"],
            "low": point["contamination"]["low"],
            "high": point["contamination"]["high"],
        }
        for level, point in enumerate(numbers["points"])
        if point["rule"] in (*RULES, OWN)
        and (point["yield"] or 0) >= (0 if point["rule"] == OWN else LEAST_YIELD)
        and None not in (point["hardness"]["mean_score"], *point["contamination"].values())
    ]
