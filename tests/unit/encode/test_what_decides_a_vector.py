"""Each thing that decides a vector, changed alone: the store gives what an empty store would, never the old.

And the other side: what decides nothing encodes nothing anew.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardneg.config import EncodeConfig
from hardneg.encode import EncodedTexts, VectorStore, encode_texts, open_encoder
from hardneg.encode.backends.choice import Choice
from hardneg.engine import Threads
from hardneg.errors import ModelError
from hardneg.protocols import Kind
from hardneg.records import Float32

TEXTS = ["cell gene drug heart", "the Virus causes blood", "gene", "of a cell and the drug in blood virus e"]
OUTRIGHT = {"backend": "torch", "precision": "fp32", "device": "cpu"}
"""Named, so that a fingerprint needs no open model."""
Change = Callable[[Any], Any]
Maker = Callable[..., Any]


@dataclass(frozen=True)
class Encoding:
    """One call of the encoder, with all that a user can set; `trusted`: the model is named as one whose code
    may run."""

    texts: list[str] = field(default_factory=lambda: TEXTS)
    kind: Kind = "document"
    prompts: list[str | None] | None = None
    store_dtype: str = "float32"
    settings: Mapping[str, Any] = field(default_factory=dict)
    trusted: bool = False

    def __call__(self, model: Any, cache: Path) -> EncodedTexts:
        named = {"trust_remote_code": (str(model),) if self.trusted else ()}
        config = EncodeConfig(**{**OUTRIGHT, "cache_dir": str(cache), **named, **self.settings})
        store = VectorStore(cache, self.store_dtype)
        return encode_texts(
            open_encoder(model, config), self.texts, self.kind, store=store, prompts=self.prompts
        )


def vectors(done: EncodedTexts) -> Float32:
    return done.vectors.block(0, done.vectors.shape[0])


def never_stale(
    before: Any, after: Any, tmp_path: Path, *, first: Encoding, then: Encoding, alike: bool = False
) -> None:
    """before, after  give the model at that time
    alike          whether the two give the same vectors all the same
    """
    shared, empty = tmp_path / "shared", tmp_path / "empty"
    old = vectors(first(before(), shared))
    model = after()
    found, fresh = then(model, shared), then(model, empty)
    assert found.encoded == fresh.encoded == len(set(then.texts))
    np.testing.assert_array_equal(vectors(found), vectors(fresh))
    if not alike:
        assert old.shape != vectors(found).shape or not np.allclose(old, vectors(found), atol=1e-6)


# -- a model on disk: the same folder at two times ---------------------------------------------------------


def _json(folder: Path, name: str, change: Callable[[Any], Any]) -> None:
    path = folder / name
    value = json.loads(path.read_text())
    path.write_text(json.dumps(change(value) or value))


def _tokenizer(change: Callable[[Any], None]) -> Change:
    def changed(folder: Path) -> None:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        change(tokenizer)
        tokenizer.save(str(folder / "tokenizer.json"))

    return changed


def _lower(tokenizer: Any) -> None:
    from tokenizers.normalizers import Lowercase

    tokenizer.normalizer = Lowercase()


def _cut_at_letters(tokenizer: Any) -> None:
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    tokenizer.pre_tokenizer = Split(Regex(r"[^a-d]"), "isolated")


def _swap(vocabulary: dict[str, int]) -> None:
    vocabulary["cell"], vocabulary["gene"] = vocabulary["gene"], vocabulary["cell"]


def _known(tokenizer: dict[str, Any]) -> None:
    """The last word's number goes to a token of two words."""
    vocabulary = tokenizer["model"]["vocab"]
    token = {"content": "gene drug", "single_word": False, "lstrip": False, "rstrip": False}
    token |= {"id": vocabulary.pop("e"), "normalized": True, "special": False}
    tokenizer["added_tokens"].append(token)


def _set(name: str, **values: Any) -> Change:
    return lambda folder: _json(folder, name, lambda found: found.update(values))


