"""Operators of each engine fall into the class that a reader of encoders would put them in."""

from pathlib import Path
from typing import Any

import pytest
import tiny

from baselines.engines import openvino, pytorch
from baselines.engines.onnx.runtime import OnnxVariant
from baselines.engines.profiles import CLASSES, operator_class, seconds_by_class
from harness.systems.interface import ProfiledSystem
from harness.workload.tasks.superglue.boolq import BOOLQ

LAYER = "/model/bert/encoder/layer.0/"


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("MatMul", f"{LAYER}attention/self/query/MatMul", "linears"),
        ("MatMul", f"{LAYER}attention/self/MatMul_1", "attention"),
        ("FusedMatMul", f"{LAYER}attention/self/MatMul/MatMulScaleFusion/", "attention"),
        ("Softmax", f"{LAYER}attention/self/Softmax", "attention"),
        ("DynamicQuantizeMatMul", f"{LAYER}output/dense/MatMul_quant", "linears"),
        ("DynamicQuantizeLinear", f"{LAYER}attention/self/x_QuantizeLinear", "rounding"),
        ("SkipLayerNormalization", f"{LAYER}output/LayerNorm", "normalisation"),
        ("BiasGelu", f"{LAYER}intermediate/Gelu", "activation"),
        ("Gather", "/model/bert/embeddings/Gather", "rest"),
        ("FullyConnected", f"{LAYER}attention/self/key/MatMul", "linears"),
        ("Subgraph", f"{LAYER}attention/self/Transpose_3", "attention"),
        ("MVN", "", "normalisation"),
        ("FakeQuantize", "", "rounding"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "", "attention"),
        ("aten::native_layer_norm", "", "normalisation"),
        ("aten::addmm", "", "linears"),
        ("quantized::linear_dynamic", "", "linears"),
        ("aten::embedding", "", "rest"),
    ],
)
def test_an_operator_has_one_class(kind: str, name: str, expected: str) -> None:
    """By the kind, and in a graph by the module that it stands in."""
    assert operator_class(kind, name) == expected


def test_seconds_of_a_class_add_up_and_none_is_left_out() -> None:
    """1 + 2 of linears, 4 of the rest."""
    seconds = seconds_by_class([("Gemm", "", 1.0), ("MatMul", "", 2.0), ("Gather", "", 4.0)])
    assert list(seconds) == list(CLASSES)
    assert (seconds["linears"], seconds["rest"], sum(seconds.values())) == (3.0, 4.0, 7.0)


@pytest.mark.parametrize(
    "variant", [OnnxVariant(), pytorch.VARIANTS[1], openvino.VARIANTS[0]], ids=lambda variant: variant.name
)
def test_an_engine_reports_where_its_time_goes(boolq_folder: Path, tmp_path: Path, variant: Any) -> None:
    """An encoder multiplies, attends and normalises, whatever engine computes it."""
    if variant.unavailable():
        pytest.skip(variant.unavailable())
    system = tiny.opened(variant, BOOLQ, boolq_folder, tmp_path, tiny.SHORT)
    assert isinstance(system, ProfiledSystem)
    seconds = system.profile(system.encode(tiny.examples(2)))
    assert set(seconds) == set(CLASSES)
    assert all(seconds[name] > 0 for name in ("linears", "attention", "normalisation"))
    system.close()
