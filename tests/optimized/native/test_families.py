"""The compiled encoder for families other than BERT's: the answers are those of PyTorch that rounds alike."""

from collections.abc import Callable, Sequence

import native_models
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native_reference import Function, needs_compiler, reference
from sequences import sequence

from harness.common.errors import DeviceError
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.native.engine import Engine, Library
from optimized.native.weights import extract

WIC = get_task("wic")
LENGTHS = (3, 40, 1, 128, 25, 2, 12, 9)
"""Longer and shorter than the windows of 8 tokens on each side, and up to the longest."""

DISTANCES = ("modernbert", "mpnet", "deberta-v3")
"""Families whose scores depend on the distance of tokens, each in another way."""


def answered_alike(
    library: Library,
    gelu: Function,
    name: str,
    task: Task = BOOLQ,
    lengths: Sequence[int] = LENGTHS,
    threads: int = 2,
) -> bool:
    """Return whether sequences of these lengths are answered as by PyTorch that rounds alike."""
    longest = max(128, *lengths)
    model = native_models.model_of(name, task, max_position_embeddings=longest + 2)
    sequences = [
        sequence(length, seed=length, spans=task.head == "span")
        for length in lengths
        if length > 1 or task is BOOLQ
    ]
    engine = Engine(library, *extract(model, library.layout, name), threads, longest)
    logits = np.concatenate([engine.answer([each]) for each in sequences])
    assert np.array_equal(engine.answer(sequences), logits)
    engine.close()
    return reference(model, library.layout, sequences, gelu).accepts(logits)


@needs_compiler
@pytest.mark.parametrize("name", native_models.VARIED)
def test_answers_are_those_of_pytorch_that_rounds_alike(name: str, best: Library, gelu: Function) -> None:
    """Alone and packed, by two threads: the same bits, and the reference's answers."""
    assert answered_alike(best, gelu, name)


@needs_compiler
@pytest.mark.parametrize("name", DISTANCES)
def test_spans_are_pooled_after_the_last_normalisation(name: str, best: Library, gelu: Function) -> None:
    """WiC's head reads all tokens of the last layer."""
    assert answered_alike(best, gelu, name, WIC)


@needs_compiler
@pytest.mark.parametrize("name", ["albert", "nomic_bert", *DISTANCES])
def test_every_level_gives_the_answers_of_pytorch_that_rounds_alike(
    name: str, library: Library, gelu: Function
) -> None:
    """Other widths of vectors, panels of gated maps, and roundings of 7 bits."""
    assert answered_alike(library, gelu, name)


@needs_compiler
@pytest.mark.parametrize("name", ["nomic_bert", *DISTANCES])
def test_wide_vectors_in_plain_c_give_the_same_answers(
    name: str, plain_c: Callable[[int], Library], gelu: Function
) -> None:
    """The tiles of wide vectors in plain C."""
    assert answered_alike(plain_c(64), gelu, name, lengths=(3, 40, 9))


@needs_compiler
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", DISTANCES)
def test_sequences_of_several_blocks_are_answered(
    name: str, threads: int, best: Library, gelu: Function
) -> None:
    """More tokens than go through a layer together, far beyond windows and buckets."""
    assert answered_alike(best, gelu, name, lengths=(300, 193, 12), threads=threads)


@needs_compiler
def test_shared_layers_are_in_memory_once(best: Library) -> None:
    """ALBERT's three layers are one; of two groups of two there are four."""
    fields, arrays = extract(native_models.model_of("albert", BOOLQ), best.layout, "albert")
    assert fields.sources == (0, 0, 0)
    assert {name.split(".")[1] for name in arrays if name.startswith("layer.")} == {"0"}
    groups = native_models.model_of("albert, two groups of two", BOOLQ)
    assert extract(groups, best.layout, "albert")[0].sources == (0, 1, 2, 3)


@needs_compiler
def test_a_length_beyond_the_positions_of_the_encoder_is_refused(best: Library) -> None:
    """C would read behind the table; rotations have no end."""
    mpnet = extract(native_models.model_of("mpnet", BOOLQ), best.layout, "mpnet")
    with pytest.raises(DeviceError, match="has 128 positions, and the maximum length is 129"):
        Engine(best, *mpnet, 1, 129)
    Engine(best, *extract(native_models.model_of("modernbert", BOOLQ), best.layout, "x"), 1, 129).close()


@needs_compiler
@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(1, 128), min_size=1, max_size=24))
@pytest.mark.parametrize("name", DISTANCES)
def test_company_and_threads_change_no_bit_of_an_answer(name: str, lengths: list[int], best: Library) -> None:
    """Rows shared by threads begin at other tiles, windows and columns: the same logits."""
    weights = extract(native_models.model_of(name, BOOLQ), best.layout, name)
    sequences = [sequence(length, seed=at) for at, length in enumerate(lengths)]
    answers = []
    for threads in (1, 3):
        engine = Engine(best, *weights, threads, 128)
        answers += [engine.answer(sequences), np.concatenate([engine.answer([each]) for each in sequences])]
        engine.close()
    assert all(np.array_equal(answer, answers[0]) for answer in answers)
