"""Whatever runs a model, its vectors are those of sentence-transformers' own encode."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hardneg.config import EncodeConfig
from hardneg.encode import DenseEncoder, VectorStore, encode_texts, open_encoder
from hardneg.encode.backends import openvino_backend, running
from hardneg.encode.backends.choice import Choice
from hardneg.encode.precision import LEAST_COSINE, has_native_bfloat16, processor_flags
from hardneg.errors import MissingExtraError, ModelError, UsageError

KINDS = ("bert", "modernbert", "decoder", "static")
needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="openvino is not installed"
)
BACKENDS = ("torch", pytest.param("openvino", marks=needs_openvino))
PRECISIONS = (
    ("torch", "auto"),
    pytest.param("openvino", "auto", marks=needs_openvino),
    pytest.param("openvino", "int8", marks=needs_openvino),
)
Kinds = Callable[[str], Any]


def cosines(left: Any, right: Any) -> Any:
    left, right = np.asarray(left, np.float64), np.asarray(right, np.float64)
    return (left * right).sum(1) / (np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1))


def opened(model: Any, config: EncodeConfig, **settings: Any) -> DenseEncoder:
    found = open_encoder(model, config.model_copy(update=settings))
    assert isinstance(found, DenseEncoder)
    return found


# -- equal to the library ------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_library(
    kinds: Kinds, config: EncodeConfig, texts: list[str], kind: str, backend: str
) -> None:
    model = kinds(kind)
    backend = "torch" if kind == "static" else backend
    encoder = opened(model, config, backend=backend, precision="fp32")
    queries = encoder.encode(texts, "query", encoder.prompt("query"))
    documents = encoder.encode(texts, "document", "")
    assert (encoder.choice.backend, encoder.choice.precision) == (backend, "fp32")
    assert cosines(queries, model.encode_query(texts)).min() >= 0.99999
    assert cosines(documents, model.encode_document(texts)).min() >= 0.99999
    assert cosines(queries, documents).min() < 0.9999  # the prompts do something


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_empty_texts_alone_are_as_beside_others(
    kinds: Kinds, config: EncodeConfig, backend: str, side: str
) -> None:
    """Where the tokenizer puts no marks around a text there is not one token to run. They come alone where
    they are more than a call holds, or one more than all calls before."""
    from tokenizers.processors import TemplateProcessing

    model = kinds("decoder")
    model.tokenizer.padding_side = side
    model.tokenizer.backend_tokenizer.post_processor = TemplateProcessing("$A", "$A $B", [])
    encoder = opened(model, config, backend=backend, precision="fp32")
    expected = model.encode_document(["", "cell gene"])
    beside = encoder.encode(["", "cell gene"], "document", "")
    assert cosines(beside[1:], expected[1:]).min() >= 0.99999
    np.testing.assert_array_equal(beside[0], expected[0])
    np.testing.assert_array_equal(encoder.encode(["", ""], "document", ""), np.stack([expected[0]] * 2))


@pytest.mark.parametrize("kind", ["bert", "modernbert", "decoder"])
def test_bfloat16_is_near_the_library(
    kinds: Kinds, config: EncodeConfig, texts: list[str], kind: str
) -> None:
    model = kinds(kind)
    own = model.encode_document(texts)
    encoder = opened(model, config, backend="torch", precision="bf16")
    found = encoder.encode(texts, "document", "")
    assert encoder.choice.precision == "bf16"
    assert 0.9995 <= cosines(found, own).min() < 1 - 1e-7
    np.testing.assert_array_equal(model.encode_document(texts), own)  # the user's model is as it was


@needs_openvino
@pytest.mark.parametrize("kind", ["bert", "modernbert", "decoder"])
def test_auto_comes_as_near_as_its_precision_promises(
    kinds: Kinds, config: EncodeConfig, texts: list[str], kind: str
) -> None:
    """Where the processor has bfloat16 and a model of random weights errs too far in it, float32 is taken."""
    model = kinds(kind)
    encoder = opened(model, config, backend="openvino")
    found = cosines(encoder.encode(texts, "document", ""), model.encode_document(texts))
    assert found.min() >= LEAST_COSINE[encoder.choice.precision]


@needs_openvino
def test_openvino_in_bfloat16_where_the_processor_has_it_and_else_not_at_all(
    kinds: Kinds, config: EncodeConfig, texts: list[str]
) -> None:
    model = kinds("bert")
    encoder = opened(model, config, backend="openvino", precision="bf16")
    if not openvino_backend.has_bfloat16():
        with pytest.raises(UsageError, match="precision bf16: OpenVINO has only f32 on this processor"):
            encoder.encode(texts, "document", "")
        return
    found = cosines(encoder.encode(texts, "document", ""), model.encode_document(texts))
    assert found.min() >= LEAST_COSINE["bf16"]


@needs_openvino
def test_auto_takes_float32_where_openvino_runs_in_other_numbers_than_it_says(
    kinds: Kinds, config: EncodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_backend, "has_bfloat16", lambda: True)
    monkeypatch.setitem(openvino_backend._HINTS, "bf16", "f16")  # on a CPU it is answered with another
    encoder = opened(kinds("bert"), config)
    encoder.encode(["cell"], "document", "")
    assert (encoder.choice.backend, encoder.choice.precision) == ("openvino", "fp32")
    assert "OpenVINO has only" in encoder.choice.why


@needs_openvino
@pytest.mark.parametrize("kind", ["bert", "modernbert", "decoder"])
def test_int8_is_near_the_library(kinds: Kinds, config: EncodeConfig, texts: list[str], kind: str) -> None:
    model = kinds(kind)
    encoder = opened(model, config, precision="int8")
    found = cosines(encoder.encode(texts, "document", ""), model.encode_document(texts))
    assert LEAST_COSINE["int8"] <= found.min() < 1 - 1e-5
    native = openvino_backend.has_bfloat16()
    assert encoder.fingerprint("document")["precision"] == ("int8-bfloat16" if native else "int8")


@pytest.mark.parametrize(("backend", "precision"), PRECISIONS)
def test_order_batches_and_lanes_change_no_vector(
    kinds: Kinds,
    config: EncodeConfig,
    texts: list[str],
    backend: str,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = kinds("bert")
    settings = {"backend": backend, "precision": precision}
    expected = opened(model, config, **settings).encode(texts, "document", "")
    order = np.random.default_rng(0).permutation(len(texts))
    shuffled = [texts[place] for place in order]
    for batch_size in (1, 3, 500):
        monkeypatch.setattr(openvino_backend, "usable_cores", lambda: 3)
        encoder = opened(model, config, **settings, batch_size=batch_size)
        assert cosines(encoder.encode(shuffled, "document", ""), expected[order]).min() >= 0.999999


def test_calls_come_back_in_order_with_their_own_prompts(
    kinds: Kinds, config: EncodeConfig, texts: list[str]
) -> None:
    encoder = opened(kinds("bert"), config, backend="torch")
    calls = [(texts[start : start + 7], "query : " if start % 2 else "") for start in range(0, 60, 7)]
    found = list(encoder.encode_calls(calls, "document"))
    for (vectors, truncated), (part, prompt) in zip(found, calls, strict=True):
        alone, flags = encoder.encode_and_flag(part, "document", prompt)
        np.testing.assert_array_equal(vectors, alone)
        np.testing.assert_array_equal(truncated, flags)
    assert encoder.encode([], "document", "").shape == (0, 16)


# -- which backend ---------------------------------------------------------------------------------------


@needs_openvino
def test_openvino_is_taken_by_itself_and_nothing_is_written_beside_the_model(
    tiny: Path, config: EncodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_backend, "has_bfloat16", lambda: False)
    before = sorted(path.name for path in tiny.rglob("*"))
    assert str(opened(tiny, config).choice) == "OpenVINO on cpu in fp32"
    assert sorted(path.name for path in tiny.rglob("*")) == before


@needs_openvino
def test_openvino_reports_its_use_to_nobody(tiny: Path, config: EncodeConfig) -> None:
    opened(tiny, config, backend="openvino").encode(["cell"], "document", "")
    assert sys.modules["openvino_telemetry"] is None


def test_without_openvino_torch_says_what_to_install(
    tiny: Path, config: EncodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "find_spec", lambda name: None)
    choice = opened(tiny, config).choice
    assert str(choice) == "torch on cpu in fp32 (faster with OpenVINO: pip install 'hardneg[openvino]')"
    with pytest.raises(MissingExtraError, match=r"pip install 'hardneg\[openvino\]'"):
        opened(tiny, config, backend="openvino").encode(["cell"], "document", "")


@needs_openvino
def test_a_model_that_does_not_convert_runs_by_torch_and_says_why(
    kinds: Kinds, config: EncodeConfig, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no such operation\nmore about it")

    monkeypatch.setattr(openvino, "convert_model", fails)
    model = kinds("bert")
    encoder = opened(model, config)
    assert cosines(encoder.encode(texts, "document", ""), model.encode_document(texts)).min() >= 0.99999
    assert encoder.choice.why == "OpenVINO does not convert it: no such operation"
    with pytest.raises(ModelError, match="cannot run this model: OpenVINO does not convert it") as caught:
        opened(model, config, backend="openvino").encode(texts, "document", "")
    assert "\n" not in str(caught.value)


@needs_openvino
def test_a_model_that_converts_to_something_else_runs_by_torch(
    kinds: Kinds, config: EncodeConfig, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a trace keeps a branch that the traced texts took."""
    real = openvino_backend._Requests.__call__

    def wrong(self: Any, **inputs: Any) -> Any:
        found = real(self, **inputs)
        return {name: value + 0.1 * value.roll(1, dims=-1) for name, value in found.items()}

    monkeypatch.setattr(openvino_backend._Requests, "__call__", wrong)
    encoder = opened(kinds("bert"), config)
    assert encoder.choice.backend == "torch"
    assert "its vectors differ from the model's own, cosine 0.9" in encoder.choice.why


