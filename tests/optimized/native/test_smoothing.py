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
from baselines.models.resize import layers_of
from harness.systems.interface import EncodedSequence
from harness.workload.tasks.example import Logits
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.native.engine import Engine, Library
from optimized.native.layout import Layout
from optimized.native.smoothing import arrays_of, facts_of, smooth
from optimized.native.weights import extract

SEQUENCES = [sequence(length, seed=length) for length in (12, 30, 7, 41, 25, 18)]
INPUTS = [pad([one], 0) for one in SEQUENCES]
LAYOUT = Layout(64, 4, 1, 255, 127)


def model_with_large_units(*units: int) -> Any:
    """Return a model of two layers in which these units are a hundred times as large as they were."""
    model = encoders.model_of("bert", BOOLQ, intermediate_size=75)
    for layer in layers_of(model):
        for unit in units:
            layer.up.weight.data[unit] *= 100
            layer.down.weight.data[:, unit] *= 0.3
    return model


def smoothed(model: Any, layout: Layout, inputs: Sequence[Padded] = INPUTS) -> dict[int, Any]:
    return smooth([layer.down for layer in layers_of(model)], runner(model), inputs, layout)


def in_float(model: Any, sequences: Sequence[EncodedSequence] = SEQUENCES) -> Logits:
    return np.concatenate([runner(model)(pad([one], 0)) for one in sequences])


def test_answers_in_float_stay_the_same() -> None:
    """What a unit loses its weights gain."""
    model = model_with_large_units(3, 70)
    before = in_float(model)
    factors = smoothed(model, LAYOUT)
    assert set(factors) == {0, 1}
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
    assert smooth([linear], lambda _: linear(values), INPUTS[:1], LAYOUT) == {}
    assert smooth([linear], lambda _: linear(0 * values), INPUTS[:1], LAYOUT) == {}
    assert facts_of({}, 1) == {"layers": [], "of": 1, "largest": 1.0}


@needs_compiler
def test_the_compiled_encoder_divides_as_pytorch_and_is_nearer_to_float(
    library: Library, gelu: Function
) -> None:
    """On other sequences than those of calibration."""
    sequences = [sequence(length, seed=100 + length) for length in (5, 40, 21, 33)]
    exact = in_float(model_with_large_units(3, 70), sequences)

    def answers(factors: dict[int, Any], model: Any) -> Logits:
        fields, arrays = extract(model, library.layout, "tiny")
        engine = Engine(library, fields, arrays | arrays_of(factors, library.layout), 2, 128)
        logits = engine.answer(sequences)
        engine.close()
        return logits

    plain = answers({}, model_with_large_units(3, 70))
    model = model_with_large_units(3, 70)
    divided = answers(smoothed(model, library.layout), model)
    assert reference(model, library.layout, sequences, gelu).accepts(divided)
    assert np.square(divided - exact).mean() < 0.7 * np.square(plain - exact).mean()
