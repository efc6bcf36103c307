"""Random-weight encoders of the sizes that their authors released: weights by hand, complete checkpoints."""

from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from baselines.checkpoints.folder import read_config
from baselines.engines.pytorch import VARIANTS
from harness.studies.untrained_shapes import RIVAL_SHAPES
from harness.workload.data.lengths import texts
from harness.workload.synthetic.seeded_random import SeededRandom
from harness.workload.tasks.example import Example, TextInput
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.recipes.family_shapes import FAMILY_SHAPES
from optimized.recipes.random_shape import SHAPES, resolve_shape

_TINY = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("modernbert-base", 110.297088),  # 22 x (4 x 768 x 768 + 3 x 768 x 1152)
        ("deberta-v3-base", 84.934656),  # 12 x (4 x 768 x 768 + 2 x 768 x 3072)
        ("mpnet-base", 84.934656),
        ("electra-small", 9.437184),  # 12 x (4 x 256 x 256 + 2 x 256 x 1024)
        ("albert-base", 84.934656),
    ],
)
def test_a_released_size_has_the_calculated_number_of_multiply_adds(name: str, millions: float) -> None:
    """By hand, for each token."""
    assert FAMILY_SHAPES[name].weight_macs == millions * 1e6


def test_every_shape_can_be_measured_beside_its_rivals() -> None:
    """`bench ladder --shapes rivals-NAME`."""
    assert set(FAMILY_SHAPES) <= set(RIVAL_SHAPES) <= {*FAMILY_SHAPES, *SHAPES}


@pytest.mark.parametrize("name", FAMILY_SHAPES)
def test_a_shape_is_a_checkpoint_of_its_family_that_answers(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With smaller sizes here: its type, the task's labels, never trained, and logits for a question."""
    shape = FAMILY_SHAPES[name]
    small = replace(shape, fields={**shape.fields, **_TINY, "pooler_hidden_size": 24}, vocabulary=200)
    monkeypatch.setattr("optimized.recipes.random_shape.FAMILY_SHAPES", {name: small})
    checkpoint = resolve_shape(f"shape:{name}", BOOLQ, tiny.Shelf(tmp_path / "shelf"))
    config = read_config(checkpoint.folder)
    assert (config["model_type"], checkpoint.trained) == (shape.model_type, False)
    assert config["id2label"] == {"0": "false", "1": "true"}
    system = tiny.opened(VARIANTS[1], BOOLQ, checkpoint.folder, tmp_path / "cache", tiny.SHORT)
    question = Example("0", (TextInput(*texts(12, SeededRandom(0))),), ("true",))
    assert system.predict(system.encode([question])).logits.shape == (1, 2)
    system.close()
