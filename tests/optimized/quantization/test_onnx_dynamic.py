"""Dynamic int8: the graph with the lower time is kept, and a broken one is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tiny

from baselines.engines.onnx.runtime import OnnxVariant
from harness.systems.interface import PreparationSources
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.graphs.transforms import fuse, quantise
from optimized.quantization.onnx_dynamic import Int8Variant
from optimized.registry import variants


@pytest.fixture(scope="module")
def exported(boolq_folder: Path, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export the tiny checkpoint once; return the graph."""
    shop = tiny.preparation_context(tmp_path_factory.mktemp("fp32"), lent=exported)
    return OnnxVariant().prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop).folder / "model.onnx"


@pytest.mark.parametrize(("raw", "fused", "kept"), [(1.0, 2.0, "raw"), (2.0, 1.0, "fused")])
def test_the_graph_with_the_lower_median_time_is_kept(
    boolq_folder: Path, exported: Path, tmp_path: Path, raw: float, fused: float, kept: str
) -> None:
    """Both times are in the manifest, one graph is on disk, and its answers are close to fp32's."""
    shop = tiny.preparation_context(tmp_path, {"raw": raw, "fused": fused}, lent=exported)
    artifact = Int8Variant().prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop)
    manifest = artifact.manifest
    assert manifest["seconds_per_request"] == {"raw": raw, "fused": fused}
    assert (manifest["graph"], manifest["fused_nodes"] > 0) == (kept, kept == "fused")
    assert manifest["fusion"]["Attention"] == 2, "one per layer"
    assert [path.name for path in artifact.folder.glob("*.onnx")] == ["model.onnx"]
    assert 0 < manifest["agreement"]["relative_error"] <= manifest["agreement"]["bound"]
    assert manifest["agreement"]["examples"] == 6
    system = Int8Variant().load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    predictions = system.predict(system.encode(tiny.examples(4)))
    assert predictions.logits.shape == (4, 2)
    assert system.describe()["graph"] == kept


def test_the_fp32_graph_is_exported_once_for_both(boolq_folder: Path, exported: Path, tmp_path: Path) -> None:
    """int8 uses the cached graph of onnx-fp32, and the second preparation of each uses the cache."""
    shop = tiny.preparation_context(tmp_path, lent=exported)
    sources = tiny.sources(boolq_folder)
    parent = OnnxVariant().prepare(BOOLQ, sources, tiny.SHORT, shop)
    artifact = Int8Variant().prepare(BOOLQ, sources, tiny.SHORT, shop)
    assert shop.cache.made == [parent.key, artifact.key]  # type: ignore[attr-defined]
    assert artifact.manifest["parents"] == [parent.key]
    assert not Int8Variant().prepare(BOOLQ, sources, tiny.SHORT, shop).fresh


def test_without_trial_examples_the_manifest_has_no_measurements(
    boolq_folder: Path, exported: Path, tmp_path: Path
) -> None:
    """Times and agreement are unavailable, with the reason."""
    sources = PreparationSources(tiny.checkpoint_of(boolq_folder))
    manifest = (
        Int8Variant()
        .prepare(BOOLQ, sources, tiny.SHORT, tiny.preparation_context(tmp_path, lent=exported))
        .manifest
    )
    assert manifest["seconds_per_request"] == "unavailable, because there were no trial examples"
    assert manifest["agreement"] == "unavailable, because there were no trial examples"
    assert (manifest["graph"], manifest["chosen_because"]) == ("raw", "not measured")


def weights_of(graph: Path) -> list[Any]:
    import onnx
    from onnx import TensorProto, numpy_helper

    tensors = onnx.load(str(graph)).graph.initializer
    return [numpy_helper.to_array(tensor) for tensor in tensors if tensor.data_type == TensorProto.INT8]


@pytest.mark.parametrize(("reduced", "largest"), [(True, 64), (False, 127)])
def test_weights_use_7_bits_where_sums_would_saturate(
    exported: Path, tmp_path: Path, reduced: bool, largest: int
) -> None:
    """Signed and per channel: each weight matrix reaches the end of its range in some column."""
    target = tmp_path / "int8.onnx"
    quantise(exported, target, reduce_range=reduced)
    matrices = [weight for weight in weights_of(target) if weight.ndim == 2]
    # 2 layers with query, key, value, output and two of the feed-forward; the pooler; the classifier
    assert len(matrices) == 14
    assert all(np.abs(weight.astype(int)).max() == largest for weight in matrices)
    # per channel: nearly every column, not only one, uses the whole range
    assert all((np.abs(weight.astype(int)).max(axis=0) >= largest - 1).all() for weight in matrices)


