"""Smoothing of large units: the same answers in float, and nearer ones in int8."""

from collections.abc import Sequence
from typing import Any

import encoders
import numpy as np
import pytest
from native_reference import Function, needs_compiler, reference
from sequences import sequence

from baselines.encoding.batching import Padded, pad
from baselines.models.classifier import runner
from baselines.models.families.layers import distinct_layers, layers_of
from harness.systems.interface import EncodedSequence
from harness.workload.tasks.example import Logits
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.native.engine import Engine, Library
from optimized.native.layout import Arrays, Layout
from optimized.native.smoothing import Units, arrays_of, facts_of, smooth, units_of
from optimized.native.weights import extract

SEQUENCES = [sequence(length, seed=length) for length in (12, 30, 7, 41, 25, 18)]
INPUTS = [pad([one], 0) for one in SEQUENCES]
LAYOUT = Layout(64, 4, 1, 255, 127)
GATED = ("modernbert", "modernbert-mean", "nomic_bert", "eurobert")


def model_with_large_units(*units: int, family: str = "bert") -> Any:
    """Return a model of two layers in which these units are a hundred times as large as they were.

    ALBERT has one layer that runs twice.
    """
    model = encoders.model_of(family, BOOLQ, intermediate_size=75)
    for layer in distinct_layers(model):
        for unit in units:
            layer.up.weight.data[unit] *= 100
            layer.down.weight.data[:, unit] *= 0.3
    return model


def smoothed(model: Any, layout: Layout, inputs: Sequence[Padded] = INPUTS) -> dict[int, Any]:
    return smooth(units_of(model), runner(model), inputs, layout)


def in_float(model: Any, sequences: Sequence[EncodedSequence] = SEQUENCES) -> Logits:
    return np.concatenate([runner(model)(pad([one], 0)) for one in sequences])


@pytest.mark.parametrize("family", ["bert", "albert", *GATED])
def test_answers_in_float_stay_the_same(family: str) -> None:
    """What a unit loses its weights gain; a layer that runs twice is smoothed once."""
    model = model_with_large_units(3, 70, family=family)
    before = in_float(model)
    factors = smoothed(model, LAYOUT)
    assert set(factors) == ({0} if family == "albert" else {0, 1})
    np.testing.assert_allclose(in_float(model), before, rtol=1e-4, atol=1e-4 * np.abs(before).max())


def test_large_units_are_divided_most() -> None:
    """And none is multiplied without bound: one that is never active in calibration may be later."""
    model = model_with_large_units(3, 70)
    layers_of(model)[0].up.weight.data[9] = 0
    layers_of(model)[0].up.bias.data[9] = 0
    factors = smoothed(model, LAYOUT)
    for factor in factors.values():
        assert set(np.argsort(factor)[:2]) == {3, 70}
    assert np.isfinite(factors[0]).all()
    assert factors[0].max() < 30
    facts = facts_of(factors, 2)
    assert (facts["layers"], facts["of"]) == ([0, 1], 2)
    assert facts["largest"] == pytest.approx(1 / min(factor.min() for factor in factors.values()), abs=0.01)


def test_units_of_one_size_are_left_alone() -> None:
    """There is nothing to gain; and where no unit is ever active there is no scale."""
    import torch

    linear, values = torch.nn.Linear(64, 32), torch.randn(200, 64, generator=torch.Generator().manual_seed(0))
    assert smooth([Units(linear)], lambda _: linear(values), INPUTS[:1], LAYOUT) == {}
    assert smooth([Units(linear)], lambda _: linear(0 * values), INPUTS[:1], LAYOUT) == {}
    assert facts_of({}, 1) == {"layers": [], "of": 1, "largest": 1.0}


def test_a_layer_that_runs_twice_is_smoothed_for_the_values_of_both_runs() -> None:
    """A unit that is large in the second run only is divided as well."""
    import torch

    linear, generator = torch.nn.Linear(64, 32), torch.Generator().manual_seed(0)
    runs = [torch.randn(200, 64, generator=generator) for _ in range(2)]
    runs[1][:, 7] *= 200
    linear.weight.data[:, 7] *= 0.1
    factors = smooth([Units(linear)], lambda _: [linear(run) for run in runs], INPUTS[:1], LAYOUT)
    assert np.argmin(factors[0]) == 7


def test_gated_units_are_divided_in_the_rows_that_their_gates_multiply() -> None:
    """C divides nothing: a row of weights has a scale of its own, and the gate's activation stays."""
    model = model_with_large_units(3, 70, family="nomic_bert")
    layer = layers_of(model)[0]
    up, gate = (part.weight.detach().numpy().copy() for part in (layer.up, layer.gate))
    layers = units_of(model)
    factors = smooth(layers, runner(model), INPUTS, LAYOUT)
    assert arrays_of(layers, factors, LAYOUT) == {}
    np.testing.assert_allclose(layer.up.weight.detach().numpy(), up * factors[0][:, None], rtol=1e-5)
    assert np.array_equal(layer.gate.weight.detach().numpy(), gate)


def mean_squared_errors(family: str, library: Library, gelu: Function) -> tuple[float, float]:
    """Return those of the compiled encoder without smoothing and with it, whose answers are the reference's.

    They are on other sequences than those of calibration.
    """
    sequences = [sequence(length, seed=100 + length) for length in (5, 40, 21, 33, 12, 17, 28, 9)]
    exact = in_float(model_with_large_units(3, 70, family=family), sequences)

    def answers(factors: Arrays, model: Any) -> Logits:
        fields, arrays = extract(model, library.layout, "tiny")
        engine = Engine(library, fields, arrays | factors, 2, 128)
        logits = engine.answer(sequences)
        engine.close()
        return logits

    plain = answers({}, model_with_large_units(3, 70, family=family))
    model = model_with_large_units(3, 70, family=family)
    layers = units_of(model)
    factors = smooth(layers, runner(model), INPUTS, library.layout)
    divided = answers(arrays_of(layers, factors, library.layout), model)
    assert reference(model, library.layout, sequences, gelu).accepts(divided)
    return float(np.square(plain - exact).mean()), float(np.square(divided - exact).mean())


@needs_compiler
@pytest.mark.parametrize("family", ["bert", "nomic_bert"])
def test_the_compiled_encoder_divides_as_pytorch_and_is_nearer_to_float(
    family: str, library: Library, gelu: Function
) -> None:
    """At every level of instructions, with gates and without."""
    plain, divided = mean_squared_errors(family, library, gelu)
    assert divided < 0.7 * plain


@needs_compiler
@pytest.mark.parametrize("family", ["albert", "modernbert-mean", "eurobert"])
def test_other_gated_units_and_shared_layers_are_nearer_to_float_too(
    family: str, best: Library, gelu: Function
) -> None:
    """ALBERT's layer divides in both of its runs."""
    plain, divided = mean_squared_errors(family, best, gelu)
    assert divided < 0.7 * plain
