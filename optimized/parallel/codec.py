"""Serialises the requests and answers that cross between a pool and its instances.

    requests     counts | lengths | cuts | spans | losses where cut | token ids | segment ids | request ids
    predictions  rows, labels | logits | costs | names of costs, answers

Numbers are int32 (float32 for logits, float64 for costs) in the machine's byte order; text is UTF-8.
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
_INT_BYTES = 4
_TEXT = ("utf-8", "surrogatepass")  # a request id may be any Python string
_REQUESTS_HEADER = 4  # numbers: requests, sequences, edges of spans, bytes of the request ids
_NO_LOSSES = (0, 0, 0, 0)  # of a cut sequence whose encoder does not report them
_ANSWER_HEADER = 5  # numbers: rows, labels, requests, costs, bytes of the text
_BYTES_PER_ANSWER, _BYTES_PER_REQUEST = 256, 32  # room for the names of costs, and for four costs per request

Answer = tuple[Logits, tuple[str, ...] | None, Mapping[str, npt.NDArray[np.float64]]]
"""Logits, answers (from a system that decides for itself) and costs, for some requests of a call."""

ChunkAnswer = tuple[Sequence[int], Answer]
"""Positions among the requests of a call, and an instance's answer to those requests."""


def serialise_requests(requests: Sequence[Request]) -> bytes:
    """Return requests as bytes; DataError where a number does not fit into 32 bits."""
    sequences = [sequence for request in requests for sequence in request.sequences]
    ids = [request.id for request in requests]
    text = "".join(ids).encode(*_TEXT)
    lengths = [len(sequence.ids) for sequence in sequences]
    span_counts = [len(sequence.spans) for sequence in sequences]
    edges = [edge for sequence in sequences for span in sequence.spans for edge in span]
    numbers = [
        *(len(requests), len(sequences), len(edges), len(text)),
        *[len(request.sequences) for request in requests],
        *map(len, ids),
        *lengths,
        *[len(sequence.segments) for sequence in sequences],
        *[sequence.cut for sequence in sequences],
        *span_counts,
        *edges,
        *[number for sequence in sequences if sequence.cut for number in sequence.losses or _NO_LOSSES],
    ]
    try:
        header = array("i", numbers).tobytes()
    except OverflowError:
        raise DataError("a span or a length does not fit into 32 bits.", where=requests[0].id) from None
    tokens = [_int32_bytes(sequence.ids) for sequence in sequences]
    segments = [_int32_bytes(sequence.segments) for sequence in sequences]
    return b"".join([header, *tokens, *segments, text])


def _int32_bytes(numbers: npt.NDArray[np.integer[Any]]) -> bytes:
    if numbers.dtype == np.int32:
        return numbers.tobytes()
    if len(numbers) and not -_INT32 <= int(numbers.min()) <= int(numbers.max()) < _INT32:
        raise DataError(
            f"token ids and segment ids must fit into 32 bits, got {numbers.min()} to {numbers.max()}."
        )
    return numbers.astype(np.int32).tobytes()


