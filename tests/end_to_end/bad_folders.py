"""TREC runs, own vectors, models and damaged runs: what else a command is pointed at."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bad_input import (
    CORPUS,
    QUERIES,
    Case,
    Content,
    Fixture,
    Kept,
    Maker,
    beir,
    folder,
    link_to,
    long_line,
    mine,
    pipe,
)
from bad_settings import finished

# -- TREC runs --------------------------------------------------------------------------------------------

RUN = "".join(f"q{q} Q0 d{d} {d + 1} {9 - d}.5 tag\n" for q in range(3) for d in range(6))


def run(name: str, content: Content, *says: str, flags: str = "", kept: Kept | None = None) -> Case:
    command = mine("data", f"--retriever run:r.trec --missing-positive-score 0 {flags}")
    code = 2 if kept is None else 0
    return Case(f"TREC run: {name}", command, says, beir(**{"r.trec": content}), code, kept)


ALL = Kept(judgments=3, documents=6, queries=3)
RUNS = [
    run("an empty file", "", "r.trec", "no line"),
    run("five columns", RUN + "q1 Q0 d1 1 2.0\n", "r.trec, line 19", "5 columns where a run has 6"),
    run("a rank that is no number", "q1 Q0 d1 first 2.0 t\n", "r.trec, line 1", "'rank'", "'first'"),
    run("a score of NaN", "q1 Q0 d1 1 nan t\n", "r.trec, line 1", "'score'", "no number between"),
    run("an infinite score", RUN + "q1 Q0 d1 1 1e99 t\n", "r.trec, line 19", "no number between"),
    run("a rank of 5,000 digits", f"q1 Q0 d1 {'9' * 5000} 1 t\n", "r.trec, line 1", "'rank'"),
    run("a document that is not in the corpus", RUN + "q1 Q0 d9 1 0.5 t\n", "line 19", "id 'd9'", "skip"),
    run("a document that is not in the corpus, skipped", RUN + "q1 Q0 d9 1 0.5 t\n",
             flags="--on-bad-row skip",
        kept=ALL),
    run("no known query", "x Q0 d1 1 0.5 t\n", "r.trec", "no line is about any of the queries"),
    run("a document twice", RUN + "q1 Q0 d1 7 0.5 t\n", "r.trec, line 19", "stands on line 8 already"),
    run("not UTF-8", RUN.encode() + b"q\xff Q0 d1 1 0.5 t\n", "r.trec, line 19", "UTF-8"),
    run("NUL bytes", RUN.encode() + bytes(9) + b"\n", "r.trec, line 19"),
    run("a line of 100 MB", long_line(RUN), "r.trec, line 19", "longer than"),
    run("a pipe", pipe, "r.trec"),
    run("a folder", folder, "r.trec"),
    run("a symlink loop", link_to("r.trec"), "r.trec"),
    run("a byte order mark and CRLF", b"\xef\xbb\xbf" + RUN.replace("\n", "\r\n").encode(), kept=ALL),
]  # fmt: skip


# -- own vectors ------------------------------------------------------------------------------------------


def npy(array: Any, **options: Any) -> bytes:
    sink = io.BytesIO()
    np.save(sink, np.asarray(array), **options)
    return sink.getvalue()


def npz(array: Any) -> bytes:
    sink = io.BytesIO()
    np.savez(sink, array)
    return sink.getvalue()


def safetensors(header: Any, numbers: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


GENERATOR = np.random.default_rng(7)
OF_QUERIES, OF_DOCUMENTS = (GENERATOR.random((n, 4), np.float32) for n in (len(QUERIES), len(CORPUS)))
IDS: dict[str, Content] = {
    "v/queries.ids.txt": "".join(f"{row['_id']}\n" for row in QUERIES),
    "v/documents.ids.txt": "".join(f"{row['_id']}\n" for row in CORPUS),
}


def vectors(name: str, *says: str, **files: Content | None) -> Case:
    """`vectors:v`; files by their names in it, `__` for a dot, None for one that is not there."""
    made: dict[str, Content | None] = {
        "v/queries.npy": npy(OF_QUERIES), "v/documents.npy": npy(OF_DOCUMENTS), **IDS,
        **{f"v/{key.replace('__', '.')}": content for key, content in files.items()},
    }  # fmt: skip
    there = {key: content for key, content in made.items() if content is not None}
    return Case(f"own vectors: {name}", mine("data", "--retriever vectors:v"), says, beir(**there))


def documents(name: str, content: bytes, *says: str, suffix: str = "safetensors") -> Case:
    return vectors(name, *says, documents__npy=None, **{f"documents__{suffix}": content})


def _with(place: int, value: float) -> bytes:
    changed = OF_DOCUMENTS.copy()
    changed[place] = value
    return npy(changed)


TENSOR = {"dtype": "F32", "shape": [6, 4], "data_offsets": [0, 96]}
NUMBERS = OF_DOCUMENTS.tobytes()
VECTORS = [
    vectors("no documents", "v", "documents.npy", documents__npy=None),
    vectors("no ids", "documents.npy", "no ids beside it", documents__ids__txt=None),
    vectors("two files", "v", "both", documents__parquet=b"x"),
    vectors("of another dimension", "v", "4 numbers a vector", "3", documents__npy=npy(OF_DOCUMENTS[:, :3])),
    vectors("NaN", "documents.npy", "'d2'", "NaN or infinite", documents__npy=_with(2, np.nan)),
    vectors("infinite", "documents.npy", "'d2'", "NaN or infinite", documents__npy=_with(2, np.inf)),
    vectors("zero", "documents.npy", "'d2'", "zero", documents__npy=_with(2, 0)),
    vectors("whole numbers", "documents.npy", "floats", documents__npy=npy(np.ones((6, 4), np.int64))),
    vectors("one row", "documents.npy", "shape", documents__npy=npy(np.ones(4, np.float32))),
    vectors("a row less", "6 ids for 5 vectors", documents__npy=npy(OF_DOCUMENTS[:5])),
    vectors("an id less", "documents.npy", "no vector for", "'d5'", documents__npy=npy(OF_DOCUMENTS[:5]),
            documents__ids__txt="d0\nd1\nd2\nd3\nd4\n"),
    vectors("an id twice", "'d0'", "more than once", documents__ids__txt="d0\nd0\nd1\nd2\nd3\nd4\n"),
    vectors("no npy", "documents.npy", "cannot be read as .npy", documents__npy=b"no numbers"),
    vectors("an empty npy", "documents.npy", "cannot be read as .npy", documents__npy=b""),
    vectors("an npy cut off", "documents.npy", "cannot be read as .npy",
             documents__npy=npy(OF_DOCUMENTS)[:-40]),
    vectors("an npz called npy", "documents.npy", "cannot be read as .npy", documents__npy=npz(OF_DOCUMENTS)),
    vectors("a pickle", "documents.npy", "cannot be read as .npy",
            documents__npy=npy(np.array([{}], object), allow_pickle=True)),
    vectors("a header that lies", "documents.npy", "cannot be read as .npy",
            documents__npy=npy(OF_DOCUMENTS).replace(b"(6, 4)", b"(9**9")),
    vectors("ids that are not UTF-8", "documents.ids.txt", "UTF-8", documents__ids__txt=b"\xff\n"),
    vectors("ids that are no JSON", "documents.ids.json", "JSON", documents__ids__txt=None,
             documents__ids__json="[1"),
    vectors("ids nested deep", "documents.ids.json", "too deep", documents__ids__txt=None,
            documents__ids__json="[" * 100_000),
    vectors("ids that are an object", "documents.ids.json", "no list", documents__ids__txt=None,
            documents__ids__json="{}"),
    vectors("ids that are truth values", "documents.ids.json", "no list", documents__ids__txt=None,
            documents__ids__json="[true, true, true, true, true, true]"),
    vectors("ids that are half a surrogate pair", "documents.ids.json", "UTF-8", documents__ids__txt=None,
            documents__ids__json='["\\ud800", "d1", "d2", "d3", "d4", "d5"]'),
    vectors("ids of no characters", "documents.ids.npy", "UTF-8", documents__ids__txt=None,
            documents__ids__npy=npy(np.full(12, 0x7FFFFFFF, np.uint32)).replace(b"'<u4'", b"'<U2'").replace(
                b"(12,)", b"(6,) ")),
    vectors("ids in two columns", "documents.ids.npy", "list", documents__ids__txt=None,
            documents__ids__npy=npy([["a", "b"]] * 6)),
    vectors("a folder for a file", "v", "documents.npy", documents__npy=folder),
    vectors("a pipe for a file", "v", "documents.npy", documents__npy=pipe),
    documents("safetensors: an empty file", b"", "safetensors", "header"),
    documents("safetensors: no JSON", safetensors(b"{oops"), "cannot be read as safetensors"),
    documents("safetensors: nested deep", safetensors(b"[" * 100_000), "cannot be read as safetensors"),
    documents("safetensors: two tensors", safetensors({"a": TENSOR, "b": TENSOR}, NUMBERS), "2 tensors"),
    documents("safetensors: of bytes", safetensors({"a": {**TENSOR, "dtype": "U8"}}, NUMBERS), "U8"),
    documents("safetensors: no offsets", safetensors({"a": {"dtype": "F32", "shape": [6, 4]}}, NUMBERS),
              "data_offsets"),
    documents("safetensors: a shape beyond all bounds", safetensors({"a": {**TENSOR, "shape": [10**30, 4]}},
             NUMBERS),
              "cannot be read as safetensors"),
    documents("safetensors: a shape below nothing", safetensors({"a": {**TENSOR, "shape": [-1, 4]}}, NUMBERS),
              "cannot be read as safetensors"),
    documents("safetensors: cut off", safetensors({"a": TENSOR}, NUMBERS[:-4]),
             "cannot be read as safetensors"),
    documents("safetensors: offsets of other numbers",
              safetensors({"a": {**TENSOR, "data_offsets": [0, 48]}}, NUMBERS),
              "cannot be read as safetensors"),
    documents("Parquet: no vectors", parquet(id=["d0"]), "'vector'", suffix="parquet"),
    documents("Parquet: of many lengths", parquet(id=["d0", "d1"], vector=[[1.0] * 4, [1.0]]), "one length",
              suffix="parquet"),
    documents("Parquet: with nulls", parquet(id=["d0"], vector=[[1.0, 2.0, 3.0, None]]), "nulls",
              suffix="parquet"),
    documents("Parquet: a vector less", parquet(id=["d0", "d1"], vector=[[1.0] * 4, None]), "one length",
              suffix="parquet"),
    documents("Parquet: texts", parquet(id=["d0"], vector=[["a", "b", "c", "d"]]), "not floats",
             suffix="parquet"),
]  # fmt: skip


# -- models -----------------------------------------------------------------------------------------------


def _model(change: Callable[[Path], None], fixture_name: str = "tiny") -> Mapping[str, Content]:
    def make(path: Path, fixture: Fixture) -> None:
        shutil.copytree(fixture(fixture_name), path)
        change(path)

    return {"m": make}


def _weights(folder_of: Path) -> Path:
    return next(folder_of.rglob("model.safetensors"))


def _without(name: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        for found in list(path.rglob(name)):
            found.unlink()

    return change


def _holding(name: str, content: str | bytes) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        found = next(path.rglob(name), path / name)
        found.write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def _cut(path: Path) -> None:
    weights = _weights(path)
    weights.write_bytes(weights.read_bytes()[:-1000])


def _nan(path: Path) -> None:
    """Every weight is no number."""
    from safetensors.numpy import load_file, save_file

    weights = _weights(path)
    save_file({name: np.full_like(one, np.nan) for name, one in load_file(weights).items()}, weights,
              metadata={"format": "pt"})  # fmt: skip


def _lacking(*parts: str) -> Callable[[Path], None]:
    """Weights whose names hold one of these are gone."""

    def change(path: Path) -> None:
        from safetensors.numpy import load_file, save_file

        weights = _weights(path)
        kept = {
            name: one for name, one in load_file(weights).items() if not any(part in name for part in parts)
        }
        save_file(kept, weights, metadata={"format": "pt"})

    return change


def _with_settings(name: str, **values: Any) -> Callable[[Path], None]:
    """A JSON file of the model with other values."""

    def change(path: Path) -> None:
        found = next(path.rglob(name), path / name)
        settings = json.loads(found.read_text("utf-8")) if found.exists() else {}
        found.write_text(json.dumps({**settings, **values}), "utf-8")

    return change


def _pickled(path: Path) -> None:
    _weights(path).rename(_weights(path).with_name("pytorch_model.bin"))


def _beside(name: str, make: Maker) -> Callable[[Path], None]:
    """A file of this name, another where there is one, made anew."""

    def change(path: Path) -> None:
        found = next(path.rglob(name), path / name)
        found.unlink(missing_ok=True)
        make(found, lambda name: None)

    return change


def _nothing(path: Path) -> None:
    pass


def model(name: str, change: Callable[[Path], None], *says: str, code: int = 1) -> Case:
    command = mine("data", "--retriever dense:./m --backend torch --precision fp32")
    return Case(f"model: {name}", command, ("m", *says), {**beir(), **_model(change)}, code)


def reranker(
    name: str, change: Callable[[Path], None], *says: str, made: str = "tiny_cross_encoder", code: int = 1
) -> Case:
    command = mine("data", "--cross-encoder ./m")
    return Case(f"cross-encoder: {name}", command, ("m", *says), {**beir(), **_model(change, made)}, code)


MODELS = [
    model("without weights", _without("*.safetensors"), "holds no weights", "save_pretrained"),
    model("with pickled weights only", _pickled, "pickled"),
    model("without a tokenizer", _without("tokenizer*"), "tokenizer knows no words"),
    model("without a configuration", _without("config.json"), "m"),
    model("whose configuration is no JSON", _holding("config.json", "{oops"), "config.json", "read as JSON"),
    model("whose configuration is a list", _holding("config.json", "[]"), "config.json"),
    model("whose modules are an object", _holding("modules.json", "{}"), "modules.json"),
    model("whose modules are numbers", _holding("modules.json", "[1, 2]"), "modules.json"),
    model("whose prompts are a list", _holding("config_sentence_transformers.json", '{"prompts": ["a"]}'),
             "prompts"),
    model("whose settings are nested deep", _holding("config_sentence_transformers.json", "[" * 100_000),
             "too deep"),
    model("without the weights of a layer", _lacking("layer.1.attention"), "lacks weights",
             "layer.1.attention"),
    model("that asks for layers without end", _with_settings("config.json", num_hidden_layers=10**9),
             "asks for 1e+09 layers (num_hidden_layers), the weights hold 2", "config.json"),
    model("that asks for less than no layers", _with_settings("config.json", num_hidden_layers=-1),
             "num_hidden_layers is -1, no number of layers"),
    model("that asks for a layer more than it has", _with_settings("config.json", num_hidden_layers=3),
             "asks for 3 layers"),
    model("without the norms of a layer", _lacking("layer.1.output.LayerNorm"),
             "lacks weights, and default numbers", "layer.1.output.LayerNorm.weight"),
    model("with an empty file of weights", _lacking(""), "lacks weights", "save_pretrained"),
    Case("model: without a pooler, that nobody asks", mine("data", "--retriever dense:./m --backend torch"),
         (), {**beir(), **_model(_lacking("pooler"))}, 0, Kept(judgments=3)),
    model("whose longest input is nothing", _with_settings("sentence_bert_config.json", max_seq_length=0),
             "longest input is 0"),
    model("whose longest input is a word", _with_settings("sentence_bert_config.json", max_seq_length="x"),
             "longest input is 'x'"),
    model("whose longest input is less than nothing", _with_settings("tokenizer_config.json",
             model_max_length=-5), "longest input is -5"),
    model("without a mark to pad with", _with_settings("tokenizer_config.json", pad_token=None), "pad"),
    model("cut to a word of numbers", _with_settings("config_sentence_transformers.json", truncate_dim="x"),
             "cannot be run"),
    model("that drops what is no number", _with_settings("config.json", hidden_dropout_prob=float("nan")),
             "dropout"),
    model("that only pools", _holding("modules.json", json.dumps([{"idx": 0, "name": "0", "path": "1_Pooling",
             "type": "sentence_transformers.models.Pooling"}])), "cannot be run"),
    model("with weights cut off", _cut, "cannot be loaded"),
    model("that returns NaN", _nan, "NaN"),
    model("whose configuration is a pipe", _beside("config.json", pipe), "config.json", "a pipe", code=2),
    model("with an adapter of the whole disk", _holding("adapter_config.json",
             '{"peft_type": "LORA", "base_model_name_or_path": "/"}'), "adapter_config.json", "'/'"),
    model("with a pipe beside it", _beside("notes.json", pipe), "notes.json", "a pipe", code=2),
    model("with an endless device beside it", _beside("notes.json", link_to("/dev/zero")), "notes.json",
             "a device", code=2),
    model("with a link to itself beside it", _beside("notes.json", link_to("notes.json")), "notes.json",
             "links to itself", code=2),
    Case("model: an empty folder", mine("data", "--retriever dense:./m"), ("m", "holds no weights"),
         {**beir(), "m": folder}, code=1),
    reranker("without weights", _without("*.safetensors"), "safetensors"),
    reranker("without a configuration", _without("config.json"), "cannot be loaded"),
    reranker("without the weights of its head", _lacking("classifier"), "lacks weights", "classifier"),
    reranker("that asks for layers without end", _with_settings("config.json", num_hidden_layers=10**9),
             "asks for 1e+09 layers"),
    reranker("without its first norm", _lacking("embeddings.LayerNorm"), "embeddings.LayerNorm.weight"),
    reranker("with weights cut off", _cut, "cannot be loaded"),
    reranker("whose configuration is a pipe", _beside("config.json", pipe), "config.json", "a pipe", code=2),
    reranker("that returns NaN", _nan, "NaN"),
    reranker("without a tokenizer", _without("tokenizer*"), "tokenizer knows no words"),
    reranker("that is no reranker", _nothing, "m", made="tiny"),
]  # fmt: skip


# -- damaged runs -----------------------------------------------------------------------------------------


def damaged(name: str, command: str, path: str, change: bytes | None, *says: str, code: int = 1) -> Case:
    """A finished run in which one file holds this, or is gone."""

    def make(folder_of: Path, fixture: Fixture) -> None:
        finished(folder_of, fixture)
        if change is None:
            (folder_of / path).unlink()
        else:
            (folder_of / path).write_bytes(change)

    return Case(f"a run {name}", command, says, {"run": make}, code)


SELECT, INSPECT = "select run -q --seed 3 --sampler random", "inspect run --query x"
EXPORT = "export run --to flagembedding -o out.jsonl"
DAMAGED = [
    damaged("whose manifest is empty", SELECT, "manifest.json", b"", "manifest.json", "doctor"),
    damaged("whose manifest is a list", SELECT, "manifest.json", b"[]", "manifest.json", "doctor"),
    damaged("whose manifest is no JSON", SELECT, "manifest.json", b"{oops", "manifest.json", "doctor"),
    damaged("whose manifest is nested deep", SELECT, "manifest.json", b"[" * 100_000, "manifest.json",
             "doctor"),
    damaged("whose manifest is not UTF-8", SELECT, "manifest.json", b'{"a": "\xff"}', "manifest.json",
             "doctor"),
    damaged("whose manifest holds nothing", SELECT, "manifest.json", b"{}", "manifest.json",
            "something else than a manifest"),
    damaged("of another layout", SELECT, "manifest.json", b'{"layout": 99}', "layout 99"),
    damaged("whose manifest is that of nothing", SELECT, "manifest.json", b'{"layout": 1, "stages": {}}',
            "mining has not finished", code=2),
    damaged("whose manifest lacks its parts", SELECT, "manifest.json",
            b'{"layout": 1, "config": 1, "stages": {"read": 1, "search": 1}, "selections": []}',
            "manifest.json"),
    damaged("whose corpus is gone", SELECT, "corpus.parquet", None, "corpus.parquet"),
    damaged("whose corpus is another file", SELECT, "corpus.parquet", parquet(a=[1]), "corpus.parquet"),
    damaged("whose queries are empty", SELECT, "queries.parquet", b"", "queries.parquet"),
    damaged("whose candidates are gone", SELECT, "candidates/part-00000.parquet", None, "part-00000"),
    damaged("whose negatives are gone", EXPORT, "selections/default/negatives.parquet", None,
             "negatives.parquet"),
    damaged("whose decisions are no Parquet", INSPECT, "selections/default/decisions.parquet",
            b"PAR1", "x", code=2),
]  # fmt: skip

CASES = [*RUNS, *VECTORS, *MODELS, *DAMAGED]
