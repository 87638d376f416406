"""Weights in int8: what they are rounded to, worked out by hand."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import numpy as np
import pytest

from hardneg.encode.backends.quantised import quantised

if importlib.util.find_spec("openvino") is None:
    pytest.skip("openvino is not installed", allow_module_level=True)
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as where hardneg imports OpenVINO

# Two outputs. The largest weights, 2.54 and 12.7, make the scales 0.02 and 0.1.
WEIGHTS = np.array([[2.54, 0.031, -0.049], [-0.26, 12.7, 0.04], [0.0, 0.0, 0.0]], np.float32)
ROUNDED = np.array([[2.54, 0.04, -0.04], [-0.3, 12.7, 0.0], [0.0, 0.0, 0.0]], np.float64)
TOKENS = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], np.float32)


def product(weights: Any, transposed: bool) -> Any:
    """tokens → tokens times weights, of (outputs, inputs) where transposed."""
    import openvino
    from openvino import opset13 as operations

    tokens = operations.parameter([-1, 3], np.float32)
    found = operations.matmul(tokens, operations.constant(weights), False, transposed)
    return openvino.Model([found], [tokens])


def answers(network: Any) -> Any:
    import openvino

    plain = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    return openvino.Core().compile_model(network, "CPU", plain)([TOKENS])[0]


@pytest.mark.parametrize("transposed", [True, False])
def test_each_output_has_a_scale_of_its_own(transposed: bool) -> None:
    network = product(WEIGHTS if transposed else np.ascontiguousarray(WEIGHTS.T), transposed)
    np.testing.assert_allclose(answers(quantised(network)), ROUNDED.T, atol=1e-6)
    np.testing.assert_allclose(answers(network), WEIGHTS.T, atol=1e-6)  # what was given is as it was


def test_products_of_two_activations_stay_as_they_are() -> None:
    import openvino
    from openvino import opset13 as operations

    tokens = operations.parameter([-1, 3], np.float32)
    network = openvino.Model([operations.matmul(tokens, tokens, False, True)], [tokens])
    kinds = [node.get_type_name() for node in quantised(network).get_ordered_ops()]
    assert kinds == ["Parameter", "MatMul", "Result"]
