from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.common.errors import DataError, MeasurementError
from harness.systems.interface import EncodedSequence, Predictions, Request, offsets_of
from optimized.parallel.codec import (
    Answer,
    gathered,
    packed,
    packed_answer,
    room_for,
    unpacked,
    unpacked_answer,
)

DTYPES = st.sampled_from((np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64))
NUMBERS = st.integers(-(2**31), 2**31 - 1)


@st.composite
def arrays(draw: Any) -> np.ndarray[Any, Any]:
    """Draw integers of some type that holds them, also none, also every second of an array."""
    kind = draw(DTYPES)
    info = np.iinfo(kind)
    low, high = max(-(2**31), info.min), min(2**31 - 1, info.max)
    numbers = np.array(draw(st.lists(st.integers(low, high), max_size=12)), dtype=kind)
    return numbers[::2] if draw(st.booleans()) else numbers


SEQUENCES = st.builds(
    EncodedSequence,
    ids=arrays(),
    segments=arrays(),
    spans=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=3).map(tuple),
    cut=st.integers(0, 2**31 - 1),
)
# any string of Python's, half a surrogate pair and a zero too
NAMES = st.text(st.characters(exclude_categories=()), max_size=9)
REQUESTS = st.lists(
    st.builds(Request, id=NAMES, sequences=st.lists(SEQUENCES, max_size=4).map(tuple)), max_size=6
)
FLOATS = st.floats(width=32)


def words(requests: list[Request]) -> list[Any]:
    """Return all that requests hold, as plain numbers and texts."""
    return [
        (
            one.id,
            [(each.ids.tolist(), each.segments.tolist(), each.spans, each.cut) for each in one.sequences],
        )
        for one in requests
    ]


@given(requests=REQUESTS)
def test_requests_of_any_shape_arrive_as_they_were(requests: list[Request]) -> None:
    """Their arrays are int32, of whatever type they were, and nobody can write into them."""
    found = unpacked(packed(requests))
    assert words(found) == words(requests)
    for request in found:
        for sequence in request.sequences:
            assert sequence.ids.dtype == sequence.segments.dtype == np.int32
            assert not sequence.ids.flags.writeable


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1])
def test_a_number_that_does_not_fit_is_refused(number: int) -> None:
    """Instead of arriving as another one."""
    few = np.zeros(1, dtype=np.int64)
    for wrong in (
        EncodedSequence(np.array([1, number]), few),
        EncodedSequence(few, np.array([number])),
        EncodedSequence(few, few, ((0, number),)),
    ):
        with pytest.raises(DataError, match="no 32-bit number"):
            packed([Request("a", (wrong,))])


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
    """Bit by bit, with what each request cost."""
    costs = {name: np.arange(requests) / (place + 3) for place, name in enumerate(names)}
    said = Predictions(logits, np.zeros(1, dtype=np.int64), answers, costs)
    found, told, cost = unpacked_answer(packed_answer(said))
    assert found.dtype == np.float32
    assert found.shape == logits.shape
    assert found.tobytes() == logits.tobytes()
    assert told == answers
    assert {name: each.tolist() for name, each in cost.items()} == {
        name: each.tolist() for name, each in costs.items()
    }


def test_there_is_room_for_logits_and_costs_of_every_request() -> None:
    """In place, so that nothing goes the slow way that need not."""
    row = EncodedSequence(np.arange(3), np.arange(3))
    requests = [Request(str(n), (row,) * n) for n in range(5)]
    costs = {name: np.zeros(5) for name in ("layers", "tokens", "stage")}
    said = Predictions(np.zeros((10, 3), np.float32), offsets_of(requests), None, costs)
    assert len(packed_answer(said)) <= room_for(requests, labels=3)


def test_answers_for_another_number_of_sequences_are_an_error() -> None:
    """Of one request as of several."""
    row = EncodedSequence(np.arange(3), np.arange(3))
    for count in (1, 2):
        requests = [Request(str(n), (row,)) for n in range(count)]
        answer: Answer = (np.zeros((count + 1, 2), np.float32), None, {})
        with pytest.raises(MeasurementError, match="logits for"):
            gathered(requests, [(range(count), answer)])
