"""From requests to padded arrays and back: what every engine adapter does between two calls of its engine.

requests -> sequences -> chunks of `batch` -> padded ids, mask, segments -> engine -> logits, in order
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.system import EncodedSequence, Ids, Logits, Predictions, Request, offsets_of, sequences_of


@dataclass(frozen=True, slots=True, eq=False)
class Padded:
    """One engine call: ids, mask (1 at tokens, 0 at padding) and segments, int64 [sequences, length]."""

    ids: Ids
    mask: Ids
    segments: Ids


Run = Callable[[Padded], Logits]
"""One engine call: float32 logits [sequences, labels] in the checkpoint's own order of labels."""


def pad(sequences: Sequence[EncodedSequence], pad_id: int, length: int | None = None) -> Padded:
    """Pad on the right to `length`, or to the longest of these sequences."""
    width = length or max(len(sequence.ids) for sequence in sequences)
    ids = np.full((len(sequences), width), pad_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    segments = np.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        tokens = len(sequence.ids)
        ids[row, :tokens] = sequence.ids
        mask[row, :tokens] = 1
        segments[row, :tokens] = sequence.segments
    return Padded(ids, mask, segments)


def chunks(sequences: Sequence[EncodedSequence], size: int) -> Iterator[Sequence[EncodedSequence]]:
    """Yield runs of `size` sequences in order; the last may be shorter."""
    for start in range(0, len(sequences), size):
        yield sequences[start : start + size]


@dataclass(frozen=True, slots=True)
class Batching:
    """How a call is cut and padded: `batch` sequences at a time, to `length` or to the longest of them.

    `columns` holds, for each label of the task, its column in the engine's logits.
    """

    batch: int
    pad_id: int
    columns: Sequence[int]
    length: int | None = None

    def answer(self, requests: Sequence[Request], run: Run) -> Predictions:
        """Answer all requests of one call, in order, columns in the task's order of labels."""
        sequences = list(sequences_of(requests))
        parts = [run(pad(chunk, self.pad_id, self.length)) for chunk in chunks(sequences, self.batch)]
        logits = np.concatenate(parts) if parts else np.empty((0, len(self.columns)))
        ordered = logits[:, list(self.columns)] if parts else logits
        return Predictions(np.ascontiguousarray(ordered, dtype=np.float32), offsets_of(requests))
