"""What a pool and its instances say to one another, and how it lies in a stream of bytes.

    pool      ("load", ...)    ("encode", examples) or ("predict", requests) ...
    instance  ("ready", facts) ("done", answer) or ("failed", error) ..., in the order asked

A frame is its length (8 bytes) and a pickle of plain tuples. Both ends of the socket pair are ours and nobody
else holds one, so unpickling trusts no stranger. Requests are flattened to bytes and numbers first, which
pickle without a call into Python for each array.
"""

import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from harness import errors
from harness.errors import BenchError, MeasurementError
from harness.system import EncodedSequence, Predictions, Request, offsets_of

_LENGTH_BYTES = 8


def frame_of(message: tuple[str, Any]) -> bytes:
    """Return a message as it crosses."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return len(body).to_bytes(_LENGTH_BYTES, "little") + body


class Inbox:
    """Bytes as they arrive, and the whole messages among them."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, received: bytes) -> Iterator[tuple[str, Any]]:
        """Yield the messages that these bytes complete."""
        self._bytes += received
        while len(self._bytes) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(self._bytes[:_LENGTH_BYTES], "little")
            if len(self._bytes) < end:
                return
            body = bytes(self._bytes[_LENGTH_BYTES:end])
            del self._bytes[:end]
            yield pickle.loads(body)  # noqa: S301 -- from the other end of our own socket pair


def flat(requests: Sequence[Request]) -> list[tuple[Any, ...]]:
    """Return requests as tuples of bytes and numbers."""
    return [(request.id, [_flat(sequence) for sequence in request.sequences]) for request in requests]


def _flat(sequence: EncodedSequence) -> tuple[Any, ...]:
    ids, segments = sequence.ids, sequence.segments
    kinds = ids.dtype.str, segments.dtype.str
    return (kinds, ids.tobytes(), segments.tobytes(), sequence.spans, sequence.cut)


def whole(flattened: Sequence[tuple[Any, ...]]) -> list[Request]:
    """Return the requests that `flat` flattened; their arrays are read-only."""
    return [Request(name, tuple(_whole(*sequence) for sequence in parts)) for name, parts in flattened]


def _whole(
    kinds: tuple[str, str], ids: bytes, segments: bytes, spans: tuple[tuple[int, int], ...], cut: int
) -> EncodedSequence:
    return EncodedSequence(np.frombuffer(ids, kinds[0]), np.frombuffer(segments, kinds[1]), spans, cut)


Part = tuple[Sequence[int], Any]
"""Positions among the requests of a call, and what an instance answered to these."""


def gathered(requests: Sequence[Request], parts: Sequence[Part]) -> Predictions:
    """Put what instances answered into the order of the requests.

    Raises MeasurementError where an instance gave logits for another number of sequences than it was asked.
    """
    offsets = offsets_of(requests)
    rows = offsets.tolist()
    answers, costs = _answers(len(requests), parts), _costs(len(requests), parts)
    given = np.concatenate([logits for _, (logits, _, _) in parts])
    if answers is not None and not len(given):
        return Predictions(given, offsets, answers, costs)
    order = [row for indexes, _ in parts for i in indexes for row in range(rows[i], rows[i + 1])]
    if len(given) != len(order):
        raise MeasurementError(f"instances gave logits for {len(given)} of {len(order)} sequences.")
    ordered = np.empty_like(given)
    ordered[order] = given
    return Predictions(ordered, offsets, answers, costs)


def _answers(count: int, parts: Sequence[Part]) -> tuple[str, ...] | None:
    if any(answers is None for _, (_, answers, _) in parts):
        return None
    ordered = [""] * count
    for indexes, (_, answers, _) in parts:
        for index, answer in zip(indexes, answers, strict=True):
            ordered[index] = answer
    return tuple(ordered)


def _costs(count: int, parts: Sequence[Part]) -> dict[str, np.ndarray[Any, Any]]:
    names = list(parts[0][1][2])
    costs = {name: np.zeros(count, dtype=np.float64) for name in names}
    for indexes, (_, _, given) in parts:
        for name in names:
            costs[name][list(indexes)] = given[name]
    return costs


def failure_of(problem: Exception) -> tuple[str, str, str | None, str | None]:
    """Return an error as it crosses: its kind, message, place and remedy."""
    kind = type(problem).__name__
    if isinstance(problem, BenchError):
        return kind, problem.message, problem.where, problem.remedy
    return kind, str(problem) or "no message", None, None


def error_from(kind: str, message: str, where: str | None, remedy: str | None) -> BenchError:
    """Return the error that crossed: of its own kind if it is ours, else a MeasurementError that names it."""
    known = getattr(errors, kind, None)
    if isinstance(known, type) and issubclass(known, BenchError):
        return known(message, where=where, remedy=remedy)
    return MeasurementError(f"{kind}: {message}", where=where)
