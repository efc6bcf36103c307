"""What the compiled encoder refuses, by the fact that it lacks, from config.json alone."""

from dataclasses import replace
from typing import Any

import encoders
import pytest

from baselines.models.families import facts_of
from baselines.models.families.facts import EncoderFacts
from harness.common.errors import CheckpointError
from optimized.native.supported import require_supported


def facts(name: str, **changed: Any) -> EncoderFacts:
    return facts_of(encoders.config_of(name, **changed).to_dict())


@pytest.mark.parametrize("name", [name for name in encoders.DESCRIBED if name != "deberta-v2"])
@pytest.mark.parametrize("spans", [False, True])
def test_every_described_family_without_a_convolution_is_computed(name: str, spans: bool) -> None:
    """None is refused."""
    require_supported(facts(name), "tiny", spans=spans)


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (facts("deberta-v2"), "no convolution beside the first layer"),
        (facts("bert", hidden_act="mish"), "activation mish is not one of gelu"),
        (facts("deberta-v3", pooler_hidden_act="mish"), "head's activation mish is not one of tanh"),
        (replace(facts("modernbert"), rotary_type="yarn"), "no rotary positions of the type yarn"),
        (replace(facts("modernbert"), norm_epsilon=0.5), "and one epsilon"),
    ],
    ids=["convolution", "activation", "head", "rotations", "epsilon"],
)
def test_what_has_no_code_is_refused_by_name(refused: EncoderFacts, message: str) -> None:
    """The remedy is an engine that computes it."""
    with pytest.raises(CheckpointError, match=message) as caught:
        require_supported(refused, "tiny", spans=False)
    assert "onnx-int8" in str(caught.value)


def test_the_activation_of_a_head_for_spans_does_not_matter() -> None:
    """That head has no dense layer."""
    require_supported(facts("deberta-v3", pooler_hidden_act="mish"), "tiny", spans=True)
