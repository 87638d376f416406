"""Models, vectors, data sets and runs that would run code as they are read: none does.

Each brings a canary that makes a file when it is run, by being unpickled, imported or called. It must not be
there after a real process has been given the artefact; and where the artefact is refused, the line says why.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg
from hardneg.config_file import load_config_file
from hardneg.encode.model_folder import find_model
from hardneg.errors import DamagedError, HardnegError, InputError, ModelError
from hardneg.files import read_arrays
from hardneg.model_safety import refuse_harmful

Tally = Callable[..., None]
Maker = Callable[..., Path]
COMMAND = [sys.executable, "-c", "from hardneg.cli import main; main()"]


class Canary:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


def code_of(canary: Path) -> str:
    """A module with a class that loads, is called and tokenises, and a canary that sings on import."""
    return (
        f"open({str(canary)!r}, 'w').close()\n"
        "class Evil:\n"
        "    def __init__(self, *a, **k): pass\n"
        "    load = from_pretrained = classmethod(lambda cls, *a, **k: cls())\n"
    )


def put_json(path: Path, **values: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    found = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**found, **values}), "utf-8")


def pickled(path: Path, canary: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(Canary(canary)))


def torch_pickled(path: Path, canary: Path) -> None:
    """As torch.save writes it: a zip that holds the pickle."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Canary(canary), 2))
        archive.writestr("archive/version", "3\n")


# -- models that are refused before a library sees them -----------------------------------------------------

Spoil = Callable[[Path, Path], None]


