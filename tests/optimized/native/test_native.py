"""The compiled encoder: PyTorch that rounds alike gives the same answers, whatever the shape and level."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import encoders
import numpy as np
import pytest
import shaped
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native_reference import Function, Reference, c_functions, reference
from scipy.special import ndtr
from sequences import sequence

from baselines.engines.profiles import CLASSES
from baselines.hardware.c_program import compiler
from baselines.models.classifier import load_classifier
from baselines.models.resize import layers_of
from harness.common.errors import CheckpointError, DataError, DeviceError
from harness.systems.interface import EncodedSequence, Placement, Request, Settings
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Logits
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.native import build
from optimized.native.engine import Engine, Library
from optimized.native.layout import Layout
from optimized.native.variant import NativeVariant
from optimized.native.weights import extract, pack, rounded

WIC = get_task("wic")
LONG = Settings(max_length=128)
LENGTHS = (3, 40, 7, 128, 25, 2, 12, 4, 9, 5, 6)
"""Most are short: the fewer values are rounded, the more answers have none that was rounded the other way."""

SIXTEEN_BITS = Layout(vector_bytes=32, vectors=2, groups=4, activation_max=127, weight_max=64)

reason = NativeVariant().unavailable()
needs_compiler = pytest.mark.skipif(reason is not None, reason=str(reason))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests here: the library is compiled once."""
    return tmp_path_factory.mktemp("native")


@pytest.fixture(params=build.LEVELS, ids=lambda level: level.name)
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> build.Level:
    """Each level that this CPU has, as if it had no better one."""
    tried: build.Level = request.param
    if not tried.needs <= build.flags_here():
        pytest.skip(f"this CPU has not all of {', '.join(sorted(tried.needs))}")
    monkeypatch.setattr(build, "flags_here", lambda: tried.needs)
    return tried


@pytest.fixture
def library(level: build.Level, cache: Path) -> Library:
    """Compile for the level, once."""
    return Library(build.compiled(level, tiny.workshop(cache)).folder / build.LIBRARY)


@pytest.fixture(scope="module")
def gelu(tmp_path_factory: pytest.TempPathFactory) -> Function:
    """C's polynomial, which another test holds against the function that it stands for."""
    return c_functions(tmp_path_factory.mktemp("functions"), "gelu")["gelu"]


def requests_of(task: Task, lengths: tuple[int, ...] = LENGTHS) -> list[Request]:
    spans = task.head == "span"
    return [Request(str(length), (sequence(length, seed=length, spans=spans),)) for length in lengths]


def answers_of(
    folder: Path, task: Task, cache: Path, library: Library, gelu: Function, threads: int = 1
) -> tuple[Logits, Reference, str]:
    """Return the variant's logits, the reference, and which tokens go through the last layer."""
    variant, here = NativeVariant(), Placement("cpu", (), threads)
    artifact = variant.prepare(task, tiny.sources(folder, task=task), LONG, tiny.workshop(cache))
    system = variant.load(task, artifact, here, LONG)
    requests = requests_of(task)
    logits = system.predict(requests).logits
    system.close()
    sequences = [request.sequences[0] for request in requests]
    expected = reference(load_classifier(folder), library.layout, sequences, gelu)
    return logits, expected, str(system.describe()["last_layer"])


@needs_compiler
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("task", [BOOLQ, WIC], ids=lambda task: task.head)
@pytest.mark.parametrize("family", encoders.ARCHITECTURES)
def test_answers_are_those_of_pytorch_that_rounds_alike(
    family: str, task: Task, layers: int, tmp_path: Path, cache: Path, library: Library, gelu: Function
) -> None:
    """Every family, both heads."""
    field = "n_layers" if family == "distilbert" else "num_hidden_layers"
    folder = encoders.saved(encoders.model_of(family, task, **{field: layers}), tmp_path / family)
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
    assert answers_as_pytorch(library, model, gelu)


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


