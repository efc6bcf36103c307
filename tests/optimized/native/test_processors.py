"""The same weights give the same bits on every processor: plain C is what each level is compared with."""

from collections.abc import Callable

import encoders
import native_models
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native_reference import needs_compiler
from sequences import sequence

from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Logits
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.native import build
from optimized.native.engine import Engine, Library
from optimized.native.weights import extract

WIC = get_task("wic")
LENGTHS = (3, 40, 9, 128, 25, 2, 12, 5)
BEST = build.level_of(build.flags_here())
EIGHT_BITS = [
    level
    for level in build.LEVELS
    if level.name in ("avx512-vnni", "avx-vnni", "i8mm", "dotprod")
    and (BEST is None or level.machine == BEST.machine)
]
"""Levels that multiply the integers that plain C multiplies."""

NAMES = ("xlm-roberta", "albert", "nomic_bert", "mpnet")
OTHER_HEADS = ("eurobert", "modernbert", "deberta-v3")
"""Families whose heads have a GELU: erff of the C library, whose last digit differs between processors."""

pytestmark = [
    needs_compiler,
    pytest.mark.parametrize("level", EIGHT_BITS, indirect=True, ids=lambda level: level.name),
]


def answers(
    library: Library, name: str, lengths: tuple[int, ...], task: Task = BOOLQ, threads: int = 1
) -> Logits:
    """Return the logits of random sequences of these lengths."""
    model = encoders.model_of("bert", task) if name == "bert" else native_models.model_of(name, task)
    spans = task.head == "span"
    engine = Engine(library, *extract(model, library.layout, name), threads, 128)
    logits = engine.answer([sequence(length, seed=at, spans=spans) for at, length in enumerate(lengths)])
    engine.close()
    return logits


@pytest.mark.parametrize("name", NAMES)
def test_every_family_is_answered_as_in_plain_c(
    name: str, library: Library, plain_c: Callable[[int], Library]
) -> None:
    """Vectors of one width sum in one order, and all processors fuse the same products and sums."""
    expected = answers(plain_c(library.layout.vector_bytes), name, LENGTHS)
    assert np.array_equal(answers(library, name, LENGTHS, threads=2), expected)
    assert np.ptp(expected) > 0.01


@pytest.mark.parametrize("name", OTHER_HEADS)
def test_heads_with_functions_of_the_c_library_differ_in_their_last_digit_at_most(
    name: str, library: Library, plain_c: Callable[[int], Library]
) -> None:
    """The test below shows that their encoders have the same bits."""
    expected = answers(plain_c(library.layout.vector_bytes), name, LENGTHS)
    assert np.abs(answers(library, name, LENGTHS) - expected).max() < 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["bert", *OTHER_HEADS])
def test_spans_are_answered_as_in_plain_c(
    name: str, library: Library, plain_c: Callable[[int], Library]
) -> None:
    """A head without functions of the C library, and all tokens of the last layer."""
    expected = answers(plain_c(library.layout.vector_bytes), name, LENGTHS, WIC)
    assert np.array_equal(answers(library, name, LENGTHS, WIC), expected)


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(1, 128), min_size=1, max_size=12).map(tuple))
def test_sequences_of_any_length_are_answered_as_in_plain_c(
    library: Library, plain_c: Callable[[int], Library], lengths: tuple[int, ...]
) -> None:
    """In packs of as many rows as a level takes."""
    expected = answers(plain_c(library.layout.vector_bytes), "bert", lengths)
    assert np.array_equal(answers(library, "bert", lengths), expected)
