"""Operators kept in float: exactly those that are named, by group or node, or the most sensitive ones."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from baselines.engines.onnx.runtime import OnnxVariant
from harness.common.errors import CheckpointError, UsageError
from harness.systems.interface import PreparationSources
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.graphs.candidates import CandidateTimer
from optimized.graphs.matmul_groups import as_names, group_of, matmul_groups, select_nodes
from optimized.quantization.onnx_dynamic import Int8Variant
from optimized.quantization.onnx_static import StaticInt8Variant
from optimized.quantization.sensitivity import sensitivity

QUERY = "/model/bert/encoder/layer.0/attention/self/query/MatMul"
GROUPS = [
    *("layer.0.attention", "layer.0.ffn", "layer.1.attention", "layer.1.ffn", "pooler", "classifier"),
]


@pytest.fixture(scope="module")
def graph(exported: Path) -> Path:
    """Return the graph of the tiny checkpoint."""
    (path,) = exported.glob("*/model.onnx")
    return path


def in_float(graph: Path) -> set[str]:
    """Return the groups that still multiply by float weights."""
    return set(matmul_groups(graph).values())


def in_int8(graph: Path) -> int:
    """Count the weight matrices that are int8."""
    import onnx
    from onnx import TensorProto

    tensors = onnx.load(str(graph)).graph.initializer
    return sum(tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 2 for tensor in tensors)


def test_products_belong_to_the_groups_of_their_layers(graph: Path) -> None:
    """Four products of attention and two of the feed-forward per layer; one of pooler and classifier."""
    groups = list(matmul_groups(graph).values())
    assert list(dict.fromkeys(groups)) == GROUPS
    assert [groups.count(group) for group in GROUPS] == [4, 2, 4, 2, 1, 1]


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("/model/roberta/encoder/layer.11/attention/output/dense/MatMul", "layer.11.attention"),
        ("/model/distilbert/transformer/layer.0/ffn/lin1/MatMul", "layer.0.ffn"),
        ("/model/model/layers.3/attn/Wqkv/MatMul", "layer.3.attention"),
        ("/model/model/layers.3/mlp/Wo/MatMul", "layer.3.ffn"),
        ("/model/bert/pooler/dense/Gemm", "pooler"),
        ("/model/classifier/out_proj/Gemm", "classifier"),
        ("/model/electra/embeddings_project/MatMul", "embeddings_project"),
    ],
)
def test_groups_are_derived_from_the_paths_of_every_family(path: str, group: str) -> None:
    """BERT, RoBERTa, DistilBERT, ModernBERT and ELECTRA: the same group has the same name."""
    assert group_of(path) == group


@pytest.mark.parametrize("kept", ["raw", "fused"])
def test_exactly_the_named_operators_stay_in_float(
    boolq_folder: Path, exported: Path, tmp_path: Path, kept: str
) -> None:
    """One group of a layer and the classifier, in the raw graph and in the fused one."""
    times = {"raw": 2.0, "fused": 1.0} if kept == "fused" else {"raw": 1.0, "fused": 2.0}
    variant = Int8Variant(keep_float=("layer.1.attention", "classifier"))
    shop = tiny.preparation_context(tmp_path, times, lent=exported)
    artifact = variant.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop)
    assert artifact.manifest["graph"] == kept
    assert artifact.manifest["kept_float"] == ["layer.1.attention", "classifier"]
    graph = artifact.folder / "model.onnx"
    assert in_float(graph) == {"layer.1.attention", "classifier"}
    # of 14, 4 of attention and the classifier stay; in the fused graph query, key and value are one
    assert in_int8(graph) == (9 if kept == "raw" else 7)
    description = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT).describe()
    assert description["kept_float"] == ["layer.1.attention", "classifier"]


def test_naming_a_node_excludes_the_fused_candidate(
    boolq_folder: Path, exported: Path, tmp_path: Path
) -> None:
    """Fusing would merge it with two others."""
    shop = tiny.preparation_context(tmp_path, {"raw": 2.0, "fused": 1.0}, lent=exported)
    artifact = Int8Variant(keep_float=(QUERY,)).prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop)
    assert "merges a node that stays in float" in artifact.manifest["fusion"]
    assert artifact.manifest["graph"] == "raw"
    assert set(matmul_groups(artifact.folder / "model.onnx")) == {QUERY}


def test_a_layer_selects_both_of_its_groups(graph: Path) -> None:
    """`layer.1` selects layer.1.attention and layer.1.ffn, and not layer.10."""
    groups = {**matmul_groups(graph), "/x": "layer.10.ffn"}
    assert {groups[node] for node in select_nodes(groups, ["layer.1"])} == {
        "layer.1.attention",
        "layer.1.ffn",
    }


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("layer.1.atention", "layer.1.attention"),
        ("clasifier", "classifier"),
        (QUERY.replace("query", "quary"), QUERY),
        ("unlike any name", "Known: classifier, layer.0.attention"),
    ],
)
def test_an_unknown_operator_is_refused_with_the_nearest_names(
    boolq_folder: Path, exported: Path, tmp_path: Path, wrong: str, near: str
) -> None:
    """Before the graph is quantised; the cache stays empty."""
    shop = tiny.preparation_context(tmp_path, lent=exported)
    for variant in (Int8Variant(keep_float=(wrong,)), StaticInt8Variant(keep_float=(wrong, "auto:1"))):
        with pytest.raises(UsageError) as refused:
            variant.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop)
        assert near in (refused.value.remedy or "")
    assert shop.cache.made == []  # type: ignore[attr-defined]


def test_leaving_everything_in_float_is_refused(boolq_folder: Path, exported: Path, tmp_path: Path) -> None:
    """It would be onnx-fp32 under another name."""
    variant = Int8Variant(keep_float=("layer", "pooler", "classifier"))
    with pytest.raises(UsageError, match="leaves no operator to quantise"):
        variant.prepare(
            BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(tmp_path, lent=exported)
        )


@pytest.mark.parametrize("wrong", ["auto", "auto:0", "auto:x", ["classifier", 3], 7, ""])
def test_an_invalid_name_is_refused_at_once(wrong: Any) -> None:
    """As a ladder file may hold them."""
    with pytest.raises(UsageError):
        Int8Variant(keep_float=wrong)


def test_one_name_equals_a_list_of_one() -> None:
    """So that a ladder can have `keep_float: auto:2`."""
    assert as_names("auto:2") == as_names(["auto:2"]) == Int8Variant(keep_float="auto:2").keep_float  # type: ignore[arg-type]


def test_the_kept_operators_are_part_of_the_key(boolq_folder: Path, exported: Path, tmp_path: Path) -> None:
    """Three different artifacts of one parent."""
    shop, sources = tiny.preparation_context(tmp_path, lent=exported), tiny.sources(boolq_folder)
    kept: list[tuple[str, ...]] = [(), ("classifier",), ("pooler",)]
    keys = {Int8Variant(keep_float=names).prepare(BOOLQ, sources, tiny.SHORT, shop).key for names in kept}
    assert len(keys) == 3


Edit = Callable[[dict[str, Any]], None]


def edited_copy(folder: Path, target: Path, edit: Edit) -> Path:
    """Copy a checkpoint and change its tensors."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(folder, target)
    tensors = load_file(target / "model.safetensors")
    edit(tensors)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target