@pytest.fixture
def engines(library: Library) -> Iterator[list[Engine]]:
    """Engines of one model with one to three threads."""
    facts, arrays = extract(encoders.model_of("bert", BOOLQ), library.layout, "tiny")
    made = [Engine(library, facts, arrays, threads, 128) for threads in (1, 2, 3)]
    yield made
    for engine in made:
        engine.close()


few = st.lists(st.integers(1, 128), min_size=1, max_size=9)
many = st.lists(st.integers(1, 30), min_size=20, max_size=60)
"""Lengths of sequences; so many short ones fill several packs."""


@needs_compiler
@settings(deadline=None, max_examples=24, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=few | many)
def test_company_and_threads_change_no_bit_of_an_answer(engines: list[Engine], lengths: list[int]) -> None:
    """One by one or packed, on one thread or three, rows shared or sequences: the same logits."""
    asked = [sequence(length, seed=at) for at, length in enumerate(lengths)]
    alone = np.concatenate([engines[0].answer([each]) for each in asked])
    for engine in engines:
        assert np.array_equal(engine.answer(asked), alone)
        assert np.array_equal(engine.answer(asked[:1]), alone[:1])


@needs_compiler
@pytest.mark.parametrize("span", [(-1, 2), (1, 6)])
def test_a_span_beyond_its_sequence_is_refused(span: tuple[int, int], library: Library) -> None:
    """Five tokens have no sixth."""
    made = extract(encoders.model_of("bert", WIC), library.layout, "tiny")
    engine = Engine(library, *made, 1, 64)
    whole = sequence(5, seed=0, spans=True)
    with pytest.raises(DataError, match="no token"):
        engine.answer([EncodedSequence(whole.ids, whole.segments, (whole.spans[0], span))])
    assert engine.answer([whole]).shape == (1, 2)
    engine.close()


@needs_compiler
@pytest.mark.parametrize("width", [32, 64])
def test_packed_spans_are_those_of_their_own_sequence(width: int, tmp_path: Path) -> None:
    """Spans of odd and even sequences, in packs of at most 24 rows and of 192: as alone."""
    library = compiled(tmp_path / "portable.so", f"-DPORTABLE={width}", "-O1")
    asked = [sequence(length, seed=length, spans=True) for length in (9, 2, 5, 7, 31, 4, 3, 11)]
    for threads in (1, 2):
        engine = Engine(
            library, *extract(encoders.model_of("bert", WIC), library.layout, "tiny"), threads, 64
        )
        alone = np.concatenate([engine.answer([each]) for each in asked])
        assert np.array_equal(engine.answer(asked), alone)
        engine.close()


@needs_compiler
@pytest.mark.parametrize("layers", [1, 2])
def test_sequences_of_several_blocks_are_answered(layers: int, library: Library, gelu: Function) -> None:
    """512 tokens are more than go through a layer together, alone and by three threads."""
    model = encoders.model_of("bert", BOOLQ, max_position_embeddings=512, num_hidden_layers=layers)
    made = extract(model, library.layout, "tiny")
    sequences = [sequence(length, seed=length) for length in (512, 193, 385, 12)]
    expected = reference(model, library.layout, sequences, gelu)
    for threads in (1, 3):
        engine = Engine(library, *made, threads, 512)
        assert expected.accepts(np.concatenate([engine.answer([each]) for each in sequences]))
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
    with pytest.raises(DataError, match="no token, more than 128, or one that the model does not know"):
        engines[0].answer([sequence(5, seed=0), wrong])
    with pytest.raises(DataError, match="no token"):
        engines[0].answer([wrong])
    assert engines[0].answer([sequence(5, seed=0)]).shape == (1, 2)


def compiled(target: Path, *options: str) -> Library:
    command = compiler()
    assert command
    build.build(target, options, command)
    return Library(target)


def unfilled() -> list[Any]:
    """Return models of one layer and of two whose rows and outputs fill no vector."""
    sizes = {"hidden_size": 72, "intermediate_size": 150}
    return [encoders.model_of("bert", BOOLQ, **sizes, num_hidden_layers=layers) for layers in (1, 2)]


