"""What an export can be asked for, and what it reports back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from hardneg.config import Stage
from hardneg.terminal import printable


class ExportOptions(Stage):
    """export: how a selection is written."""

    text: Literal["encoded", "body"] = Field(
        "encoded", description="Document text as encoded (title and text), or its `text` alone."
    )
    join_title: bool = Field(True, description="Whether the run encoded `title text`; decides `encoded`.")
    scores: bool = Field(False, description="Write scores too, where the format has them.")
    soft_labels: bool = Field(
        False,
        description="Labels are probabilities of being an answer: 1 for your own positives, the guard's for "
        "promoted ones and negatives.",
    )
    ids: bool = Field(False, description="Write ids too, where the format has them.")
    prompts: bool = Field(False, description="Write the queries' prompts too, where the format has them.")
    positives: bool = Field(False, description="beir: write the positives too, with relevance 1.")
    num_negatives: int | None = Field(None, ge=1, description="Write only the first N negatives.")
    shortfall: Literal["refuse", "drop"] = Field(
        "refuse", description="Where every row needs the same number of negatives and one has fewer."
    )
    neutralise: bool = Field(
        True, description="CSV: put ' before texts that a spreadsheet would take for a formula."
    )


class ConvertOptions(Stage):
    """convert: how a training file is written. Parts not asked for are written where there are any."""

    on_fault: Literal["refuse", "drop"] = Field(
        "refuse",
        description="What to do where something is wrong with a row or a text; what is dropped is counted.",
    )
    scores: bool = Field(False, description="Write scores too (default: where all texts have one).")
    soft_labels: bool = Field(False, description="Write soft labels (default: where the file has them).")
    ids: bool = Field(False, description="Write ids too (default: where the file has them).")
    prompts: bool = Field(False, description="Write prompts too (default: where the file has them).")
    positives: bool = Field(
        False, description="beir: write the positives too (default: where there are any)."
    )
    num_negatives: int | None = Field(None, ge=1, description="Write only the first N negatives.")
    shortfall: Literal["refuse", "drop"] = Field(
        "refuse", description="Where every row needs the same number of negatives and one has fewer."
    )
    neutralise: bool = Field(
        True, description="CSV: put ' before texts that a spreadsheet would take for a formula."
    )


@dataclass(frozen=True)
class SelectedTables:
    """What is exported, in the schemas of `records`; `queries` sorted by the bytes of its ids."""

    corpus: pa.Table  # CORPUS
    queries: pa.Table  # QUERIES
    positives: pa.Table  # SELECTED_POSITIVES
    negatives: pa.Table  # NEGATIVES


@dataclass(frozen=True)
class Counts:
    """Where the selection's rows went: of each kind, `given` is the sum of the others.

    A positive is in no file where it has no negatives (for most formats: where its query has none).
    """

    queries_given: int
    queries: int
    queries_without_negatives: int
    queries_short: int  # left out by shortfall `drop`
    positives_given: int
    positives: int
    positives_without_negatives: int
    positives_short: int
    positives_repeated: int
    negatives_given: int
    negatives: int
    negatives_short: int
    negatives_cut: int  # past `num_negatives`
    negatives_without_score: int  # random documents, where scores are written
    negatives_repeated: int  # the same document again for the same query (or positive)


@dataclass(frozen=True)
class ExportReport:
    """What was written, what was not, and why."""

    to: str
    path: Path | str | None  # an address, where it was sent
    rows: int
    counts: Counts
    empty_texts: int = 0
    neutralised: int = 0
    respaced: int = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        flat = {**asdict(self), "path": None if self.path is None else str(self.path)}
        flat.update(flat.pop("counts"))
        return flat

    def __str__(self) -> str:
        c = self.counts
        written = f"{c.queries:,} queries, {c.positives:,} positives, {c.negatives:,} negatives"
        where = "" if self.path is None else f" in {printable(str(self.path))}"
        lines = [f"{self.to}: {self.rows:,} rows from {written}{where}"]
        scored = " with a score" if c.negatives_without_score else ""
        remarks = (
            (c.queries_without_negatives, f"queries have no negatives{scored} and are not in it"),
            (c.positives_without_negatives, f"positives have no negatives{scored} and are not in it"),
            (c.queries_short, f"queries have too few negatives{scored} and were dropped"),
            (c.negatives_cut, "negatives are past --num-negatives and were cut"),
            (c.negatives_without_score, "negatives are random documents without a score and are not in it"),
            (c.negatives_repeated, "negatives repeat one of the same query and are in it once"),
            (self.empty_texts, "documents in it are empty"),
            (self.neutralised, "texts begin like a formula and got a ' before them (JSONL keeps them)"),
            (self.respaced, "texts had line ends, tabs or further spaces, which are single spaces in it"),
        )
        return "\n".join(lines + [f"  {count:,} {what}" for count, what in remarks if count])
