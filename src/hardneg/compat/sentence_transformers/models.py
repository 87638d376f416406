"""The models of a call as hardneg's encoder, retriever and scorer."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from hardneg.compat.sentence_transformers.arguments import logger
from hardneg.compat.sentence_transformers.pairs import MinedPairs
from hardneg.config import EncodeConfig
from hardneg.leftovers import scratch_folder
from hardneg.protocols import Encoder, Kind, Progress, Retriever, Scorer, Similarity, Vectors
from hardneg.records import Float32, Int32, Ranking

USUAL_BATCH = 32
"""The default of `batch_size`: hardneg then looks itself which one is fastest."""
_ENCODING = ("encode", "encode_query", "encode_document")
_DOCUMENTS_A_BLOCK, _QUERIES_A_BLOCK = 16_384, 1_024


@dataclass(frozen=True)
class Encoding:
    """How texts become vectors, and who is told of it."""

    prompts: Mapping[Kind, str | None]
    batch_size: int
    use_multi_process: Sequence[str] | bool
    cache_folder: str | None
    progress: Progress
    say: Callable[[str], None]


@contextmanager
def retrieving(
    model: Any, pairs: MinedPairs, how: Encoding, depth: int, on_gpus: bool
) -> Iterator[Retriever]:
    """A retriever over the pairs' texts, while the block runs."""
    with ExitStack() as held:
        if how.cache_folder and _is_known(model):
            folder = Path(how.cache_folder)
        else:
            if how.cache_folder:
                logger.warning(
                    "cache_folder is not used: nothing tells what decides the vectors of %s.", type(model)
                )
            folder = held.enter_context(scratch_folder())
        yield _retriever(model, *_vectors(model, pairs, how, folder), depth, on_gpus)


def _vectors(model: Any, pairs: MinedPairs, how: Encoding, folder: Path) -> tuple[Vectors, Vectors]:
    """Of queries and of documents, from the folder where it has them."""
    from hardneg.encode import VectorStore, encode_texts

    store = VectorStore(folder, "float32")
    kinds: Mapping[Kind, Any] = {"document": pairs.documents, "query": pairs.queries}
    found: dict[Kind, Vectors] = {}
    with _pool(model, how.use_multi_process) as pool:
        encoder = _encoder(model, how, pool, folder)
        for kind, texts in kinds.items():
            done = encode_texts(encoder, texts, kind, store=store, progress=how.progress)
            found[kind] = done.vectors
            if how.cache_folder and _is_known(model):
                name = "corpus" if kind == "document" else kind
                if done.reused:
                    how.say(f"[Cache] Loaded {done.reused:,} {name} embeddings from {done.folder}")
                if done.encoded:
                    how.say(f"[Cache] Saved {done.encoded:,} {name} embeddings to {done.folder}")
    return found["query"], found["document"]


def _encoder(model: Any, how: Encoding, pool: Any, cache: Path) -> Encoder:
    """hardneg's own encoder for a model that encodes as the library does, else the model by its own methods.

    Vectors are as those of `encode_query` and `encode_document`, in the model's precision and of length 1.
    """
    if pool is not None or not (_is_known(model) and _compares_by_cosine(model)):
        return cast("Encoder", AsItEncodes(model, how.prompts, how.batch_size, pool))
    from hardneg.encode import DenseEncoder
    from hardneg.encode.backends.torch_backend import own_precision

    config = EncodeConfig(
        query_prompt=how.prompts["query"],
        document_prompt=how.prompts["document"],
        backend="torch",
        precision=own_precision(model),
        batch_size=None if how.batch_size == USUAL_BATCH else how.batch_size,
        cache_dir=str(cache),
    )
    encoder = DenseEncoder(model, config)
    encoder.similarity = "cosine"  # vectors are brought to length 1, also where the model compares by dot
    return cast("Encoder", encoder)


def _is_known(model: Any) -> bool:
    """Whether it encodes as the library does, so that its content tells what its vectors are."""
    from sentence_transformers import SentenceTransformer

    return isinstance(model, SentenceTransformer) and all(
        getattr(type(model), name, None) is getattr(SentenceTransformer, name, None)
        and name not in vars(model)
        for name in _ENCODING
    )


def _compares_by_cosine(model: Any) -> bool:
    """Of vectors of length 1, dot products are cosines."""
    return getattr(model, "similarity_fn_name", None) in ("cosine", "dot")


@contextmanager
def _pool(model: Any, use_multi_process: Sequence[str] | bool) -> Iterator[Any]:
    """The model's pool of processes, ended afterwards; None where none is wanted."""
    if not use_multi_process:
        yield None
        return
    devices = None if isinstance(use_multi_process, bool) else list(use_multi_process)
    pool = model.start_multi_process_pool(target_devices=devices)
    try:
        yield pool
    finally:
        model.stop_multi_process_pool(pool)


