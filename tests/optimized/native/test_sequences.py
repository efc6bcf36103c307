"""Sequences of a call to the compiled encoder: packed or alone, shared by threads or not, valid or not."""

from collections.abc import Callable, Iterator

import encoders
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native_reference import needs_compiler
from sequences import sequence

from harness.common.errors import DataError, DeviceError
from harness.systems.interface import EncodedSequence
from harness.workload.tasks import get_task
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.native.engine import Engine, Library
from optimized.native.weights import extract

WIC = get_task("wic")
FEW = st.lists(st.integers(1, 128), min_size=1, max_size=9)
MANY = st.lists(st.integers(1, 30), min_size=20, max_size=60)
"""Lengths of sequences; so many short ones fill several packs."""


@pytest.fixture
def engines(library: Library) -> Iterator[list[Engine]]:
    """Engines of one model with one to three threads."""
    fields, arrays = extract(encoders.model_of("bert", BOOLQ), library.layout, "tiny")
    opened = [Engine(library, fields, arrays, threads, 128) for threads in (1, 2, 3)]
    yield opened
    for engine in opened:
        engine.close()


@needs_compiler
@settings(deadline=None, max_examples=24, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=FEW | MANY)
def test_company_and_threads_change_no_bit_of_an_answer(engines: list[Engine], lengths: list[int]) -> None:
    """One by one or packed, on one thread or three, rows shared or sequences: the same logits."""
    sequences = [sequence(length, seed=at) for at, length in enumerate(lengths)]
    alone = np.concatenate([engines[0].answer([each]) for each in sequences])
    for engine in engines:
        assert np.array_equal(engine.answer(sequences), alone)
        assert np.array_equal(engine.answer(sequences[:1]), alone[:1])


@needs_compiler
@pytest.mark.parametrize(
    "spans",
    [
        ((0, 2), (-1, 2)),
        ((0, 2), (1, 6)),
        ((0, 2), (3, 3)),
        ((0, 2), (4, 2)),
        ((0, 2), (0, 2**32 + 1)),
        ((0, 2),),
        ((0, 2), (2, 3), (3, 4)),
        (),
    ],
    ids=["negative", "beyond", "empty", "reversed", "beyond 32 bits", "one", "three", "none"],
)
def test_spans_that_are_not_two_within_the_sequence_are_refused(
    spans: tuple[tuple[int, int], ...], library: Library
) -> None:
    """Five tokens have no sixth, and the head reads two spans of at least one token."""
    fields, arrays = extract(encoders.model_of("bert", WIC), library.layout, "tiny")
    engine = Engine(library, fields, arrays, 1, 64)
    whole = sequence(5, seed=0, spans=True)
    for company in ([], [whole]):
        with pytest.raises(DataError, match=r"not valid.* and 2 spans of tokens within"):
            engine.answer([*company, EncodedSequence(whole.ids, whole.segments, spans)])
    assert engine.answer([whole]).shape == (1, 2)
    engine.close()


@needs_compiler
@pytest.mark.parametrize("width", [32, 64])
def test_packed_spans_are_those_of_their_own_sequence(width: int, plain_c: Callable[[int], Library]) -> None:
    """Spans of odd and even sequences, in packs of at most 24 rows and of 192: as alone."""
    library = plain_c(width)
    sequences = [sequence(length, seed=length, spans=True) for length in (9, 2, 5, 7, 31, 4, 3, 11)]
    for threads in (1, 2):
        engine = Engine(
            library, *extract(encoders.model_of("bert", WIC), library.layout, "tiny"), threads, 64
        )
        alone = np.concatenate([engine.answer([each]) for each in sequences])
        assert np.array_equal(engine.answer(sequences), alone)
        engine.close()


@needs_compiler
@pytest.mark.parametrize(
    "wrong",
    [
        sequence(0, seed=0),
        sequence(129, seed=0),
        EncodedSequence(np.array([10_000]), np.array([0])),
        EncodedSequence(np.array([-1]), np.array([0])),
        EncodedSequence(np.array([5]), np.array([2])),
        EncodedSequence(np.array([5]), np.array([-1])),
        EncodedSequence(np.array([5, 6]), np.array([0])),
        EncodedSequence(np.array([5, 6]), np.array([0, 0, 0])),
        EncodedSequence(np.array([5, 6]), np.array([], np.int64)),
        EncodedSequence(np.array([2**32 + 5]), np.array([0])),
        EncodedSequence(np.array([5]), np.array([2**32])),
        EncodedSequence(np.array([5.5]), np.array([0])),  # type: ignore[arg-type]
        EncodedSequence(np.array([np.nan]), np.array([0])),  # type: ignore[arg-type]
    ],
    ids=[
        *("empty", "too long", "unknown word", "negative", "unknown segment", "negative segment"),
        *("a segment less", "a segment more", "no segments", "word beyond 32 bits", "segment beyond 32 bits"),
        *("fraction", "nan"),
    ],
)
def test_what_c_would_read_beyond_its_end_is_refused(engines: list[Engine], wrong: EncodedSequence) -> None:
    """One message, and the engine still answers."""
    with pytest.raises(
        DataError,
        match=r"expected 1 to 128 tokens, ids below [0-9]+, a segment for each below 2, and 0 spans of",
    ):
        engines[0].answer([sequence(5, seed=0), wrong])
    with pytest.raises(DataError, match="not valid"):
        engines[0].answer([wrong])
    assert engines[0].answer([sequence(5, seed=0)]).shape == (1, 2)


@needs_compiler
def test_segments_of_one_sequence_do_not_serve_another(engines: list[Engine]) -> None:
    """As many segments as ids, but not of the same sequence."""
    ids, segments = np.array([5, 6]), np.zeros(3, np.int64)
    with pytest.raises(DataError, match="a segment for each"):
        engines[0].answer([EncodedSequence(ids, segments), EncodedSequence(ids, segments[:1])])


@needs_compiler
def test_no_sequence_has_no_logits(engines: list[Engine]) -> None:
    """Of two labels."""
    assert engines[0].answer([]).shape == (0, 2)


@needs_compiler
def test_a_closed_encoder_is_refused(library: Library) -> None:
    """Its memory is gone; closing it twice does nothing."""
    engine = Engine(library, *extract(encoders.model_of("bert", BOOLQ), library.layout, "tiny"), 1, 64)
    engine.close()
    engine.close()
    with pytest.raises(DeviceError, match="closed"):
        engine.answer([sequence(5, seed=0)])
