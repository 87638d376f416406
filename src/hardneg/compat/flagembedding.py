"""FlagEmbedding's models as parts of `hardneg.mine`: encoders, rerankers, bge-m3's other outputs.

m3 = embedder("BAAI/bge-m3")
collection = hardneg.load("train.jsonl")
hardneg.mine(
    collection,
    model=m3,
    retriever=["dense", lexical_retriever(m3, collection)],
    cross_encoder=M3Scorer(m3, "colbert"),
)
"""

from __future__ import annotations

from functools import partial
from typing import Any

from hardneg.encode.flag_embedder import FlagEncoder
from hardneg.encode.flag_own import open_flag_encoder
from hardneg.encode.flag_settings import FlagSettings, ModelClass, class_of
from hardneg.errors import UsageError
from hardneg.protocols import Encoder, Scorer
from hardneg.records import Collection
from hardneg.rescore.flag_reranker import (
    M3Scorer,
    RerankerClass,
    RerankerSettings,
    open_flag_reranker,
    reranker_class_of,
)
from hardneg.search.token_weights import TokenWeightRetriever
from hardneg.texts import document_texts

__all__ = ["FlagSettings", "M3Scorer", "RerankerSettings", "embedder", "lexical_retriever", "reranker"]


def embedder(model: str, model_class: ModelClass | None = None, **settings: Any) -> Encoder:
    """An embedder as `model` of `hardneg.mine`.

    settings  keys of FlagSettings: pooling, normalize, use_fp16, devices, instruction, ...

    Raises MissingExtraError where only FlagEmbedding runs the class and it is not installed.
    """
    return open_flag_encoder(model, FlagSettings(model_class=model_class or class_of(model), **settings))


def reranker(model: str, model_class: RerankerClass | None = None, **settings: Any) -> Scorer:
    """A reranker as `cross_encoder` of `hardneg.mine`; settings: keys of RerankerSettings."""
    chosen = RerankerSettings(model_class=model_class or reranker_class_of(model), **settings)
    return open_flag_reranker(model, chosen)


def lexical_retriever(
    model: Encoder, collection: Collection, *, name: str = "m3-lexical", join_title: bool = True
) -> TokenWeightRetriever:
    """Search by bge-m3's token weights, as one of `retriever`. Raises UsageError for another class."""
    if not isinstance(model, FlagEncoder) or model.settings.model_class != "encoder-only-m3":
        raise UsageError("only a model of class encoder-only-m3, run by FlagEmbedding, gives token weights")
    return TokenWeightRetriever(
        name,
        collection.queries["text"].to_pylist(),
        document_texts(collection.corpus, join_title).to_pylist(),
        weigh_queries=partial(model.token_weights, kind="query"),
        weigh_documents=partial(model.token_weights, kind="document"),
        fingerprint={
            "token weights": [dict(model.fingerprint("query")), dict(model.fingerprint("document"))],
            "join_title": join_title,
        },
    )
