"""encode: from what `--retriever` says to retrievers that can search, their texts encoded on the way."""

from __future__ import annotations

import secrets
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from hardneg.config import Config, EncodeConfig, Index, OnBadRow
from hardneg.encode import (
    DenseEncoder,
    VectorStore,
    encode_texts,
    load_own_vectors,
    open_encoder,
    own_vector_files,
    own_vectors_fingerprint,
)
from hardneg.errors import InputError, UsageError
from hardneg.fingerprints import file_digest
from hardneg.named_files import State, kind_of_path, refuse_changed, refuse_no_file, state_of
from hardneg.plan.prepare import THIS_PROCESS, Prepared, timed
from hardneg.protocols import Encoder, Engine, Kind, Retriever, Scorer, Vectors
from hardneg.quantities import counted
from hardneg.retriever_specs import RetrieverSpec, encode_config_of, parse_retrievers
from hardneg.search.bm25 import K1, B, Bm25Retriever
from hardneg.search.choice import finders
from hardneg.search.exact import DenseRetriever
from hardneg.search.run_file import RunRetriever
from hardneg.texts import document_texts
from hardneg.words import RULES as TOKENIZER


@dataclass(frozen=True)
class OwnParts:
    """What a caller brings as objects rather than by name.

    models      name in the settings → SentenceTransformer or `protocols.Encoder`
    retrievers  by their own names, in the place of `--retriever`
    scorer      in the place of `--cross-encoder`
    engine      in the place of this process
    """

    models: Mapping[str, Any] = field(default_factory=dict)
    retrievers: tuple[Retriever, ...] = ()
    scorer: Scorer | None = None
    engine: Engine = THIS_PROCESS


NOTHING_OWN = OwnParts()
GIVEN_AS_OBJECTS = "its models or retrievers were given as Python objects; mine again with them"


def object_name(key: str) -> str:
    """What stands in the settings for a model that was given as an object under this key."""
    return f"own {key}"


def is_object(name: str) -> bool:
    return name.startswith("own ")


@dataclass(frozen=True)
class Source:
    """A retriever before it is opened.

    identity   what decides its candidates besides the tables that were read
    open       makes it; for a dense one this encodes what the store lacks
    vectors    its vectors of queries or documents, where it has any
    """

    name: str
    identity: Any
    open: Callable[[], Retriever]
    vectors: Callable[[Kind], Vectors] | None = None


def sources(prepared: Prepared, config: Config, own: OwnParts) -> list[Source]:
    """The retrievers of this run, none opened yet. Raises UsageError or InputError where one cannot be."""
    specs = parse_retrievers(config.search.retriever) if config.search.retriever else []
    made = [
        _source(prepared, spec, config, encode_config_of(spec, config.encode, specs), own) for spec in specs
    ]
    made += [_own(retriever) for retriever in own.retrievers]
    if not made:
        raise UsageError("no retriever; name at least one, e.g. --retriever dense")
    return made


_NAMELESS: dict[int, str] = {}
"""What retrievers without a fingerprint are called, by their `id` as long as they live."""


def _own(retriever: Retriever) -> Source:
    found = getattr(retriever, "fingerprint", None) or _nameless(retriever)
    return Source(retriever.name, {"own": found() if callable(found) else found}, lambda: retriever)


def _nameless(retriever: Retriever) -> str:
    """Nothing says that it would find the same again, but for this very object in this process."""
    place = id(retriever)
    if place not in _NAMELESS:
        _NAMELESS[place] = secrets.token_hex(8)
        with suppress(TypeError):  # a class with __slots__ may not be told of
            weakref.finalize(retriever, _NAMELESS.pop, place, None)
    return _NAMELESS[place]


def _source(
    prepared: Prepared, spec: RetrieverSpec, whole: Config, config: EncodeConfig, own: OwnParts
) -> Source:
    if spec.kind == "dense":
        return _dense(prepared, spec, config, own, whole.search.index)
    if spec.kind == "bm25":
        return Source(
            spec.name,
            {
                "name": spec.name,
                "bm25": [K1, B, version("bm25s"), *TOKENIZER],
                "join_title": config.join_title,
            },
            partial(_open_bm25, prepared, spec, config.join_title),
        )
    check_path(spec)
    path = Path(spec.target)
    # Hours may pass between this and its being read.
    before = state_of([path] if spec.kind == "run" else own_vector_files(path))
    if spec.kind == "run":
        return Source(
            spec.name,
            {"name": spec.name, "run": file_digest(path)},
            partial(_open_run, prepared, spec.name, path, before, whole.read.on_bad_row),
        )
    vectors = cache(partial(_own_vectors, prepared, path, before, config))
    return Source(
        spec.name,
        {"name": spec.name, "vectors": own_vectors_fingerprint(path, config.vectors_similarity)},
        partial(_open_vectors, prepared, spec.name, vectors, whole.search.index, config.first_device),
        vectors,
    )


def check_path(spec: RetrieverSpec) -> None:
    """Raises InputError where a retriever's file or folder is not there."""
    path = Path(spec.target)
    if spec.kind == "run":
        refuse_no_file(path, "give the path of a TREC run")
    if spec.kind == "vectors" and kind_of_path(path) != "folder":
        raise InputError("is no folder; give one with queries.npy, documents.npy and their ids", file=path)


def _open_bm25(prepared: Prepared, spec: RetrieverSpec, join_title: bool) -> Retriever:
    collection = prepared.collection
    texts = document_texts(collection.corpus, join_title)
    return Bm25Retriever(spec.name, collection.queries["text"], texts)