def answers_as_pytorch(library: Library, model: Any, gelu: Function) -> bool:
    """Return whether sequences of several lengths are answered as by PyTorch that rounds alike."""
    sequences = [request.sequences[0] for request in requests_of(BOOLQ)]
    engine = Engine(library, *extract(model, library.layout, "tiny"), 2, 128)
    logits = engine.answer(sequences)
    engine.close()
    return reference(model, library.layout, sequences, gelu).accepts(logits)


@needs_compiler
@pytest.mark.parametrize("width", [32, 64])
def test_every_width_of_vectors_gives_the_same_answers(width: int, tmp_path: Path, gelu: Function) -> None:
    """Layout, tiles and tails of wide vectors, whose instructions this CPU may not have, in plain C."""
    portable = compiled(tmp_path / "portable.so", f"-DPORTABLE={width}", "-O0")
    assert (portable.layout.vector_bytes, portable.dot) == (width, "portable")
    assert all(answers_as_pytorch(portable, model, gelu) for model in unfilled())


@needs_compiler
def test_rows_and_outputs_that_fill_no_vector_are_answered(library: Library, gelu: Function) -> None:
    """72 inputs and 150 units end within a vector at every level."""
    assert all(answers_as_pytorch(library, model, gelu) for model in unfilled())


@needs_compiler
def test_polynomials_are_the_functions_that_they_stand_for(tmp_path: Path) -> None:
    """GELU within 6e-5, e^x within 5e-6 of itself."""
    grid = np.linspace(-12, 12, 8000, dtype=np.float32)
    functions = c_functions(tmp_path, "gelu", "exponential")
    found = {name: function(grid) for name, function in functions.items()}
    exact = grid.astype(float)
    assert np.abs(found["gelu"] - exact * ndtr(exact)).max() < 6e-5
    assert np.abs(found["exponential"] / np.exp(exact) - 1).max() < 5e-6


def test_weights_lie_as_panels_steps_vectors_groups_lanes() -> None:
    """By hand: two lanes of outputs, one vector a panel, two groups of four inputs a step."""
    layout = Layout(vector_bytes=8, vectors=1, groups=2, activation_max=127, weight_max=64)
    weight = np.arange(3 * 9).reshape(3, 9)
    first, second = (
        [0, 1, 2, 3, 9, 10, 11, 12, 4, 5, 6, 7, 13, 14, 15, 16],
        [8, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    )
    third = [18, 19, 20, 21, 0, 0, 0, 0, 22, 23, 24, 25, 0, 0, 0, 0, 26, *[0] * 15]
    assert pack(weight.astype(np.float32), layout).tolist() == [*first, *second, *third]


def test_each_output_has_a_unit_of_its_own_and_an_empty_one_is_no_division_by_zero() -> None:
    """By hand: the largest of a row becomes the largest byte."""
    whole, units = rounded(np.array([[1, -2], [0, 0]], np.float32), SIXTEEN_BITS)
    assert whole.tolist() == [[32, -64], [0, 0]]
    assert units.tolist() == [2 / 64, 1]


def test_weights_whose_sums_would_leave_16_bits_are_made_smaller() -> None:
    """Eight of 64 in one lane make 127 * 512 = 65,024, twice what fits; four, or other signs, are fine."""
    lane = [0, 1, 4, 5, 8, 9, 12, 13]
    rows = np.zeros((3, 16), np.float32)
    rows[0, lane], rows[1, lane[:4]], rows[2, lane] = 1, 1, [1, -1] * 4
    whole, units = rounded(rows, SIXTEEN_BITS)
    assert whole[0, 0] == 32
    assert 127 * whole[0, lane].sum() <= 32767
    assert [whole[1, 0], whole[2, 0]] == [64, 64]
    assert np.allclose(whole * units[:, None], rows, atol=0.02)


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
    assert reference(model, library.layout, sequences, gelu).accepts(logits)


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
    asked = [sequence(tokens, seed=tokens)]
    engine = Engine(library, *extract(model, library.layout, "largest"), 1, 512)
    logits = engine.answer(asked)
    engine.close()
    assert reference(model, library.layout, asked, gelu).accepts(logits)


@needs_compiler
def test_answers_do_not_depend_on_a_batch_and_the_manifest_says_so(boolq_folder: Path, cache: Path) -> None:
    """A scale for each token: what is measured of batch dependence is exactly nothing."""
    shop = tiny.workshop(cache)
    manifest = NativeVariant().prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop).manifest
    assert manifest["batch_dependence"]["max_logit_difference"] == 0
    assert 0 < manifest["agreement"]["max_logit_difference"] < manifest["agreement"]["bound"]
    assert manifest["activations"] == "int8, one scale for a token"


