"""Beside FlagEmbedding itself, where it is installed: the same vectors, the same pool, the same window.

FlagEmbedding's scripts are in no package: the folder that HARDNEG_FLAGEMBEDDING_SCRIPTS names must hold them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hardneg
from hardneg.compat import add_reranker_score, hn_mine, split_data_by_length
from hardneg.compat import flagembedding as ours
from hardneg.encode.flag_embedder import FlagEncoder
from hardneg.encode.flag_own import OwnFlagEncoder
from hardneg.encode.flag_settings import FlagSettings, class_of
from hardneg.errors import ModelError
from hardneg.progress import Silent
from hardneg.protocols import Kind
from hardneg.rescore.flag_reranker import OwnReranker, RerankerClass, RerankerSettings, reranker_class_of

pytest.importorskip("FlagEmbedding", reason="FlagEmbedding is not installed")
pytestmark = pytest.mark.slow  # it takes ten seconds to import

SCRIPTS = os.environ.get("HARDNEG_FLAGEMBEDDING_SCRIPTS")
WORDS = (
    "cell gene drug heart blood virus the of and in is not causes lowers raises query passage a b c d".split()
)
DRAW = random.Random(2)
TEXTS = [" ".join(DRAW.choices(WORDS, k=DRAW.randint(1, 30))) for _ in range(90)]
FURTHER = [" ".join(DRAW.choices(WORDS, k=DRAW.randint(5, 30))) for _ in range(40)]
KINDS: tuple[Kind, Kind] = ("query", "document")
Row = dict[str, Any]
EXAMPLES = (
    {"instruct": "find", "query": "cell", "response": "gene"},
    {"query": "heart", "response": "blood"},
)


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def m3(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder with the two further layers of bge-m3, and a mark for the end of texts as there."""
    import torch
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("m3") / "bge-m3"
    shutil.copytree(tiny, folder)
    marks = {"eos_token": "[SEP]"}
    AutoTokenizer.from_pretrained(str(tiny), **marks).save_pretrained(str(folder))
    torch.manual_seed(1)
    for name, width in (("colbert_linear", 16), ("sparse_linear", 1)):
        torch.save(torch.nn.Linear(16, width).state_dict(), folder / f"{name}.pt")
    return folder


def flag_model(folder: Path, settings: FlagSettings) -> Any:
    """FlagEmbedding's own, made as its script makes it."""
    from FlagEmbedding import FlagAutoModel

    asked = asdict(settings)
    return FlagAutoModel.from_finetuned(
        str(folder),
        model_class=settings.model_class,
        normalize_embeddings=settings.normalize,
        pooling_method=settings.pooled_by,
        use_fp16=settings.use_fp16,
        query_instruction_for_retrieval=settings.instruction,
        query_instruction_format=settings.instruction_format,
        devices="cpu",
        examples_for_task=list(asked["examples"]) or None,
        examples_instruction_format=settings.examples_format,
        trust_remote_code=False,
        batch_size=64,
        query_max_length=settings.query_max_length,
        passage_max_length=settings.passage_max_length,
    )


def dense(found: Any) -> Any:
    return found["dense_vecs"] if isinstance(found, dict) else found


SETTINGS = {
    "base": FlagSettings("encoder-only-base", instruction="query ", query_max_length=9, devices=("cpu",)),
    "base-mean": FlagSettings("encoder-only-base", pooling="mean", use_fp16=False, devices=("cpu",)),
    "base-raw": FlagSettings("encoder-only-base", normalize=False, devices=("cpu",)),
    "m3": FlagSettings("encoder-only-m3", passage_max_length=12, devices=("cpu",)),
    "decoder": FlagSettings(
        "decoder-only-base",
        instruction="find",
        instruction_format="Instruct: {}\nQuery: {}",
        passage_max_length=40,
        devices=("cpu",),
    ),
    "icl": FlagSettings(
        "decoder-only-icl",
        instruction="find",
        instruction_format="<instruct>{}\n<query>{}",
        examples=EXAMPLES,
        query_max_length=60,
        devices=("cpu",),
    ),
}


