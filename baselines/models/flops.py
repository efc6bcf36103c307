"""Arithmetic operations of an encoder's layers per request, computed from its configuration.

A multiply-add counts as two operations. The count covers the matrix products of the layers: those with
weights, which grow with the number of tokens, and the two of attention, which grow with its square.
Embeddings, heads, normalisation and activations are left out: they are a few per cent of the operations,
though more of the time. So are maps of relative positions, which are the same for every request. Operations
on padding are not counted; those on pairs of tokens outside a window of attention are, as PyTorch and ONNX
Runtime compute them all.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from baselines.models.families import facts_of, is_described
from baselines.models.families.facts import EncoderFacts


@dataclass(frozen=True, slots=True)
class Work:
    """Operations per token and per pair of tokens of a sequence, weights read, and the two layer sizes.

    The fields appear in records under these names.
    """

    per_token: int
    per_pair: int
    weights: int
    hidden: int
    ffn: int


def work_of(config: Mapping[str, Any], *, last_whole: bool = True) -> Work | None:
    """Return the operations of the encoder that a configuration describes; None for a family without facts.

    With `last_whole` False the last layer computes only keys and values for all tokens, and the rest for the
    first token alone; the latter is not counted.
    """
    if not is_described(config):
        return None
    facts = facts_of(config)
    widths = [layer.heads * facts.head_size for layer in facts.layers]
    weights = [facts.layer_weights(index) for index in range(len(facts.layers))]
    positions = [_position_products(facts, width) for width in widths]
    products, pairs = sum(weights) + sum(positions) + _convolution_products(facts), sum(widths)
    if not last_whole:
        keys = 2 * facts.hidden * facts.layers[-1].key_value_heads * facts.head_size
        products += keys - weights[-1] - positions[-1]
        pairs -= widths[-1]
    return Work(2 * products, 4 * pairs, sum(weights), facts.hidden, max(layer.ffn for layer in facts.layers))


def _position_products(facts: EncoderFacts, width: int) -> int:
    """Return the multiply-adds of a token's query and key with every embedding of a relative position."""
    attention = facts.disentangled
    return (attention.terms - 1) * 2 * attention.span * width if attention else 0


def _convolution_products(facts: EncoderFacts) -> int:
    convolution = facts.convolution
    return convolution.kernel * facts.hidden**2 // convolution.groups if convolution else 0


def work_facts(config: Mapping[str, Any], *, last_whole: bool = True) -> dict[str, Any]:
    """Return the operations for a system's description; empty for a family without facts.

    `work` is what the system computes. If that is less than the model, `skipped` is the difference per token
    and per pair of tokens.
    """
    work, whole = work_of(config, last_whole=last_whole), work_of(config)
    if work is None or whole is None:
        return {}
    if work == whole:
        return {"work": asdict(work)}
    skipped = {"per_token": whole.per_token - work.per_token, "per_pair": whole.per_pair - work.per_pair}
    return {"work": asdict(work), "skipped": skipped}
