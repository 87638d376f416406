"""What an export can be asked for, and what it reports back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from hardneg.config import Stage
from hardneg.quantities import counted
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
    positives_left_out: int  # the file has no place for them
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
        parts = [counted(c.queries, "query", "queries"), counted(c.negatives, "negative")]
        if c.positives or not c.positives_left_out:
            parts.insert(1, counted(c.positives, "positive"))
        where = "" if self.path is None else f" in {printable(str(self.path))}"
        lines = [f"{self.to}: {counted(self.rows, 'row')} from {', '.join(parts)}{where}"]
        told = [f"  {counted(number, one, many)}" for number, one, many in self._remarks() if number]
        return "\n".join(lines + told)

    def _remarks(self) -> Sequence[tuple[int, str, str]]:
        """(number, what is said of one, what is said of several)."""
        c = self.counts
        scored = " with a score" if c.negatives_without_score else ""
        bare = f"no negatives{scored}"
        unscored = "without a score"
        respaced = "had line ends, tabs or further spaces, which are single spaces in it"
        return (
            (
                c.queries_without_negatives,
                f"query has {bare} and is not in it",
                f"queries have {bare} and are not in it",
            ),
            (
                c.positives_without_negatives,
                f"positive has {bare} and is not in it",
                f"positives have {bare} and are not in it",
            ),
            (
                c.queries_short,
                f"query has too few negatives{scored} and was dropped",
                f"queries have too few negatives{scored} and were dropped",
            ),
            (c.positives_left_out, "positive is not in it", "positives are not in it"),
            (
                c.negatives_cut,
                "negative is past --num-negatives and was cut",
                "negatives are past --num-negatives and were cut",
            ),
            (
                c.negatives_without_score,
                f"negative is a random document {unscored} and is not in it",
                f"negatives are random documents {unscored} and are not in it",
            ),
            (
                c.negatives_repeated,
                "negative repeats one of the same query and is in it once",
                "negatives repeat one of the same query and are in it once",
            ),
            (self.empty_texts, "document in it is empty", "documents in it are empty"),
            (
                self.neutralised,
                "text begins like a formula and got a ' before it (JSONL keeps it)",
                "texts begin like a formula and got a ' before them (JSONL keeps them)",
            ),
            (self.respaced, f"text {respaced}", f"texts {respaced}"),
        )
