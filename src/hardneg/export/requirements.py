"""What a format needs of a selection, checked before a byte is written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow.compute as pc

from hardneg.errors import HardnegError, InputError, UsageError
from hardneg.export.formats import Format
from hardneg.export.layout import Layout, arrange
from hardneg.export.options import ExportOptions, SelectedTables

NAMED = 3
"""How many queries an error names."""


def required_layout(selection: SelectedTables, to: str, found: Format, options: ExportOptions) -> Layout:
    """The groups to write. Raises what `export` raises before it writes."""
    if options.prompts and "prompt" not in selection.queries.column_names:
        raise UsageError("the queries have no column `prompt`; leave --prompts off")
    scored = bool(options.scores or found.needs_scores)
    given = len(selection.negatives)
    if scored:
        selection = _without_unscored_backfill(selection)
    unscored = given - len(selection.negatives)
    layout = arrange(selection, each=found.each, num_negatives=options.num_negatives)
    if found.rectangular and len(layout.query):
        layout = _rectangular(selection, to, layout, options, unscored)
    if not len(layout.query):
        lacking = f" with a score ({unscored:,} random documents have none)" if unscored else ""
        raise HardnegError(
            f"{to}: no query has a negative{lacking}, so there is nothing to write; select with other rules"
        )
    if scored:
        _refuse_missing_scores(selection, to, layout, found)
    counts = replace(layout.counts, negatives_given=given, negatives_without_score=unscored)
    if not found.holds_positives(options):
        counts = replace(counts, positives=0, positives_left_out=counts.positives)
    return replace(layout, counts=counts)


def _without_unscored_backfill(selection: SelectedTables) -> SelectedTables:
    """Without the random documents that no retriever found: they only make up the number."""
    negatives = selection.negatives
    added = pc.fill_null(pc.equal(negatives["source"], "backfill"), False)
    unscored = pc.and_(added, pc.is_null(negatives["score"]))
    return replace(selection, negatives=negatives.filter(pc.invert(unscored)))


def _rectangular(
    selection: SelectedTables, to: str, layout: Layout, options: ExportOptions, unscored: int
) -> Layout:
    """Every group with the same number of negatives, or a refusal that names the queries and the ways out."""
    counts = layout.num_negatives
    width = options.num_negatives or int(counts.max())
    # Queries without any are in no file of any format; they are reported, and stand in no one's way.
    short = np.flatnonzero(counts < width)
    if not len(short):
        return layout
    if options.shortfall == "drop":
        return arrange(selection, each=True, num_negatives=options.num_negatives, only_of_length=width)
    ids = selection.queries["query_id"]
    named = [f"{ids[int(layout.query[g])].as_py()!r} has {counts[g]}" for g in short[:NAMED]]
    scored = f" with a score ({unscored:,} random documents have none)" if unscored else ""
    filling = "drop" if unscored else "backfill or drop"
    raise InputError(
        f"{to} needs {width} negatives in every row, but {len(short):,} of {len(counts):,} have fewer{scored}"
        f" ({', '.join(named)}{', ...' if len(short) > NAMED else ''}); select with --shortfall {filling}, "
        f"or export with --num-negatives {counts.min()} (cuts all to that) or --shortfall drop"
    )


def _refuse_missing_scores(selection: SelectedTables, to: str, layout: Layout, found: Format) -> None:
    """A missing score is no number, and a made-up one would be trained on."""
    missing = np.isnan(layout.score)
    only_negatives = found.needs_scores == "negatives"
    bad = np.flatnonzero(missing & ~layout.is_positive if only_negatives else missing)
    if not len(bad):
        return
    query = selection.queries["query_id"][int(layout.query[layout.group[bad[0]]])].as_py()
    doc = selection.corpus["doc_id"][int(layout.doc[bad[0]])].as_py()
    way_out = (
        "use --to beir, or select with --given-negatives ignore"
        if only_negatives
        else "leave --scores off, or select with --given-negatives ignore, for those have none unless a "
        "retriever found them"
    )
    raise InputError(
        f"{to} needs a score for each document, {len(bad):,} have none (first: {doc!r}); {way_out}",
        row_id=query,
    )
