"""Which encoders the C encoder computes, from the facts of config.json."""

from collections.abc import Iterator

from baselines.models.families.facts import EncoderFacts
from harness.common.errors import UnsupportedError
from optimized.native.layout import ACTIVATIONS, DENSE_ACTIVATIONS, POOLING


def require_supported(facts: EncoderFacts, where: str, *, spans: bool) -> None:
    """Raise UnsupportedError with what the C encoder lacks; `spans` is whether the head is that for spans."""
    reason = next(_missing(facts, spans=spans), None)
    if reason is not None:
        raise UnsupportedError(reason, where=where, remedy="Use onnx-int8.")


def _missing(facts: EncoderFacts, *, spans: bool) -> Iterator[str]:
    for activation in sorted({layer.activation for layer in facts.layers} - set(ACTIVATIONS)):
        yield f"the activation {activation} is not one of {', '.join(ACTIVATIONS)}."
    if facts.convolution is not None:
        yield "native-int8 has no convolution beside the first layer, which this encoder has."
    if facts.rotary_type != "default":
        yield f"native-int8 has no rotary positions of the type {facts.rotary_type}, only the default type."
    if not _alike(facts):
        yield "native-int8 expects layers with the same activation, gates and normalisation, and one epsilon."
    if not spans and facts.head.pooling not in POOLING:
        yield f"native-int8 has no head with the pooling {facts.head.pooling}, only {', '.join(POOLING)}."
    if not spans and facts.head.activation not in DENSE_ACTIVATIONS:
        yield (f"the head's activation {facts.head.activation} is not one of {', '.join(DENSE_ACTIVATIONS)}.")


def _alike(facts: EncoderFacts) -> bool:
    """Whether all layers have the same kind of parts, and all normalisations one epsilon."""
    parts = {
        (layer.activation, layer.gated, layer.norm_before, layer.norm, layer.norm_epsilon)
        for layer in facts.layers
    }
    return len(parts) == 1 and {(layer.norm, layer.norm_epsilon) for layer in facts.layers} == {
        (facts.norm, facts.norm_epsilon)
    }
