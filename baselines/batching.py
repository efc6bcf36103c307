"""From requests to padded arrays and back: what every engine adapter does between two calls of its engine.

requests -> sequences -> chunks of `batch` -> padded ids, mask, segments -> engine -> logits, in order
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.system import EncodedSequence, Ids, Logits, Predictions, Request, offsets_of, sequences_of


@dataclass(frozen=True, slots=True, eq=False)
class Padded:
    """One engine call: ids, mask (1 at tokens, 0 at padding) and segments, int64 [sequences, length].

    `spans` holds token offsets, int64 [sequences, spans, (start, end)], and is None where the task has none.
    """

    ids: Ids
    mask: Ids
    segments: Ids
    spans: Ids | None = None

    def arrays(self) -> dict[str, Ids]:
        """Return the arrays by the names that models and graphs give them."""
        named = {"input_ids": self.ids, "attention_mask": self.mask, "token_type_ids": self.segments}
        return named if self.spans is None else {**named, "spans": self.spans}


SEQUENCES_AT_ONCE = 32
"""What bounds memory where a request has many candidates; more than almost any request of SuperGLUE."""

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
    spans = [sequence.spans for sequence in sequences]
    return Padded(ids, mask, segments, np.array(spans, dtype=np.int64) if spans[0] else None)


def chunks(requests: Sequence[Request], size: int) -> Iterator[Sequence[EncodedSequence]]:
    """Yield the sequences of `size` requests at a time, in order.

    They are at most `SEQUENCES_AT_ONCE`, or `size` where that is more: so many were asked for.
    """
    most = max(size, SEQUENCES_AT_ONCE)
    for start in range(0, len(requests), size):
        sequences = list(sequences_of(requests[start : start + size]))
        for low in range(0, len(sequences), most):
            yield sequences[low : low + most]


@dataclass(frozen=True, slots=True)
class Batching:
    """How a call is cut and padded: `batch` requests at a time, to `length` or to the longest of them.

    The sequences of a grouped request go through the engine together.

    `columns` holds, for each label of the task, its column in the engine's logits.
    """

    batch: int
    pad_id: int
    columns: Sequence[int]
    length: int | None = None

    def answer(self, requests: Sequence[Request], run: Run) -> Predictions:
        """Answer all requests of one call, in order, columns in the task's order of labels."""
        parts = [run(pad(chunk, self.pad_id, self.length)) for chunk in chunks(requests, self.batch)]
        logits = np.concatenate(parts) if parts else np.empty((0, len(self.columns)))
        ordered = logits[:, list(self.columns)] if parts else logits
        return Predictions(np.ascontiguousarray(ordered, dtype=np.float32), offsets_of(requests))
