from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.common.errors import DataError, MeasurementError
from harness.systems.interface import EncodedSequence, Predictions, Request, offsets_of
from optimized.parallel.codec import (
    Answer,
    answer_capacity,
    deserialise_answer,
    deserialise_requests,
    merge_answers,
    serialise_answer,
    serialise_requests,
)

DTYPES = st.sampled_from((np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64))
NUMBERS = st.integers(-(2**31), 2**31 - 1)


@st.composite
def arrays(draw: Any) -> np.ndarray[Any, Any]:
    """Draw an array of any integer type; it may be empty or a strided view."""
    kind = draw(DTYPES)
    info = np.iinfo(kind)
    low, high = max(-(2**31), info.min), min(2**31 - 1, info.max)
    numbers = np.array(draw(st.lists(st.integers(low, high), max_size=12)), dtype=kind)
    return numbers[::2] if draw(st.booleans()) else numbers


def sequence_of(ids: Any, segments: Any, spans: Any, cut: int, losses: Any) -> EncodedSequence:
    return EncodedSequence(ids, segments, spans, cut, losses if cut else ())


SEQUENCES = st.builds(
    sequence_of,
    ids=arrays(),
    segments=arrays(),
    spans=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=3).map(tuple),
    cut=st.integers(0, 2**31 - 1),
    losses=st.one_of(st.just(()), st.tuples(*[st.integers(1, 2**31 - 1)] * 4)),
)
# any Python string, including half a surrogate pair and a zero
NAMES = st.text(st.characters(exclude_categories=()), max_size=9)
REQUESTS = st.lists(
    st.builds(Request, id=NAMES, sequences=st.lists(SEQUENCES, max_size=4).map(tuple)), max_size=6
)
FLOATS = st.floats(width=32)


def plain(requests: list[Request]) -> list[Any]:
    """Return the contents of requests as plain numbers and strings."""
    return [
        (
            request.id,
            [
                (
                    *(sequence.ids.tolist(), sequence.segments.tolist()),
                    *(sequence.spans, sequence.cut, sequence.losses),
                )
                for sequence in request.sequences
            ],
        )
        for request in requests
    ]


@given(requests=REQUESTS)
def test_requests_of_any_shape_arrive_as_they_were(requests: list[Request]) -> None:
    """Their arrays are int32, whatever type they had, and read-only."""
    received = deserialise_requests(serialise_requests(requests))
    assert plain(received) == plain(requests)
    for request in received:
        for sequence in request.sequences:
            assert sequence.ids.dtype == sequence.segments.dtype == np.int32
            assert not sequence.ids.flags.writeable


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1])
def test_a_number_that_does_not_fit_into_32_bits_is_refused(number: int) -> None:
    """It would arrive as another number."""
    zero = np.zeros(1, dtype=np.int64)
    for sequence in (
        EncodedSequence(np.array([1, number]), zero),
        EncodedSequence(zero, np.array([number])),
        EncodedSequence(zero, zero, ((0, number),)),
    ):
        with pytest.raises(DataError, match="fit into 32 bits"):
            serialise_requests([Request("a", (sequence,))])


@given(
    logits=st.integers(0, 4).flatmap(
        lambda labels: st.lists(st.lists(FLOATS, min_size=labels, max_size=labels), max_size=5).map(
            lambda rows: np.array(rows, dtype=np.float32).reshape(len(rows), labels)
        )
    ),
    requests=st.integers(0, 5),
    names=st.lists(NAMES, max_size=3, unique=True),
    answers=st.none() | st.lists(NAMES, max_size=5).map(tuple),
)
def test_answers_of_any_shape_arrive_as_they_were(
    logits: np.ndarray[Any, Any], requests: int, names: list[str], answers: tuple[str, ...] | None
) -> None:
    """Bit by bit, with each request's costs."""
    costs = {name: np.arange(requests) / (index + 3) for index, name in enumerate(names)}
    predictions = Predictions(logits, np.zeros(1, dtype=np.int64), answers, costs)
    received, received_answers, received_costs = deserialise_answer(serialise_answer(predictions))
    assert received.dtype == np.float32
    assert received.shape == logits.shape
    assert received.tobytes() == logits.tobytes()
    assert received_answers == answers
    assert {name: values.tolist() for name, values in received_costs.items()} == {
        name: values.tolist() for name, values in costs.items()
    }


def test_the_capacity_holds_logits_and_costs_of_every_request() -> None:
    """So that no such answer needs the slower pipe."""
    row = EncodedSequence(np.arange(3), np.arange(3))
    requests = [Request(str(n), (row,) * n) for n in range(5)]
    costs = {name: np.zeros(5) for name in ("layers", "tokens", "stage")}
    predictions = Predictions(np.zeros((10, 3), np.float32), offsets_of(requests), None, costs)
    assert len(serialise_answer(predictions)) <= answer_capacity(requests, labels=3)


def test_answers_for_another_number_of_sequences_are_an_error() -> None:
    """With one request and with several."""
    row = EncodedSequence(np.arange(3), np.arange(3))
    for count in (1, 2):
        requests = [Request(str(n), (row,)) for n in range(count)]
        answer: Answer = (np.zeros((count + 1, 2), np.float32), None, {})
        with pytest.raises(MeasurementError, match="expected logits for"):
            merge_answers(requests, [(range(count), answer)])
