"""From requests to padded arrays and back: what every engine adapter does between two calls of its engine.

requests -> sequences -> chunks of `batch` -> padded ids, mask, segments -> engine -> logits, in order
         -> sorted by length -> parts within a budget of tokens -> ... -> logits, put back in order
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
    """One engine call: ids, mask (1 at tokens, 0 at padding) and segments, int64 [sequences, length].

    `spans` holds token offsets, int64 [sequences, spans, (start, end)], and is None where the task has none.
    """

    ids: TokenIds
    mask: TokenIds
    segments: TokenIds
    spans: TokenIds | None = None

    def arrays(self) -> dict[str, TokenIds]:
        """Return the arrays by the names that models and graphs give them."""
        named = {"input_ids": self.ids, "attention_mask": self.mask, "token_type_ids": self.segments}
        return named if self.spans is None else {**named, "spans": self.spans}


SEQUENCES_AT_ONCE = 32
"""What bounds memory where a request has many candidates; more than almost any request of SuperGLUE."""

Run = Callable[[Padded], Logits]
"""One engine call: float32 logits [sequences, labels] in the checkpoint's own order of labels."""

Launch = Callable[[Padded], Any]
"""The same, but the logits may still be on a device, and not there yet."""

Collect = Callable[[Sequence[Any]], Callable[[], Logits]]
"""Begins to bring the logits of all engine calls of one predict to the host; what it returns waits for them.

They come back one below the other.
"""


def at_once(parts: Sequence[Logits]) -> Callable[[], Logits]:
    """Return logits that are on the host already."""
    return lambda: np.concatenate(parts)


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


def within_budget(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Return the places of the lengths, the longest first, in parts of `tokens` at most once they are padded.

    A part costs as many tokens as it has sequences, times the longest of them. A sequence that is longer
    than the budget is a part of its own.
    """
    parts: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        # the first of a part is its longest
        if parts and (len(parts[-1]) + 1) * lengths[parts[-1][0]] <= tokens:
            parts[-1].append(place)
        else:
            parts.append([place])
    return parts


def check_budget(tokens: int, max_length: int) -> None:
    """Raise UsageError for a budget that a single sequence may exceed."""
    if tokens < max_length:
        raise UsageError(
            f"a budget of {tokens} tokens is less than one sequence of {max_length}.",
            where="option tokens",
            remedy=f"Use {max_length} tokens or more, or a smaller --max-length.",
        )


@dataclass(frozen=True, slots=True)
class Batching:
    """How a call is cut and padded: `batch` requests at a time, to `length` or to the longest of them.

    The sequences of a grouped request go through the engine together. With a budget of `tokens`, sequences
    are sorted by length instead, and as many go together as it holds with their padding; `batch` then says
    nothing. `widths`, in order, are the only lengths that the engine is given, for engines that compile for
    each: a call is padded to the next of them.

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
        """Answer all requests of one call, in order, columns in the task's order of labels.

        Every engine call is launched before the first is waited for, so that a device always has work.
        """
        return self.begin(requests, run)()

    def begin(self, requests: Sequence[Request], run: Launch) -> Callable[[], Predictions]:
        """Launch all engine calls of one call and the copy of the logits; what is returned waits for them."""
        collected = self._sorted(requests, run) if self.tokens else self._in_order(requests, run)

        def answered() -> Predictions:
            logits = collected()
            ordered = logits[:, list(self.columns)] if len(logits) else np.empty((0, len(self.columns)))
            return Predictions(np.ascontiguousarray(ordered, dtype=np.float32), offsets_of(requests))

        return answered

    @property
    def rule(self) -> int | str:
        """What goes through the engine together, as a system describes it."""
        return f"sorted by length, {self.tokens} tokens with padding" if self.tokens else self.batch

    def _in_order(self, requests: Sequence[Request], run: Launch) -> Callable[[], Logits]:
        parts = [run(self._padded(chunk)) for chunk in chunks(requests, self.batch)]
        return self.collect(parts) if parts else lambda: _NOTHING

    def _padded(self, sequences: Sequence[EncodedSequence]) -> Padded:
        if not self.widths:
            return pad(sequences, self.pad_id, self.length)
        longest = max(len(sequence.ids) for sequence in sequences)
        return pad(sequences, self.pad_id, self.widths[bisect_left(self.widths, longest)])

    def _sorted(self, requests: Sequence[Request], run: Launch) -> Callable[[], Logits]:
        sequences = list(sequences_of(requests))
        places = within_budget([len(sequence.ids) for sequence in sequences], self.tokens)
        parts = [run(self._padded([sequences[at] for at in part])) for part in places]
        if not parts:
            return lambda: _NOTHING
        collected = self.collect(parts)
        return lambda: in_order(collected(), places)


def in_order(rows: Logits, places: Sequence[Sequence[int]]) -> Logits:
    """Return the rows, which stand as the parts name them, in the order of the places."""
    back = np.empty_like(rows)
    back[[place for part in places for place in part]] = rows
    return back


_NOTHING: Logits = np.empty((0, 0), dtype=np.float32)
