"""OpenVINO in the place of a model's transformer, on the CPU.

`openvino.convert_model` takes the torch module as it is loaded; nothing is exported to disk. A converted
model counts only when its vectors are those of the model itself.

Each core runs batches of its own on one thread: no core waits for another inside a layer, what a batch needs
stays in its core's cache, and the number of cores changes no vector.
"""

from __future__ import annotations

import logging
import queue
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from hardneg.cores import usable_cores
from hardneg.encode.backends.choice import Choice
from hardneg.encode.backends.quantised import GROUP, quantised
from hardneg.encode.backends.running import NotConvertedError, Running
from hardneg.encode.backends.stand_in import transformer_of, with_stand_in
from hardneg.encode.precision import ACCEPTED_COSINE, Precision, has_native_bfloat16, processor_flags
from hardneg.errors import UsageError

_OUTPUT = "last_hidden_state"
ATTENTIONS = (None, "eager")
"""As the model has it, and written out. OpenVINO's fused attention gives NaN where a padding token sees
nothing, as with local attention; written out, transformers masks with a large finite number.
"""
TEXTS_A_BATCH = 8
"""Of 64 tokens: what a batch needs in a layer then fits the cache of the one core that runs it."""
KEPT_KERNELS = 16
"""Compiled for shapes of batches. OpenVINO by itself keeps thousands, in memory and for no better rate: one
run over SciFact peaked at 1.58 GB with these, two at 1.67 and 1.72 without.
"""
_HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16", "int8": "f32", "int8-bf16": "bf16"}
_QUANTISED: tuple[Precision, ...] = ("int8", "int8-bf16")
# Of different lengths, so that both have padding; the second pair is longer than what is traced, and than
# the windows of models with local attention.
_TRACED = ("a", "the cell and the gene " * 4)
# An empty text has no token where the tokenizer puts no marks around it, and nothing to see.
_COMPARED = (("one", "the heart of the blood " * 80, "virus " * 9, ""), ("a single text",))
_DRAWN_TEXTS, _DRAWN_WORDS = 24, 60
"""Compared besides: words of the model's own, at most so many a text."""


def has_bfloat16() -> bool:
    """Whether OpenVINO and the processor compute in bfloat16.

    Raises NotConvertedError where OpenVINO does not run.
    """
    library = _openvino()
    try:
        says = "BF16" in library.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    except Exception as error:  # as where a part of the library is missing
        raise NotConvertedError(f"OpenVINO does not run: {_first_line(error)}") from error
    return has_native_bfloat16(says, processor_flags())


def opened(model: Any, precisions: Sequence[Precision]) -> Running:
    """The model in the first of these precisions in which it gives its own vectors.

    Raises NotConvertedError where there is none, UsageError where the processor has not the precision.
    """
    lanes = usable_cores()
    converted = cache(partial(_converted, model))
    why = ""
    for precision in precisions:
        try:
            running, cosine = _nearest(model, converted, precision, lanes)
        except _OtherPrecisionError as error:
            if precision == precisions[-1]:
                raise UsageError(f"precision {precision}: {error}; take fp32") from error
            why = str(error)
            continue
        if cosine >= ACCEPTED_COSINE[precision]:
            return Running(running, Choice("openvino", "cpu", precision, why), lanes, TEXTS_A_BATCH)
        why = f"in {precision} its vectors differ from the model's own, cosine {cosine:.5f}"
    raise NotConvertedError(f"OpenVINO: {why}")


def _nearest(
    model: Any, converted: Callable[[str | None], _Converted], precision: Precision, lanes: int
) -> tuple[Any, float]:
    """The model with the first attention by which it is near enough, else with the last, and how near."""
    for attention in ATTENTIONS:
        running = with_stand_in(model, _compiled(converted(attention), precision, lanes))
        try:
            cosine = _least_cosine(model, running)
        except Exception as error:  # as where a trace has kept a size of what was traced
            raise NotConvertedError(f"OpenVINO does not run it: {_first_line(error)}") from error
        if cosine >= ACCEPTED_COSINE[precision]:
            break
    return running, cosine


def _openvino() -> Any:
    # OpenVINO reports its use over the network unless its telemetry package is missing; then it goes without.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: cannot be imported
    try:
        import openvino
    except Exception as error:  # as where it was built for another Python or C library
        raise NotConvertedError(f"OpenVINO cannot be imported: {_first_line(error)}") from error

    return openvino


# -- converting --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Converted:
    """An openvino.Model of a transformer with every size left open, and the names of its inputs."""

    network: Any
    inputs: tuple[str, ...]


def _converted(model: Any, attention: str | None) -> _Converted:
    """The transformer, with its attention written as it is (None) or in another of transformers' ways."""
    inner = transformer_of(model)
    if inner is None:
        raise NotConvertedError("the model has no transformer for OpenVINO to run")
    openvino = _openvino()
    try:
        with _quiet(), _attention(inner, attention):
            names, tensors, constants = _inputs(model, inner)
            shape = openvino.PartialShape([-1, -1])
            network = openvino.convert_model(
                _traced(_traceable(inner, names, constants), tensors),
                input=[(shape, openvino.Type.i64)] * len(names),
            )
    except NotConvertedError:
        raise
    except Exception as error:  # whatever a model's own code, torch's tracing or OpenVINO runs into
        raise NotConvertedError(f"OpenVINO does not convert it: {_first_line(error)}") from error
    return _Converted(network, tuple(names))


