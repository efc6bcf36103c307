"""Random-weight shapes: the calculated number of weights, complete checkpoints, never trained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from safetensors import safe_open

from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import require_head
from baselines.engines.onnx.runtime import OnnxVariant
from baselines.engines.pytorch import VARIANTS
from baselines.models.resolve import resolve_classifier
from harness.common.errors import UsageError
from harness.records.ladder import parse_ladder
from harness.systems.interface import Checkpoint, PreparationContext, PreparationSources, Settings
from harness.workload.data.lengths import texts
from harness.workload.synthetic.seeded_random import SeededRandom
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Example, TextInput
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.ladders.paper import PAPER, TABLE_3
from optimized.ladders.rung import variant_of
from optimized.quantization.onnx_dynamic import Int8Variant
from optimized.recipes.random_shape import SHAPES, Shape, is_shape, resolve_shape

PYTORCH = VARIANTS[1]
SMALL = Shape(
    layers=2, hidden=20, heads=3, ffn=7, head_size=8, positions=64, vocabulary=200, activation="relu"
)


def applied(shape: Shape, folder: Path, root: Path, task: str = "boolq", **parent: Any) -> Checkpoint:
    """Apply a shape to the checkpoint in a folder."""
    before = replace(tiny.checkpoint_of(folder), **parent)
    context = tiny.preparation_context(root)
    return shape.apply(get_task(task), [before], PreparationSources(before), tiny.SHORT, context).checkpoint


def sizes(folder: Path) -> dict[str, tuple[int, ...]]:
    with safe_open(folder / "model.safetensors", framework="numpy") as tensors:
        return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118


def count_weights(folder: Path) -> int:
    """Count the weights of the layers' matrices, biases and norms left out."""
    return sum(
        int(np.prod(size)) for name, size in sizes(folder).items() if ".layer." in name and len(size) == 2
    )


def questions(count: int, tokens: int) -> list[Example]:
    pairs = [texts(tokens, SeededRandom(number)) for number in range(count)]
    return [Example(str(number), (TextInput(*pair),), ("true",)) for number, pair in enumerate(pairs)]


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("12L-768", 84.934656),  # 12 x (4 x 768 x 768 + 2 x 768 x 3072)
        ("4L-312", 4.552704),  # 4 x (4 x 312 x 312 + 2 x 312 x 1200)
        ("4L-312-9h-900", 3.414528),  # 4 x (4 x 312 x 234 + 2 x 312 x 900): 9 heads of 26 are 234
        ("4L-312-8h-600", 2.535936),  # 4 x (4 x 312 x 208 + 2 x 312 x 600)
    ],
)
def test_the_paper_s_shapes_have_the_calculated_number_of_weights(name: str, millions: float) -> None:
    """Each layer has four projections between width and heads, and two between width and units."""
    assert SHAPES[name].weight_macs == millions * 1e6


@pytest.mark.parametrize(
    ("name", "inner", "ffn", "activation"),
    [("4L-312", 312, 1200, "gelu"), ("4L-312-9h-900", 234, 900, "relu"), ("4L-312-8h-600", 208, 600, "relu")],
)
def test_a_shape_by_name_is_a_checkpoint_of_that_shape(
    tmp_path: Path, name: str, inner: int, ffn: int, activation: str
) -> None:
    """The tensors on disk have exactly the calculated weights; its labels are the task's."""
    checkpoint = resolve_shape(f"shape:{name}", BOOLQ, tiny.Shelf(tmp_path))
    assert (checkpoint.name, checkpoint.tier, checkpoint.trained) == (f"shape:{name}", "embedded", False)
    assert count_weights(checkpoint.folder) == SHAPES[name].weight_macs
    layer = "bert.encoder.layer.3."
    assert sizes(checkpoint.folder)[f"{layer}attention.self.key.weight"] == (inner, 312)
    assert sizes(checkpoint.folder)[f"{layer}output.dense.weight"] == (312, ffn)
    config = read_config(checkpoint.folder)
    assert config["id2label"] == {"0": "false", "1": "true"}
    assert (config["hidden_act"], config["max_position_embeddings"]) == (activation, 512)


def test_a_named_shape_is_written_once(tmp_path: Path) -> None:
    """Its folder, used as a model itself, is still marked as untrained."""
    shelf = tiny.Shelf(tmp_path)
    first = resolve_shape("shape:4L-312", BOOLQ, shelf)
    assert resolve_shape("shape:4L-312", BOOLQ, shelf) == first
    assert len(shelf.made) == 1
    again = resolve_classifier(str(first.folder), BOOLQ, shelf)
    assert (again.trained, again.fingerprint) == (False, first.fingerprint)


