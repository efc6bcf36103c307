"""What stays in float: exactly what was named, by group or node, and what is sensitive when that is asked."""

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
from optimized.graphs.matmul_groups import as_names, chosen, group_of, products
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
    (found,) = exported.glob("*/model.onnx")
    return found


def in_float(graph: Path) -> set[str]:
    """Return the groups that still multiply by float weights."""
    return set(products(graph).values())


def in_int8(graph: Path) -> int:
    """Count the weight matrices that are int8."""
    import onnx
    from onnx import TensorProto

    tensors = onnx.load(str(graph)).graph.initializer
    return sum(tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 2 for tensor in tensors)


def test_products_belong_to_the_groups_of_their_layers(graph: Path) -> None:
    """Four products of attention and two of the feed-forward in each layer; pooler and classifier alone."""
    found = list(products(graph).values())
    assert list(dict.fromkeys(found)) == GROUPS
    assert [found.count(group) for group in GROUPS] == [4, 2, 4, 2, 1, 1]


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
def test_groups_are_read_off_the_paths_of_every_family(path: str, group: str) -> None:
    """BERT, RoBERTa, DistilBERT, ModernBERT, ELECTRA: one word for the same thing."""
    assert group_of(path) == group


@pytest.mark.parametrize("kept", ["raw", "fused"])
def test_exactly_what_is_named_stays_in_float(
    boolq_folder: Path, exported: Path, tmp_path: Path, kept: str
) -> None:
    """One group of a layer and the classifier, in the raw graph and in the fused one alike."""
    times = {"raw": 2.0, "fused": 1.0} if kept == "fused" else {"raw": 1.0, "fused": 2.0}
    variant = Int8Variant(keep_float=("layer.1.attention", "classifier"))
    shop = tiny.workshop(tmp_path, times, lent=exported)
    artifact = variant.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop)
    assert artifact.manifest["graph"] == kept
    assert artifact.manifest["kept_float"] == ["layer.1.attention", "classifier"]
    graph = artifact.folder / "model.onnx"
    assert in_float(graph) == {"layer.1.attention", "classifier"}
    # of 14: 4 of attention and the classifier stay; fused, query, key and value are one
    assert in_int8(graph) == (9 if kept == "raw" else 7)
    described = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT).describe()
    assert described["kept_float"] == ["layer.1.attention", "classifier"]


def test_a_node_can_be_named_and_then_there_is_no_fused_candidate(
    boolq_folder: Path, exported: Path, tmp_path: Path
) -> None:
    """One of three products that fusing would merge."""
    shop = tiny.workshop(tmp_path, {"raw": 2.0, "fused": 1.0}, lent=exported)
    artifact = Int8Variant(keep_float=(QUERY,)).prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop)
    assert "merges a node that stays in float" in artifact.manifest["fusion"]
    assert artifact.manifest["graph"] == "raw"
    assert set(products(artifact.folder / "model.onnx")) == {QUERY}


def test_a_layer_stands_for_both_of_its_groups(graph: Path) -> None:
    """`layer.1` is layer.1.attention and layer.1.ffn, and not layer.10."""
    known = {**products(graph), "/x": "layer.10.ffn"}
    assert {known[node] for node in chosen(known, ["layer.1"])} == {"layer.1.attention", "layer.1.ffn"}


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("layer.1.atention", "layer.1.attention"),
        ("clasifier", "classifier"),
        (QUERY.replace("query", "quary"), QUERY),
        ("nothing like it", "Known: classifier, layer.0.attention"),
    ],
)
def test_an_unknown_operator_is_refused_with_the_nearest_names(
    boolq_folder: Path, exported: Path, tmp_path: Path, wrong: str, near: str
) -> None:
    """Before anything is quantised; nothing is left in the cache."""
    shop = tiny.workshop(tmp_path, lent=exported)
    for variant in (Int8Variant(keep_float=(wrong,)), StaticInt8Variant(keep_float=(wrong, "auto:1"))):
        with pytest.raises(UsageError) as refused:
            variant.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop)
        assert near in (refused.value.remedy or "")
    assert shop.cache.made == []  # type: ignore[attr-defined]


def test_leaving_everything_in_float_is_refused(boolq_folder: Path, exported: Path, tmp_path: Path) -> None:
    """It would be onnx-fp32 under another name."""
    variant = Int8Variant(keep_float=("layer", "pooler", "classifier"))
    with pytest.raises(UsageError, match="nothing to quantise"):
        variant.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.workshop(tmp_path, lent=exported))


