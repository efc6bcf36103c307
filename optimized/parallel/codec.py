"""Requests and answers as bytes: what crosses between a pool and its instances, in either direction.

    requests     counts | lengths | cuts | spans | token ids | segment ids | names
    predictions  rows, labels | logits | costs | names of costs, answers

Numbers are int32 (float32 for logits, float64 for costs) in the machine's own order, texts are UTF-8.
"""

import json
import pickle
from array import array
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.common.errors import DataError, MeasurementError
from harness.systems.interface import EncodedSequence, Predictions, Request, offsets_of
from harness.workload.tasks.example import Example, Logits

_INT32 = 2**31
_WORD = 4
_TEXT = ("utf-8", "surrogatepass")  # an id may be any string of Python's
_HEAD = 4  # words before the lists: requests, sequences, edges of spans, bytes of the names
_SAID = 5  # words before the numbers of an answer: rows, labels, requests, costs, bytes of the texts
_ROOM, _ROOM_EACH = 256, 32  # bytes for the names of costs, and for four costs of each request

Answer = tuple[Logits, tuple[str, ...] | None, Mapping[str, npt.NDArray[np.float64]]]
"""Logits, answers where a system decides for itself, and costs, of some of a call's requests."""

Part = tuple[Sequence[int], Answer]
"""Positions among the requests of a call, and what an instance answered to these."""


def packed(requests: Sequence[Request]) -> bytes:
    """Return requests as bytes; DataError where a number does not fit into 32 bits."""
    sequences = [sequence for request in requests for sequence in request.sequences]
    ids = [request.id for request in requests]
    names = "".join(ids).encode(*_TEXT)
    lengths = [len(sequence.ids) for sequence in sequences]
    marks = [len(sequence.spans) for sequence in sequences]
    edges = [edge for sequence in sequences for span in sequence.spans for edge in span]
    words = [
        *(len(requests), len(sequences), len(edges), len(names)),
        *[len(request.sequences) for request in requests],
        *map(len, ids),
        *lengths,
        *[len(sequence.segments) for sequence in sequences],
        *[sequence.cut for sequence in sequences],
        *marks,
        *edges,
    ]
    try:
        head = array("i", words).tobytes()
    except OverflowError:
        raise DataError("a span or a length is no 32-bit number.", where=requests[0].id) from None
    tokens = [_int32(sequence.ids) for sequence in sequences]
    segments = [_int32(sequence.segments) for sequence in sequences]
    return b"".join([head, *tokens, *segments, names])


def _int32(numbers: npt.NDArray[np.integer[Any]]) -> bytes:
    if numbers.dtype == np.int32:
        return numbers.tobytes()
    if len(numbers) and not -_INT32 <= int(numbers.min()) <= int(numbers.max()) < _INT32:
        raise DataError(f"a token id or segment id is no 32-bit number ({numbers.max()}).")
    return numbers.astype(np.int32).tobytes()