def folder_of(name: str, tiny: Path, m3: Path, tiny_decoder: Path) -> Path:
    return tiny if name.startswith("base") else m3 if name == "m3" else tiny_decoder


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_vectors_are_flagembeddings_own(name: str, tiny: Path, m3: Path, tiny_decoder: Path) -> None:
    """Limits beyond the positions of the tiny models are cut to them; FlagEmbedding is told the same."""
    settings, folder = SETTINGS[name], folder_of(name, tiny, m3, tiny_decoder)
    encoder = FlagEncoder(str(folder), settings)
    theirs = flag_model(folder, settings)
    most = 1024 if folder == tiny_decoder else 64
    query, document = min(settings.query_max_length, most), min(settings.passage_max_length, most)
    asked = encoder.encode(TEXTS, "query", "")
    np.testing.assert_allclose(asked, dense(theirs.encode_queries(TEXTS, max_length=query)), atol=1e-6)
    found = encoder.encode(TEXTS, "document", "")
    np.testing.assert_allclose(found, dense(theirs.encode(TEXTS, max_length=document)), atol=1e-6)
    assert found.shape == (90, encoder.dimension)


@pytest.mark.parametrize("name", ["base", "base-mean", "base-raw", "decoder"])
def test_hardnegs_own_encoder_gives_them_too(name: str, tiny: Path, m3: Path, tiny_decoder: Path) -> None:
    settings, folder = SETTINGS[name], folder_of(name, tiny, m3, tiny_decoder)
    with_it, without = FlagEncoder(str(folder), settings), OwnFlagEncoder(str(folder), settings)
    for kind in KINDS:
        found, wanted = without.encode(TEXTS, kind, ""), with_it.encode(TEXTS, kind, "")
        np.testing.assert_allclose(found, wanted, atol=2e-6, rtol=2e-5)


def test_every_name_that_flagembedding_knows_has_its_class() -> None:
    from FlagEmbedding.inference.embedder.model_mapping import (
        AUTO_EMBEDDER_MAPPING,
        EMBEDDER_CLASS_MAPPING,
    )
    from FlagEmbedding.inference.reranker.model_mapping import AUTO_RERANKER_MAPPING, RERANKER_CLASS_MAPPING

    embedders = {found: kind.value for kind, found in EMBEDDER_CLASS_MAPPING.items()}
    assert {name: class_of(name) for name in AUTO_EMBEDDER_MAPPING} == {
        name: embedders[config.model_class] for name, config in AUTO_EMBEDDER_MAPPING.items()
    }
    rerankers = {found: kind.value for kind, found in RERANKER_CLASS_MAPPING.items()}
    assert {name: reranker_class_of(name) for name in AUTO_RERANKER_MAPPING} == {
        name: rerankers[config.model_class] for name, config in AUTO_RERANKER_MAPPING.items()
    }


# -- bge-m3's other outputs -----------------------------------------------------------------------------


def rows(number: int) -> list[dict[str, Any]]:
    return [{"query": TEXTS[i], "pos": [TEXTS[30 + i]], "neg": TEXTS[60 + i : 62 + i]} for i in range(number)]