@dataclass(frozen=True)
class AsItEncodes:
    """`protocols.Encoder` by a model's `encode_query` and `encode_document`, whatever they do."""

    model: Any
    prompts: Mapping[Kind, str | None]
    batch_size: int
    pool: Any
    similarity: Similarity = "dot"
    texts_a_call: int = 16_384

    @property
    def name(self) -> str:
        return type(self.model).__name__

    @property
    def dimension(self) -> int:
        return int(self.model.get_embedding_dimension())

    def fingerprint(self, kind: Kind) -> Mapping[str, Any]:
        """The model's content; where nothing tells it, another at each call."""
        from hardneg.encode.model_object import object_hash

        content = object_hash(self.model) if _is_known(self.model) else secrets.token_hex(16)
        return {"as it encodes": content, "task": kind}

    def prompt(self, kind: Kind) -> str:
        return self.prompts[kind] or ""

    def encode(self, texts: Sequence[str], kind: Kind, prompt: str) -> Float32:
        encode = self.model.encode_query if kind == "query" else self.model.encode_document
        found = encode(
            list(texts),
            prompt=self.prompts[kind],
            pool=self.pool,
            batch_size=self.batch_size,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.asarray(found, np.float32)


def has_gpus() -> bool:
    """Whether FAISS, as it is installed, sees any."""
    import faiss

    return bool(getattr(faiss, "get_num_gpus", lambda: 0)())


def _retriever(model: Any, queries: Vectors, documents: Vectors, depth: int, on_gpus: bool) -> Retriever:
    """hardneg's exact search where vectors are compared by cosine, else by the model's own comparison."""
    if not _compares_by_cosine(model):
        return AsItCompares(model, queries, documents)
    from hardneg.search.choice import deepest, finders
    from hardneg.search.exact import DenseRetriever

    by_faiss = on_gpus and depth <= (deepest("faiss-gpu") or 0)
    device = str(model.device)
    return DenseRetriever(
        NAME, queries, documents, finders=finders("faiss-gpu" if by_faiss else "exact", device)
    )


NAME = "model"
"""Of the retriever, in blocks."""


@dataclass
class AsItCompares:
    """`protocols.Retriever` by a model's `similarity` and `similarity_pairwise`, a block at a time."""

    model: Any
    queries: Vectors
    documents: Vectors
    name: str = NAME

    def search(self, query: Int32, depth: int, positives: Int32, progress: Progress) -> Ranking:
        count, found = self.documents.shape[0], []
        steps = range(0, len(query), _QUERIES_A_BLOCK)
        with progress.track("search", len(query), "queries") as advance:
            for start in steps:
                vectors = self.queries.take(query[start : start + _QUERIES_A_BLOCK])
                found.append(self._best(vectors, min(depth, count)))
                advance(len(vectors))
        doc, score = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return Ranking(self.name, doc, score, self._positive_scores(query, positives))

    def _best(self, vectors: Float32, width: int) -> tuple[Int32, Float32]:
        from hardneg.search.ordering import NOTHING, smallest, sort_keys, unpack

        best = np.full((len(vectors), width), NOTHING, np.uint64)
        for start in range(0, self.documents.shape[0], _DOCUMENTS_A_BLOCK):
            block = self.documents.block(start, min(start + _DOCUMENTS_A_BLOCK, self.documents.shape[0]))
            score = np.asarray(self.model.similarity(vectors, block).cpu(), np.float32)
            keys = sort_keys(score, np.arange(start, start + len(block)))
            best = smallest(np.concatenate([best, keys], axis=1), width)
        return unpack(np.sort(best, axis=1))

    def _positive_scores(self, query: Int32, positives: Int32) -> Float32:
        row, place = np.nonzero(positives >= 0)
        out = np.full(positives.shape, np.nan, np.float32)
        for start in range(0, len(row), _DOCUMENTS_A_BLOCK):
            some = row[start : start + _DOCUMENTS_A_BLOCK], place[start : start + _DOCUMENTS_A_BLOCK]
            asked, answers = self.queries.take(query[some[0]]), self.documents.take(positives[some])
            out[some] = np.asarray(self.model.similarity_pairwise(asked, answers).cpu(), np.float32)
        return out


@contextmanager
def scoring(
    cross_encoder: Any, batch_size: int, use_multi_process: Sequence[str] | bool
) -> Iterator[Scorer | None]:
    """The cross-encoder as a scorer, while the block runs."""
    if cross_encoder is None:
        yield None
        return
    with _pool(cross_encoder, use_multi_process) as pool:
        yield AsItPredicts(cross_encoder, batch_size, pool)


@dataclass
class AsItPredicts:
    """`protocols.Scorer` by a cross-encoder's `predict`, with the activation that is its own."""

    model: Any
    batch_size: int
    pool: Any
    name: str = "cross_encoder"

    def fingerprint(self) -> Mapping[str, Any]:
        return {"object": id(self.model)}

    def score(self, pairs: Sequence[tuple[str, str]]) -> Float32:
        found = self.model.predict(
            list(pairs),
            batch_size=self.batch_size,
            pool=self.pool,
            show_progress_bar=False,
            convert_to_tensor=True,
        )
        return np.asarray(found.float().cpu(), np.float32)
