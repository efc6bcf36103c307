"""Quantisation-aware training rounds as `native-int8` does, and leaves the model as it was."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch

from baselines.models.classifier import load_classifier, logits_of
from optimized.native.packing import quantise
from optimized.recipes.distillation.fake_quantization import (
    FakeQuantized,
    linears_of_layers,
    rounded_inputs,
    rounded_weights,
)

VNNI = SimpleNamespace(weight_max=127, activation_max=255, groups=1)


def test_weights_are_on_the_grid_of_the_compiled_encoder() -> None:
    """Integers and scales are those that `native-int8` packs, also for an output of zeros."""
    torch.manual_seed(0)
    weight = torch.randn(5, 16)
    weight[3] = 0
    integers, scales = quantise(weight.numpy(), VNNI)  # type: ignore[arg-type]
    np.testing.assert_allclose(rounded_weights(weight).numpy(), integers * scales[:, None], rtol=1e-6)


def test_inputs_have_256_levels_between_the_extremes_of_each_token() -> None:
    """From -1 to 1.55 a level is 0.01; a token of one value stays as it is."""
    states = torch.tensor([[[-1.0, 1.55, 0.004, 0.006], [2.0, 2.0, 2.0, 2.0]]])
    expected = torch.tensor([[[-1.0, 1.55, 0.0, 0.01], [2.0, 2.0, 2.0, 2.0]]])
    torch.testing.assert_close(rounded_inputs(states), expected, atol=1e-6, rtol=0)


def test_gradients_pass_as_if_nothing_were_rounded() -> None:
    """The gradient of a sum is 1 for every weight and every input."""
    torch.manual_seed(0)
    for rounded in (rounded_weights, rounded_inputs):
        values = torch.randn(4, 8, requires_grad=True)
        rounded(values).sum().backward()
        assert torch.equal(values.grad, torch.ones(4, 8))


@pytest.mark.parametrize("spans", [False, True])
def test_a_pass_with_rounding_leaves_no_trace_in_the_model(tmp_path: Path, *, spans: bool) -> None:
    """Answers differ a little from float's, weights get gradients, and the next pass is in float again."""
    make = tiny.span_checkpoint if spans else tiny.tiny_checkpoint
    model = load_classifier(make(tmp_path / "model"))
    # 2 layers of 6 maps each: queries, keys, values, output, up and down
    assert len(linears_of_layers(model)) == 12
    ids = torch.arange(5, 13)[None]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if spans:
        inputs["spans"] = torch.tensor([[[1, 2], [3, 4]]])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    plain = logits_of(model, inputs)
    rounded = logits_of(FakeQuantized(model), inputs)
    with torch.no_grad():
        assert 0 < float((rounded - plain).abs().max()) < 0.2 * float(plain.abs().max())
    rounded.sum().backward()
    assert all(float(linear.weight.grad.abs().max()) > 0 for linear in linears_of_layers(model).values())
    assert torch.equal(logits_of(model, inputs), plain)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
