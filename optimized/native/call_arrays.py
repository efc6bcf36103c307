"""The arrays of one call to the compiled encoder, from encoded sequences.

C reads them without their sizes, so sizes are compared here. What ids, segments and spans may be is compared
in C (`is_valid` in kernels/encoder.c), which has the model's numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.systems.interface import EncodedSequence


@dataclass(frozen=True, slots=True)
class CallArrays:
    """Ids and segments of all sequences, one behind the other: sequence i at offsets[i]..offsets[i + 1]."""

    ids: npt.NDArray[np.int32]
    segments: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    spans: npt.NDArray[np.int32] | None


def call_arrays(sequences: Sequence[EncodedSequence], spans: int) -> CallArrays | None:
    """Return the arrays; None where segments or spans do not fit, or a number does not fit into 32 bits.

    `spans` is the number of spans that the model reads of each sequence: each holds at least one token.
    """
    lengths = [len(sequence.ids) for sequence in sequences]
    if [len(sequence.segments) for sequence in sequences] != lengths:
        return None
    numbers = [sequence.ids for sequence in sequences] + [sequence.segments for sequence in sequences]
    tokens = _in_32_bits(np.concatenate(numbers))
    marked = _span_array(sequences, spans) if spans else None
    if tokens is None or (spans and marked is None):
        return None
    offsets = np.array(list(accumulate(lengths, initial=0)), np.int64)
    return CallArrays(tokens[: offsets[-1]], tokens[offsets[-1] :], offsets, marked)


def _span_array(sequences: Sequence[EncodedSequence], spans: int) -> npt.NDArray[np.int32] | None:
    if any(len(sequence.spans) != spans for sequence in sequences):
        return None
    array = _in_32_bits(np.array([sequence.spans for sequence in sequences]))
    return array if array is not None and (array[..., 0] < array[..., 1]).all() else None


def _in_32_bits(numbers: npt.NDArray[Any]) -> npt.NDArray[np.int32] | None:
    """Return the same integers as int32; None if there are others."""
    with np.errstate(invalid="ignore"):  # NaN and infinite numbers, which equal no integer
        narrow = numbers.astype(np.int32)
    return narrow if (narrow == numbers).all() else None
