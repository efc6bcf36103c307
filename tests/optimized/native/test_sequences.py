"""Sequences of a call to the compiled encoder: packed or alone, shared by threads or not, valid or not."""

from collections.abc import Iterator
from pathlib import Path

import encoders
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native_reference import compile_library, needs_compiler
from sequences import sequence

from harness.common.errors import DataError
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
@pytest.mark.parametrize("span", [(-1, 2), (1, 6)])
def test_a_span_beyond_its_sequence_is_refused(span: tuple[int, int], library: Library) -> None:
    """Five tokens have no sixth."""
    fields, arrays = extract(encoders.model_of("bert", WIC), library.layout, "tiny")
    engine = Engine(library, fields, arrays, 1, 64)
    whole = sequence(5, seed=0, spans=True)
    with pytest.raises(DataError, match="not valid"):
        engine.answer([EncodedSequence(whole.ids, whole.segments, (whole.spans[0], span))])
    assert engine.answer([whole]).shape == (1, 2)
    engine.close()


@needs_compiler
@pytest.mark.parametrize("width", [32, 64])
def test_packed_spans_are_those_of_their_own_sequence(width: int, tmp_path: Path) -> None:
    """Spans of odd and even sequences, in packs of at most 24 rows and of 192: as alone."""
    library = compile_library(tmp_path / "portable.so", f"-DPORTABLE={width}", "-O1")
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
    ],
    ids=["empty", "too long", "unknown word", "negative", "unknown segment", "negative segment"],
)
def test_what_c_would_read_beyond_its_end_is_refused(engines: list[Engine], wrong: EncodedSequence) -> None:
    """One message, and the engine still answers."""
    with pytest.raises(
        DataError,
        match=r"not valid: expected 1 to 128 tokens, ids below [0-9]+, segments below 2, and spans within",
    ):
        engines[0].answer([sequence(5, seed=0), wrong])
    with pytest.raises(DataError, match="not valid"):
        engines[0].answer([wrong])
    assert engines[0].answer([sequence(5, seed=0)]).shape == (1, 2)
