"""How much arithmetic a request is: operations of an encoder's layers, from its configuration alone.

A multiply-add counts as two operations. Counted are the products of the layers: those with weights, which
grow with the tokens, and attention's two, which grow with their square. Embeddings, heads, normalisation and
activations are left out: together a few per cent of the operations, if not of the time. Padding is no work.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from baselines.models.shape import EncoderShape, shape_of

_LIKE_BERT = ("mpnet", "electra", "xlm-roberta", "camembert", "bert", "roberta", "distilbert")
"""Families whose layers are BERT's, whatever their positions and embeddings are."""


@dataclass(frozen=True, slots=True)
class Work:
    """Operations per token and per pair of tokens of a sequence, weights that are read, and the widths."""

    per_token: int
    per_pair: int
    weights: int
    hidden: int
    ffn: int


def work_of(config: Mapping[str, Any], *, last_whole: bool = True) -> Work | None:
    """Return the arithmetic of the encoder that a configuration describes; None for a family unlike BERT.

    With `last_whole` False the last layer is computed for the first token alone, which is left out of the
    count: of all tokens it makes keys and values, nothing else.
    """
    if config.get("model_type") not in _LIKE_BERT:
        return None
    shape = _shape(config)
    inner = [heads * shape.head_size for heads in shape.heads]
    layers = [
        4 * shape.hidden * width + 2 * shape.hidden * ffn for width, ffn in zip(inner, shape.ffn, strict=True)
    ]
    done, pairs = sum(layers), sum(inner)
    if not last_whole:
        done, pairs = done - layers[-1] + 2 * shape.hidden * inner[-1], pairs - inner[-1]
    return Work(2 * done, 4 * pairs, sum(layers), shape.hidden, max(shape.ffn))


def work_facts(config: Mapping[str, Any], *, last_whole: bool = True) -> dict[str, Any]:
    """Return the arithmetic as a system describes it; nothing where it is not known."""
    found = work_of(config, last_whole=last_whole)
    return {"work": asdict(found)} if found else {}


def _shape(config: Mapping[str, Any]) -> EncoderShape:
    known = {**config, "model_type": "bert"} if config["model_type"] != "distilbert" else config
    return shape_of(known)
