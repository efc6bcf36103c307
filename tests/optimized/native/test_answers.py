"""The compiled encoder: PyTorch that rounds alike gives the same answers, whatever the shape and level."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import encoders
import numpy as np
import pytest
import shaped
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native_reference import (
    Function,
    Reference,
    c_functions,
    needs_compiler,
    reference,
    smoothed_like,
)
from scipy.special import ndtr
from sequences import sequence

from baselines.models.classifier import load_classifier
from baselines.models.resize import layers_of
from harness.systems.interface import EncodedSequence, Placement, Request, Settings
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Logits
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.native.engine import Engine, Library
from optimized.native.variant import NativeVariant
from optimized.native.weights import extract

WIC = get_task("wic")
LONG = Settings(max_length=128)
LENGTHS = (3, 40, 7, 128, 25, 2, 12, 4, 9, 5, 6)
"""Most are short: the fewer values are rounded, the more answers have none that was rounded the other way."""


def sequences_of(task: Task) -> list[EncodedSequence]:
    return [sequence(length, seed=length, spans=task.head == "span") for length in LENGTHS]


def answers_of(
    folder: Path, task: Task, cache: Path, library: Library, gelu: Function, threads: int = 1
) -> tuple[Logits, Reference, str]:
    """Return the variant's logits, the reference, and which tokens go through the last layer."""
    variant, placement = NativeVariant(), Placement("cpu", (), threads)
    artifact = variant.prepare(task, tiny.sources(folder, task=task), LONG, tiny.preparation_context(cache))
    system = variant.load(task, artifact, placement, LONG)
    sequences = sequences_of(task)
    requests = [Request(str(at), (each,)) for at, each in enumerate(sequences)]
    logits = system.predict(requests).logits
    system.close()
    model = smoothed_like(load_classifier(folder), artifact.folder)
    expected = reference(model, library.layout, sequences, gelu)
    return logits, expected, str(system.describe()["last_layer"])


def answers_like_reference(library: Library, model: Any, gelu: Function) -> bool:
    """Return whether sequences of several lengths are answered as by PyTorch that rounds alike."""
    sequences = sequences_of(BOOLQ)
    engine = Engine(library, *extract(model, library.layout, "tiny"), 2, 128)
    logits = engine.answer(sequences)
    engine.close()
    return reference(model, library.layout, sequences, gelu).accepts(logits)


def models_that_fill_no_vector() -> list[Any]:
    """Return models of one layer and of two whose rows and outputs fill no vector."""
    sizes = {"hidden_size": 72, "intermediate_size": 150}
    return [encoders.model_of("bert", BOOLQ, **sizes, num_hidden_layers=layers) for layers in (1, 2)]