def plant_outlier(tensors: dict[str, Any]) -> None:
    """Make one unit of the first layer's feed-forward always 3,000, and divide by that in its output weights.

    In float this only adds a bias. In int8 this unit takes the whole range of the one scale.
    """
    into = "bert.encoder.layer.0.intermediate.dense"
    tensors[f"{into}.weight"][5] = 0.0
    tensors[f"{into}.bias"][5] = 3000.0
    tensors["bert.encoder.layer.0.output.dense.weight"][:, 5] /= 3000.0


@pytest.fixture(scope="module")
def planted(boolq_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a checkpoint whose layer.0.ffn loses its answers with one scale for its activations."""
    return edited_copy(boolq_folder, tmp_path_factory.mktemp("planted") / "model", plant_outlier)


def test_sensitivity_finds_the_layer_with_the_outlier(planted: Path, tmp_path: Path) -> None:
    """It is first by far; every group is in the list, in order, with its figures."""
    shop, sources = tiny.preparation_context(tmp_path), tiny.sources(planted)
    parent = OnnxVariant().prepare(BOOLQ, sources, tiny.SHORT, shop)
    timer = CandidateTimer("test", BOOLQ, sources.trial, tiny.SHORT, shop)
    artifact, groups = sensitivity(parent, timer)
    assert groups[0].group == "layer.0.ffn"
    worst = [group.max_logit_difference for group in groups]
    assert worst[0] > 3 * worst[1]
    assert worst == sorted(worst, reverse=True)
    assert {group.group for group in groups} == set(GROUPS)
    assert all(0 <= group.equal_answers <= 1 for group in groups)
    assert json.loads(json.dumps(dict(artifact.manifest)))["groups"][0]["group"] == "layer.0.ffn"
    assert not list(artifact.folder.glob("*.onnx")), "the trial graphs are deleted"
    again, _ = sensitivity(parent, timer)
    assert not again.fresh


def test_auto_restores_a_model_that_int8_broke(planted: Path, tmp_path: Path) -> None:
    """With all groups in int8 it is refused, with the remedy; `auto:1` selects the planted group."""
    shop, sources = tiny.preparation_context(tmp_path), tiny.sources(planted)
    with pytest.raises(CheckpointError, match="too far from fp32") as refused:
        Int8Variant().prepare(BOOLQ, sources, tiny.SHORT, shop)
    assert "auto:2" in str(refused.value)
    variant = Int8Variant(keep_float=("auto:1", "pooler"))
    artifact = variant.prepare(BOOLQ, sources, tiny.SHORT, shop)
    assert artifact.manifest["kept_float"] == ["pooler", "layer.0.ffn"]
    assert in_float(artifact.folder / "model.onnx") == {"pooler", "layer.0.ffn"}
    assert artifact.manifest["sensitivity"][0]["group"] == "layer.0.ffn"
    assert len(artifact.manifest["parents"]) == 2
    assert artifact.manifest["agreement"]["max_logit_difference"] < 0.5
    assert not variant.prepare(BOOLQ, sources, tiny.SHORT, shop).fresh


def test_without_training_examples_auto_is_refused(
    boolq_folder: Path, exported: Path, tmp_path: Path
) -> None:
    """The remedy names an operator instead."""
    with pytest.raises(UsageError, match="training examples") as refused:
        Int8Variant(keep_float=("auto:2",)).prepare(
            BOOLQ,
            PreparationSources(tiny.checkpoint_of(boolq_folder)),
            tiny.SHORT,
            tiny.preparation_context(tmp_path, lent=exported),
        )
    assert "layer.0.ffn" in str(refused.value)


def test_int8_agrees_with_float_within_a_bound(boolq_folder: Path, exported: Path, tmp_path: Path) -> None:
    """Dynamic and static: rounding shows, and is small compared with the logits."""
    shop, sources = tiny.preparation_context(tmp_path, lent=exported), tiny.sources(boolq_folder, 12)
    answers = {}
    for variant in (OnnxVariant(), Int8Variant(), StaticInt8Variant()):
        artifact = variant.prepare(BOOLQ, sources, tiny.SHORT, shop)
        system = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
        answers[variant.name] = system.predict(system.encode(tiny.examples(20))).logits
    exact = answers.pop("onnx-fp32")
    for rounded in answers.values():
        worst = np.abs(rounded - exact).max()
        assert 0 < worst < 0.15 * np.abs(exact).max()