def only_pickles(folder: Path, canary: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch_pickled(folder / "pytorch_model.bin", canary)


def pickled_parts(folder: Path, canary: Path) -> None:
    (folder / "model.safetensors").unlink()
    pickled(folder / "pytorch_model-00001-of-00002.bin", canary)


def pickled_head(folder: Path, canary: Path) -> None:
    torch_pickled(folder / "2_Dense" / "pytorch_model.bin", canary)
    put_json(folder / "2_Dense" / "config.json", in_features=16, out_features=8)
    add_module(folder, "sentence_transformers.models.Dense", "2_Dense")


def pickled_adapter(folder: Path, canary: Path) -> None:
    put_json(folder / "adapter_config.json", peft_type="LORA", base_model_name_or_path=".")
    torch_pickled(folder / "adapter_model.bin", canary)


def class_elsewhere(folder: Path, canary: Path) -> None:
    add_module(folder, "evil_module.Evil", "2_Evil")


def class_beside(folder: Path, canary: Path) -> None:
    (folder / "modeling_evil.py").write_text(code_of(canary))
    add_module(folder, "modeling_evil.Evil", "2_Evil")


def library_function(folder: Path, canary: Path) -> None:
    """Within the library's own modules, but no class of it."""
    add_module(folder, "sentence_transformers.base.model.pickle", "2_Evil")


def activation(folder: Path, canary: Path) -> None:
    put_json(
        folder / "2_Dense" / "config.json",
        in_features=16,
        out_features=8,
        activation_function="evil_module.Evil",
    )
    add_module(folder, "sentence_transformers.models.Dense", "2_Dense")


def activation_of_old(folder: Path, canary: Path) -> None:
    """The library calls what this names in torch, whatever it is."""
    put_json(folder / "config.json", sbert_ce_default_activation_function="torch.utils.collect_env.main")


def tokenizer_class(folder: Path, canary: Path) -> None:
    put_json(folder / "0_WordEmbeddings" / "wordembedding_config.json", tokenizer_class="evil_module.Evil")
    add_module(folder, "sentence_transformers.models.WordEmbeddings", "0_WordEmbeddings")


def routed(folder: Path, canary: Path) -> None:
    put_json(folder / "2_Router" / "router_config.json", types={"query_0": "evil_module.Evil"}, structure={})
    add_module(folder, "sentence_transformers.models.Router", "2_Router")


def kernel(folder: Path, canary: Path) -> None:
    put_json(folder / "config.json", attn_implementation="somebody/evil-kernel")


def add_module(folder: Path, kind: str, path: str) -> None:
    (folder / path).mkdir(exist_ok=True)
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": len(modules), "name": str(len(modules)), "path": path, "type": kind})
    (folder / "modules.json").write_text(json.dumps(modules))


PICKLED: list[Spoil] = [only_pickles, pickled_parts, pickled_head, pickled_adapter]
WITH_CODE: list[Spoil] = [
    class_elsewhere,
    class_beside,
    library_function,
    activation,
    activation_of_old,
    tokenizer_class,
    routed,
    kernel,
]


@pytest.fixture
def spoilt(tiny: Path, tmp_path: Path, canary: Path) -> Callable[[Spoil], Path]:
    def make(spoil: Spoil) -> Path:
        folder = tmp_path / "model"
        shutil.copytree(tiny, folder)
        spoil(folder, canary)
        return folder

    return make


@pytest.mark.parametrize("spoil", PICKLED, ids=lambda spoil: spoil.__name__)
def test_pickled_weights_are_refused_even_of_a_trusted_model(
    spoilt: Callable[[Spoil], Path], canary: Path, spoil: Spoil
) -> None:
    folder = spoilt(spoil)
    for trusted in (False, True):
        with pytest.raises(
            ModelError, match=r"\.bin: holds pickled weights, which are never loaded; save the"
        ):
            find_model(str(folder), trusted)
    assert not canary.exists()


@pytest.mark.parametrize("spoil", WITH_CODE, ids=lambda spoil: spoil.__name__)
def test_code_of_its_own_is_refused_unless_the_model_is_named(
    spoilt: Callable[[Spoil], Path], canary: Path, spoil: Spoil
) -> None:
    folder = spoilt(spoil)
    with pytest.raises(ModelError, match="code.*; to run its code, name it: --trust-remote-code"):
        find_model(str(folder))
    find_model(str(folder), trusted=True)
    assert not canary.exists()


@pytest.mark.parametrize("path", ["checkpoint-2", ".2_Dense", "onnx", "../elsewhere", "{elsewhere}"])
def test_a_module_outside_of_what_is_looked_through_is_refused(
    spoilt: Callable[[Spoil], Path], tmp_path: Path, path: str
) -> None:
    """Its pickles and its code would not be seen, nor that it was changed."""
    path = path.format(elsewhere=tmp_path / "elsewhere")

    def elsewhere(folder: Path, canary: Path) -> None:
        add_module(folder, "sentence_transformers.models.Dense", path)
        torch_pickled(folder / path / "pytorch_model.bin", canary)

    folder = spoilt(elsewhere)
    for trusted in (False, True):
        with pytest.raises(ModelError, match=r"modules\.json: takes a module from .* own folders; move it"):
            find_model(str(folder), trusted)


def test_what_training_left_behind_and_safe_weights_are_no_reason(
    tiny: Path, tmp_path: Path, canary: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    for name in ("training_args.bin", "optimizer.pt", "pytorch_model.bin"):
        pickled(folder / name, canary)
    pickled(folder / "checkpoint-10" / "pytorch_model.bin", canary)
    find_model(str(folder))
    assert not canary.exists()


def test_a_model_that_links_to_itself_is_looked_through_once(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    for name in ("one", "two"):
        (folder / name).symlink_to(folder)
    refuse_harmful(folder, trusted=False)


# -- the same, and what only the libraries can refuse, in real processes ------------------------------------


def auto_map(folder: Path, canary: Path) -> None:
    (folder / "configuration_evil.py").write_text(code_of(canary))
    put_json(
        folder / "config.json",
        model_type="evil",
        auto_map={"AutoConfig": "configuration_evil.Evil", "AutoModel": "configuration_evil.Evil"},
    )


def own_tokenizer(folder: Path, canary: Path) -> None:
    (folder / "tokenization_evil.py").write_text(code_of(canary))
    put_json(
        folder / "tokenizer_config.json",
        tokenizer_class="EvilTokenizer",
        auto_map={"AutoTokenizer": ["tokenization_evil.Evil", None]},
    )


def told_to_trust(folder: Path, canary: Path) -> None:
    auto_map(folder, canary)
    arguments = {"trust_remote_code": True, "use_safetensors": False}
    keys = (
        "model_args",
        "tokenizer_args",
        "config_args",
        "model_kwargs",
        "processor_kwargs",
        "config_kwargs",
    )
    put_json(folder / "sentence_bert_config.json", **{key: dict(arguments) for key in keys})


def both_weights(folder: Path, canary: Path) -> None:
    torch_pickled(folder / "pytorch_model.bin", canary)


def told_to_unpickle(folder: Path, canary: Path) -> None:
    both_weights(folder, canary)
    for key in ("model_args", "model_kwargs"):
        put_json(
            folder / "sentence_bert_config.json", **{key: {"use_safetensors": False, "weights_only": False}}
        )


LOADED: dict[Spoil, tuple[int, ...]] = {
    auto_map: (1,),
    own_tokenizer: (0, 1),  # transformers may take a tokenizer of its own in its place
    told_to_trust: (1,),
    both_weights: (0,),
    told_to_unpickle: (0,),
}
"""How the command may end: with 0 where the model is one without what it was spoilt by."""


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [{"query": f"cell gene {n}", "positive": f"drug heart blood {n}"} for n in range(6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(tmp_path: Path, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """In a process that could import `evil_module`."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / "evil_module.py").write_text(code_of(tmp_path / "canary"))
    path = os.pathsep.join([str(elsewhere), *filter(None, sys.path)])
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "HF_HUB_OFFLINE": "1",
        "HARDNEG_CACHE": str(tmp_path / "cache"),
    }
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        stdin=subprocess.DEVNULL,
        **options,
    )


@pytest.mark.slow
@pytest.mark.reliability
@pytest.mark.parametrize("spoil", [*PICKLED, *WITH_CODE, *LOADED], ids=lambda spoil: spoil.__name__)
def test_an_encoder_from_elsewhere_runs_no_code(
    spoilt: Callable[[Spoil], Path], canary: Path, tmp_path: Path, pairs: Path, tally: Tally, spoil: Spoil
) -> None:
    ended = run(
        tmp_path, "mine", pairs, "--run-dir", tmp_path / "run", "--model", spoilt(spoil), "--backend", "torch"
    )
    tally("hostile artefacts, code run", tried=1, failed=int(canary.exists()))
    assert not canary.exists()
    assert ended.returncode in LOADED.get(spoil, (1,)), ended.stderr
    assert "Traceback" not in ended.stderr


def head_activation(folder: Path, canary: Path) -> None:
    put_json(folder / "config.json", sentence_transformers={"activation_fn": "evil_module.Evil"})


def own_code(folder: Path, canary: Path) -> None:
    (folder / "modeling_evil.py").write_text(code_of(canary))
    put_json(
        folder / "config.json",
        model_type="evil",
        auto_map={
            "AutoConfig": "modeling_evil.Evil",
            "AutoModelForSequenceClassification": "modeling_evil.Evil",
        },
    )


@pytest.mark.slow
@pytest.mark.reliability
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (only_pickles, "holds pickled weights"),
        (pickled_adapter, "holds pickled weights"),
        (head_activation, "--trust-remote-code"),
        (own_code, "--trust-remote-code"),
    ],
    ids=lambda value: getattr(value, "__name__", "said"),
)
def test_a_cross_encoder_from_elsewhere_runs_no_code(
    make_cross_encoder: Maker,
    canary: Path,
    tmp_path: Path,
    pairs: Path,
    tally: Tally,
    spoil: Spoil,
    said: str,
) -> None:
    folder = make_cross_encoder()
    spoil(folder, canary)
    words = ["mine", pairs, "--run-dir", tmp_path / "run", "--retriever", "bm25", "--cross-encoder", folder]
    ended = run(tmp_path, *words)
    tally("hostile artefacts, code run", tried=1, failed=int(canary.exists()))
    assert not canary.exists()
    assert ended.returncode == 1 and said in ended.stderr, ended.stderr


@pytest.mark.slow
def test_the_canary_sings_for_a_model_that_is_trusted_by_name(
    spoilt: Callable[[Spoil], Path], canary: Path, tmp_path: Path, pairs: Path
) -> None:
    """So that the proofs above can fail."""
    folder = spoilt(class_beside)
    other = run(
        tmp_path,
        "mine",
        pairs,
        "--run-dir",
        tmp_path / "run",
        "--model",
        folder,
        "--trust-remote-code",
        "x/y",
    )
    assert not canary.exists() and "--trust-remote-code x/y is not used" in other.stderr
    run(
        tmp_path,
        "mine",
        pairs,
        "--run-dir",
        tmp_path / "run",
        "--model",
        folder,
        "--trust-remote-code",
        folder,
    )
    assert canary.exists()


# -- vectors, tables, data sets, settings and runs ----------------------------------------------------------


def objects_npy(path: Path, canary: Path) -> None:
    np.save(path, np.array([Canary(canary)], dtype=object), allow_pickle=True)


@pytest.mark.parametrize("file", ["documents.npy", "documents.ids.npy", "queries.npy"])
def test_own_vectors_are_no_pickles(tmp_path: Path, canary: Path, file: str) -> None:
    folder = tmp_path / "vectors"
    folder.mkdir()
    for stem, count in (("queries", 1), ("documents", 3)):
        np.save(folder / f"{stem}.npy", np.ones((count, 4), np.float32))
        np.save(folder / f"{stem}.ids.npy", np.array([f"{stem}{n}" for n in range(count)]))
    objects_npy(folder / file, canary)
    source = {
        "corpus": pa.table({"doc_id": [f"documents{n}" for n in range(3)], "text": list("abc")}),
        "queries": pa.table({"query_id": ["queries0"], "text": ["a"]}),
        "qrels": pa.table({"query_id": ["queries0"], "doc_id": ["documents0"]}),
    }
    with pytest.raises(InputError, match="cannot be read"):
        hardneg.mine(source, run_dir=tmp_path / "run", retriever=f"vectors:{folder}")
    assert not canary.exists()


def test_arrays_of_a_run_are_no_pickles(tmp_path: Path, canary: Path) -> None:
    path = tmp_path / "model.npz"
    np.savez(path, numbers=np.array([Canary(canary)], dtype=object))
    with pytest.raises(DamagedError):
        read_arrays(path)
    pickled(path, canary)
    with pytest.raises(DamagedError):
        read_arrays(path)
    assert not canary.exists()


def test_a_run_with_pickles_in_it_loads_none(tmp_path: Path, canary: Path, pairs: Path) -> None:
    """Each stored array of a run, replaced: every command is right, or ends with a line."""
    folder = tmp_path / "run"
    hardneg.mine(str(pairs), run_dir=folder, retriever="bm25", guard="prior")
    arrays = [path for path in folder.rglob("*") if path.suffix in (".npz", ".npy")]
    assert arrays
    for path in arrays:
        whole = path.read_bytes()
        if path.suffix == ".npz":
            np.savez(path, **dict.fromkeys(np.load(path).files, np.array([Canary(canary)], dtype=object)))
        else:
            objects_npy(path, canary)
        try:
            hardneg.open_run(folder).select(name="again", guard="prior", sampler="random")
        except HardnegError as error:
            assert str(path) in str(error)
        path.write_bytes(whole)
    assert not canary.exists()


def test_settings_make_no_objects(tmp_path: Path, canary: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(f"depth: !!python/object/apply:builtins.open [{str(canary)!r}, w]\n")
    with pytest.raises(InputError, match="a tag .* is not taken"):
        load_config_file(path)
    assert not canary.exists()


def test_a_parquet_file_s_own_types_are_not_unpickled(tmp_path: Path, canary: Path) -> None:
    field = pa.field(
        "note",
        pa.binary(),
        metadata={
            "ARROW:extension:name": "arrow.py_extension_type",
            "ARROW:extension:metadata": pickle.dumps(Canary(canary)),
        },
    )
    schema = pa.schema([("query", pa.string()), ("positive", pa.string()), field])
    rows = [{"query": f"river {n}", "positive": f"engine {n}", "note": b"x"} for n in range(3)]
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "pairs.parquet")
    with suppress(HardnegError):
        hardneg.load(str(tmp_path / "pairs.parquet"))
    assert not canary.exists()


@pytest.mark.slow
@pytest.mark.reliability
def test_a_data_set_s_script_and_pickles_are_not_run(tmp_path: Path, canary: Path, tally: Tally) -> None:
    """A folder with a loading script; and a kind of file as the name of a data set, beside a pickle."""
    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / "evil.py").write_text(code_of(canary))
    (folder / "train.csv").write_text("query,positive\nriver,engine\n")
    place = tmp_path / "place"
    place.mkdir()
    pickled(place / "train.pkl", canary)
    for name, where in ((folder, tmp_path), ("hf:evil", tmp_path), ("pandas", place), ("hf:pandas", place)):
        ended = run(tmp_path, "mine", name, "--run-dir", tmp_path / "run", "--retriever", "bm25", cwd=where)
        tally("hostile artefacts, code run", tried=1, failed=int(canary.exists()))
        assert "Traceback" not in ended.stderr
        assert not canary.exists(), name
        assert ended.returncode in (0, 2), ended.stderr
