"""The seams: what a user's own reader, encoder, retriever, ... or engine must offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Protocol

from hardneg.records import Block, Bool, Budget, Collection, Float32, Int32, Lesson, Ranking

Kind = Literal["query", "document"]
Similarity = Literal["cosine", "dot"]


class Progress(Protocol):
    """Tells people what goes on. `track` yields a function that is told of every `n` units done.

    One that has a `stage(name)` too, a context manager, is told when each stage begins and ends.
    """

    def track(self, label: str, total: int, unit: str) -> AbstractContextManager[Callable[[int], None]]: ...

    def say(self, line: str) -> None: ...


class Engine(Protocol):
    """Where the work of a stage runs: by default in this process, one part after the other (`engine`).

    `each` does `work` for every part and returns when all are done; an error in one of them is raised.
    Parts of one call are independent: they may run in any order, at the same time, and wherever the run
    directory and the vector store can be reached, since each writes a file of its own.
    """

    def each(self, work: Callable[[Any], None], parts: Sequence[Any]) -> None: ...


class Reader(Protocol):
    """source → tables. Raises InputError on bad input."""

    def __call__(self, source: Any, /, **options: Any) -> Collection: ...


class Encoder(Protocol):
    """texts → vectors. `encode` gives finite float32 (len(texts), dimension), one row a text in order.

    `fingerprint(kind)` holds everything that decides a vector besides the text and the prompt: two
    encoders with equal fingerprints give equal vectors.
    """

    @property
    def name(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    @property
    def similarity(self) -> Similarity: ...

    def fingerprint(self, kind: Kind) -> Mapping[str, Any]: ...

    def prompt(self, kind: Kind) -> str: ...

    def encode(self, texts: Sequence[str], kind: Kind, prompt: str) -> Float32: ...


class Vectors(Protocol):
    """Stored vectors in the order of a table's rows; read a part at a time, as float32."""

    shape: tuple[int, int]

    def take(self, rows: Int32) -> Float32:
        """float32 (len(rows), dimension)."""
        ...

    def block(self, start: int, stop: int) -> Float32:
        """float32 (stop - start, dimension): rows start to stop - 1."""
        ...


class Retriever(Protocol):
    """queries → candidates. Scores: higher is better; ties are broken by document row.

    query      int32 (queries,): rows of the query table
    depth      how many documents to return at most for each query; fewer only where there are no more
    positives  int32 (queries, positives), NO_DOC filled: their scores are wanted whatever their rank
    """

    name: str

    def search(self, query: Int32, depth: int, positives: Int32, progress: Progress) -> Ranking: ...


class Scorer(Protocol):
    """(query text, document text) pairs → finite float32 (len(pairs),); higher is better."""

    name: str

    def fingerprint(self) -> Mapping[str, Any]: ...

    def score(self, pairs: Sequence[tuple[str, str]]) -> Float32: ...


class Rule(Protocol):
    """A hard exclusion. `exclude` gives bool (queries, width), true where a candidate may not be chosen."""

    code: str

    def exclude(self, block: Block) -> Bool: ...


class Sampler(Protocol):
    """Says which eligible candidates it prefers.

    order(...) gives int32 (queries, limit): places in the row, best first, each at most once, NO_DOC when
    there are no more. `value` is float32 (queries, width), the score that orders; `reference` float32
    (queries,) is the reference positive's score on the same scale (NaN where there is none); `uniform` is
    float64 (queries, width) in (0, 1), the draws of that query, fixed by seed and query id.
    """

    def order(
        self,
        block: Block,
        eligible: Bool,
        value: Float32,
        reference: Float32,
        uniform: Any,
        limit: int,
    ) -> Int32: ...


class Studied(Protocol):
    """What a trial lets a student look at; rows are those of the trial's queries and of the run's corpus.

    Vectors are float32 (len(rows), dimension), those that the run searched with; of length 1 where their
    similarity is a cosine.
    """

    def query_texts(self, rows: Int32) -> list[str]: ...

    def document_texts(self, rows: Int32) -> list[str]: ...

    def query_vectors(self, rows: Int32) -> Float32: ...

    def document_vectors(self, rows: Int32) -> Float32: ...


class Ranker(Protocol):
    """A trained student: the best `depth` documents of the pool for each query, the best first.

    query  int32 (queries,); pool  int32 (documents,), ascending corpus rows
    Gives int32 (queries, min(depth, documents)): corpus rows. Ties are broken by row.
    """

    def __call__(self, query: Int32, pool: Int32, depth: int) -> Int32: ...


class Student(Protocol):
    """Learns to retrieve from a lesson: what `hardneg trial` trains once an arm, seed and setting.

    `untrained` is the student before it learned anything. Equal lessons and budgets give equal rankers.
    `fingerprint` holds everything beside lesson and budget that decides them. `at_once` is how many may be
    trained at the same time, by threads of this process.

    Lessons of some arms hold a teacher's scores (`Lesson.teacher`). Students that have no use for them may
    ignore them; to those the arm is the same as the one without.
    """

    @property
    def name(self) -> str: ...

    @property
    def at_once(self) -> int: ...

    def fingerprint(self) -> Mapping[str, Any]: ...

    def untrained(self, data: Studied) -> Ranker: ...

    def train(self, data: Studied, lesson: Lesson, budget: Budget) -> Ranker: ...


class Writer(Protocol):
    """Examples → the trainer's file. Writes whole or not at all."""

    def __call__(self, examples: Iterable[Mapping[str, Any]], path: Path) -> int: ...
