"""texts → vectors in the store: each distinct text once, shard by shard, going on where it was left."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hardneg.encode.hashes import Hashes, as_column, byte_lengths, first_places, text_hashes
from hardneg.encode.plan import kept_plan, plan_path
from hardneg.encode.store import Locations, Space, VectorStore
from hardneg.encode.vectors import StoredVectors
from hardneg.engine import ThisProcess, Threads
from hardneg.errors import InputError, ModelError, StoreError
from hardneg.progress import Silent
from hardneg.protocols import Encoder, Engine, Kind, Progress
from hardneg.records import Bool, Float32, Int32, Int64
from hardneg.words import words

TEXTS_A_CALL = 512
"""Texts given to the encoder at once, of like length: tokenised together, and a step of the progress bar.
An encoder whose batches are large asks for more (`texts_a_call`).
"""
BYTES_A_CALL = 8 << 20
"""Of UTF-8, were all as long as the longest: tokens are padded to it, and are fewer than bytes."""
WARM_UP_PAYS = 200
"""From so many times the text of a warm-up on (some 3,000 abstracts on a CPU) it pays for itself."""


@dataclass(frozen=True)
class EncodedTexts:
    """What encoding a column of texts gave.

    vectors    one row a text, in the column's order
    folder     the store folder, which `StoredVectors.open` takes back with the texts' hashes
    encoded    distinct texts encoded now
    reused     distinct texts that the store had already
    truncated  distinct texts that are longer than the model reads; None where the encoder cannot tell
    zeros      rows of distinct texts that have words, and vectors of zeros: nothing can be compared by them
    example    the first text as it was encoded, prompt in front; "" where there is no text
    """

    vectors: StoredVectors
    folder: Path
    encoded: int
    reused: int
    truncated: int | None
    zeros: Int64
    example: str


def encode_texts(
    encoder: Encoder,
    texts: Any,
    kind: Kind,
    *,
    store: VectorStore,
    prompts: Any = None,
    progress: Progress | None = None,
    engine: Engine | None = None,
    name_of: Callable[[Kind, int], str] | None = None,
) -> EncodedTexts:
    """Vectors of a column of texts, from the store where it has them.

    texts    pa.ChunkedArray of strings, or a sequence of str; no nulls
    prompts  one for each text, null for the encoder's own; None: the encoder's own for all
    engine   runs the shards; None: this process
    name_of  kind and row → how an error calls the text; None: by these

    Equal (prompt, text) pairs are encoded once. Raises ModelError where the encoder returns NaN, infinity or
    a wrong shape, StoreError where the store is damaged or cannot be written.
    """
    progress = progress or Silent()
    space = store.space(encoder.fingerprint(kind), encoder.name)
    job = _Job.of(encoder, as_column(texts), kind, prompts, space)
    if name_of is not None:
        job = replace(job, name_of=name_of)
    before = job.space.lookup(job.distinct)
    for stem in list(job.space.lost):
        progress.say(f"{job.space.folder}: shard {stem} is gone or cut short; its texts are encoded anew")
        job.space.discard(stem)
    missing = before.missing
    if missing.any():
        _encode_missing(job, before, progress, engine or ThisProcess())
    locations = job.space.lookup(job.distinct)
    if locations.missing.any():
        raise StoreError(f"{job.space.folder}: lost vectors while they were written; run again")
    known = locations.truncated[locations.truncated >= 0]
    return EncodedTexts(
        vectors=StoredVectors(job.space, _of_rows(locations, job.own), _dimension(job)),
        folder=job.space.folder,
        encoded=int(missing.sum()),
        reused=int((~missing).sum()),
        zeros=_wordy(job, job.space.zeros(locations)),
        truncated=int(known.sum()) if len(known) or not len(missing) else None,
        example=_example(job),
    )


@dataclass(frozen=True)
class _Job:
    """One column to encode.

    distinct  Hashes (distinct texts,), in the order of their first occurrence
    first     int64 (distinct texts,): row of that occurrence
    own       int64 (rows,): each row's place among the distinct
    """

    encoder: Encoder
    kind: Kind
    column: pa.ChunkedArray
    prompts: str | Sequence[str]
    space: Space
    distinct: Hashes
    first: Int64
    own: Int64
    name_of: Callable[[Kind, int], str] = lambda kind, row: f"{kind} row {row}"

    @classmethod
    def of(cls, encoder: Encoder, column: pa.ChunkedArray, kind: Kind, prompts: Any, space: Space) -> _Job:
        if column.null_count:
            row = pc.index(pc.is_null(column), True).as_py()
            raise InputError(f"the text of {kind} row {row} is null; leave the row out")
        used = row_prompts(prompts, encoder.prompt(kind), len(column))
        hashes = text_hashes(column, used)
        first, own = first_places(hashes)
        return cls(encoder, kind, column, used, space, hashes[first], first, own)

    def prompt_of(self, row: int) -> str:
        return self.prompts if isinstance(self.prompts, str) else self.prompts[row]


def row_prompts(prompts: Any, default: str, rows: int) -> str | list[str]:
    """The prompt of each text: its own where it has one, else the default; one str where all are the same."""
    if prompts is None:
        return default
    own = prompts.to_pylist() if hasattr(prompts, "to_pylist") else list(prompts)
    if len(own) != rows:
        raise InputError(f"{len(own)} prompts for {rows} texts; give one for each, or none")
    used = [default if prompt is None else str(prompt) for prompt in own]
    return used[0] if len(set(used)) == 1 else used


def _encode_missing(job: _Job, before: Locations, progress: Progress, engine: Engine) -> None:
    """Write the missing shards along the plan; one that another process has written meanwhile is left."""
    lengths = byte_lengths(job.column)[job.first]
    path = plan_path(job.space.folder, job.distinct)
    plan = kept_plan(path, before.missing, lengths, partial(_warm_up, job, before.missing, lengths))
    if plan.texts_a_batch is not None and hasattr(job.encoder, "texts_a_batch"):
        job.encoder.texts_a_batch = plan.texts_a_batch
    parts = [part for part in plan.parts() if before.missing[part].any()]
    at_once = getattr(job.encoder, "at_once", 1)
    if at_once > 1 and isinstance(engine, ThisProcess):
        engine = Threads(at_once)
    writing = threading.Lock()
    with progress.track(f"encode {job.kind}s", sum(map(len, parts)), "texts") as advance:

        def done(texts: int) -> None:
            with writing:
                advance(texts)

        def written_by_others(part: Int32) -> bool:
            with writing:
                space = job.space
                return space.others_appended() and not space.lookup(job.distinct[part]).missing.any()

        def encode_part(part: Int32) -> None:
            if written_by_others(part):
                done(len(part))
                return
            vectors, truncated = _encode_shard(job, part, lengths[part], done)
            with writing:
                job.space.append(job.distinct[part], vectors, truncated)

        engine.each(encode_part, parts)
    path.unlink(missing_ok=True)


def _warm_up(job: _Job, missing: Bool, lengths: Int64) -> int | None:
    """How many texts a batch suit this machine; None for an encoder that has no such setting."""
    encoder: Any = job.encoder
    if not hasattr(encoder, "warm_up"):
        return None
    rows = job.first[missing]
    total, wanted = int(lengths[missing].sum()), encoder.warm_up_bytes
    if total >= WARM_UP_PAYS * wanted:
        sample = rows[:: max(1, total // wanted)]
        texts = [job.column[row].as_py() for row in sample.tolist()]
        encoder.warm_up(texts, job.kind, job.prompt_of(int(rows[0])))
    return int(encoder.texts_a_batch)


def _encode_shard(
    job: _Job, part: Int32, lengths: Int64, advance: Callable[[int], None]
) -> tuple[Float32, NDArray[np.int8]]:
    """Vectors of one shard's texts, in the order of `part`, and whether each was truncated."""
    rows = job.first[part]
    # Arrow gathers a chunked column by going through all of it: give it only the part that holds the rows.
    near = job.column.slice(rows[0], rows[-1] + 1 - rows[0])
    texts = near.take(pa.array(rows - rows[0])).to_pylist()
    prompts = [job.prompt_of(row) for row in rows.tolist()]
    calls = list(_calls(prompts, lengths, getattr(job.encoder, "texts_a_call", TEXTS_A_CALL)))
    encoded = _encoded(job, [([texts[place] for place in places], prompts[places[0]]) for places in calls])
    out: NDArray[Any] | None = None
    truncated = np.full(len(part), -1, np.int8)
    for places, (vectors, flags) in zip(calls, encoded, strict=True):
        _check(job, vectors, rows[places], None if out is None else out.shape[1])
        if out is None:
            out = np.empty((len(part), vectors.shape[1]), np.float32)
        out[places], truncated[places] = vectors, flags
        advance(len(places))
    assert out is not None  # noqa: S101 - a part of the plan is never empty
    return out, truncated