def test_an_unknown_shape_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    """As every unknown name."""
    assert is_shape("shape:4L-313")
    assert not is_shape("minilm")
    with pytest.raises(UsageError, match="Did you mean 4L-312"):
        resolve_shape("shape:4L-313", BOOLQ, tiny.Shelf(tmp_path))


def test_the_paper_s_baseline_is_bert_base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """12 layers, 768 wide; here with smaller sizes, since only the lookup is tested."""
    small = replace(SHAPES["12L-768"], layers=1, hidden=24, ffn=8, vocabulary=50)
    assert (SHAPES["12L-768"].name, small.heads) == ("12L-768-12h-3072", 12)
    monkeypatch.setattr("optimized.recipes.random_shape.SHAPES", {"12L-768": small})
    checkpoint = resolve_shape("shape:12L-768", BOOLQ, tiny.Shelf(tmp_path))
    assert (checkpoint.name, checkpoint.trained) == ("shape:12L-768", False)
    assert count_weights(checkpoint.folder) == small.weight_macs


def test_a_shape_answers_in_every_engine_with_the_same_logits(tmp_path: Path, boolq_folder: Path) -> None:
    """Heads that do not fill the width, in PyTorch, as a graph, and in int8 within a tenth of a logit."""
    checkpoint = applied(SMALL, boolq_folder, tmp_path / "shape")
    assert count_weights(checkpoint.folder) == SMALL.weight_macs == 2 * (4 * 20 * 24 + 2 * 20 * 7)
    answers = []
    for number, engine in enumerate((PYTORCH, OnnxVariant(), Int8Variant())):
        context = tiny.preparation_context(tmp_path / str(number))
        artifact = engine.prepare(
            BOOLQ, PreparationSources(checkpoint, tuple(tiny.examples(6))), tiny.SHORT, context
        )
        system = engine.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
        answers.append(system.predict(system.encode(tiny.examples(6))).logits)
    assert answers[0].shape == (6, 2)
    assert np.abs(answers[0] - answers[1]).max() < 1e-5
    assert np.abs(answers[0] - answers[2]).max() < 0.1
    assert np.abs(answers[0]).max() < 1, "weights are small"


def test_a_named_shape_encodes_texts_to_the_length_of_the_sample(tmp_path: Path) -> None:
    """From the shortest text to the longest."""
    checkpoint = resolve_shape("shape:4L-312-8h-600", BOOLQ, tiny.Shelf(tmp_path / "shape"))
    settings = Settings(max_length=512)
    artifact = PYTORCH.prepare(
        BOOLQ, PreparationSources(checkpoint), settings, tiny.preparation_context(tmp_path / "engine")
    )
    system = PYTORCH.load(BOOLQ, artifact, tiny.CPU, settings)
    requests = system.encode([*questions(1, 5), *questions(1, 512)])
    assert [request.tokens for request in requests] == [5, 512]
    assert np.isfinite(system.predict(requests).logits).all()


def test_a_shape_after_a_trained_model_is_untrained_and_keeps_its_tokenizer(
    tmp_path: Path, boolq_folder: Path
) -> None:
    """Weights are random; the tokenizer stays, so that lengths are those of the user's model."""
    checkpoint = applied(SMALL, boolq_folder, tmp_path, trained=True, trained_on="f" * 64)
    assert (checkpoint.trained, checkpoint.trained_on, checkpoint.tier) == (False, "", "local")
    assert checkpoint.name == "shape:2L-20-3h-7-relu"
    tokenizers = [(folder / "tokenizer.json").read_bytes() for folder in (checkpoint.folder, boolq_folder)]
    assert tokenizers[0] == tokenizers[1]


def test_the_manifest_describes_the_shape(tmp_path: Path, boolq_folder: Path) -> None:
    """Every parameter, the parent, unavailable quality, and the energy of the meter."""
    before = tiny.checkpoint_of(boolq_folder)
    lines: list[str] = []
    context: PreparationContext = replace(
        tiny.preparation_context(tmp_path, told=lines),
        energy=lambda: lambda: [{"microjoules": 5, "zone": "package-0"}],
    )
    output = SMALL.apply(BOOLQ, [before], PreparationSources(before), tiny.SHORT, context)
    manifest = output.artifact.manifest
    assert {name: manifest[name] for name in ("recipe", "layers", "head_size", "activation", "seed")} == {
        "recipe": "shape",
        "layers": 2,
        "head_size": 8,
        "activation": "relu",
        "seed": 0,
    }
    assert (manifest["parents"], manifest["parent_name"]) == ([before.fingerprint], "tiny")
    assert manifest["selection"] == "unavailable, because the model is untrained"
    assert manifest["energy"] == [{"microjoules": 5, "zone": "package-0"}]
    assert lines == ["writing 2L-20-3h-7-relu with random weights"]
    again = SMALL.apply(BOOLQ, [before], PreparationSources(before), tiny.SHORT, context)
    assert (output.artifact.fresh, again.artifact.fresh) == (True, False)
    other = replace(SMALL, seed=1).apply(BOOLQ, [before], PreparationSources(before), tiny.SHORT, context)
    assert other.checkpoint.fingerprint != output.checkpoint.fingerprint


