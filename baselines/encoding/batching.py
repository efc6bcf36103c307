"""Batching and padding of requests before an engine call, and reordering of the logits after it.

requests -> sequences -> chunks of `batch` -> padded ids, mask, segments -> engine -> logits, in order
         -> sorted by length -> batches within a budget of tokens -> ... -> logits, put back in order
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.common.errors import UsageError
from harness.systems.interface import (
    EncodedSequence,
    Predictions,
    Request,
    TokenIds,
    offsets_of,
    sequences_of,
)
from harness.workload.tasks.example import Logits


@dataclass(frozen=True, slots=True, eq=False)
class Padded:
    """The input of one engine call: ids, attention mask and segment ids, int64 [sequences, length].

    The mask is 1 at tokens and 0 at padding. `spans` holds token offsets, int64 [sequences, spans,
    (start, end)], and is None where the task has no spans.
    """

    ids: TokenIds
    mask: TokenIds
    segments: TokenIds
    spans: TokenIds | None = None

    def arrays(self) -> dict[str, TokenIds]:
        """Return the arrays by the input names of models and graphs."""
        arrays = {"input_ids": self.ids, "attention_mask": self.mask, "token_type_ids": self.segments}
        return arrays if self.spans is None else {**arrays, "spans": self.spans}


SEQUENCES_AT_ONCE = 32
"""Sequences of one request in one engine call: bounds memory where a request has many candidates.

Almost all requests of SuperGLUE have fewer.
"""

Run = Callable[[Padded], Logits]
"""One engine call: returns float32 logits [sequences, labels] in the checkpoint's own order of labels."""

Launch = Callable[[Padded], Any]
"""The same without waiting: the returned logits may still be computed on a device."""

Collect = Callable[[Sequence[Any]], Callable[[], Logits]]
"""Starts the copy of launched logits to the host; the returned function waits and concatenates them."""


def at_once(parts: Sequence[Logits]) -> Callable[[], Logits]:
    """Collect logits that are already on the host."""
    return lambda: np.concatenate(parts)


def pad(sequences: Sequence[EncodedSequence], pad_id: int, length: int | None = None) -> Padded:
    """Pad on the right to `length` tokens, or to the longest of these sequences."""
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


def dummy_batch(length: int, count: int, pad_id: int, *, spans: bool) -> Padded:
    """Return a batch of `count` equal sequences without padding, to warm an engine up for this shape."""
    ids = np.full(length, pad_id + 1, dtype=np.int64)
    sequence = EncodedSequence(ids, np.zeros_like(ids), ((0, 1), (1, 2)) if spans else ())
    return pad([sequence] * count, pad_id)


def chunks(requests: Sequence[Request], size: int) -> Iterator[Sequence[EncodedSequence]]:
    """Yield the sequences of `size` requests at a time, in order.

    A chunk has at most `SEQUENCES_AT_ONCE` sequences, or `size` if that is larger.
    """
    limit = max(size, SEQUENCES_AT_ONCE)
    for start in range(0, len(requests), size):
        sequences = list(sequences_of(requests[start : start + size]))
        for low in range(0, len(sequences), limit):
            yield sequences[low : low + limit]


def split_by_budget(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Return batches of indexes into `lengths`, longest first, each of at most `tokens` with padding.

    A batch costs the number of its sequences times the longest of them. A sequence longer than the budget
    is a batch of its own.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        # the first of a batch is its longest
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def check_budget(tokens: int, max_length: int) -> None:
    """Raise UsageError for a budget of tokens that a single sequence may exceed."""
    if tokens < max_length:
        raise UsageError(
            f"a budget of {tokens} tokens is less than one sequence of {max_length}.",
            where="option tokens",
            remedy=f"Use {max_length} tokens or more, or a smaller --max-length.",
        )


@dataclass(frozen=True, slots=True)
class Batching:
    """How the requests of a call are batched: `batch` at a time, padded to `length` or to the longest.

    The sequences of a grouped request go through the engine together. With a budget of `tokens`, sequences
    are sorted by length and batched within the budget instead, and `batch` has no effect. `widths`, sorted,
    lists the only lengths that the engine is given: an engine that compiles for each length gets batches
    padded to the next of them.

    `columns` holds, for each label of the task, its column in the engine's logits.
    """

    batch: int
    pad_id: int
    columns: Sequence[int]
    length: int | None = None
    tokens: int = 0
    collect: Collect = at_once
    widths: Sequence[int] = ()

    def answer(self, requests: Sequence[Request], run: Launch) -> Predictions:
        """Return the logits of all requests of one call, in order, columns in the task's order of labels.

        All engine calls are launched before the first is waited for, so that a device always has work.
        """
        return self.begin(requests, run)()

    def begin(self, requests: Sequence[Request], run: Launch) -> Callable[[], Predictions]:
        """Launch all engine calls and the copy of the logits; the returned function waits for them."""
        collect = self._launch_sorted(requests, run) if self.tokens else self._launch_in_order(requests, run)

        def predictions() -> Predictions:
            logits = collect()
            ordered = logits[:, list(self.columns)] if len(logits) else np.empty((0, len(self.columns)))
            return Predictions(np.ascontiguousarray(ordered, dtype=np.float32), offsets_of(requests))

        return predictions

    @property
    def rule(self) -> int | str:
        """How sequences are batched, for a system's description."""
        return f"sorted by length, {self.tokens} tokens with padding" if self.tokens else self.batch

    def _launch_in_order(self, requests: Sequence[Request], run: Launch) -> Callable[[], Logits]:
        parts = [run(self._pad(chunk)) for chunk in chunks(requests, self.batch)]
        return self.collect(parts) if parts else lambda: _NO_LOGITS

    def _pad(self, sequences: Sequence[EncodedSequence]) -> Padded:
        if not self.widths:
            return pad(sequences, self.pad_id, self.length)
        longest = max(len(sequence.ids) for sequence in sequences)
        return pad(sequences, self.pad_id, self.widths[bisect_left(self.widths, longest)])

    def _launch_sorted(self, requests: Sequence[Request], run: Launch) -> Callable[[], Logits]:
        sequences = list(sequences_of(requests))
        batches = split_by_budget([len(sequence.ids) for sequence in sequences], self.tokens)
        parts = [run(self._pad([sequences[index] for index in batch])) for batch in batches]
        if not parts:
            return lambda: _NO_LOGITS
        collect = self.collect(parts)
        return lambda: _restore_order(collect(), batches)


def _restore_order(rows: Logits, batches: Sequence[Sequence[int]]) -> Logits:
    """Return the rows of concatenated batches in the order of the indexes that the batches hold."""
    ordered = np.empty_like(rows)
    ordered[[index for batch in batches for index in batch]] = rows
    return ordered


_NO_LOGITS: Logits = np.empty((0, 0), dtype=np.float32)
