"""rescore: the scorer's column in every part, a few queries at a time so that little is lost to a crash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hardneg.config import Config
from hardneg.encode import store_root
from hardneg.files import replacing
from hardneg.fingerprints import digest
from hardneg.plan.prepare import Prepared, timed
from hardneg.plan.retrieve import SCORER_KEY, base_parts, read_block, save_block
from hardneg.plan.retrievers import OwnParts
from hardneg.progress import Silent
from hardneg.protocols import Scorer
from hardneg.records import Block, Float32
from hardneg.rescore import CrossEncoderScorer, rescore_block
from hardneg.run_directory import RunDirectory
from hardneg.texts import document_texts

QUERIES_A_SLICE = 64


def open_scorer(config: Config, own: OwnParts) -> Scorer | None:
    """The scorer that was asked for, if any; loads the model."""
    if own.scorer is not None or config.rescore.cross_encoder is None:
        return own.scorer
    cache = store_root(config.encode.cache_dir)
    return CrossEncoderScorer(
        own.models.get(config.rescore.cross_encoder, config.rescore.cross_encoder),
        config.rescore,
        config.encode.device,
        config.encode.trust_remote_code,
        cache,
    )


def rescore(prepared: Prepared, scorer: Scorer, config: Config, parts: Sequence[str]) -> None:
    """Give these parts the scorer's scores; parts that have them are left as they are."""
    run = prepared.run
    mark = scorer_mark(scorer, config)
    missing = [name for name in parts if _mark_of(run.candidates / f"{name}.parquet") != mark]
    if not missing:
        prepared.progress.say(f"rescore {scorer.name}: unchanged")
        return
    texts = document_texts(prepared.collection.corpus, config.encode.join_title)

    def rescore_part(name: str) -> None:
        block = _without(read_block(prepared, name), scorer.name)
        scored = _scored(prepared, block, scorer, texts, run.path / "rescoring" / f"{mark}-{name}")
        save_block(prepared, scored, name, mark)

    with timed(run, "rescore"):
        prepared.engine.each(rescore_part, missing)
        run.clear(run.path / "rescoring")
    run.finish_stage("rescore", scorer=scorer.name, fingerprint=mark)


def scorer_mark(scorer: Scorer, config: Config) -> str:
    """A digest of what decides the scores, the texts apart."""
    return digest({"scorer": dict(scorer.fingerprint()), "join_title": config.encode.join_title})


def stored_scorer(run: RunDirectory) -> tuple[str, str] | None:
    """Whose scores all of the run's candidates and positives have, and its mark; None: nobody's."""
    stage = run.stage("rescore")
    parts = [run.candidates / f"{name}.parquet" for name in base_parts(run)]
    if not stage or any(_mark_of(path) != stage["fingerprint"] for path in parts):
        return None
    return stage["scorer"], stage["fingerprint"]


def _mark_of(path: Path) -> str:
    mark: bytes = (pq.read_schema(path).metadata or {}).get(SCORER_KEY, b"")
    return mark.decode()


def _without(block: Block, scorer: str) -> Block:
    """The block without an earlier scorer's scores of this name."""
    return replace(
        block,
        scores={name: score for name, score in block.scores.items() if name != scorer},
        positive_scores={name: score for name, score in block.positive_scores.items() if name != scorer},
    )


def _scored(prepared: Prepared, block: Block, scorer: Scorer, texts: pa.ChunkedArray, folder: Path) -> Block:
    """The block with scores; each slice of queries is kept in `folder` until all are there."""
    starts = range(0, len(block.query), QUERIES_A_SLICE)
    paths = [folder / f"{start:05d}.npy" for start in starts]
    queries = prepared.collection.queries["text"]
    with prepared.progress.track(f"rescore with {scorer.name}", len(block.query), "queries") as advance:
        for start, path in zip(starts, paths, strict=True):
            part = block.rows(slice(start, start + QUERIES_A_SLICE))
            if not path.exists():
                done = rescore_block(part, scorer, queries, texts, Silent())
                _save([done.scores[scorer.name], done.positive_scores[scorer.name]], path)
            advance(len(part.query))
    slices: list[Float32] = [np.load(path, allow_pickle=False) for path in paths]
    width = block.doc.shape[1]
    scores = np.concatenate(slices) if slices else np.zeros((0, width), np.float32)
    return replace(
        block,
        scores={**block.scores, scorer.name: scores[:, :width]},
        positive_scores={**block.positive_scores, scorer.name: scores[:, width:]},
    )


def _save(scores: list[Float32], path: Path) -> None:
    with replacing(path) as temporary, temporary.open("wb") as handle:
        np.save(handle, np.concatenate(scores, axis=1), allow_pickle=False)
