"""The run's scorer: who it is, whose scores the run says it holds, and the texts that it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import pyarrow as pa

from hardneg.config import Config
from hardneg.encode import store_root
from hardneg.errors import UsageError
from hardneg.fingerprints import digest
from hardneg.plan.prepare import Prepared
from hardneg.plan.retrievers import GIVEN_AS_OBJECTS, OwnParts, is_object
from hardneg.protocols import Scorer
from hardneg.records import Int64
from hardneg.rescore import CrossEncoderScorer, lengths
from hardneg.texts import document_texts


@dataclass(frozen=True)
class Scoring:
    """name    the scorer's, and of its column
    mark    a digest of what decides its scores, the texts apart
    opened  the scorer, asked for only where a pair is to be scored
    """

    prepared: Prepared
    join_title: bool
    name: str
    mark: str
    opened: Callable[[], Scorer]

    @classmethod
    def by(cls, prepared: Prepared, config: Config, scorer: Scorer) -> Scoring:
        mark = scorer_mark(scorer, config)
        return cls(prepared, config.encode.join_title, scorer.name, mark, lambda: scorer)

    @classmethod
    def stored(cls, prepared: Prepared, config: Config, own: OwnParts) -> Scoring | None:
        """By the scorer that a finished run was made with; None where it was made without one."""
        stage = prepared.run.stage("rescore")
        if not stage or (own.scorer is None and config.rescore.cross_encoder is None):
            return None
        mark: str = stage["fingerprint"]

        @cache
        def opened() -> Scorer:
            name = config.rescore.cross_encoder
            if own.scorer is None and name is not None and is_object(name) and name not in own.models:
                raise UsageError(f"{prepared.run.path}: {GIVEN_AS_OBJECTS}")
            scorer = open_scorer(config, own)
            if scorer is None or scorer_mark(scorer, config) != mark:
                raise UsageError(
                    f"{prepared.run.path}: scores are missing, and its scorer has changed since; mine again"
                )
            return scorer

        return cls(prepared, config.encode.join_title, stage["scorer"], mark, opened)

    @cached_property
    def queries(self) -> pa.ChunkedArray:
        return self.prepared.collection.queries["text"]

    @cached_property
    def documents(self) -> pa.ChunkedArray:
        """As they are encoded."""
        return document_texts(self.prepared.collection.corpus, self.join_title)

    @cached_property
    def lengths(self) -> tuple[Int64, Int64]:
        """Characters of each query and of each document."""
        return lengths(self.queries), lengths(self.documents)


def open_scorer(config: Config, own: OwnParts) -> Scorer | None:
    """The scorer that was asked for, if any; loads the model."""
    if own.scorer is not None or config.rescore.cross_encoder is None:
        return own.scorer
    cache, name = store_root(config.encode.cache_dir), config.rescore.cross_encoder
    return CrossEncoderScorer(
        own.models.get(name, name),
        config.rescore,
        config.encode.first_device,
        config.encode.trusts(name),
        cache,
    )


def scorer_mark(scorer: Scorer, config: Config) -> str:
    """A digest of what decides the scores, the texts apart."""
    return digest({"scorer": dict(scorer.fingerprint()), "join_title": config.encode.join_title})