@contextmanager
def _attention(inner: Any, implementation: str | None) -> Iterator[None]:
    if implementation is None:
        yield
        return
    before = inner.config._attn_implementation
    inner.set_attn_implementation(implementation)
    try:
        yield
    finally:
        inner.set_attn_implementation(before)


def _inputs(model: Any, inner: Any) -> tuple[list[str], list[Any], dict[str, Any]]:
    """What the model gives its transformer: names and tensors of (texts, tokens), and all the rest."""
    import torch

    seen: dict[str, Any] = {}

    def record(**inputs: Any) -> Mapping[str, Any]:
        seen.update(inputs)
        found: Mapping[str, Any] = inner(**inputs)
        return found

    with torch.inference_mode():
        with_stand_in(model, record)(model.preprocess(list(_TRACED), task="document"), task="document")
    tensors = {name: value for name, value in seen.items() if torch.is_tensor(value)}
    odd = [name for name, value in tensors.items() if value.ndim != 2 or value.dtype != torch.int64]
    if odd:
        raise NotConvertedError(f"OpenVINO: its transformer takes {odd[0]}, which is no (texts, tokens)")
    constants = {name: value for name, value in seen.items() if name not in tensors}
    if getattr(inner.config, "use_cache", False):
        constants["use_cache"] = False
    # Tensors made in inference mode cannot be traced.
    return list(tensors), [value.clone() for value in tensors.values()], constants


def _traced(module: Any, tensors: Sequence[Any]) -> Any:
    """As convert_model does by itself, but torch does not run the trace again to check it: we compare."""
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    return TorchScriptPythonDecoder(module, example_input=tuple(tensors), trace_kwargs={"check_trace": False})


def _traceable(inner: Any, names: Sequence[str], constants: Mapping[str, Any]) -> Any:
    import torch

    class Traceable(torch.nn.Module):  # type: ignore[misc]  # torch's types are not read
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, *tensors: Any) -> Any:
            return self.inner(**dict(zip(names, tensors, strict=True)), **constants)[_OUTPUT]

    return Traceable().eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that tracing brings: whether a trace is right is compared, not guessed."""
    level = logging.getLogger("transformers").level
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger("transformers").setLevel(level)


# -- running -------------------------------------------------------------------------------------------------


class _OtherPrecisionError(Exception):
    """OpenVINO runs in other numbers than those asked for; the message says in which."""


def _compiled(converted: _Converted, precision: Precision, lanes: int) -> _Requests:
    network = quantised(converted.network) if precision in _QUANTISED else converted.network
    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "NUM_STREAMS": str(lanes),
        "INFERENCE_NUM_THREADS": str(lanes),
        "CPU_RUNTIME_CACHE_CAPACITY": str(KEPT_KERNELS),
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(GROUP),
    }
    try:
        compiled = _openvino().Core().compile_model(network, "CPU", settings)
    except Exception as error:
        raise NotConvertedError(f"OpenVINO does not compile it: {_first_line(error)}") from error
    taken = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if taken != _HINTS[precision]:
        raise _OtherPrecisionError(f"OpenVINO has only {taken} on this processor")
    return _Requests(compiled, converted.inputs, lanes)


class _Requests:
    """The compiled transformer, called from as many threads as it has lanes."""

    def __init__(self, compiled: Any, names: Sequence[str], lanes: int) -> None:
        self._names = tuple(names)
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(lanes):
            self._free.put(compiled.create_infer_request())
        self._compiled = compiled

    def __call__(self, **inputs: Any) -> dict[str, Any]:
        import torch

        request = self._free.get()
        try:
            values = [inputs[name].numpy() for name in self._names]
            found = request.infer(values, share_inputs=True)
            return {_OUTPUT: torch.from_numpy(found[0])}
        finally:
            self._free.put(request)

    def __deepcopy__(self, memo: Any) -> _Requests:
        return self  # it holds no state that a copy of the model could change


def _least_cosine(model: Any, running: Any) -> float:
    """Of vectors for the same texts, the model's own and those that `running` gives; NaN where one is."""
    import torch

    least = 1.0
    with torch.inference_mode():
        for texts in (*_COMPARED, _drawn(model)):
            own, found = (
                part(part.preprocess(list(texts), task="document"), task="document")["sentence_embedding"]
                .double()
                .numpy()
                for part in (model, running)
            )
            least = float(np.minimum(least, _cosines(own, found).min()))
    return least


def _cosines(own: Any, found: Any) -> Any:
    """Of each pair of rows; 1 where both are zero, as of empty texts, or the model's own is no number."""
    lengths = np.linalg.norm(own, axis=1) * np.linalg.norm(found, axis=1)
    nothing = ~own.any(axis=1) & ~found.any(axis=1) | ~np.isfinite(own).all(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(nothing, 1.0, (own * found).sum(axis=1) / lengths)


def _drawn(model: Any) -> Sequence[str]:
    """Texts of words drawn from the model's vocabulary: how far half precision errs differs from text to
    text, and a few of ours would not show it."""
    tokenizer: Any = getattr(model, "tokenizer", None)
    if not hasattr(tokenizer, "get_vocab"):
        return _COMPARED[1]
    words = sorted(set(tokenizer.get_vocab()) - set(getattr(tokenizer, "all_special_tokens", ())))
    draw = np.random.default_rng(0)
    return [" ".join(draw.choice(words, count)) for count in draw.integers(1, _DRAWN_WORDS, _DRAWN_TEXTS)]


def _first_line(error: BaseException) -> str:
    """The first that says what is wrong: OpenVINO begins with where in its sources it noticed."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Exception from ")]
    return (lines[0] if lines else type(error).__name__)[:200]