def test_lexical_search_scores_as_flagembedding_matches(m3: Path) -> None:
    model = ours.embedder(str(m3), devices=("cpu",), use_fp16=False)
    collection = hardneg.load(rows(20))
    retriever = ours.lexical_retriever(model, collection)
    mined = hardneg.mine(collection, retriever=[retriever], depth=60, relative_margin=None, guard="off")
    theirs = flag_model(m3, FlagSettings("encoder-only-m3", use_fp16=False, devices=("cpu",)))
    texts = dict(zip(*(collection.corpus[name].to_pylist() for name in ("doc_id", "text")), strict=True))
    asked = dict(zip(*(collection.queries[name].to_pylist() for name in ("query_id", "text")), strict=True))
    weights = {
        kind: dict(
            zip(
                table,
                theirs.encode(list(table.values()), max_length=64, return_sparse=True)["lexical_weights"],
                strict=True,
            )
        )
        for kind, table in (("query", asked), ("document", texts))
    }
    scores = {
        (query, doc): theirs.compute_lexical_matching_score(weights["query"][query], weights["document"][doc])
        for query in asked
        for doc in texts
    }
    found = {(row["query_id"], row["doc_id"]): row["score"] for row in mined.candidates.to_pylist()}
    assert set(found) == {pair for pair, score in scores.items() if score > 0}
    for pair, score in found.items():
        assert score == pytest.approx(scores[pair], rel=1e-5)


@pytest.mark.parametrize("mode", ["colbert", "sparse", "dense", "sparse+dense", "colbert+sparse+dense"])
def test_pairs_score_as_flagembedding_computes_them(mode: str, m3: Path) -> None:
    model = ours.embedder(str(m3), devices=("cpu",), query_max_length=20, passage_max_length=20)
    pairs = list(zip(TEXTS[:40], TEXTS[40:80], strict=True))
    theirs = flag_model(m3, FlagSettings("encoder-only-m3", devices=("cpu",)))
    wanted = theirs.compute_score(pairs, batch_size=40, max_query_length=20, max_passage_length=20)[mode]
    found = ours.M3Scorer(model, mode).score(pairs)  # type: ignore[arg-type]  # a FlagEncoder
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=1e-5)


def test_all_three_outputs_mine_together(m3: Path) -> None:
    model = ours.embedder(str(m3), devices=("cpu",))
    collection = hardneg.load(rows(20))
    mined = hardneg.mine(
        collection,
        model=model,
        retriever=["dense", ours.lexical_retriever(model, collection)],
        cross_encoder=ours.M3Scorer(model, "colbert"),  # type: ignore[arg-type]  # a FlagEncoder
        num_negatives=3,
    )
    assert mined.summary["negatives"]["total"] == 60
    assert {"dense", "m3-lexical"} == set(mined.candidates["retriever"].to_pylist())


# -- rerankers ------------------------------------------------------------------------------------------


def test_rerankers_score_as_flagembedding_does(tiny_cross_encoder: Path) -> None:
    from FlagEmbedding import FlagAutoReranker

    letters = [" ".join(text.split()[:4]) for text in TEXTS]
    pairs = list(zip(letters[:40], letters[40:80], strict=True))
    asked: dict[str, Any] = {"devices": ("cpu",), "max_length": 64, "query_instruction": "a "}
    theirs = FlagAutoReranker.from_finetuned(
        str(tiny_cross_encoder),
        model_class="encoder-only-base",
        use_fp16=True,
        query_instruction_for_rerank="a ",
        devices="cpu",
        max_length=64,
    )
    wanted = theirs.compute_score([list(pair) for pair in pairs])
    found = ours.reranker(str(tiny_cross_encoder), "encoder-only-base", **asked)
    np.testing.assert_allclose(found.score(pairs), wanted, atol=1e-5)
    without = OwnReranker(str(tiny_cross_encoder), RerankerSettings("encoder-only-base", **asked))
    np.testing.assert_allclose(without.score(pairs), wanted, atol=1e-5)