def _open_run(
    prepared: Prepared, name: str, path: Path, before: State, unknown_documents: OnBadRow
) -> Retriever:
    collection = prepared.collection
    found = RunRetriever(
        name,
        path,
        collection.queries["query_id"],
        collection.corpus["doc_id"],
        unknown_documents=unknown_documents,
    )
    refuse_changed(before)
    return found


def _open_vectors(
    prepared: Prepared, name: str, vectors: Callable[[Kind], Vectors], index: Index, device: str | None
) -> Retriever:
    return DenseRetriever(
        name,
        vectors("query"),
        vectors("document"),
        finders=finders(index, device),
        name_of=partial(_name_of, prepared),
    )


def _name_of(prepared: Prepared, kind: Kind, row: int) -> str:
    """A text by the user's id, for errors."""
    collection = prepared.collection
    ids = collection.queries["query_id"] if kind == "query" else collection.corpus["doc_id"]
    return f"{kind} {str(ids[row])!r}"


def _own_vectors(
    prepared: Prepared, folder: Path, before: State, config: EncodeConfig, kind: Kind
) -> Vectors:
    collection = prepared.collection
    ids = collection.queries["query_id"] if kind == "query" else collection.corpus["doc_id"]
    found = load_own_vectors(
        folder, kind, ids, similarity=config.vectors_similarity, progress=prepared.progress
    )
    refuse_changed(before)
    return found


# -- dense ----------------------------------------------------------------------------------------------


def _dense(
    prepared: Prepared, spec: RetrieverSpec, config: EncodeConfig, own: OwnParts, index: Index
) -> Source:
    model = spec.target or config.model
    encoder = open_encoder(own.models.get(model, model), config)
    identity = {
        "name": spec.name,
        "encoders": {kind: [dict(encoder.fingerprint(kind)), encoder.prompt(kind)] for kind in KINDS},
        "store_dtype": config.store_dtype,
        "join_title": config.join_title,
    }
    describe = cache(partial(_say_how_it_runs, prepared, spec.name, encoder))
    encoded = cache(partial(_encoded, prepared, spec.name, encoder, config, describe))
    return Source(
        spec.name,
        identity,
        partial(_open_vectors, prepared, spec.name, encoded, index, config.first_device),
        encoded,
    )


KINDS: Sequence[Kind] = ("query", "document")
_ZEROS_NAMED = 5


def texts_of(prepared: Prepared, kind: Kind, join_title: bool) -> tuple[pa.ChunkedArray, Any]:
    """The texts to encode, and the prompts that rows bring along (None: none does)."""
    if kind == "document":
        return document_texts(prepared.collection.corpus, join_title), None
    queries = prepared.collection.queries
    return queries["text"], queries["prompt"] if "prompt" in queries.column_names else None


def _say_how_it_runs(prepared: Prepared, name: str, encoder: Encoder) -> None:
    choice = getattr(encoder, "choice", None)
    if choice is not None:
        prepared.progress.say(f"encode {name}: runs by {choice}")


def _encoded(
    prepared: Prepared,
    name: str,
    encoder: Encoder,
    config: EncodeConfig,
    describe_run: Callable[[], None],
    kind: Kind,
) -> Vectors:
    describe_run()
    texts, prompts = texts_of(prepared, kind, config.join_title)
    store = VectorStore(config.cache_dir, config.store_dtype)
    stage = f"encode {name} {kind}"
    with timed(prepared.run, stage, prepared.progress):
        done = encode_texts(
            encoder,
            texts,
            kind,
            store=store,
            prompts=prompts,
            progress=prepared.progress,
            engine=prepared.engine,
            name_of=partial(_name_of, prepared),
        )
    if kind == KINDS[-1] and isinstance(encoder, DenseEncoder):
        encoder.close()  # all that follows works on stored vectors
    describe = getattr(encoder, "describe_prompt", encoder.prompt)
    known = done.truncated is not None
    truncated = f"{done.truncated:,} truncated" if known else "how many were truncated is not known"
    prepared.progress.say(
        f"encode {name}: {counted(done.encoded, kind + ' text')} encoded, "
        f"{done.reused:,} in the store already, {truncated}; prompt: {describe(kind)}"
    )
    zeros: dict[str, Any] = {}
    if len(done.zeros):
        first = [_id_of(prepared, kind, row) for row in done.zeros[:_ZEROS_NAMED].tolist()]
        zeros["zeros"] = {"texts": len(done.zeros), "first": first}
        prepared.progress.say(
            f"  {counted(len(done.zeros), kind + ' text')} with words got nothing but zeros from the model "
            f"({', '.join(first)}{', ...' if len(done.zeros) > len(first) else ''}): nothing is near to them"
        )
    prepared.progress.say(f"  first {kind} as encoded: {_short(done.example)!r}")
    prepared.run.finish_stage(
        stage,
        model=encoder.name,
        folder=str(done.folder),
        prompt=encoder.prompt(kind),
        similarity=encoder.similarity,
        encoded=done.encoded,
        reused=done.reused,
        truncated=done.truncated,
        **zeros,
    )
    return done.vectors


def _id_of(prepared: Prepared, kind: Kind, row: int) -> str:
    collection = prepared.collection
    ids = collection.corpus["doc_id"] if kind == "document" else collection.queries["query_id"]
    return str(ids[row])


def _short(text: str, longest: int = 120) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
