"""What flows between the stages: the tables (Arrow schemas) and the blocks (numpy arrays).

Rows are numbers, ids are the user's. `Collection` keeps its corpus sorted by the bytes of `doc_id` and its
queries by the bytes of `query_id`, so that a tie broken by row number is a tie broken by id bytes, and the
order of the input's rows changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hardneg.distinct import distinct

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

NO_DOC = -1
"""Fills the places of a block that hold no document."""

# Tables as they lie in memory and in the run directory. Texts are large_string: a chunk may pass 2 GB.
CORPUS = pa.schema([("doc_id", pa.string()), ("title", pa.large_string()), ("text", pa.large_string())])
QUERIES = pa.schema([("query_id", pa.string()), ("text", pa.large_string())])
QRELS = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("relevance", pa.float32())])
GIVEN = pa.schema([("query_id", pa.string()), ("doc_id", pa.string())])
# Optional columns with a meaning; any other column of the source is kept as it is.
OPTIONAL_CORPUS = {"group": pa.string(), "lang": pa.string()}
OPTIONAL_QUERIES = {"prompt": pa.string(), "lang": pa.string()}

ID = pa.dictionary(pa.int32(), pa.string())
CANDIDATES = pa.schema(  # and a float32 column per scorer; the row columns spare `select` the ids
    [
        ("query_id", ID),
        ("doc_id", ID),
        ("retriever", ID),
        ("rank", pa.int32()),
        ("score", pa.float32()),
        ("query_row", pa.int32()),
        ("doc_row", pa.int32()),
    ]
)
POSITIVES = pa.schema(  # and a float32 column per retriever and scorer
    [("query_id", ID), ("doc_id", ID), ("query_row", pa.int32()), ("doc_row", pa.int32())]
)
DECISIONS = pa.schema(
    [
        ("query_id", ID),
        ("doc_id", ID),
        ("p_false_negative", pa.float32()),
        ("decision", ID),
        ("reason", ID),
    ]
)
SELECTED_POSITIVES = pa.schema(
    [
        ("query_id", ID),
        ("doc_id", ID),
        ("source", ID),
        ("score", pa.float32()),
        ("p_false_negative", pa.float32()),  # of promoted ones: how likely they are positives
    ]
)
RELEVANCE_LABELS = pa.schema(  # judged pairs; the last five are null where no drawing is behind a pair
    [
        ("query_id", pa.string()),
        ("doc_id", pa.string()),
        ("relevant", pa.bool_()),
        ("selection", pa.string()),
        ("selection_size", pa.int64()),
        ("stratum", pa.string()),
        ("stratum_size", pa.int64()),
        ("inclusion_probability", pa.float64()),
    ]
)
SUSPECTS = pa.schema(  # negatives for people to judge: `relevant` is theirs to fill in
    [
        ("query_id", pa.string()),
        ("doc_id", pa.string()),
        ("query", pa.large_string()),
        ("positive", pa.large_string()),  # the text of a known positive
        ("document", pa.large_string()),
        *list(RELEVANCE_LABELS)[2:],
        ("p_false_negative", pa.float32()),
        ("rank", pa.int32()),
        ("score", pa.float32()),
    ]
)
NEGATIVES = pa.schema(
    [
        ("query_id", ID),
        ("doc_id", ID),
        ("positive_id", ID),  # null unless the reference positive is `each`
        ("rank", pa.int32()),
        ("score", pa.float32()),
        ("retriever", ID),
        ("positive_score", pa.float32()),
        ("margin", pa.float32()),
        ("p_false_negative", pa.float32()),
        ("source", ID),
    ]
)

_TEXTS, _IDS, _NUMBERS = pa.list_(pa.large_string()), pa.list_(pa.string()), pa.list_(pa.float32())
GROUPS = pa.schema(  # a training file: a query with its positives and negatives a row, in the file's order
    [
        ("query_id", pa.string()),
        ("query", pa.large_string()),
        ("prompt", pa.string()),
        # ids, scores and labels may be null, hold nulls, or be of another length, as the file has them
        ("pos", _TEXTS),
        ("pos_id", _IDS),
        ("pos_score", _NUMBERS),
        ("pos_label", _NUMBERS),  # soft labels: how likely it answers
        ("pos_title", _TEXTS),  # what the text begins with, where a format keeps titles apart
        ("neg", _TEXTS),
        ("neg_id", _IDS),
        ("neg_score", _NUMBERS),
        ("neg_label", _NUMBERS),
        ("neg_title", _TEXTS),
        ("line", pa.int64()),  # where it stood, from 1
    ]
)


@dataclass(frozen=True)
class ReadReport:
    """What was read, for people: counts, the first row as parsed, duplicates merged, rows refused.

    again  `source`, and the `qrels` and `corpus` that were named, as they can be read from any working
           folder; empty where the source was an object in memory
    """

    source: str
    counts: Mapping[str, int] = field(default_factory=dict)
    first_row: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    refused: tuple[Mapping[str, Any], ...] = ()  # {"file", "line", "reason"}
    again: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Collection:
    """Queries, their judgments and a corpus, as every later stage takes them.

    corpus   CORPUS and kept columns, sorted by the bytes of `doc_id`, ids unique
    queries  QUERIES and kept columns, sorted by the bytes of `query_id`, ids unique
    qrels    QRELS, sorted by query and document, pairs unique; relevance 0 and below are judged negatives
    given    GIVEN, negatives that the source brought along, in the source's order for each query
    """

    corpus: pa.Table
    queries: pa.Table
    qrels: pa.Table
    given: pa.Table
    report: ReadReport


@dataclass(frozen=True)
class Pairs:
    """Documents of each query, ragged: those of query q are `doc[start[q]:start[q + 1]]`, ascending.

    start  int64 (queries + 1,)
    doc    int32 (pairs,)
    """

    start: Int64
    doc: Int32

    @classmethod
    def from_rows(cls, query: Int32, doc: Int32, num_queries: int) -> Pairs:
        """Build from pairs in any order; repeats are merged."""
        if len(query) == 0:
            return cls(np.zeros(num_queries + 1, np.int64), np.zeros(0, np.int32))
        key = distinct(query.astype(np.int64) << 32 | doc.astype(np.int64))
        start = np.searchsorted(key >> 32, np.arange(num_queries + 1, dtype=np.int64))
        return cls(start.astype(np.int64), (key & 0xFFFFFFFF).astype(np.int32))

    @property
    def counts(self) -> Int64:
        """Documents per query, int64 (queries,)."""
        return np.diff(self.start)

    @property
    def query(self) -> Int32:
        """The query of each document, int32 (pairs,)."""
        return np.repeat(np.arange(len(self.start) - 1, dtype=np.int32), self.counts)

    def padded(self, query: Int32) -> Int32:
        """The documents of these queries as int32 (len(query), most of any), filled up with NO_DOC."""
        start = self.start[query]
        count = self.start[query + 1] - start
        width = int(count.max(initial=0))
        place = np.arange(width)[None, :] < count[:, None]
        out = np.full(place.shape, NO_DOC, np.int32)
        index = start[:, None] + np.arange(width)[None, :]
        out[place] = self.doc[index[place]]
        return out


@dataclass(frozen=True)
class Ranking:
    """What one retriever found for a block of queries; place j of a row is raw rank j + 1.

    doc             int32   (queries, depth), NO_DOC where there is nothing; nothing follows a NO_DOC
    score           float32 (queries, depth), NaN where there is nothing; higher is better; not increasing
    positive_score  float32 (queries, positives), of the positives asked for, NaN where there is none
    """

    retriever: str
    doc: Int32
    score: Float32
    positive_score: Float32

    def first(self, depth: int) -> Ranking:
        """Cut to so many ranks."""
        return replace(self, doc=self.doc[:, :depth], score=self.score[:, :depth])


@dataclass(frozen=True)
class Block:
    """The candidates of a block of queries: the union of what the retrievers found.

    query            int32   (queries,): rows of the query table
    doc              int32   (queries, width): rows of the corpus, NO_DOC where there is nothing; in the
                             order of reciprocal-rank fusion (one retriever: its own order), ties by row
    ranks            retriever -> int32 (queries, width), 1-based and raw, 0 where it did not find it
    scores           retriever or scorer -> float32 (queries, width), NaN where it gave none
    positive         int32   (queries, positives): rows of the corpus, NO_DOC where there is nothing
    positive_scores  retriever or scorer -> float32 (queries, positives), NaN where it gave none
    p_false_negative float32 (queries, width), NaN where no guard judged
    """

    query: Int32
    doc: Int32
    ranks: Mapping[str, Int32]
    scores: Mapping[str, Float32]
    positive: Int32
    positive_scores: Mapping[str, Float32]
    p_false_negative: Float32

    def rows(self, rows: Int64 | slice) -> Block:
        """Some of the queries, as wide as the block."""
        return Block(
            self.query[rows],
            self.doc[rows],
            {name: rank[rows] for name, rank in self.ranks.items()},
            {name: score[rows] for name, score in self.scores.items()},
            self.positive[rows],
            {name: score[rows] for name, score in self.positive_scores.items()},
            self.p_false_negative[rows],
        )

    def by_retrievers(self) -> Block:
        """Without the scorers' scores."""
        return replace(
            self,
            scores={name: self.scores[name] for name in self.ranks},
            positive_scores={
                name: score for name, score in self.positive_scores.items() if name in self.ranks
            },
        )

    def trimmed(self) -> Block:
        """The positives of each query side by side, as wide as the most of any."""
        there = self.positive != NO_DOC
        order = np.argsort(~there, axis=1, kind="stable")[:, : int(there.sum(axis=1).max(initial=0))]
        return replace(
            self,
            positive=np.take_along_axis(self.positive, order, axis=1),
            positive_scores={
                name: np.take_along_axis(score, order, axis=1) for name, score in self.positive_scores.items()
            },
        )

    @classmethod
    def joined(cls, parts: Sequence[Block]) -> Block:
        """At least one block, of the same retrievers and scorers, each below the one before."""

        def by_name(of: str, nothing: float) -> dict[str, Any]:
            names = getattr(parts[0], of)
            return {name: _stacked([getattr(part, of)[name] for part in parts], nothing) for name in names}

        return cls(
            np.concatenate([part.query for part in parts]),
            _stacked([part.doc for part in parts], NO_DOC),
            by_name("ranks", 0),
            by_name("scores", np.nan),
            _stacked([part.positive for part in parts], NO_DOC),
            by_name("positive_scores", np.nan),
            _stacked([part.p_false_negative for part in parts], np.nan),
        )

    @property
    def retrievers(self) -> tuple[str, ...]:
        return tuple(self.ranks)

    @property
    def scorers(self) -> tuple[str, ...]:
        return tuple(name for name in self.scores if name not in self.ranks)

    @property
    def present(self) -> Bool:
        """bool (queries, width): where there is a document."""
        present: Bool = self.doc != NO_DOC
        return present