def decoder_reranker(model_class: str, folder: Path, tiny_decoder: Path) -> Path:
    """A random one of three layers that reads bytes."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(str(tiny_decoder))
    size: dict[str, Any] = {"vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 32}
    size |= {"num_hidden_layers": 3, "num_attention_heads": 2, "max_position_embeddings": 1024}
    size |= {"initializer_range": 0.5, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    torch.manual_seed(3)
    if model_class == "decoder-only-base":
        model = LlamaForCausalLM(LlamaConfig(**size))
    elif model_class == "decoder-only-layerwise":
        from FlagEmbedding.inference.reranker.decoder_only.models import modeling_minicpm_reranker as minicpm

        settings = minicpm.LayerWiseMiniCPMConfig(**size, start_layer=2, dim_model_base=16)
        model = minicpm.LayerWiseMiniCPMForCausalLM(settings)
    else:
        from FlagEmbedding.inference.reranker.decoder_only.models import gemma_model as gemma

        heads = {"num_key_value_heads": 2, "head_dim": 8}
        settings = gemma.CostWiseGemmaConfig(**size, **heads, start_layer=2, layer_sep=1, layer_wise=True)
        model = gemma.CostWiseGemmaForCausalLM(settings)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


# FlagEmbedding brings the code of two classes along, which is of the transformers of 2024.
OLD_TRANSFORMERS = int(version("transformers").split(".")[0]) < 5
NEEDS_OLD = pytest.mark.skipif(not OLD_TRANSFORMERS, reason="FlagEmbedding runs it with transformers 4.46")
DECODER_RERANKERS: list[Any] = [
    pytest.param("decoder-only-base", {}, id="base"),
    pytest.param("decoder-only-base", {"prompt": "yes", "query_instruction": ""}, id="base-prompt"),
    pytest.param("decoder-only-base", {"normalize": True, "max_length": 24}, id="base-cut"),
    pytest.param("decoder-only-layerwise", {}, id="layerwise", marks=NEEDS_OLD),
    pytest.param("decoder-only-layerwise", {"cutoff_layers": [2]}, id="layerwise-2", marks=NEEDS_OLD),
    pytest.param("decoder-only-lightweight", {}, id="lightweight", marks=NEEDS_OLD),
    pytest.param(
        "decoder-only-lightweight",
        {"cutoff_layers": [3], "compress_layers": [2], "compress_ratio": 2},
        id="lightweight-compressed",
        marks=NEEDS_OLD,
    ),
]


@pytest.mark.parametrize(("model_class", "settings"), DECODER_RERANKERS)
def test_decoder_rerankers_score_as_flagembedding_does(
    model_class: RerankerClass, settings: dict[str, Any], tiny_decoder: Path, tmp_path: Path
) -> None:
    """By its class's own defaults: `A: ` and `B: ` stand before the texts unless others are given."""
    from FlagEmbedding import FlagAutoReranker

    folder = decoder_reranker(model_class, tmp_path / "model", tiny_decoder)
    pairs = list(zip(TEXTS[:40], TEXTS[40:80], strict=True))
    asked = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    found = ours.reranker(str(folder), model_class, devices=("cpu",), **asked).score(pairs)
    if "query_instruction" in settings:
        settings = {**settings, "query_instruction_for_rerank": settings["query_instruction"]}
        del settings["query_instruction"]
    theirs = FlagAutoReranker.from_finetuned(
        str(folder),
        model_class=model_class,
        use_fp16=True,
        trust_remote_code=False,
        devices="cpu",
        **settings,
    )
    wanted = np.array(theirs.compute_score([list(pair) for pair in pairs], batch_size=40))
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=1e-5)
    assert found.std() > 0.01  # not one score for all


@pytest.mark.skipif(OLD_TRANSFORMERS, reason="it runs with this transformers")
@pytest.mark.parametrize("model_class", ["decoder-only-layerwise", "decoder-only-lightweight"])
def test_a_reranker_of_an_older_transformers_says_so(model_class: RerankerClass, tiny_decoder: Path) -> None:
    (tmp := tiny_decoder.parent / model_class).mkdir()
    (tmp / "config.json").write_text(json.dumps({"model_type": "minicpm", "num_hidden_layers": 2}))
    scorer = ours.reranker(str(tmp), model_class, devices=("cpu",))
    with pytest.raises(ModelError, match=rf"FlagEmbedding runs class {model_class} with transformers 4\.46"):
        scorer.score([("a", "b")])


# -- side by side with the scripts ----------------------------------------------------------------------