@pytest.mark.parametrize("wrong", ["auto", "auto:0", "auto:x", ["classifier", 3], 7, ""])
def test_what_is_no_name_is_refused_at_once(wrong: Any) -> None:
    """Whatever a ladder's file may hold."""
    with pytest.raises(UsageError):
        Int8Variant(keep_float=wrong)


def test_one_name_is_as_good_as_a_list_of_one() -> None:
    """So that a ladder can say `keep_float: auto:2`."""
    assert as_names("auto:2") == as_names(["auto:2"]) == Int8Variant(keep_float="auto:2").keep_float  # type: ignore[arg-type]


def test_what_is_kept_is_part_of_the_key(boolq_folder: Path, exported: Path, tmp_path: Path) -> None:
    """Three different artifacts of one parent."""
    shop, sources = tiny.workshop(tmp_path, lent=exported), tiny.sources(boolq_folder)
    kept: list[tuple[str, ...]] = [(), ("classifier",), ("pooler",)]
    keys = {Int8Variant(keep_float=names).prepare(BOOLQ, sources, tiny.SHORT, shop).key for names in kept}
    assert len(keys) == 3


Spoil = Callable[[dict[str, Any]], None]


def changed(folder: Path, target: Path, spoil: Spoil) -> Path:
    """Copy a checkpoint and change its tensors."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(folder, target)
    tensors = load_file(target / "model.safetensors")
    spoil(tensors)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target


def outlier(tensors: dict[str, Any]) -> None:
    """Let one unit of the first layer's feed-forward give 3,000 always, and divide by that on the way out.

    In float that is a bias more. In int8 the 256 steps of the one scale are now spent on this unit.
    """
    into = "bert.encoder.layer.0.intermediate.dense"
    tensors[f"{into}.weight"][5] = 0.0
    tensors[f"{into}.bias"][5] = 3000.0
    tensors["bert.encoder.layer.0.output.dense.weight"][:, 5] /= 3000.0


@pytest.fixture(scope="module")
def planted(boolq_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a checkpoint whose layer.0.ffn does not bear one scale for its activations."""
    return changed(boolq_folder, tmp_path_factory.mktemp("planted") / "model", outlier)


def test_sensitivity_finds_the_layer_with_the_outlier(planted: Path, tmp_path: Path) -> None:
    """It comes first by far; every group is in the list, in order, with its figures."""
    shop, sources = tiny.workshop(tmp_path), tiny.sources(planted)
    parent = OnnxVariant().prepare(BOOLQ, sources, tiny.SHORT, shop)
    bench = CandidateTimer("test", BOOLQ, sources.trial, tiny.SHORT, shop)
    artifact, found = sensitivity(parent, bench)
    assert found[0].group == "layer.0.ffn"
    worst = [each.max_logit_difference for each in found]
    assert worst[0] > 3 * worst[1]
    assert worst == sorted(worst, reverse=True)
    assert {each.group for each in found} == set(GROUPS)
    assert all(0 <= each.equal_answers <= 1 for each in found)
    assert json.loads(json.dumps(dict(artifact.manifest)))["groups"][0]["group"] == "layer.0.ffn"
    assert not list(artifact.folder.glob("*.onnx")), "what was tried is not kept"
    again, _ = sensitivity(parent, bench)
    assert not again.fresh


def test_auto_makes_a_model_bearable_that_int8_broke(planted: Path, tmp_path: Path) -> None:
    """All in int8 it is refused, with the remedy; `auto:1` is the planted group, and then it agrees."""
    shop, sources = tiny.workshop(tmp_path), tiny.sources(planted)
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
    """There is nothing to measure on, and the message says what else to name."""
    with pytest.raises(UsageError, match="training examples") as refused:
        Int8Variant(keep_float=("auto:2",)).prepare(
            BOOLQ,
            PreparationSources(tiny.checkpoint_of(boolq_folder)),
            tiny.SHORT,
            tiny.workshop(tmp_path, lent=exported),
        )
    assert "layer.0.ffn" in str(refused.value)


def test_int8_agrees_with_float_within_a_bound(boolq_folder: Path, exported: Path, tmp_path: Path) -> None:
    """Dynamic and static: rounding shows, and is small beside the logits."""
    shop, sources = tiny.workshop(tmp_path, lent=exported), tiny.sources(boolq_folder, 12)
    answers = {}
    for variant in (OnnxVariant(), Int8Variant(), StaticInt8Variant()):
        artifact = variant.prepare(BOOLQ, sources, tiny.SHORT, shop)
        system = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
        answers[variant.name] = system.predict(system.encode(tiny.examples(20))).logits
    exact = answers.pop("onnx-fp32")
    for rounded in answers.values():
        worst = np.abs(rounded - exact).max()
        assert 0 < worst < 0.15 * np.abs(exact).max()
