"""--dry-run: read, then say what the run would take in time, memory and disk. Writes nothing of the run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from hardneg.config import Config, EncodeConfig
from hardneg.encode import VectorStore, open_encoder, text_hashes
from hardneg.leftovers import scratch_folder
from hardneg.plan.foresee import foresee
from hardneg.plan.prepare import Prepared, prepare
from hardneg.plan.retrievers import KINDS, NOTHING_OWN, texts_of
from hardneg.protocols import Encoder, Progress
from hardneg.quantities import counted
from hardneg.retriever_specs import encode_config_of, parse_retrievers
from hardneg.run_directory import RunDirectory
from hardneg.search.finders import BLOCK_BYTES

SAMPLE = 64
"""Texts encoded to learn the encoder's rate."""
CANDIDATE_BYTES = 12
"""A candidate's share of the files, measured; zstd makes of it what it can."""
BLOCK_BYTES_A_CANDIDATE = 64
"""What search and selection hold in memory for a candidate of the block at work."""
BASE_BYTES = 700 << 20
"""Interpreter and libraries, torch included."""


def estimate(source: Any, config: Config, progress: Progress) -> dict[str, Any]:
    """Counts, seconds, bytes of memory and disk. Reads the source and encodes a small sample of its texts."""
    foresee(config, NOTHING_OWN)
    with scratch_folder() as scratch:
        prepared = prepare(source, config, RunDirectory(scratch / "run"), progress)
        specs = parse_retrievers(config.search.retriever)
        dense = [
            _dense(prepared, spec.target or config.encode.model, encode_config_of(spec, config.encode, specs))
            for spec in specs
            if spec.kind == "dense"
        ]
    queries, documents = prepared.collection.queries.num_rows, prepared.collection.corpus.num_rows
    candidates = queries * min(config.search.depth, documents) * len(specs)
    texts = sum(prepared.collection.corpus.nbytes for _ in range(2))
    at_work = min(queries, 4096) * min(config.search.depth, documents) * len(specs) * BLOCK_BYTES_A_CANDIDATE
    blocks = max((part["block_bytes"] for part in dense), default=0)
    return {
        "queries": queries,
        "documents": documents,
        "texts_to_encode": sum(part["texts_to_encode"] for part in dense),
        "seconds": round(sum(part["seconds"] for part in dense) + candidates * 2e-6, 1),
        "memory_bytes": BASE_BYTES + blocks + texts + at_work,
        "disk_bytes": sum(part["disk_bytes"] for part in dense) + candidates * CANDIDATE_BYTES + texts,
    }


def _dense(prepared: Prepared, model: str, config: EncodeConfig) -> dict[str, float]:
    encoder = open_encoder(model, config)
    store = VectorStore(config.cache_dir, config.store_dtype)
    missing = {kind: _missing(prepared, encoder, store, config, kind) for kind in KINDS}
    count = sum(map(len, missing.values()))
    seconds = sum(_rate(encoder, kind, texts) for kind, texts in missing.items() if texts)
    queries, documents = prepared.collection.queries.num_rows, prepared.collection.corpus.num_rows
    dimension = encoder.dimension
    vector_bytes = np.dtype(np.float32).itemsize * documents * dimension
    return {
        "texts_to_encode": count,
        "seconds": seconds + 2 * queries * documents * dimension / _products_a_second(dimension),
        "block_bytes": min(2 * BLOCK_BYTES, vector_bytes),
        "disk_bytes": count * dimension * np.dtype(config.store_dtype).itemsize,
    }


def _missing(
    prepared: Prepared, encoder: Encoder, store: VectorStore, config: EncodeConfig, kind: Any
) -> list[str]:
    """The distinct texts that the store has no vector of."""
    texts, prompts = texts_of(prepared, kind, config.join_title)
    used = encoder.prompt(kind) if prompts is None else _filled(prompts, encoder.prompt(kind))
    hashes = text_hashes(texts, used)
    absent = store.space(encoder.fingerprint(kind)).lookup(hashes).missing
    return list(dict.fromkeys(texts.filter(pa.array(absent)).to_pylist()))


def _filled(prompts: pa.ChunkedArray, default: str) -> list[str]:
    return [default if prompt is None else prompt for prompt in prompts.to_pylist()]


def _rate(encoder: Encoder, kind: Any, texts: list[str]) -> float:
    """Seconds for all these texts, from a sample spread over them, by characters."""
    sample = texts[:: max(1, len(texts) // SAMPLE)][:SAMPLE]
    encoder.encode(sample[:1], kind, encoder.prompt(kind))  # loads the model
    started = time.monotonic()
    encoder.encode(sample, kind, encoder.prompt(kind))
    share = _characters(sample) * getattr(encoder, "at_once", 1)
    return (time.monotonic() - started) * _characters(texts) / max(1, share)


def _characters(texts: Iterable[str]) -> int:
    return sum(map(len, texts))


def _products_a_second(dimension: int, rows: int = 2048) -> float:
    """Floating-point operations a second of this machine's matrix product."""
    matrix = np.ones((rows, dimension), np.float32)
    matrix @ matrix.T
    started = time.monotonic()
    matrix @ matrix.T
    return 2.0 * rows * rows * dimension / max(1e-6, time.monotonic() - started)


def render_estimate(found: Mapping[str, Any]) -> str:
    """Three lines for people."""
    return "\n".join(
        (
            f"{counted(found['queries'], 'query', 'queries')}, {counted(found['documents'], 'document')}; "
            f"{counted(found['texts_to_encode'], 'text')} to encode",
            f"time   about {_duration(found['seconds'])} on this machine, loading apart",
            f"memory about {found['memory_bytes'] / 1e9:.1f} GB, "
            f"disk about {found['disk_bytes'] / 1e9:.2f} GB",
        )
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