def _calls(prompts: list[str], lengths: Int64, most: int) -> Iterator[Int64]:
    """Places of the texts of each call, at most so many: one prompt, longest first."""
    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts))}
    number = np.fromiter((numbers[prompt] for prompt in prompts), np.int64, len(prompts))
    order = np.lexsort((-lengths, number))
    cuts = np.flatnonzero(np.diff(number[order])) + 1
    for group in np.split(order, cuts):
        start = 0
        while start < len(group):
            fitting = BYTES_A_CALL // max(1, int(lengths[group[start]]))
            count = min(most, max(1, fitting))
            yield group[start : start + count]
            start += count


def _encoded(job: _Job, calls: list[tuple[list[str], str]]) -> Iterator[tuple[Any, Any]]:
    """Vectors and truncation flags of each call, by the best that the encoder offers."""
    if hasattr(job.encoder, "encode_calls"):
        yield from job.encoder.encode_calls(calls, job.kind)
        return
    for texts, prompt in calls:
        yield _as_array(job, job.encoder.encode(texts, job.kind, prompt)), np.int8(-1)


def _as_array(job: _Job, vectors: Any) -> NDArray[Any]:
    try:
        return np.asarray(vectors)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{job.encoder.name}: returned what is no array of numbers ({error})") from error