def deserialise_requests(data: bytes) -> list[Request]:
    """Return the requests; their arrays are int32 and read-only."""
    numbers = np.frombuffer(data, np.int32, len(data) // _INT_BYTES)
    count, sequences, edges, text_bytes = numbers[:_REQUESTS_HEADER].tolist()
    sizes = numbers[_REQUESTS_HEADER : _REQUESTS_HEADER + 2 * count + 4 * sequences + edges].tolist()
    # counts and id lengths of requests; lengths, segment lengths, cuts and span counts of sequences; spans
    at = 2 * count
    lengths, segment_lengths = sizes[at : at + sequences], sizes[at + sequences : at + 2 * sequences]
    cuts, span_counts = (
        sizes[at + 2 * sequences : at + 3 * sequences],
        sizes[at + 3 * sequences :][:sequences],
    )
    losses, start = _split_losses(numbers, _REQUESTS_HEADER + len(sizes), cuts)
    ids, start = _split_rows(numbers, start, lengths)
    segments, start = _split_rows(numbers, start, segment_lengths)
    spans = _split_spans(sizes[at + 4 * sequences :], span_counts)
    encoded = list(map(EncodedSequence, ids, segments, spans, cuts, losses))
    text = data[start * _INT_BYTES : start * _INT_BYTES + text_bytes].decode(*_TEXT)
    row, letter, requests = 0, 0, []
    for rows, letters in zip(sizes[:count], sizes[count:at], strict=True):
        requests.append(Request(text[letter : letter + letters], tuple(encoded[row : row + rows])))
        row, letter = row + rows, letter + letters
    return requests


def _split_rows(
    numbers: npt.NDArray[np.int32], start: int, lengths: Sequence[int]
) -> tuple[list[npt.NDArray[np.int32]], int]:
    """Return consecutive rows of these lengths, and where the last one ends."""
    rows = []
    for length in lengths:
        rows.append(numbers[start : start + length])
        start += length
    return rows, start


def _split_losses(
    numbers: npt.NDArray[np.int32], start: int, cuts: Sequence[int]
) -> tuple[list[tuple[int, ...]], int]:
    """Return the losses of each sequence, which follow one another for those that were cut, and their end."""
    size = len(_NO_LOSSES)
    losses: list[tuple[int, ...]] = [()] * len(cuts)
    for at in [at for at, cut in enumerate(cuts) if cut]:
        row = tuple(numbers[start : start + size].tolist())
        losses[at] = row if any(row) else ()
        start += size
    return losses, start


def _split_spans(edges: Sequence[int], span_counts: Sequence[int]) -> list[tuple[tuple[int, int], ...]]:
    """Return each sequence's spans."""
    if not edges:
        return [()] * len(span_counts)
    spans = list(zip(edges[::2], edges[1::2], strict=True))
    ends = accumulate(span_counts)
    return [tuple(spans[end - count : end]) for count, end in zip(span_counts, ends, strict=True)]


def serialise_examples(examples: Sequence[Example]) -> bytes:
    """Return examples as bytes. They are text and cross once per example, so pickle is fast enough."""
    return pickle.dumps(list(examples), protocol=pickle.HIGHEST_PROTOCOL)


def deserialise_examples(data: bytes) -> list[Example]:
    """Return the examples."""
    examples: list[Example] = pickle.loads(data)  # noqa: S301 -- from our own pool, in memory nobody else has
    return examples


def answer_capacity(requests: Sequence[Request], labels: int) -> int:
    """Return the bytes to reserve for the answer to requests; a larger answer is sent through the pipe."""
    rows = sum([len(request.sequences) for request in requests])
    return _BYTES_PER_ANSWER + rows * labels * _INT_BYTES + len(requests) * _BYTES_PER_REQUEST


def serialise_answer(predictions: Predictions) -> bytes:
    """Return predictions as bytes, without their offsets: the pool derives those from the requests."""
    logits = np.ascontiguousarray(predictions.logits, dtype=np.float32)
    costs = [np.ascontiguousarray(cost, dtype=np.float64) for cost in predictions.costs.values()]
    text = (
        json.dumps([list(predictions.costs), predictions.answers]).encode()
        if costs or predictions.answers is not None
        else b""
    )
    rows, labels = logits.shape
    header = array("i", [rows, labels, len(costs[0]) if costs else 0, len(costs), len(text)])
    return b"".join([header.tobytes(), logits.tobytes(), *[cost.tobytes() for cost in costs], text])


def deserialise_answer(data: bytes) -> Answer:
    """Return logits, answers and costs."""
    rows, labels, count, costs, text_bytes = np.frombuffer(data, np.int32, _ANSWER_HEADER).tolist()
    logits = np.frombuffer(data, np.float32, rows * labels, _ANSWER_HEADER * _INT_BYTES).reshape(rows, labels)
    if not text_bytes:
        return logits, None, {}
    names, answers = json.loads(data[len(data) - text_bytes :])
    start = _ANSWER_HEADER * _INT_BYTES + logits.nbytes
    values = np.frombuffer(data[start : start + 8 * costs * count], np.float64).reshape(costs, count)
    return logits, None if answers is None else tuple(answers), dict(zip(names, values, strict=True))


def merge_answers(requests: Sequence[Request], parts: Sequence[ChunkAnswer]) -> Predictions:
    """Put the answers to chunks into the order of the requests.

    Raises MeasurementError where the number of rows of logits differs from the number of sequences.
    """
    offsets = offsets_of(requests)
    if len(parts) == 1:  # one chunk with one request is in order already
        ((indexes, (logits, answers, costs)),) = parts
        if len(indexes) == 1 and len(logits) == offsets[-1]:
            return Predictions(logits, offsets, answers, costs)
    rows = offsets.tolist()
    answers, costs = _merge_texts(len(requests), parts), _merge_costs(len(requests), parts)
    unordered = np.concatenate([logits for _, (logits, _, _) in parts])
    if answers is not None and not len(unordered):
        return Predictions(unordered, offsets, answers, costs)
    order = [row for indexes, _ in parts for i in indexes for row in range(rows[i], rows[i + 1])]
    if len(unordered) != len(order):
        raise MeasurementError(
            f"expected logits for {len(order)} sequences, got {len(unordered)} rows from the instances."
        )
    ordered = np.empty_like(unordered)
    ordered[order] = unordered
    return Predictions(ordered, offsets, answers, costs)


def _merge_texts(count: int, parts: Sequence[ChunkAnswer]) -> tuple[str, ...] | None:
    if any(answers is None for _, (_, answers, _) in parts):
        return None
    ordered = [""] * count
    for indexes, (_, answers, _) in parts:
        for index, answer in zip(indexes, answers or (), strict=True):
            ordered[index] = answer
    return tuple(ordered)


def _merge_costs(count: int, parts: Sequence[ChunkAnswer]) -> dict[str, npt.NDArray[np.float64]]:
    names = list(parts[0][1][2])
    merged = {name: np.zeros(count, dtype=np.float64) for name in names}
    for indexes, (_, _, costs) in parts:
        for name in names:
            merged[name][list(indexes)] = costs[name]
    return merged