@dataclass(frozen=True)
class TeacherScores:
    """A teacher's scores of a lesson's pairs, as a cross-encoder gives them: logits, higher is better.

    positives  float32 like the lesson's, of each query with each of them; NaN where there is none
    negatives  float32 like the lesson's, likewise
    """

    positives: Float32
    negatives: Float32


@dataclass(frozen=True)
class Lesson:
    """What a student learns from: queries, their positives, and the negatives of one arm of a trial.

    query      int32 (queries,): rows of the trial's queries, each once
    positives  int32 (queries, positives), NO_DOC filled: corpus rows, learned as answers; one at least
    negatives  int32 (queries, negatives), NO_DOC filled: corpus rows, in the order of choice; width 0 is none
    weights    float32 like negatives: how much each counts, in (0, 1]
    known      the documents that are no negatives of a query when they come with another of the batch; by
               rows of the trial's queries
    teacher    what a teacher says of the pairs; None where nobody is taught by one
    """

    query: Int32
    positives: Int32
    negatives: Int32
    weights: Float32
    known: Pairs
    teacher: TeacherScores | None = None

    @property
    def documents(self) -> Int32:
        """Every document in it, ascending."""
        rows = np.unique(np.concatenate([self.positives.ravel(), self.negatives.ravel()]))
        found: Int32 = rows[rows != NO_DOC]
        return found


@dataclass(frozen=True)
class Budget:
    """How long and how fast a student learns; the same seed gives every arm the same batches of queries.

    steps          batches
    batch_size     queries a batch
    temperature    similarities are divided by it
    """

    steps: int
    batch_size: int
    learning_rate: float
    temperature: float
    seed: int


def _stacked(arrays: Sequence[Any], nothing: float) -> Any:
    """One below the other, as wide as the widest."""
    width = max(array.shape[1] for array in arrays)
    out = np.full((sum(map(len, arrays)), width), nothing, arrays[0].dtype)
    start = 0
    for array in arrays:
        out[start : start + len(array), : array.shape[1]] = array
        start += len(array)
    return out
