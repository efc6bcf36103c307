"""Surgery on every described family: what is taken out, saved and opened again, and run in parts."""

from functools import cache
from pathlib import Path
from typing import Any

import encoders
import numpy as np
import pytest

from baselines.checkpoints.folder import read_config
from baselines.engines.agreement import probes
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Logits

TASK = get_task("cb")
every_kind = pytest.mark.parametrize("kind", encoders.DESCRIBED)
KEPT_WIDTH = [component for component in range(32) if component % 8 < 5]


def heads_of(kind: str) -> list[list[int]]:
    """Return the heads to keep: the same where layers have them in common."""
    return [[0, 2]] * 2 if kind in ("mpnet", "albert") else [[0, 2], [1]]


def units_of(kind: str) -> list[list[int]]:
    return [[0, 5, 7, 20]] * 2 if kind == "albert" else [[0, 5, 7, 20], list(range(4, 24))]


@cache
def inputs_of(kind: str) -> tuple[Any, ...]:
    """Return probes of one to 128 tokens, single and padded."""
    return tuple(probes(encoders.config_of(kind).to_dict()))


def logits_of(model: Any, kind: str) -> list[Logits]:
    from baselines.models.classifier import runner

    run = runner(model)
    return [run(padded) for padded in inputs_of(kind)]


def largest_difference(first: list[Logits], second: list[Logits]) -> float:
    return max(float(np.abs(one - other).max()) for one, other in zip(first, second, strict=True))


def opened(model: Any, folder: Path) -> Any:
    from baselines.models.classifier import load_classifier

    return load_classifier(encoders.saved(model, folder))


def silence(model: Any, kind: str) -> None:
    """Make the heads and units that are not kept contribute nothing."""
    import torch

    from baselines.models.families.layers import layers_of

    for layer, heads, units in zip(layers_of(model), heads_of(kind), units_of(kind), strict=True):
        lost = [head * 8 + row for head in range(4) if head not in heads for row in range(8)]
        with torch.no_grad():
            layer.out.weight[:, lost] = 0.0
            layer.down.weight[:, [unit for unit in range(24) if unit not in units]] = 0.0


@every_kind
def test_heads_and_units_that_contribute_nothing_leave_no_trace(kind: str, tmp_path: Path) -> None:
    """The logits stay when they are removed, in memory and after loading; before, they changed."""
    from baselines.models.resize import narrow

    model = encoders.model_of(kind, TASK)
    whole = logits_of(model, kind)
    silence(model, kind)
    expected = logits_of(model, kind)
    assert largest_difference(whole, expected) > 1e-3
    narrow(model, heads_of(kind), units_of(kind))
    assert largest_difference(logits_of(model, kind), expected) < 1e-5
    assert largest_difference(logits_of(opened(model, tmp_path), kind), expected) < 1e-5


@every_kind
def test_fewer_components_and_fewer_layers_open_again(kind: str, tmp_path: Path) -> None:
    """20 of 32 components and the first of two layers, with another activation."""
    from baselines.models.resize import keep_layers, narrow_width, set_activation
    from baselines.models.shape import shape_of

    model = encoders.model_of(kind, TASK)
    narrow_width(model, KEPT_WIDTH, KEPT_WIDTH)
    keep_layers(model, [0])
    set_activation(model, "relu")
    expected = logits_of(model, kind)
    assert np.ptp(np.concatenate(expected)) > 0.01
    assert largest_difference(logits_of(opened(model, tmp_path), kind), expected) < 1e-5
    shape = shape_of(read_config(tmp_path))
    assert (shape.hidden, shape.head_size, shape.heads, shape.activation) == (20, 8, (4,), "relu")


@every_kind
def test_two_parts_of_an_encoder_are_the_whole(kind: str) -> None:
    """The states after the second part, normalised, are those that the encoder gives itself."""
    import torch

    from baselines.models.classifier import input_names, tensors_of
    from baselines.models.families.layers import encoder_of
    from baselines.models.families.slices import encoder_part, final_norm_of, states_after

    model = encoders.model_of(kind, TASK)
    names = [name for name in input_names(model) if name != "spans"]
    first, second = encoder_part(model, 0, 1), encoder_part(model, 1, 2)
    for padded in inputs_of(kind):
        inputs = tensors_of(padded, names)
        with torch.no_grad():
            between = states_after(first, inputs)
            mask = inputs["attention_mask"]
            states = states_after(second, {"inputs_embeds": between, "attention_mask": mask})
            expected = encoder_of(model)(**inputs).last_hidden_state
            difference = (final_norm_of(model)(states) - expected)[mask == 1].abs().max()
        assert float(difference) < 1e-5
    assert float((between - expected).abs().max()) > 1e-2


def test_rows_of_a_fused_map_are_its_queries_keys_and_values() -> None:
    """Against indexing by hand; a hook on them gets what they return."""
    import torch

    from baselines.models.families.layers import layers_of

    model = encoders.model_of("modernbert-mean", TASK)
    fused = model.model.layers[1].attn.Wqkv
    layer = layers_of(model)[1]
    states, outputs = torch.randn(3, 32), []
    layer.key.register_forward_hook(lambda _rows, _inputs, output: outputs.append(output))
    whole = fused(states)
    assert torch.equal(outputs[0], whole[:, 32:64])
    torch.testing.assert_close(layer.value(states), whole[:, 64:])
    assert (layer.query.out_features, layer.query.in_features, layer.units, layer.heads) == (32, 32, 24, 4)