def script_path(name: str) -> Path:
    if SCRIPTS is None:
        pytest.skip("HARDNEG_FLAGEMBEDDING_SCRIPTS names no folder with FlagEmbedding's scripts")
    if not (path := Path(SCRIPTS) / f"{name}.py").is_file():
        pytest.skip(f"{path.name} is not among the scripts in {SCRIPTS}")
    return path


def script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"their_{name}", script_path(name))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines(path: Path, values: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def ranked(folder: Path, settings: FlagSettings, query: str, documents: Sequence[str]) -> list[str]:
    """The documents in the order of FlagEmbedding's vectors."""
    model = flag_model(folder, settings)
    scores = model.encode_queries([query], max_length=60) @ model.encode(list(documents), max_length=60).T
    return [documents[place] for place in np.argsort(-scores[0], kind="stable")]


@pytest.mark.parametrize("with_pool", [False, True], ids=["own-texts", "pool"])
@pytest.mark.parametrize("window", ["5-25", "0-10", "10-30"])
def test_the_same_pool_and_the_same_window_as_the_real_script(
    window: str, with_pool: bool, tiny: Path, tmp_path: Path
) -> None:
    """With as many negatives as the window has ranks, the script takes all of it but the row's positives.

    Its list is that, in the order of rank, and then random texts; so what stands in ours of the first ranks
    must be the same, and nothing else of those ranks.
    """
    theirs = script("hn_mine")
    begin, end = map(int, window.split("-"))
    source = lines(tmp_path / "in.jsonl", rows(25))
    pool = sorted({text for row in rows(25)[:15] for text in row["pos"]} | set(FURTHER))
    words = ["--input_file", source, "--embedder_name_or_path", tiny]
    words += ["--embedder_model_class", "encoder-only-base", "--range_for_sampling", window]
    words += ["--negative_number", end - begin, "--devices", "cpu"]
    words += ["--embedder_query_max_length", 60, "--embedder_passage_max_length", 60]
    words += ["--query_instruction_for_retrieval", "query "]
    if with_pool:
        words += ["--candidate_pool", lines(tmp_path / "pool.jsonl", [{"text": text} for text in pool])]
    given = [str(word) for word in words]
    random.seed(1)
    data, model = theirs.HfArgumentParser((theirs.DataArgs, theirs.ModelArgs)).parse_args_into_dataclasses(
        [*given, "--output_file", str(tmp_path / "theirs.jsonl")]
    )
    theirs.main(data, model)
    hn_mine.run(hn_mine.parser().parse([*given, "--output_file", str(tmp_path / "ours.jsonl")]), Silent())
    settings = FlagSettings("encoder-only-base", instruction="query ", devices=("cpu",))
    documents = pool if with_pool else sorted({t for row in rows(25) for t in (*row["pos"], *row["neg"])})
    pairs = zip(rows(25), read(tmp_path / "theirs.jsonl"), read(tmp_path / "ours.jsonl"), strict=True)
    for row, their_row, our_row in pairs:
        order = ranked(tiny, settings, row["query"], documents)
        wanted = [text for text in order[begin:end] if text not in row["pos"] and text != row["query"]]
        assert their_row["neg"][: len(wanted)] == wanted
        assert set(our_row["neg"]) & set(order[:end]) == set(wanted)
        assert len(set(our_row["neg"])) == end - begin == len(our_row["neg"])
        assert not set(our_row["neg"]) & {*row["pos"], row["query"]}
        assert list(our_row) == list(their_row)


def scored_rows() -> list[Row]:
    """Some have further keys, some scores of before, some no negatives."""
    found: list[Row] = [
        {
            "query": TEXTS[place],
            "pos": TEXTS[30 + place : 31 + place + place % 3],
            "neg": FURTHER[: place % 5],
        }
        for place in range(30)
    ]
    found[3] |= {"prompt": "p", "id": 7, "more": {"a": [1, 2.5, None, True]}}
    found[6] |= {"pos_scores": [9.0], "type": "normal", "neg_scores": [8.0]}
    return [
        *found,
        {"neg": [" gene/é日本 \n", "drug", "drug"], "pos": ["\U0001f600 cell\u2028"], "query": " a "},
    ]


def scored_by_both(model: Path, flags: list[str], ours_alone: list[str], folder: Path) -> list[list[Row]]:
    """The rows that the script writes, and ours."""
    theirs = script("add_reranker_score")
    given = ["--input_file", str(lines(folder / "in.jsonl", scored_rows())), "--devices", "cpu"]
    given += ["--reranker_name_or_path", str(model), *flags, "--output_file"]
    theirs.main(
        *theirs.HfArgumentParser((theirs.ScoreArgs, theirs.ModelArgs)).parse_args_into_dataclasses(
            [*given, str(folder / "theirs.jsonl")]
        )
    )
    asked = add_reranker_score.parser().parse([*given, str(folder / "ours.jsonl"), *ours_alone])
    add_reranker_score.run(asked, Silent())
    return [read(folder / "theirs.jsonl"), read(folder / "ours.jsonl")]


def assert_same_but_for_rounding(theirs: Sequence[Row], ours: Sequence[Row]) -> None:
    """Key by key, in the same order; scores within 1e-5."""
    assert len(theirs) == len(ours) == len(scored_rows())
    found = []
    for their_row, our_row in zip(theirs, ours, strict=True):
        assert list(our_row) == list(their_row)
        for key in ("pos_scores", "neg_scores"):
            wanted = their_row.pop(key)
            found += wanted
            assert our_row.pop(key) == pytest.approx(wanted, rel=1e-5, abs=1e-5)
        assert our_row == their_row
    assert np.std(found) > 0.01  # not one score for all


A_AND_B = ["--query_instruction_for_rerank", "A: ", "--passage_instruction_for_rerank", "B: "]
AROUND = ["--query_instruction_for_rerank", "cell", "--query_instruction_format_for_rerank", "{}\\n{}"]
AROUND += ["--passage_instruction_for_rerank", "gene", "--passage_instruction_format_for_rerank", "{} : {}"]


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param([], id="plain"),
        pytest.param(["--normalize"], id="normalize"),
        pytest.param(AROUND, id="instructions"),
        pytest.param(["--reranker_max_length", "16", "--reranker_query_max_length", "4"], id="cut"),
    ],
)
def test_teacher_scores_are_those_of_the_real_script(
    flags: list[str], tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    short = [] if "--reranker_max_length" in flags else ["--reranker_max_length", "64"]
    named = ["--reranker_model_class", "encoder-only-base", *short, *flags]
    assert_same_but_for_rounding(*scored_by_both(tiny_cross_encoder, named, [], tmp_path))


NO_INSTRUCTIONS = ["--query_instruction_for_rerank", "", "--passage_instruction_for_rerank", ""]


@pytest.mark.parametrize(
    ("model_class", "flags", "ours_alone"),
    [
        # The script takes the class's `A: ` and `B: ` off unless they are given.
        pytest.param("base", [], NO_INSTRUCTIONS, id="base-bare"),
        pytest.param("base", [*A_AND_B, "--prompt", "yes"], [], id="base"),
        pytest.param("base", [*A_AND_B, "--normalize", "--reranker_max_length", "64"], [], id="base-cut"),
        pytest.param("layerwise", A_AND_B, [], id="layerwise", marks=NEEDS_OLD),
        pytest.param("layerwise", [*A_AND_B, "--cutoff_layers", "2"], [], id="layerwise-2", marks=NEEDS_OLD),
        pytest.param("lightweight", A_AND_B, [], id="lightweight", marks=NEEDS_OLD),
        pytest.param(
            "lightweight",
            [*A_AND_B, "--cutoff_layers", "3", "--compress_layers", "2", "--compress_ratio", "2"],
            [],
            id="lightweight-compressed",
            marks=NEEDS_OLD,
        ),
    ],
)
def test_a_decoders_teacher_scores_are_those_of_the_real_script(
    model_class: str, flags: list[str], ours_alone: list[str], tiny_decoder: Path, tmp_path: Path
) -> None:
    kind = f"decoder-only-{model_class}"
    folder = decoder_reranker(kind, tmp_path / "model", tiny_decoder)
    named = ["--reranker_model_class", kind, *flags]
    assert_same_but_for_rounding(*scored_by_both(folder, named, ours_alone, tmp_path))


@pytest.mark.parametrize("labels", [2, 3])
def test_scores_of_several_labels_are_not_taken_for_those_of_several_pairs(
    labels: int, tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    """The script writes the first labels' scores of the first pairs beside other texts."""
    from transformers import AutoModelForSequenceClassification

    shutil.copytree(tiny_cross_encoder, folder := tmp_path / "labels")
    model = AutoModelForSequenceClassification.from_pretrained(
        str(folder), num_labels=labels, ignore_mismatched_sizes=True
    )
    model.save_pretrained(folder)
    scorer = ours.reranker(str(folder), "encoder-only-base", devices=("cpu",))
    with pytest.raises(
        ModelError, match=f"gives {labels} scores a pair; name a cross-encoder with one label"
    ):
        scorer.score([("a", "b")])


def test_a_reranker_without_a_head_is_refused(tiny: Path) -> None:
    """FlagEmbedding lets transformers put a random one on it."""
    scorer = ours.reranker(str(tiny), "encoder-only-base", devices=("cpu",))
    with pytest.raises(ModelError, match="BertModel has no head for scores"):
        scorer.score([("a", "b")])


@pytest.mark.parametrize("scored", [False, True], ids=["labels", "scores"])
def test_lengths_split_as_the_real_script_splits_them(scored: bool, tiny: Path, tmp_path: Path) -> None:
    """The same rows in the same order in files of the same names, and the same log but for the time.

    Scores alone are others: the script rounds them to float32 and ten decimals.
    """
    path = script_path("split_data_by_length")
    (folder := tmp_path / "in").mkdir()
    for place, name in enumerate(("b.jsonl", "a.c.jsonl", "no.txt")):
        plain = [{key: row[key] for key in ("query", "pos", "neg")} for row in scored_rows()[place:]]
        beside = [
            {f"{key}_scores": [DRAW.gauss(0, 5) for _ in row[key]] for key in ("pos", "neg")} for row in plain
        ]
        wanted = [{**row, **(scores if scored else {})} for row, scores in zip(plain, beside, strict=True)]
        lines(folder / name, wanted)
    given = ["--input_path", str(folder), "--model_name_or_path", str(tiny), "--num_proc", "1"]
    given += ["--length_list", "20", "0", "28", "1000", "--cache_dir", str(tmp_path / "cache")]
    subprocess.run(
        [sys.executable, str(path), *given, "--output_dir", str(tmp_path / "theirs")],
        check=True,
        capture_output=True,
    )
    asked = split_data_by_length.parser().parse([*given, "--output_dir", str(tmp_path / "ours")])
    split_data_by_length.run(asked, Silent())
    theirs, own = (
        {path.name: read(path) for path in (tmp_path / who).iterdir()} for who in ("theirs", "ours")
    )
    logs = [sorted(found.pop(".split_log"), key=lambda row: row["file_name"]) for found in (theirs, own)]
    for entry in (*logs[0], *logs[1]):
        del entry["start_time"], entry["end_time"]
    assert logs[0] == logs[1]
    assert set(own) == set(theirs) and len(own) == 6
    for name, rows_there in theirs.items():
        assert [without_scores(row) for row in own[name]] == [without_scores(row) for row in rows_there]
        for our_row, their_row in zip(own[name], rows_there, strict=True):
            for key in ("pos_scores", "neg_scores") if scored else ():
                assert our_row[key] == pytest.approx(their_row[key], rel=1e-6)


def without_scores(row: Row) -> Row:
    return {key: value for key, value in row.items() if not key.endswith("_scores")}