def _with_module(kind: str) -> Change:
    """The model saved with one more module behind its pooling."""

    def changed(folder: Path) -> None:
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.base.modules import Dense
        from sentence_transformers.sentence_transformer.modules import LayerNorm, Normalize

        torch.manual_seed(3)
        made = {"dense": lambda: Dense(16, 8), "norm": lambda: LayerNorm(16), "normalize": Normalize}
        model = SentenceTransformer(str(folder), device="cpu")
        model.append(made[kind]())
        _replace(folder, model)

    return changed


def _replace(folder: Path, model: Any) -> None:
    shutil.rmtree(folder)
    model.save(str(folder), create_model_card=False)


def _scaled_norm(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = folder / "2_LayerNorm" / "model.safetensors"
    save_file({name: values * 2 for name, values in load_file(path).items()}, path)


def _half(folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    _replace(folder, SentenceTransformer(str(folder), device="cpu").half())


def _other_weights(folder: Path) -> None:
    """Of the same size and the same time, as `rsync -t` or a backup puts them there."""
    from safetensors.numpy import load_file, save_file

    path = folder / "model.safetensors"
    status = path.stat()
    weights = load_file(path)
    weights["embeddings.word_embeddings.weight"] *= 2
    save_file(weights, path, {"format": "pt"})
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)


def _custom_module(factor: int) -> Change:
    """A module of the model's own code, which multiplies."""
    code = f"""
import torch

class Times(torch.nn.Module):
    def forward(self, features):
        found = features["sentence_embedding"].clone()
        found[:, :8] *= {factor}
        return {{**features, "sentence_embedding": found}}

    @classmethod
    def load(cls, *arguments, **settings):
        return cls()
"""

    def changed(folder: Path) -> None:
        (folder / "times.py").write_text(code)
        _json(
            folder,
            "modules.json",
            lambda found: [*found[:2], {"idx": 2, "name": "2", "path": "2_Times", "type": "times.Times"}],
        )
        (folder / "2_Times").mkdir(exist_ok=True)

    return changed


def _nothing(folder: Path) -> None:
    pass


DOT = Encoding()
CODE = Encoding(trusted=True)
FOLDERS: dict[str, tuple[Change, Change, Encoding]] = {
    "weights": (_nothing, _other_weights, DOT),
    "weights in half precision": (_nothing, _half, DOT),
    "vocabulary": (
        _nothing,
        lambda folder: _json(folder, "tokenizer.json", lambda found: _swap(found["model"]["vocab"])),
        DOT,
    ),
    "lower-casing": (_nothing, _tokenizer(_lower), DOT),
    "where words are cut": (_nothing, _tokenizer(_cut_at_letters), DOT),
    "an added token": (_nothing, lambda folder: _json(folder, "tokenizer.json", _known), DOT),
    "activation": (_nothing, _set("config.json", hidden_act="relu"), DOT),
    "heads": (_nothing, _set("config.json", num_attention_heads=4), DOT),
    "epsilon": (_nothing, _set("config.json", layer_norm_eps=0.5), DOT),
    "pooling": (_nothing, _set("1_Pooling/config.json", pooling_mode="cls"), DOT),
    "a dense layer": (_nothing, _with_module("dense"), DOT),
    "a norm's weights": (_with_module("norm"), _scaled_norm, DOT),
    "normalisation": (_nothing, _with_module("normalize"), DOT),
    "the model's own longest": (_nothing, _set("tokenizer_config.json", model_max_length=5), DOT),
    "similarity": (_nothing, _set("config_sentence_transformers.json", similarity_fn_name="cosine"), DOT),
    "truncation": (_nothing, _set("config_sentence_transformers.json", truncate_dim=4), DOT),
    "a declared prompt": (
        _nothing,
        _set("config_sentence_transformers.json", prompts={"document": "passage : "}),
        DOT,
    ),
    "the model's own code": (_custom_module(2), _custom_module(3), CODE),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_changed(name: str, make_model: Maker, tmp_path: Path) -> None:
    before, change, encoding = FOLDERS[name]
    folder = make_model(tmp_path / "tiny", similarity="dot")

    def first() -> Path:
        before(folder)
        return folder

    def then() -> Path:
        change(folder)
        return folder

    never_stale(first, then, tmp_path, first=encoding, then=encoding)


def test_code_that_is_not_trusted_any_more(make_model: Maker, tmp_path: Path) -> None:
    """Whether the model's own code or the library's class runs decides a vector."""
    folder = make_model(tmp_path / "tiny")
    _set("config.json", auto_map={"AutoModel": "modeling.Own"})(folder)
    marks = [
        open_encoder(folder, EncodeConfig(**OUTRIGHT, cache_dir=str(tmp_path), trust_remote_code=trusted))
        for trusted in ((), (str(folder),))
    ]
    assert marks[0].fingerprint("query") != marks[1].fingerprint("query")
    # Its class may be told whether it reads a query or a document.
    assert marks[0].fingerprint("query") == marks[0].fingerprint("document")
    assert marks[1].fingerprint("query") != marks[1].fingerprint("document")


def test_a_module_of_the_models_own_may_treat_queries_otherwise(make_model: Maker, tmp_path: Path) -> None:
    """Whatever it is called."""
    folder = make_model(tmp_path / "tiny")
    _json(folder, "modules.json", lambda found: [found[0] | {"type": "own.Transformer"}, *found[1:]])
    trusted = (str(folder),)
    encoder = open_encoder(
        folder, EncodeConfig(**OUTRIGHT, cache_dir=str(tmp_path), trust_remote_code=trusted)
    )
    assert encoder.fingerprint("query") != encoder.fingerprint("document")


def test_the_code_of_another_repository(make_model: Maker, tmp_path: Path) -> None:
    folder, other = make_model(tmp_path / "tiny"), tmp_path / "other"
    other.mkdir()
    (other / "modeling.py").write_text("FACTOR = 1")
    _set("config.json", auto_map={"AutoModel": f"{other}--modeling.Own"})(folder)
    config = EncodeConfig(**OUTRIGHT, cache_dir=str(tmp_path), trust_remote_code=(str(folder),))
    before = open_encoder(folder, config).fingerprint("query")
    assert open_encoder(folder, config).fingerprint("query") == before
    (other / "modeling.py").write_text("FACTOR = 2")
    assert open_encoder(folder, config).fingerprint("query") != before


def test_the_model_below_an_adapter(make_model: Maker, tmp_path: Path) -> None:
    """Its weights lie elsewhere and decide no less."""
    base, folder = make_model(tmp_path / "base"), tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    (folder / "adapter_model.safetensors").write_bytes(b"")
    config = EncodeConfig(**OUTRIGHT, cache_dir=str(tmp_path / "cache"))

    def mark() -> Mapping[str, Any]:
        return open_encoder(folder, config).fingerprint("query")

    seen = [mark()]
    assert mark() == seen[0]
    _other_weights(base)
    seen.append(mark())
    (folder / "adapter_model.safetensors").write_bytes(b"more")
    seen.append(mark())
    _set("adapter_config.json", lora_alpha=16)(folder)
    seen.append(mark())
    assert len({json.dumps(dict(one)) for one in seen}) == len(seen)
    shutil.rmtree(base)
    with pytest.raises(ModelError, match="merge the adapter into its model"):
        mark()


# -- settings and texts ------------------------------------------------------------------------------------


LIMITED = ["cell gene drug heart blood virus", "the virus causes blood and not the drug of a heart"]
QUERY: dict[str, Any] = {"kind": "query"}
SETTINGS: dict[str, tuple[Encoding, Encoding]] = {
    "max length": (Encoding(LIMITED), Encoding(LIMITED, settings={"max_length": 4})),
    "the query's prompt": (Encoding(**QUERY), Encoding(**QUERY, settings={"query_prompt": "causes "})),
    "the document's prompt": (Encoding(), Encoding(settings={"document_prompt": "lowers "})),
    "another prompt": (
        Encoding(settings={"document_prompt": "passage : "}),
        Encoding(settings={"document_prompt": "passage "}),
    ),
    "prompts of rows": (Encoding(), Encoding(prompts=["a ", "b ", "c ", "d "])),
    "prompts by family": (Encoding(**QUERY), Encoding(**QUERY, settings={"family_prompts": False})),
    "precision": (Encoding(), Encoding(settings={"precision": "bf16"})),
    "backend": (Encoding(), Encoding(settings={"backend": "openvino"})),
    "store dtype": (Encoding(), Encoding(store_dtype="float16")),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_changed(name: str, make_model: Maker, tmp_path: Path) -> None:
    if name == "backend" and find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    first, then = SETTINGS[name]
    folder = make_model(tmp_path / "e5-small")  # by its name of a family with prompts
    alike = name in ("backend", "store dtype")
    never_stale(lambda: folder, lambda: folder, tmp_path, first=first, then=then, alike=alike)


TEXTS_APART = {
    "case": ("Gene", "gene"),
    "composed and decomposed": ("caf\u00e9", "cafe\u0301"),
    "compatibility": ("\ufb01n", "fin"),
    "white space": ("a cell", "a  cell"),
    "white space at the end": ("a cell", "a cell "),
    "what cannot be seen": ("a cell", "a cell\u200b"),
    "prompt or text": ("passage : a cell", "a cell"),
}


@pytest.mark.parametrize("name", TEXTS_APART)
def test_another_text(name: str, make_model: Maker, tmp_path: Path) -> None:
    """Texts are compared byte by byte: whether a model sees a difference is the model's business."""
    folder = make_model(tmp_path / "tiny")
    first, then = (Encoding([text]) for text in TEXTS_APART[name])
    if name == "prompt or text":
        then = Encoding(then.texts, settings={"document_prompt": "passage : "})
    never_stale(lambda: folder, lambda: folder, tmp_path, first=first, then=then, alike=True)


def test_other_versions_of_the_libraries(
    make_model: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model(tmp_path / "tiny")
    config = EncodeConfig(**OUTRIGHT, cache_dir=str(tmp_path))
    before = open_encoder(folder, config).fingerprint("query")
    for package in ("sentence-transformers", "transformers", "tokenizers"):
        with monkeypatch.context() as patch:
            patch.setattr(
                "hardneg.encode.model_folder.installed",
                lambda packages, other=package: {one: "99.0" if one == other else "1" for one in packages},
            )
            assert open_encoder(folder, config).fingerprint("query") != before


# -- a model as an object ----------------------------------------------------------------------------------


def _same_weights(model: Any, **settings: Any) -> None:
    """Other settings of the transformer around the same tensors."""
    from transformers import BertConfig, BertModel

    inner = model[0].auto_model
    other = BertModel(BertConfig(**{**inner.config.to_dict(), **settings}))
    other.load_state_dict(inner.state_dict())
    model[0].model = other


def _without_words(model: Any) -> None:
    tokenizer = model.tokenizer.backend_tokenizer
    settings = json.loads(tokenizer.to_str())
    _swap(settings["model"]["vocab"])
    model.tokenizer._tokenizer = type(tokenizer).from_str(json.dumps(settings))


def _multiplying(model: Any, by: float) -> None:
    """As an adapter has it: neither a tensor nor a setting of the library says how much."""
    import torch

    class Times(torch.nn.Module):  # type: ignore[misc]  # torch's types are not read
        def __init__(self, by: float) -> None:
            super().__init__()
            self.by = {"default": by}

        def forward(self, features: dict[str, Any]) -> dict[str, Any]:
            found = features["sentence_embedding"].clone()
            found[:, :8] *= self.by["default"]
            return {**features, "sentence_embedding": found}

    model.append(Times(by))


def _normalise(model: Any) -> None:
    from sentence_transformers.sentence_transformer.modules import Normalize

    model.append(Normalize())


def _set_attribute(path: str, value: Any) -> Change:
    def changed(model: Any) -> None:
        *parts, last = path.split(".")
        for part in parts:
            model = model[int(part)] if part.isdigit() else getattr(model, part)
        setattr(model, last, value)

    return changed


OBJECTS: dict[str, tuple[Change, Change, bool]] = {
    "activation": (_nothing, lambda model: _same_weights(model, hidden_act="relu"), False),
    "heads": (_nothing, lambda model: _same_weights(model, num_attention_heads=4), False),
    "epsilon": (_nothing, lambda model: _same_weights(model, layer_norm_eps=0.5), False),
    "attention": (
        _nothing,
        lambda model: model[0].auto_model.set_attn_implementation("eager"),
        True,
    ),
    "vocabulary": (_nothing, _without_words, False),
    "where long texts are cut": (_nothing, _set_attribute("tokenizer.truncation_side", "left"), False),
    "longest": (_nothing, _set_attribute("max_seq_length", 4), False),
    "pooling": (_nothing, _set_attribute("1.pooling_mode", "cls"), False),
    "truncation": (_nothing, _set_attribute("truncate_dim", 4), False),
    "similarity": (_nothing, _set_attribute("similarity_fn_name", "cosine"), False),
    "prompts": (_nothing, _set_attribute("prompts", {"document": "passage : "}), False),
    "half precision": (_nothing, lambda model: model.half(), False),
    "normalisation": (_nothing, _normalise, False),
    "what a module holds": (
        lambda model: _multiplying(model, 2.0),
        lambda model: _set_attribute("2.by", {"default": 3.0})(model),
        False,
    ),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_that_changed(name: str, build: Maker, tmp_path: Path) -> None:
    before, change, alike = OBJECTS[name]
    model = build(similarity="dot", max_length=8)
    before(model)

    def then() -> Any:
        change(model)
        return model

    texts = [*LIMITED, *TEXTS]
    # As it is: `half precision` is then its own.
    encoding = Encoding(texts, settings={"precision": "auto" if name == "half precision" else "fp32"})
    never_stale(lambda: model, then, tmp_path, first=Encoding(texts), then=encoding, alike=alike)


def test_a_tokenizer_without_a_fast_one(build: Maker, config: EncodeConfig) -> None:
    """Its vocabulary counts, whether it says so or not."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import BoW

    def mark(words: list[str]) -> Mapping[str, Any]:
        model = SentenceTransformer(modules=[BoW(vocab=words)], device="cpu")
        return open_encoder(model, config.model_copy(update=OUTRIGHT)).fingerprint("document")

    assert mark(["cell", "gene"]) == mark(["cell", "gene"])
    assert mark(["cell", "gene"]) != mark(["cell", "drug"])


# -- an encoder of the user's own --------------------------------------------------------------------------


class Own:
    name, dimension, similarity = "own", 2, "dot"

    def __init__(self, version: int) -> None:
        self.version = version

    def fingerprint(self, kind: Kind) -> Mapping[str, Any]:
        return {"own": self.version}

    def prompt(self, kind: Kind) -> str:
        return ""

    def encode(self, texts: list[str], kind: Kind, prompt: str) -> Float32:
        return np.array([[len(text), self.version] for text in texts], np.float32)


def test_an_encoder_of_ones_own_that_says_it_changed(tmp_path: Path) -> None:
    never_stale(lambda: Own(1), lambda: Own(2), tmp_path, first=Encoding(), then=Encoding())


# -- a checkpoint that is overwritten while it is used -----------------------------------------------------


@pytest.mark.parametrize("how", ["in place", "by another file"])
def test_a_checkpoint_overwritten_while_a_run_goes_on(how: str, make_model: Maker, tmp_path: Path) -> None:
    """The run goes on with what it opened; the next sees the new one."""
    folder, other = make_model(tmp_path / "tiny", seed=1), make_model(tmp_path / "other", seed=2)
    expected = [vectors(Encoding()(model, tmp_path / "empty")) for model in (folder, other)]
    config = EncodeConfig(**OUTRIGHT, cache_dir=str(tmp_path / "cache"))
    store = VectorStore(tmp_path / "cache")
    encoder = open_encoder(folder, config)
    encode_texts(encoder, ["another text"], "document", store=store)
    weights = (other / "model.safetensors").read_bytes()
    if how == "in place":
        with (folder / "model.safetensors").open("r+b") as handle:
            handle.write(weights)
    else:
        (folder / "new").write_bytes(weights)
        (folder / "new").replace(folder / "model.safetensors")
    found = encode_texts(encoder, TEXTS, "document", store=store)
    np.testing.assert_array_equal(vectors(found), expected[0])
    after = Encoding()(folder, tmp_path / "cache")
    assert after.encoded == len(TEXTS)
    np.testing.assert_array_equal(vectors(after), expected[1])


# -- what decides nothing ----------------------------------------------------------------------------------


def _elsewhere(folder: Path) -> Path:
    return Path(shutil.copytree(folder, folder.parent / "elsewhere" / "under another name"))


def _touched(folder: Path) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))


def _with_files(folder: Path) -> None:
    for name in ("README.md", "trainer_state.json", "rng_state.pth", "eval/results.csv", ".gitattributes"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("of no weight")
    (folder / "checkpoint-5").mkdir()
    (folder / "checkpoint-5" / "model.safetensors").write_bytes(b"an earlier one")


SAME_FOLDER: dict[str, Callable[[Path], Path | None]] = {
    "another folder": _elsewhere,
    "other times": _touched,
    "files of no weight": _with_files,
}
SAME_SETTINGS: dict[str, Mapping[str, Any]] = {
    "batch size": {"batch_size": 1},
    "the device's name": {"device": None},
    "trust where there is no code": {"trusted": True},
    "a prompt of the other kind": {"query_prompt": "query : "},
    "the prompt that is the model's own": {"document_prompt": ""},
}


@pytest.mark.parametrize("name", SAME_FOLDER)
def test_a_folder_that_is_the_same(name: str, make_model: Maker, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "tiny")
    old = vectors(Encoding()(folder, tmp_path / "cache"))
    folder = SAME_FOLDER[name](folder) or folder
    found = Encoding()(folder, tmp_path / "cache")
    assert (found.encoded, found.reused) == (0, len(TEXTS))
    np.testing.assert_array_equal(vectors(found), old)


@pytest.mark.parametrize("name", SAME_SETTINGS)
def test_a_setting_that_decides_nothing(name: str, tiny: Path, tmp_path: Path) -> None:
    old = vectors(Encoding()(tiny, tmp_path))
    settings = dict(SAME_SETTINGS[name])
    found = Encoding(trusted=settings.pop("trusted", False), settings=settings)(tiny, tmp_path)
    assert (found.encoded, found.reused) == (0, len(TEXTS))
    np.testing.assert_array_equal(vectors(found), old)


def test_order_repeats_and_threads_decide_nothing(tiny: Path, tmp_path: Path) -> None:
    old = vectors(Encoding()(tiny, tmp_path))
    again = Encoding([*TEXTS[::-1], TEXTS[0]])(tiny, tmp_path)
    assert again.encoded == 0
    np.testing.assert_array_equal(vectors(again), old[[3, 2, 1, 0, 0]])
    config = EncodeConfig(**OUTRIGHT, cache_dir=str(tmp_path))
    engine, store = Threads(2), VectorStore(tmp_path)
    found = encode_texts(open_encoder(tiny, config), TEXTS, "document", store=store, engine=engine)
    assert found.encoded == 0


def test_the_device_is_no_part_of_what_decides() -> None:
    marks = [Choice("torch", device, "fp32").fingerprint() for device in ("cpu", "cuda:1", "mps")]
    assert marks[0] == marks[1] == marks[2]


def test_an_object_and_its_copy_from_disk_are_the_same(build: Maker, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    build(seed=4).save(str(tmp_path / "one"), create_model_card=False)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    first, second = (SentenceTransformer(str(tmp_path / name), device="cpu") for name in ("one", "two"))
    old = Encoding()(first, tmp_path / "cache")
    first.train()
    assert Encoding()(first, tmp_path / "cache").encoded == 0
    assert Encoding()(second, tmp_path / "cache").encoded == 0
    assert old.encoded == len(TEXTS)