@needs_openvino
def test_a_model_that_openvino_cannot_run_runs_by_torch_and_says_why(
    kinds: Kinds, config: EncodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a trace has kept the length of what was traced."""

    def fails(self: Any, **inputs: Any) -> Any:
        raise RuntimeError("Exception from src/inference:\nshapes do not fit")

    monkeypatch.setattr(openvino_backend._Requests, "__call__", fails)
    encoder = opened(kinds("bert"), config)
    assert encoder.encode(["cell"], "document", "").shape == (1, 16)
    assert encoder.choice.why == "OpenVINO does not run it: shapes do not fit"
    with pytest.raises(ModelError, match="cannot run this model: OpenVINO does not run it"):
        opened(kinds("bert"), config, backend="openvino").encode(["cell"], "document", "")


@pytest.mark.parametrize(
    ("library", "why"),
    [
        ("raise ImportError('libtbb.so.12: no such file')", "cannot be imported: libtbb.so.12: no such file"),
        ("def Core(): raise RuntimeError('no plugin')", "does not run: no plugin"),
    ],
    ids=["import", "core"],
)
def test_where_openvino_itself_is_broken_torch_runs_and_says_why(
    library: str, why: str, tiny: Path, config: EncodeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "__init__.py").write_text(library)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    encoder = opened(tiny, config)
    assert encoder.encode(["cell"], "document", "").shape == (1, 16)
    assert str(encoder.choice) == f"torch on cpu in fp32 (OpenVINO {why})"
    sys.modules.pop("openvino", None)
    with pytest.raises(ModelError, match=f"backend openvino cannot run this model: OpenVINO {why}; take"):
        opened(tiny, config, backend="openvino").encode(["cell"], "document", "")


@needs_openvino
def test_a_static_model_has_nothing_to_convert(kinds: Kinds, config: EncodeConfig) -> None:
    choice = opened(kinds("static"), config).choice
    assert str(choice) == "torch on cpu in fp32 (the model has no transformer for OpenVINO to run)"


# -- which precision ---------------------------------------------------------------------------------------


def test_bfloat16_needs_both_the_engine_and_the_processor(tmp_path: Path) -> None:
    amx, old = frozenset({"avx512f", "amx_bf16"}), frozenset({"avx512f", "avx2"})
    assert has_native_bfloat16(True, amx)
    assert has_native_bfloat16(True, None)  # nothing tells: the engine is believed
    assert not has_native_bfloat16(True, old)
    assert not has_native_bfloat16(False, amx)
    (tmp_path / "cpuinfo").write_text("model name\t: x\nflags\t\t: fpu avx512_bf16\nflags\t\t: fpu\n")
    assert processor_flags(tmp_path / "cpuinfo") in (frozenset({"fpu", "avx512_bf16"}), None)
    assert processor_flags(tmp_path / "absent") is None


@needs_openvino
def test_auto_tries_bfloat16_only_where_it_is_native(
    tiny: Path, config: EncodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    real = openvino_backend._compiled

    def compiled(model: Any, precision: Any, lanes: int) -> Any:
        tried.append(precision)
        return real(model, "fp32", lanes)

    monkeypatch.setattr(openvino_backend, "_compiled", compiled)
    for native, expected in ((False, "fp32"), (True, "bf16")):
        monkeypatch.setattr(openvino_backend, "has_bfloat16", lambda native=native: native)
        encoder = opened(tiny, config, cache_dir=f"{config.cache_dir}-{native}")
        assert (
            encoder.fingerprint("document")["precision"] == {"fp32": "float32", "bf16": "bfloat16"}[expected]
        )
    assert tried == ["fp32", "bf16"]


def test_what_is_said_before_the_model_is_open(tiny: Path, config: EncodeConfig) -> None:
    settings = {"backend": "torch", "precision": "fp32"}
    assert str(opened(tiny, config, **settings).choice) == "torch in fp32"
    assert str(opened(tiny, config, **settings, device="cpu").choice) == "torch on cpu in fp32"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "int8", "backend": "torch"}, "precision int8 is OpenVINO's alone"),
        ({"precision": "fp16", "backend": "openvino"}, "fp16 is for GPUs"),
        ({"precision": "fp16", "backend": "torch"}, "fp16 is for GPUs, and the device is cpu"),
    ],
)
def test_precisions_that_are_not_there(
    tiny: Path, config: EncodeConfig, settings: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        opened(tiny, config, **settings).encode(["cell"], "document", "")


def test_int8_is_refused_where_it_cannot_be_had(
    tiny: Path, kinds: Kinds, config: EncodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not run in other numbers in its place: who asks for it should know."""
    with pytest.raises(ModelError, match="precision int8: the model has no transformer"):
        opened(kinds("static"), config, precision="int8").encode(["cell"], "document", "")
    asked = config.model_copy(update={"precision": "int8"})
    with pytest.raises(UsageError, match="precision int8 is for CPUs, and the device is cuda"):
        running.open_running(SimpleNamespace(device=SimpleNamespace(type="cuda")), asked)
    monkeypatch.setitem(openvino_backend.ACCEPTED_COSINE, "int8", 1.0)
    monkeypatch.setitem(openvino_backend.ACCEPTED_COSINE, "int8-bf16", 1.0)
    with pytest.raises(ModelError, match="precision int8: .* vectors differ from the model's own, cosine"):
        opened(kinds("bert"), config, precision="int8").encode(["cell"], "document", "")
    monkeypatch.setattr(running, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"precision int8 .*pip install 'hardneg\[openvino\]'"):
        opened(tiny, config, precision="int8").encode(["cell"], "document", "")


def test_a_model_given_in_half_precision_stays_in_it(kinds: Kinds, config: EncodeConfig) -> None:
    import torch

    model = kinds("bert").to(torch.bfloat16)
    encoder = opened(model, config)
    encoder.encode(["cell", "gene"], "document", "")
    assert (encoder.choice.backend, encoder.choice.precision) == ("torch", "bf16")


@pytest.mark.parametrize("own", ["bfloat16", "float16"])
def test_a_model_given_in_half_precision_runs_in_what_is_asked_for(
    kinds: Kinds, config: EncodeConfig, texts: list[str], own: str
) -> None:
    """Its last layer, behind the transformer, is in half precision too."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense

    whole = SentenceTransformer(modules=[*kinds("bert"), Dense(16, 8)], device="cpu")
    expected = whole.encode_document(texts)
    model = whole.to(getattr(torch, own))
    for precision, least in (("fp32", 0.999), ("bf16", 0.99)):
        encoder = opened(model, config, precision=precision)
        assert cosines(encoder.encode(texts, "document", ""), expected).min() >= least
        assert encoder.choice.precision == precision
    assert {str(weight.dtype) for weight in model.parameters()} == {f"torch.{own}"}


def test_half_precision_of_its_own_can_be_asked_for(kinds: Kinds, config: EncodeConfig) -> None:
    import torch

    encoder = opened(kinds("bert").to(torch.float16), config, precision="fp16")
    assert encoder.encode(["cell"], "document", "").shape == (1, 16)


# -- what decides a vector ---------------------------------------------------------------------------------


def test_another_precision_or_backend_alone_gives_new_vectors(
    tiny: Path, config: EncodeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = VectorStore(tmp_path / "cache")
    runs = [{"backend": "torch", "precision": "fp32"}, {"backend": "torch", "precision": "bf16"}]
    if importlib.util.find_spec("openvino") is not None:
        runs.append({"backend": "openvino", "precision": "fp32"})
    for encoded in (2, 0):
        for settings in runs:
            encoder = opened(tiny, config, **settings)
            done = encode_texts(encoder, ["cell gene", "drug"], "document", store=store)
            assert done.encoded == encoded, settings
    assert len({str(opened(tiny, config, **settings).fingerprint("query")) for settings in runs}) == len(runs)


def test_vectors_stored_before_there_were_backends_are_still_found(tiny: Path, config: EncodeConfig) -> None:
    found = opened(tiny, config, backend="torch", precision="fp32").fingerprint("query")
    keys = {"encoder", "model", "task", "max_length", "normalised", "backend", "precision", "versions"}
    assert set(found) == keys
    assert (found["backend"], found["precision"]) == ("torch", "float32")
    assert set(found["versions"]) == {"sentence-transformers", "transformers", "tokenizers"}


def test_what_was_decided_once_is_known_without_opening_the_model(
    tiny: Path, config: EncodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(tiny, config).fingerprint("query")
    monkeypatch.setattr(DenseEncoder, "_load", lambda self: pytest.fail("opened again"))
    assert opened(tiny, config).fingerprint("query") == first


def test_a_machine_that_changed_is_noticed(
    tiny: Path, config: EncodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fingerprint has been given by then: vectors of another backend must not lie under it."""
    kept = Choice("torch", "cuda", "bf16")
    monkeypatch.setattr(running, "find_spec", lambda name: None)
    encoder = opened(tiny, config)
    from hardneg.encode.backends.choice import keep_choice

    keep_choice(encoder._notes, kept)
    assert encoder.fingerprint("query")["precision"] == "bfloat16"
    with pytest.raises(
        ModelError, match="ran as torch on cuda in bf16 before and now as torch on cpu in fp32"
    ):
        encoder.encode(["cell"], "document", "")
    assert opened(tiny, config).encode(["cell"], "document", "").shape == (1, 16)


def test_calls_are_small_on_a_cpu_whatever_was_asked_for(tiny: Path, config: EncodeConfig) -> None:
    """A call is held in memory whole, padded to its longest text."""
    for settings in ({}, {"backend": "torch", "precision": "fp32"}):
        assert opened(tiny, config, **settings).texts_a_call == 512


# -- the warm-up -------------------------------------------------------------------------------------------


def test_the_warm_up_takes_the_fastest_once_a_machine_and_the_settings_win(
    tiny: Path, config: EncodeConfig, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hardneg.encode import dense

    now = [0.0]
    monkeypatch.setattr(dense.time, "perf_counter", lambda: now[0])
    real = DenseEncoder.encode

    def timed(self: DenseEncoder, *call: Any) -> Any:
        now[0] += {4: 5.0, 16: 3.0}.get(self.texts_a_batch, 4.0)
        return real(self, *call)

    monkeypatch.setattr(DenseEncoder, "encode", timed)
    encoder = opened(tiny, config, backend="torch")
    encoder.warm_up(texts, "document", "")
    assert encoder.texts_a_batch == 16
    monkeypatch.setattr(DenseEncoder, "_fastest", lambda *call: pytest.fail("measured again"))
    again = opened(tiny, config, backend="torch")
    again.warm_up(texts, "document", "")
    assert again.texts_a_batch == 16
    named = opened(tiny, config, backend="torch", batch_size=5)
    named.warm_up(texts, "document", "")
    assert named.texts_a_batch == 5


def test_importing_loads_no_engine() -> None:
    script = "import sys, hardneg, hardneg.encode.dense; print({'torch', 'openvino'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