def _check(job: _Job, vectors: NDArray[Any], rows: Int64, dimension: int | None) -> None:
    """Raises ModelError for what no encoder may return for the texts of these rows."""
    name = job.encoder.name
    if vectors.ndim != 2 or len(vectors) != len(rows) or not vectors.shape[1]:
        raise ModelError(f"{name}: returned shape {vectors.shape} for {len(rows)} texts")
    if vectors.dtype.kind not in "fiu":
        raise ModelError(f"{name}: returned {vectors.dtype}; floats are needed")
    if dimension is not None and vectors.shape[1] != dimension:
        raise ModelError(f"{name}: returned vectors of {dimension} and {vectors.shape[1]} numbers")
    with np.errstate(over="ignore"):  # what does not fit is infinite, and refused
        bad = ~np.isfinite(vectors.astype(np.float32)).all(axis=1)
    if bad.any():
        text = job.name_of(job.kind, int(rows[int(np.argmax(bad))]))
        raise ModelError(f"{name}: returned NaN or infinity for {text}; its weights are damaged")


def _wordy(job: _Job, zero: Bool) -> Int64:
    """Rows of those of the distinct texts that have a word: of nothing the vector may be nothing."""
    rows = [row for row in job.first[zero].tolist() if words(job.column[row].as_py())]
    return np.array(rows, np.int64)


def _of_rows(locations: Locations, own: Int64) -> Locations:
    return Locations(locations.stems, locations.shard[own], locations.row[own], locations.truncated[own])


def _dimension(job: _Job) -> int:
    stored = job.space.dimension
    return job.encoder.dimension if stored is None else stored


def _example(job: _Job) -> str:
    return job.prompt_of(0) + job.column[0].as_py() if len(job.column) else ""