def model_with_normalisations(family: str, task: Task, **changed: Any) -> Any:
    """Return a tiny model whose normalisations have random gains and shifts: all of them differ."""
    import torch

    model = encoders.model_of(family, task, **changed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "LayerNorm" in name or "layer_norm" in name:
                parameter.normal_(float(name.endswith("weight")), 0.3)
    return model


@needs_compiler
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("task", [BOOLQ, WIC], ids=lambda task: task.head)
@pytest.mark.parametrize("family", encoders.ARCHITECTURES)
def test_answers_are_those_of_pytorch_that_rounds_alike(
    family: str, task: Task, layers: int, tmp_path: Path, cache: Path, library: Library, gelu: Function
) -> None:
    """Every family, both heads."""
    field = "n_layers" if family == "distilbert" else "num_hidden_layers"
    folder = encoders.saved(model_with_normalisations(family, task, **{field: layers}), tmp_path / family)
    logits, expected, last_layer = answers_of(folder, task, cache, library, gelu)
    assert expected.accepts(logits)
    assert last_layer.startswith("all" if task.head == "span" else "the first token")


@needs_compiler
@pytest.mark.parametrize("shape", [((3,), (130,)), ((3, 1, 2), (21, 130, 7))], ids=["one layer", "three"])
@pytest.mark.parametrize("family", ["Bert", "Roberta"])
def test_pruned_shapes_are_answered(
    family: str,
    shape: tuple[tuple[int, ...], ...],
    tmp_path: Path,
    cache: Path,
    library: Library,
    gelu: Function,
) -> None:
    """Heads of 12 that fill no vector, a layer with one head, units that no panel divides."""
    folder = shaped.shaped_checkpoint(tmp_path / "pruned", BOOLQ, *shape, family=family)
    logits, expected, _ = answers_of(folder, BOOLQ, cache, library, gelu, threads=2)
    assert expected.accepts(logits)


@needs_compiler
def test_heads_of_an_odd_size_are_answered(library: Library, gelu: Function) -> None:
    """C takes queries, keys and values in pairs: 4 heads of 5 have a partner that is empty."""
    model = encoders.model_of("bert", BOOLQ, hidden_size=20, num_attention_heads=4, num_hidden_layers=1)
    assert answers_like_reference(library, model, gelu)


@needs_compiler
@pytest.mark.parametrize("activation", ["gelu_new", "relu"])
def test_other_activations_are_known(
    activation: str, tmp_path: Path, cache: Path, library: Library, gelu: Function
) -> None:
    """The form with tanh, and ReLU."""
    model = encoders.model_of("bert", BOOLQ, hidden_act=activation, num_hidden_layers=1)
    folder = encoders.saved(model, tmp_path / activation)
    logits, expected, _ = answers_of(folder, BOOLQ, cache, library, gelu)
    assert expected.accepts(logits)


@needs_compiler
@pytest.mark.parametrize("layers", [1, 2])
def test_sequences_of_several_blocks_are_answered(layers: int, library: Library, gelu: Function) -> None:
    """512 tokens are more than go through a layer together, alone and by three threads."""
    model = encoders.model_of("bert", BOOLQ, max_position_embeddings=512, num_hidden_layers=layers)
    fields, arrays = extract(model, library.layout, "tiny")
    sequences = [sequence(length, seed=length) for length in (512, 193, 385, 12)]
    expected = reference(model, library.layout, sequences, gelu)
    for threads in (1, 3):
        engine = Engine(library, fields, arrays, threads, 512)
        assert expected.accepts(np.concatenate([engine.answer([each]) for each in sequences]))
        engine.close()


@needs_compiler
def test_rows_and_outputs_that_fill_no_vector_are_answered(library: Library, gelu: Function) -> None:
    """72 inputs and 150 units end within a vector at every level."""
    assert all(answers_like_reference(library, model, gelu) for model in models_that_fill_no_vector())


@needs_compiler
@pytest.mark.parametrize("width", [32, 64])
def test_every_width_of_vectors_gives_the_same_answers(
    width: int, plain_c: Callable[[int], Library], gelu: Function
) -> None:
    """Layout, tiles and tails of wide vectors, whose instructions this CPU may not have, in plain C."""
    portable = plain_c(width)
    assert (portable.layout.vector_bytes, portable.dot) == (width, "portable")
    assert all(answers_like_reference(portable, model, gelu) for model in models_that_fill_no_vector())


@needs_compiler
def test_polynomials_are_the_functions_that_they_stand_for(tmp_path: Path) -> None:
    """GELU within 6e-5, e^x within 5e-6 of itself."""
    grid = np.linspace(-12, 12, 8000, dtype=np.float32)
    functions = c_functions(tmp_path, "gelu", "exponential")
    values = {name: function(grid) for name, function in functions.items()}
    exact = grid.astype(float)
    assert np.abs(values["gelu"] - exact * ndtr(exact)).max() < 6e-5
    assert np.abs(values["exponential"] / np.exp(exact) - 1).max() < 5e-6


@needs_compiler
@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([1e-3, 1.0, 50.0]))
def test_no_weights_however_wild_overflow(library: Library, gelu: Function, seed: int, scale: float) -> None:
    """Weights all of one sign, with outliers: answers are still those of PyTorch that rounds alike."""
    model = encoders.model_of("bert", BOOLQ, seed=seed % 1000, num_hidden_layers=1)
    random = np.random.default_rng(seed)
    for layer in layers_of(model):
        for name in ("up", "down"):
            weight = getattr(layer, name).weight
            wild = (
                np.abs(random.standard_t(2, weight.shape)) * scale * random.choice([-1, 1], (len(weight), 1))
            )
            weight.data.copy_(weight.data.new_tensor(wild))
    sequences = [sequence(length, seed=length) for length in (5, 30)]
    engine = Engine(library, *extract(model, library.layout, "wild"), 1, 128)
    logits = engine.answer(sequences)
    engine.close()
    # tiny weights give sums that are small beside the rounding of their terms
    assert reference(model, library.layout, sequences, gelu, float_error=1e-5).accepts(logits)


@needs_compiler
@pytest.mark.parametrize("tokens", [1, 115, 512])
def test_no_sum_of_attention_overflows(tokens: int, library: Library, gelu: Function) -> None:
    """All are as large as they get and of one sign, but for one of the values: a row needs some span."""
    model = encoders.model_of("bert", BOOLQ, max_position_embeddings=512, num_hidden_layers=1)
    for layer in layers_of(model):
        for name in ("query", "key", "value"):
            getattr(layer, name).weight.data.zero_()
            getattr(layer, name).bias.data.fill_(3)
        layer.value.bias.data[0] = 1
    sequences = [sequence(tokens, seed=tokens)]
    engine = Engine(library, *extract(model, library.layout, "largest"), 1, 512)
    logits = engine.answer(sequences)
    engine.close()
    assert reference(model, library.layout, sequences, gelu).accepts(logits)