@needs_compiler
def test_its_profile_names_every_class_and_adds_up_to_its_time(boolq_folder: Path, cache: Path) -> None:
    """Linear maps take some, and what it fuses into them (the activation) none of its own."""
    system = tiny.opened(NativeVariant(), BOOLQ, boolq_folder, cache, tiny.SHORT)
    seconds = system.profile(system.encode(tiny.examples(4)))  # type: ignore[attr-defined]
    system.close()
    assert tuple(seconds) == CLASSES
    assert seconds["linears"] > 0
    assert seconds["activation"] == 0


@needs_compiler
def test_an_activation_that_it_does_not_know_is_refused_by_name(tmp_path: Path, cache: Path) -> None:
    """SiLU has no code here; the message names what has."""
    folder = encoders.saved(encoders.model_of("bert", BOOLQ, hidden_act="silu"), tmp_path / "silu")
    with pytest.raises(CheckpointError, match="activation silu is not one of gelu"):
        NativeVariant().prepare(BOOLQ, tiny.sources(folder), LONG, tiny.workshop(cache))


def test_a_machine_without_the_instructions_or_a_compiler_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with what would change it."""
    monkeypatch.setenv("CC", "no-such-compiler")
    assert "needs a C compiler" in str(NativeVariant().unavailable())
    monkeypatch.setattr(build, "flags_here", lambda: frozenset({"sse4_2"}))
    assert NativeVariant().unavailable() == "needs a CPU with AVX2 and FMA"


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("fma avx2 avx512f avx512bw avx512vl avx512_vnni avx_vnni", "avx512-vnni"),
        ("fma avx2 avx_vnni", "avx-vnni"),
        ("fma avx2 avx512f avx512bw avx512vl", "avx512"),
        ("fma avx2 avx512f", "avx2"),
        ("avx2", None),
    ],
)
def test_the_best_level_that_a_cpu_has_is_taken(flags: str, level: str | None) -> None:
    """VNNI before AVX-512 without it; AVX2 with FMA at least."""
    found = build.level_of(flags.split())
    assert (found.name if found else None) == level


@needs_compiler
@pytest.mark.parametrize("level", build.LEVELS, ids=lambda level: level.name)
def test_every_level_is_understood_by_the_compiler(level: build.Level, tmp_path: Path) -> None:
    """Also those whose instructions this CPU may lack: what cannot run here can be read here."""
    command = compiler()
    assert command
    build.build(tmp_path / "none.so", (*level.options, "-fsyntax-only", "-Werror"), command)


@needs_compiler
def test_what_the_compiler_says_is_passed_on(tmp_path: Path) -> None:
    """One line, and what to do."""
    command = compiler()
    assert command
    with pytest.raises(DeviceError, match="could not compile it") as caught:
        build.build(tmp_path / "broken.so", ("-DPORTABLE=oops",), command)
    assert "CC" in str(caught.value)


def test_a_cpu_without_flags_has_no_level(tmp_path: Path) -> None:
    """No file, no flags."""
    assert build.flags_here(tmp_path / "none") == frozenset()


def test_a_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    """With its name."""
    (tmp_path / "encoder.so").write_bytes(b"no library")
    with pytest.raises(DeviceError, match="does not load"):
        Library(tmp_path / "encoder.so")
