"""Fused graphs: equal answers for every shape, kept only where timing shows that they are faster."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from shaped import shaped_checkpoint

from baselines.engines.onnx.runtime import OnnxVariant
from harness.common.errors import DeviceError
from harness.systems.interface import Placement, PreparationSources, Settings
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.graphs.fused import FusedVariant
from optimized.quantization.onnx_dynamic import Int8Variant

FASTER = {"raw": 2.0, "fused": 1.0}


def answers_of(variant: Any, folder: Path, task: Task, cache: Path, batch: int = 4) -> Any:
    system = tiny.opened(variant, task, folder, cache, Settings(128, batch), FASTER)
    return system.predict(system.encode(tiny.task_examples(task))).logits


def heads_in(graph: Path) -> list[int]:
    """Return the number of heads of each attention node."""
    import onnx

    return [
        next(attribute.i for attribute in node.attribute if attribute.name == "num_heads")
        for node in onnx.load(str(graph)).graph.node
        if node.op_type in ("Attention", "QAttention")
    ]


@pytest.mark.parametrize(("raw", "fused", "kept"), [(1.0, 2.0, "raw"), (2.0, 1.0, "fused")])
def test_the_fused_graph_is_kept_only_where_it_is_faster(
    boolq_folder: Path, exported: Path, tmp_path: Path, raw: float, fused: float, kept: str
) -> None:
    """Both times are in the manifest, one graph is on disk, and the fp32 export is unchanged."""
    shop = tiny.preparation_context(tmp_path, {"raw": raw, "fused": fused}, lent=exported)
    sources = tiny.sources(boolq_folder)
    artifact = FusedVariant().prepare(BOOLQ, sources, tiny.SHORT, shop)
    manifest = artifact.manifest
    assert manifest["seconds_per_request"] == {"raw": raw, "fused": fused}
    assert (manifest["graph"], manifest["fused_nodes"] > 0) == (kept, kept == "fused")
    assert manifest["fusion"]["Attention"] == 2
    assert [path.name for path in artifact.folder.glob("*.onnx")] == ["model.onnx"]
    assert (OnnxVariant().prepare(BOOLQ, sources, tiny.SHORT, shop).folder / "model.onnx").is_file()
    assert not FusedVariant().prepare(BOOLQ, sources, tiny.SHORT, shop).fresh


def test_the_raw_graph_is_kept_without_trial_examples(
    boolq_folder: Path, exported: Path, tmp_path: Path
) -> None:
    """The manifest gives the reason."""
    sources = PreparationSources(tiny.checkpoint_of(boolq_folder))
    manifest = (
        FusedVariant()
        .prepare(BOOLQ, sources, tiny.SHORT, tiny.preparation_context(tmp_path, lent=exported))
        .manifest
    )
    assert (manifest["graph"], manifest["chosen_because"]) == ("raw", "not measured")


@pytest.mark.parametrize("tolerance", [-1.0])
def test_a_fused_graph_that_disagrees_is_dropped(
    boolq_folder: Path, exported: Path, tmp_path: Path, tolerance: float
) -> None:
    """With a tolerance that no graph meets the raw graph is kept, and the manifest gives the reason."""
    strict = FusedVariant(fusion_tolerance=tolerance)
    shop = tiny.preparation_context(tmp_path, FASTER, lent=exported)
    artifact = strict.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop)
    assert "graph disagrees with its source" in artifact.manifest["fusion"]
    assert artifact.manifest["chosen_because"] == "the only candidate"
    assert FusedVariant().prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop).fresh


@pytest.mark.parametrize("family", ["Bert", "Roberta", "DistilBert"])
@pytest.mark.parametrize(
    ("heads", "ffn"), [((2, 2), (40, 40)), ((3, 1), (24, 64))], ids=["alike", "each its own"]
)
def test_pruned_shapes_are_fused_with_their_own_head_counts(
    tmp_path: Path, family: str, heads: tuple[int, ...], ffn: tuple[int, ...]
) -> None:
    """Attention of width 24 or 36 in a width of 36: each node has its own head count; answers are equal."""
    folder = shaped_checkpoint(tmp_path / "pruned", BOOLQ, heads, ffn, family=family)
    shop = tiny.preparation_context(tmp_path / "cache", FASTER)
    artifact = FusedVariant().prepare(BOOLQ, tiny.sources(folder, task=BOOLQ), tiny.LONG, shop)
    assert (artifact.manifest["graph"], artifact.manifest["fusion"]["Attention"]) == ("fused", 2)
    assert heads_in(artifact.folder / "model.onnx") == list(heads)
    exact = answers_of(OnnxVariant(), folder, BOOLQ, tmp_path / "cache")
    fused = answers_of(FusedVariant(), folder, BOOLQ, tmp_path / "cache")
    assert np.ptp(exact) > 0.1
    np.testing.assert_allclose(fused, exact, atol=1e-4)


@pytest.mark.parametrize("name", ["wic", "copa"])
def test_pruned_shapes_are_fused_under_every_head(tmp_path: Path, name: str) -> None:
    """Spans and choices of a pruned encoder: the fused graph and its int8 form answer like fp32."""
    task = get_task(name)
    folder = shaped_checkpoint(tmp_path / "pruned", task, (2, 1), (40, 24))
    cache = tmp_path / "cache"
    exact, fused, rounded = (
        answers_of(variant, folder, task, cache) for variant in (OnnxVariant(), FusedVariant(), Int8Variant())
    )
    np.testing.assert_allclose(fused, exact, atol=1e-4)
    assert 0 < np.abs(rounded - exact).max() < 0.5 * max(1.0, np.abs(exact).max())
    graphs = [path for path in cache.glob("*/model.onnx") if heads_in(path)]
    assert [heads_in(path) for path in graphs] == [[2, 1], [2, 1]], "both were fused"


def test_a_fused_graph_runs_on_the_cpu_only(boolq_folder: Path, exported: Path, tmp_path: Path) -> None:
    """The error names the device."""
    artifact = FusedVariant().prepare(
        BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(tmp_path, lent=exported)
    )
    with pytest.raises(DeviceError, match="cuda"):
        FusedVariant().load(BOOLQ, artifact, Placement("cuda", (0,), 1), tiny.SHORT)