def unpacked(data: bytes) -> list[Request]:
    """Return the requests; their arrays are int32 and read-only."""
    words = np.frombuffer(data, np.int32, len(data) // _WORD)
    count, sequences, edges, names = words[:_HEAD].tolist()
    numbers = words[_HEAD : _HEAD + 2 * count + 4 * sequences + edges].tolist()
    # after counts and name lengths: lengths, lengths of segments, cuts and marks of the sequences, then spans
    at = 2 * count
    lengths, others = numbers[at : at + sequences], numbers[at + sequences : at + 2 * sequences]
    cuts, marks = numbers[at + 2 * sequences : at + 3 * sequences], numbers[at + 3 * sequences :][:sequences]
    first = _HEAD + len(numbers)
    ids, first = _rows(words, first, lengths)
    segments, first = _rows(words, first, others)
    spans = _spans(numbers[at + 4 * sequences :], marks)
    made = list(map(EncodedSequence, ids, segments, spans, cuts))
    text = data[first * _WORD : first * _WORD + names].decode(*_TEXT)
    row, letter, found = 0, 0, []
    for size, letters in zip(numbers[:count], numbers[count:at], strict=True):
        found.append(Request(text[letter : letter + letters], tuple(made[row : row + size])))
        row, letter = row + size, letter + letters
    return found


def _rows(
    words: npt.NDArray[np.int32], place: int, lengths: Sequence[int]
) -> tuple[list[npt.NDArray[np.int32]], int]:
    """Return consecutive rows of these lengths, and where they end."""
    rows = []
    for length in lengths:
        rows.append(words[place : place + length])
        place += length
    return rows, place


def _spans(edges: Sequence[int], marks: Sequence[int]) -> list[tuple[tuple[int, int], ...]]:
    """Return as many spans for each sequence as it has."""
    if not edges:
        return [()] * len(marks)
    pairs = list(zip(edges[::2], edges[1::2], strict=True))
    return [tuple(pairs[end - mark : end]) for mark, end in zip(marks, accumulate(marks), strict=True)]


def packed_examples(examples: Sequence[Example]) -> bytes:
    """Return examples as bytes: they are text, and cross once for each, not once for each answer."""
    return pickle.dumps(list(examples), protocol=pickle.HIGHEST_PROTOCOL)


def examples_from(data: bytes) -> list[Example]:
    """Return the examples."""
    examples: list[Example] = pickle.loads(data)  # noqa: S301 -- from our own pool, in memory nobody else has
    return examples


def room_for(requests: Sequence[Request], labels: int) -> int:
    """Return bytes that hold the answer to requests; one that is larger crosses another way."""
    rows = sum([len(request.sequences) for request in requests])
    return _ROOM + rows * labels * _WORD + len(requests) * _ROOM_EACH


def packed_answer(said: Predictions) -> bytes:
    """Return predictions as bytes, without their offsets, which who asked knows."""
    logits = np.ascontiguousarray(said.logits, dtype=np.float32)
    costs = [np.ascontiguousarray(each, dtype=np.float64) for each in said.costs.values()]
    texts = (
        json.dumps([list(said.costs), said.answers]).encode() if costs or said.answers is not None else b""
    )
    rows, labels = logits.shape
    words = array("i", [rows, labels, len(costs[0]) if costs else 0, len(costs), len(texts)])
    return b"".join([words.tobytes(), logits.tobytes(), *[each.tobytes() for each in costs], texts])


def unpacked_answer(data: bytes) -> Answer:
    """Return logits, answers and costs."""
    rows, labels, count, costs, texts = np.frombuffer(data, np.int32, _SAID).tolist()
    logits = np.frombuffer(data, np.float32, rows * labels, _SAID * _WORD).reshape(rows, labels)
    if not texts:
        return logits, None, {}
    names, answers = json.loads(data[len(data) - texts :])
    start = _SAID * _WORD + logits.nbytes
    numbers = np.frombuffer(data[start : start + 8 * costs * count], np.float64).reshape(costs, count)
    said = None if answers is None else tuple(answers)
    return logits, said, dict(zip(names, numbers, strict=True))


def gathered(requests: Sequence[Request], parts: Sequence[Part]) -> Predictions:
    """Put what instances answered into the order of the requests.

    Raises MeasurementError where an instance gave logits for another number of sequences than it was asked.
    """
    offsets = offsets_of(requests)
    if len(parts) == 1:  # one chunk: in the order asked, if there is one request
        ((indexes, (logits, answers, costs)),) = parts
        if len(indexes) == 1 and len(logits) == offsets[-1]:
            return Predictions(logits, offsets, answers, costs)
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
        for index, answer in zip(indexes, answers or (), strict=True):
            ordered[index] = answer
    return tuple(ordered)


def _costs(count: int, parts: Sequence[Part]) -> dict[str, npt.NDArray[np.float64]]:
    names = list(parts[0][1][2])
    costs = {name: np.zeros(count, dtype=np.float64) for name in names}
    for indexes, (_, _, given) in parts:
        for name in names:
            costs[name][list(indexes)] = given[name]
    return costs