def test_a_family_that_cannot_be_fused_has_one_candidate(tmp_path: Path) -> None:
    """MPNet adds a relative position bias, which the optimiser's pattern of attention does not match."""
    from transformers import MPNetConfig, MPNetForSequenceClassification

    from baselines.models.transformers_settings import quiet_transformers

    folder = tmp_path / "mpnet"
    config = MPNetConfig(
        vocab_size=len(tiny.vocabulary()), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=66, pad_token_id=1, bos_token_id=2, eos_token_id=3,
        id2label={0: "false", 1: "true"},
    )  # fmt: skip
    with quiet_transformers():
        MPNetForSequenceClassification(config).save_pretrained(folder)
    tiny.write_tokenizer(folder)
    shop = tiny.preparation_context(tmp_path / "cache")
    manifest = Int8Variant().prepare(BOOLQ, tiny.sources(folder), tiny.SHORT, shop).manifest
    assert manifest["fusion"].startswith(
        "unavailable, because the optimiser does not support the attention of mpnet"
    )
    assert (manifest["graph"], manifest["chosen_because"]) == ("raw", "the only candidate")
    assert manifest["agreement"]["equal_answers"] > 0


def test_a_fused_graph_that_disagrees_is_dropped(boolq_folder: Path, exported: Path, tmp_path: Path) -> None:
    """With a tolerance that no graph meets the raw graph is kept, and the manifest gives the reason."""
    shop = tiny.preparation_context(tmp_path, {"raw": 2.0, "fused": 1.0}, lent=exported)
    strict = Int8Variant(fusion_tolerance=-1.0)
    manifest = strict.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop).manifest
    assert "graph disagrees with its source" in manifest["fusion"]
    assert (manifest["graph"], manifest["seconds_per_request"]) == (
        "raw", "not measured, because there is one graph",
    )  # fmt: skip


def test_fusing_returns_the_counts_of_fused_nodes(exported: Path, tmp_path: Path) -> None:
    """Two layers: two attentions, two GELUs, four normalisations with their residual, one embedding."""
    fused_nodes = fuse(exported, tmp_path / "fused.onnx", {"num_attention_heads": 2, "hidden_size": 32})
    assert fused_nodes == {
        "EmbedLayerNormalization": 1, "Attention": 2, "BiasGelu": 2, "SkipLayerNormalization": 4,
    }  # fmt: skip


def test_a_graph_with_numbers_without_dimensions_is_fused(exported: Path, tmp_path: Path) -> None:
    """The newer exporter of torch writes such constants; the older one writes none."""
    model = onnx.load(str(exported))
    for node in model.graph.node:
        for place, name in enumerate(node.output):
            node.output[place] = "raw" if name == "logits" else name
    model.graph.initializer.append(onnx.helper.make_tensor("two", onnx.TensorProto.FLOAT, [], [2.0]))
    model.graph.node.append(onnx.helper.make_node("Mul", ["raw", "two"], ["logits"]))
    onnx.save(model, str(tmp_path / "scalar.onnx"))
    config = {"num_attention_heads": 2, "hidden_size": 32}
    assert fuse(tmp_path / "scalar.onnx", tmp_path / "fused.onnx", config)["Attention"] == 2


def test_the_registry_has_the_documented_names() -> None:
    """Users type these names."""
    names = [variant.name for variant in variants()]
    assert names[:4] == ["onnx-fused", "native-int8", "onnx-int8", "onnx-int8-static"]
    assert {"fastest", "onnx-exits", "onnx-exits-int8", "pytorch-bf16", "pytorch-packed-bf16"} <= set(names)
    assert len(set(names)) == len(names)
    assert all(len(variant.summary) < 100 for variant in variants())
    # available in every installation: the others need an extra, a GPU or a CPU with bfloat16
    runnable = [
        variant
        for variant in variants()
        if variant.name in ("onnx-fused", "onnx-int8", "onnx-int8-static", "fastest", "onnx-exits")
    ]
    assert all(variant.unavailable() is None for variant in runnable)
