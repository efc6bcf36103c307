"""Comparison of two engines on the same model: random inputs of several shapes, the largest difference.

It needs neither torch nor a tokenizer, so that any engine can be compared with any other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from baselines.checkpoints.folder import is_span_checkpoint
from baselines.encoding.batching import Padded, Run, pad
from baselines.encoding.tokenizer import position_limit
from harness.common.errors import CheckpointError, UnsupportedError
from harness.systems.interface import EncodedSequence, TokenIds

_SHAPES = ((1, 1), (1, 7), (1, 130), (3, 33), (2, 512))
"""(sequences, longest): one token, a short and a long request, and batches of sequences of unequal length."""


def probes(config: Mapping[str, Any], seed: int = 0) -> list[Padded]:
    """Return seeded random inputs of several lengths and batch sizes, some with padding."""
    random = np.random.default_rng(seed)
    limit = position_limit(config) or max(longest for _, longest in _SHAPES)
    pad_id = int(config.get("pad_token_id") or 0)
    shapes = [(rows, min(longest, limit)) for rows, longest in _SHAPES]
    return [pad(_random_rows(random, rows, longest, config), pad_id) for rows, longest in shapes]


def require_agreement(reference: Run, candidate: Run, inputs: Sequence[Padded], bound: float) -> float:
    """Return the largest difference of a logit; UnsupportedError if it exceeds `bound` or is NaN.

    CheckpointError if the reference itself gives logits that are not finite.
    """
    expected = [reference(padded) for padded in inputs]
    if not all(np.isfinite(logits).all() for logits in expected):
        raise CheckpointError(
            "the logits of the checkpoint itself, in PyTorch, are not finite numbers (NaN or infinite).",
            remedy="No engine can mend its weights: train it again with a lower learning rate.",
        )
    differences = [
        float(np.max(np.abs(logits - candidate(padded))))
        for logits, padded in zip(expected, inputs, strict=True)
    ]
    largest = max(differences, key=lambda value: (np.isnan(value), value))
    if not largest <= bound:
        shapes = ", ".join(str(padded.ids.shape) for padded in inputs)
        raise UnsupportedError(
            f"the graph disagrees with its source: logits differ by {largest:.3g}, the bound is {bound:g}.",
            where=f"shapes {shapes}",
            remedy="This architecture cannot be exported as it is; use pytorch-dynamic.",
        )
    return largest


def _random_rows(
    random: np.random.Generator, rows: int, longest: int, config: Mapping[str, Any]
) -> list[EncodedSequence]:
    lengths = [longest, *random.integers(1, longest + 1, rows - 1)]
    return [
        EncodedSequence(
            ids=_random_ids(random, length, config),
            segments=(np.arange(length) >= length // 2).astype(np.int64),
            spans=_random_spans(random, length) if is_span_checkpoint(config) else (),
        )
        for length in lengths
    ]


def _random_ids(random: np.random.Generator, length: int, config: Mapping[str, Any]) -> TokenIds:
    """Draw ids from the whole vocabulary except the padding id, which in ModernBERT is near its end."""
    ids = random.integers(0, config["vocab_size"] - 1, length)
    return ids + (ids >= int(config.get("pad_token_id") or 0))


def _random_spans(random: np.random.Generator, length: int) -> tuple[tuple[int, int], ...]:
    starts = random.integers(0, length, 2)
    return tuple((int(start), int(random.integers(start, length)) + 1) for start in starts)
