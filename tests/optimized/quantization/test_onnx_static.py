"""Static int8: scales from training examples only, and answers that do not depend on batch mates."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from shaped import shaped_checkpoint

from harness.common.errors import DataError, UsageError
from harness.systems.interface import PreparationSources, Settings
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Example
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.quantization.onnx_dynamic import Int8Variant
from optimized.quantization.onnx_static import StaticInt8Variant, evenly_spaced

TRAIN_SHA, VAL_SHA = "a" * 64, "b" * 64


def trained_on(
    folder: Path, training: Sequence[Example], trial: int = 6, **changes: Any
) -> PreparationSources:
    """Return sources whose training split holds these examples."""
    sources = replace(
        tiny.sources(folder, trial),
        training=lambda: training,
        training_sha256=TRAIN_SHA,
        reported_sha256=VAL_SHA,
    )
    return replace(sources, **changes)


def test_the_manifest_records_the_calibration_data(
    boolq_folder: Path, exported: Path, tmp_path: Path
) -> None:
    """Count, split, method, lengths and the hash of the file; 5 of 10 examples at equal distances."""
    training = tiny.examples(10)
    variant = StaticInt8Variant(calibration=5)
    artifact = variant.prepare(
        BOOLQ,
        trained_on(boolq_folder, training),
        tiny.SHORT,
        tiny.preparation_context(tmp_path, lent=exported),
    )
    calibration = artifact.manifest["calibration"]
    requests = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT).encode(training[::2])
    lengths = sorted(request.tokens for request in requests)
    assert calibration == {
        "examples": 5,
        "split": "train",
        "method": "least and largest value",
        "tokens": {"least": lengths[0], "median": lengths[2], "most": lengths[4]},
        "data_sha256": TRAIN_SHA,
    }
    assert 0 < artifact.manifest["agreement"]["relative_error"] < artifact.manifest["agreement"]["bound"]
    assert artifact.manifest["kept_float"] == []


def test_only_products_are_int8_and_all_other_nodes_read_float(
    boolq_folder: Path, exported: Path, tmp_path: Path
) -> None:
    """12 products; query, key and value share a rounded input, and the residual reads the exact one."""
    import onnx
    from onnx import TensorProto

    artifact = StaticInt8Variant().prepare(
        BOOLQ,
        trained_on(boolq_folder, tiny.examples(8)),
        tiny.SHORT,
        tiny.preparation_context(tmp_path, lent=exported),
    )
    graph = onnx.load(str(artifact.folder / "model.onnx")).graph
    int8 = [
        tensor
        for tensor in graph.initializer
        if tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 2
    ]
    assert len(int8) == 12
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("QuantizeLinear") == 8, "4 inputs of products in each of 2 layers, and no outputs"
    assert "DynamicQuantizeLinear" not in kinds
    rounded = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    readers = [node for node in graph.node if rounded.intersection(node.input)]
    assert {node.op_type for node in readers} == {"MatMul"}
    assert len(readers) == 12


def test_only_training_examples_set_the_scales(boolq_folder: Path, exported: Path, tmp_path: Path) -> None:
    """Another training split gives other scales; another trial does not."""
    shop = tiny.preparation_context(tmp_path, lent=exported)
    base = trained_on(boolq_folder, tiny.examples(8))
    # a single word gives each product a much smaller range
    other = trained_on(boolq_folder, tiny.examples(1), training_sha256="c" * 64)
    artifacts = [
        StaticInt8Variant().prepare(BOOLQ, sources, tiny.SHORT, shop)
        for sources in (base, other, trained_on(boolq_folder, tiny.examples(8), trial=3))
    ]
    graphs = [(artifact.folder / "model.onnx").read_bytes() for artifact in artifacts]
    assert graphs[0] != graphs[1]
    assert graphs[0] == graphs[2]


def test_without_a_readable_training_split_the_trial_examples_are_used(
    boolq_folder: Path, exported: Path, tmp_path: Path
) -> None:
    """They are from the training split too."""
    artifact = StaticInt8Variant().prepare(
        BOOLQ, tiny.sources(boolq_folder, 6), tiny.SHORT, tiny.preparation_context(tmp_path, lent=exported)
    )
    assert artifact.manifest["calibration"]["examples"] == 6


@pytest.mark.parametrize("training_sha256", ["", TRAIN_SHA])
def test_without_training_examples_it_is_refused(
    boolq_folder: Path, exported: Path, tmp_path: Path, training_sha256: str
) -> None:
    """The remedy names the variant that needs none."""
    sources = PreparationSources(tiny.checkpoint_of(boolq_folder), training_sha256=training_sha256)
    with pytest.raises(DataError, match="needs training examples, and the data has none") as refused:
        StaticInt8Variant().prepare(
            BOOLQ, sources, tiny.SHORT, tiny.preparation_context(tmp_path, lent=exported)
        )
    assert "onnx-int8" in str(refused.value)


def test_calibrating_on_the_reported_examples_is_refused(
    boolq_folder: Path, exported: Path, tmp_path: Path
) -> None:
    """Where the training split is the reported one; before the export."""
    shop = tiny.preparation_context(tmp_path, lent=exported)
    sources = trained_on(boolq_folder, tiny.examples(8), reported_sha256=TRAIN_SHA)
    with pytest.raises(DataError, match="must not use the reported examples"):
        StaticInt8Variant().prepare(BOOLQ, sources, tiny.SHORT, shop)
    assert shop.cache.made == []  # type: ignore[attr-defined]


def test_calibration_needs_an_example(boolq_folder: Path, exported: Path, tmp_path: Path) -> None:
    """Zero is an invalid option."""
    with pytest.raises(UsageError, match="at least one example, got 0"):
        StaticInt8Variant(calibration=0).prepare(
            BOOLQ,
            trained_on(boolq_folder, tiny.examples(2)),
            tiny.SHORT,
            tiny.preparation_context(tmp_path, lent=exported),
        )


def test_the_calibration_is_part_of_the_key(boolq_folder: Path, exported: Path, tmp_path: Path) -> None:
    """Data, count, maximum length and kept operators; the same options use the cache."""
    shop, sources = (
        tiny.preparation_context(tmp_path, lent=exported),
        trained_on(boolq_folder, tiny.examples(8)),
    )
    longer = Settings(max_length=48, batch=1)
    keys = {
        StaticInt8Variant().prepare(BOOLQ, sources, tiny.SHORT, shop).key,
        StaticInt8Variant().prepare(BOOLQ, sources, longer, shop).key,
        StaticInt8Variant(calibration=3).prepare(BOOLQ, sources, tiny.SHORT, shop).key,
        StaticInt8Variant(keep_float=("layer.0.ffn",)).prepare(BOOLQ, sources, tiny.SHORT, shop).key,
        StaticInt8Variant().prepare(BOOLQ, replace(sources, training_sha256="c" * 64), tiny.SHORT, shop).key,
    }
    assert len(keys) == 5
    assert not StaticInt8Variant().prepare(BOOLQ, sources, tiny.SHORT, shop).fresh


def test_named_operators_stay_in_float_with_their_inputs(
    boolq_folder: Path, exported: Path, tmp_path: Path
) -> None:
    """A feed-forward, and a query that shares its input with int8 products: both read exact activations."""
    import onnx

    query = "/model/bert/encoder/layer.1/attention/self/query/MatMul"
    artifact = StaticInt8Variant(keep_float=("layer.0.ffn", query)).prepare(
        BOOLQ,
        trained_on(boolq_folder, tiny.examples(8)),
        tiny.SHORT,
        tiny.preparation_context(tmp_path, lent=exported),
    )
    nodes = onnx.load(str(artifact.folder / "model.onnx")).graph.node
    rounded = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear"}
    readers = {node.name for node in nodes if rounded.intersection(node.input)}
    assert len(readers) == 12 - 3
    assert query not in readers
    assert not any("layer.0/intermediate" in name or "layer.0/output" in name for name in readers)


@pytest.mark.parametrize("name", ["wic", "copa"])
def test_every_head_and_pruned_shapes_are_calibrated(tmp_path: Path, name: str) -> None:
    """Spans and choices, with fewer heads than fill the width: within the bound of the manifest."""
    task = get_task(name)
    folder = shaped_checkpoint(tmp_path / "pruned", task, (2, 1), (40, 24))
    artifact = StaticInt8Variant().prepare(
        task, tiny.sources(folder, task=task), tiny.LONG, tiny.preparation_context(tmp_path / "cache")
    )
    agreement = artifact.manifest["agreement"]
    assert 0 < agreement["relative_error"] < agreement["bound"]


def test_batch_dependence_is_measured_and_fixed_scales_have_none(
    boolq_folder: Path, exported: Path, tmp_path: Path
) -> None:
    """With one scale per call batch mates change the answers; with fixed scales they do not."""
    shop, sources = (
        tiny.preparation_context(tmp_path, lent=exported),
        trained_on(boolq_folder, tiny.examples(16), trial=20),
    )
    dynamic, static = (
        variant.prepare(BOOLQ, sources, tiny.SHORT, shop).manifest["batch_dependence"]
        for variant in (Int8Variant(), StaticInt8Variant())
    )
    assert (dynamic["examples"], dynamic["batch"]) == (16, 8)
    assert dynamic["max_logit_difference"] > 0.01
    assert static["max_logit_difference"] < dynamic["max_logit_difference"] / 10
    assert static["equal_answers"] == 1.0


def test_the_recorded_dependence_equals_that_of_a_batch(
    boolq_folder: Path, exported: Path, tmp_path: Path
) -> None:
    """One at a time against eight together: the same largest difference as in the manifest."""
    shop, sources = tiny.preparation_context(tmp_path, lent=exported), tiny.sources(boolq_folder, 16)
    artifact = Int8Variant().prepare(BOOLQ, sources, tiny.SHORT, shop)
    answers = []
    for batch in (1, 8):
        system = Int8Variant().load(BOOLQ, artifact, tiny.CPU, Settings(32, batch))
        answers.append(system.predict(system.encode(sources.trial)).logits)
    worst = float(np.abs(answers[0] - answers[1]).max())
    assert artifact.manifest["batch_dependence"]["max_logit_difference"] == pytest.approx(worst, abs=1e-6)


def test_one_example_has_no_batch_dependence(boolq_folder: Path, exported: Path, tmp_path: Path) -> None:
    """A single request has no batch mates."""
    manifest = (
        Int8Variant()
        .prepare(
            BOOLQ,
            tiny.sources(boolq_folder, 1),
            tiny.SHORT,
            tiny.preparation_context(tmp_path, lent=exported),
        )
        .manifest
    )
    assert manifest["batch_dependence"].startswith("unavailable, because there were fewer than two")


@pytest.mark.parametrize(
    ("available", "count", "expected"), [(10, 5, [0, 2, 4, 6, 8]), (3, 8, [0, 1, 2]), (0, 4, [])]
)
def test_examples_are_taken_at_equal_distances(available: int, count: int, expected: list[int]) -> None:
    """Over the whole split; all if there are fewer."""
    assert [int(example.id) for example in evenly_spaced(tiny.examples(available), count)] == expected
