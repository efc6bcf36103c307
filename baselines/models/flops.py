"""Arithmetic operations of an encoder's layers per request, computed from its configuration.

A multiply-add counts as two operations. The count covers the matrix products of the layers: those with
weights, which grow with the number of tokens, and the two of attention, which grow with its square.
Embeddings, heads, normalisation and activations are left out: they are a few per cent of the operations,
though more of the time. Operations on padding are not counted.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from baselines.models.shape import EncoderShape, shape_of

_BERT_LAYERS = ("mpnet", "electra", "xlm-roberta", "camembert", "bert", "roberta", "distilbert")
"""Families with BERT's layers; their embeddings may differ."""


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
    """Return the operations of the encoder that a configuration describes; None for a family unlike BERT.

    With `last_whole` False the last layer computes only keys and values for all tokens, and the rest for the
    first token alone; the latter is not counted.
    """
    if config.get("model_type") not in _BERT_LAYERS:
        return None
    shape = _shape(config)
    widths = [heads * shape.head_size for heads in shape.heads]
    weights = [
        4 * shape.hidden * width + 2 * shape.hidden * ffn
        for width, ffn in zip(widths, shape.ffn, strict=True)
    ]
    products, pairs = sum(weights), sum(widths)
    if not last_whole:
        products += 2 * shape.hidden * widths[-1] - weights[-1]
        pairs -= widths[-1]
    return Work(2 * products, 4 * pairs, sum(weights), shape.hidden, max(shape.ffn))


def work_facts(config: Mapping[str, Any], *, last_whole: bool = True) -> dict[str, Any]:
    """Return the operations for a system's description; empty for a family unlike BERT.

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


def _shape(config: Mapping[str, Any]) -> EncoderShape:
    return shape_of(config if config["model_type"] == "distilbert" else {**config, "model_type": "bert"})