@pytest.mark.parametrize(("task", "labels"), [("wic", 2), ("copa", 1), ("cb", 3)])
def test_a_shape_has_the_head_of_its_task(tmp_path: Path, boolq_folder: Path, task: str, labels: int) -> None:
    """Two spans, one score a choice, three labels."""
    checkpoint = applied(SMALL, boolq_folder, tmp_path / "shape", task)
    assert resolve_classifier(str(checkpoint.folder), get_task(task), tiny.Shelf(tmp_path)).trained is False
    width = 40 if task == "wic" else 20
    assert sizes(checkpoint.folder)["classifier.weight"] == (labels, width)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (replace(SMALL, heads=0), "heads must be an integer of 1 or more, got 0"),
        (replace(SMALL, layers=2.0), "layers must be an integer of 1 or more, got 2.0"),
        (replace(SMALL, ffn=True), "ffn must be an integer of 1 or more, got True"),
        (replace(SMALL, head_size=0), "head_size must be an integer of 1 or more, got 0"),
        (replace(SMALL, activation="tanh"), "activation must be gelu or relu, got 'tanh'"),
        (replace(SMALL, head_size=None), "3 heads do not divide a width of 20"),
        (replace(SMALL, vocabulary=100), "Set vocabulary to 15"),
        (replace(SMALL, positions=31), "maximum length 32"),
    ],
)
def test_an_impossible_shape_is_refused_before_anything_is_written(
    tmp_path: Path, boolq_folder: Path, shape: Shape, message: str
) -> None:
    """With the wrong parameter and what to change."""
    with pytest.raises(UsageError, match=message):
        applied(shape, boolq_folder, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("row", TABLE_3, ids=[row.rung for row in TABLE_3])
def test_the_paper_s_rows_are_consistent(row: Any) -> None:
    """The factor is the first row's time over its own; 0.677 USD an hour give each price."""
    assert row.cumulative == pytest.approx(TABLE_3[0].time_s / row.time_s, abs=0.005)
    assert row.usd_per_100m == round(row.time_s / 3270 * 1e8 / 3600 * 0.677)


def test_the_paper_s_ladder_is_table_3() -> None:
    """Both pruned students are a step from multi-instance; every rung but the last has its row beside it."""
    ladder = parse_ladder(PAPER, "paper", {})
    beyond = ladder.rungs[-1]
    assert (beyond.name, beyond.over, beyond.reference) == ("8h-600 native", "8h-600", None)
    ladder = ladder.model_copy(update={"rungs": ladder.rungs[:-1]})
    assert [rung.name for rung in ladder.rungs] == [row.rung for row in TABLE_3]
    assert [rung.over for rung in ladder.rungs[1:5]] == ["fixed 512", "dynamic", "4L-312", "int8"]
    assert [rung.over for rung in ladder.rungs[5:]] == ["multi-instance", "multi-instance"]
    assert [rung.count(2) for rung in ladder.rungs] == [1, 1, 1, 1, 2, 2, 2]
    variants = [variant_of(rung.words()) for rung in ladder.rungs]
    assert [variant.recipes for variant in variants] == [
        (),
        (),
        *[(SHAPES["4L-312"],)] * 3,
        (SHAPES["4L-312-9h-900"],),
        (SHAPES["4L-312-8h-600"],),
    ]
    assert [variant.engine.name for variant in variants] == [
        "pytorch-fixed",
        *["pytorch-dynamic"] * 2,
        *["onnx-int8"] * 4,
    ]
    assert ladder.rungs[-1].reference == {"time_s": 3.14, "cumulative": 233.87, "quality": 72.81}


def test_a_shape_for_any_number_of_labels_is_a_checkpoint_of_that_kind(tmp_path: Path) -> None:
    """Its config.json has the kind of problem, without which the task refuses it."""
    task = tiny.multi_label_task()
    checkpoint = resolve_shape("shape:4L-312-8h-600", task, tiny.Shelf(tmp_path))
    assert read_config(checkpoint.folder)["problem_type"] == "multi_label_classification"
    require_head(checkpoint.folder, task)
