"""Tuned session options: faster changes are kept, and padded calls use the mask."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tiny

from baselines.checkpoints.folder import read_config
from baselines.engines.agreement import probes
from baselines.engines.onnx.runtime import GRAPH, OnnxVariant, open_session, runner
from harness.systems.interface import Settings
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.graphs.maskless import without_mask
from optimized.quantization.onnx_dynamic import Int8Variant
from optimized.quantization.onnx_tuned import CHANGES, MASKLESS, TunedVariant

VARIANT = TunedVariant()


@pytest.fixture(scope="module")
def parents(boolq_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache with the exported graph and its int8 form."""
    root = tmp_path_factory.mktemp("parents")
    Int8Variant().prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(root))
    return root


def prepared(folder: Path, cache: Path, times: dict[str, float], lent: Path, trial: int = 6) -> Any:
    """Prepare with these times per request; the others take 1.0."""
    shop = tiny.preparation_context(cache, times, lent=lent)
    return VARIANT.prepare(BOOLQ, tiny.sources(folder, trial), tiny.SHORT, shop)


@pytest.mark.parametrize("fused", [False, True], ids=["raw", "fused"])
def test_a_graph_without_mask_gives_the_same_answers_where_nothing_is_padded(
    boolq_folder: Path, exported: Path, tmp_path: Path, fused: bool
) -> None:
    """Two layers use it twice; then the mask is not an input, and dozens of nodes are removed."""
    times = {"raw": 2.0, "fused": 1.0} if fused else {"raw": 1.0, "fused": 2.0}
    shop = tiny.preparation_context(tmp_path, times, lent=exported)
    folder = Int8Variant().prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop).folder
    assert without_mask(folder / GRAPH, tmp_path / MASKLESS) == 2
    before, after = (onnx.load(str(path)).graph for path in (folder / GRAPH, tmp_path / MASKLESS))
    assert "attention_mask" not in [value.name for value in after.input]
    assert len(after.node) < len(before.node)
    masked, maskless = (
        runner(open_session(path, tiny.CPU)) for path in (folder / GRAPH, tmp_path / MASKLESS)
    )
    for padded in probes(read_config(folder)):
        if padded.mask.all():
            np.testing.assert_allclose(maskless(padded), masked(padded), atol=1e-5)


def test_a_graph_without_mask_is_unchanged(boolq_folder: Path, parents: Path, tmp_path: Path) -> None:
    """No file is written."""
    shop = tiny.preparation_context(tmp_path, lent=parents)
    folder = OnnxVariant().prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop).folder
    assert without_mask(folder / GRAPH, tmp_path / "once.onnx") == 2
    assert without_mask(tmp_path / "once.onnx", tmp_path / "twice.onnx") == 0
    assert not (tmp_path / "twice.onnx").exists()


def test_clearly_faster_changes_are_combined(boolq_folder: Path, parents: Path, tmp_path: Path) -> None:
    """Two changes gain 10 % or more, one gains 1 %, which is noise; both together are faster still."""
    times = {"plain": 1.0, "no mask": 0.8, "io binding": 0.9, "no arena": 0.99, "together": 0.7}
    manifest = prepared(boolq_folder, tmp_path, times, parents).manifest
    assert manifest["around"] == ["no mask", "io binding"]
    assert manifest["maskless"] == 2
    seconds = manifest["trials"]["seconds_per_request"]
    assert set(seconds) == {"plain", "together", *CHANGES}
    assert seconds["together"] == pytest.approx(0.7)
    assert manifest["weights"] == "int8, per channel"


def test_the_best_change_is_kept_where_the_combination_is_slower(
    boolq_folder: Path, parents: Path, tmp_path: Path
) -> None:
    """0.8 alone against 0.9 together."""
    times = {"no mask": 0.8, "io binding": 0.9, "together": 0.9}
    assert prepared(boolq_folder, tmp_path, times, parents).manifest["around"] == ["no mask"]


def test_the_plain_session_is_kept_where_no_change_is_faster(
    boolq_folder: Path, parents: Path, tmp_path: Path
) -> None:
    """Also without examples, with unavailable times."""
    assert prepared(boolq_folder, tmp_path / "a", {}, parents).manifest["around"] == []
    manifest = prepared(boolq_folder, tmp_path / "b", {}, parents, trial=0).manifest
    assert manifest["around"] == []
    assert "unavailable" in manifest["trials"]


@pytest.mark.parametrize("names", [[], *([name] for name in CHANGES), list(CHANGES)], ids="+".join)
def test_any_choice_answers_the_same_padded_or_not(
    boolq_folder: Path, parents: Path, tmp_path: Path, names: list[str]
) -> None:
    """One request per call is never padded; of three, most are, and use the graph with the mask."""
    times = dict.fromkeys(names, 0.5) | ({"together": 0.1} if len(names) > 1 else {})
    artifact = prepared(boolq_folder, tmp_path, times, parents)
    assert sorted(artifact.manifest["around"]) == sorted(names)
    for batch in (1, 3):
        settings = Settings(max_length=32, batch=batch)
        system = VARIANT.load(BOOLQ, artifact, tiny.CPU, settings)
        plain = Int8Variant().load(BOOLQ, artifact, tiny.CPU, settings)
        requests = system.encode(tiny.examples(5))
        np.testing.assert_allclose(system.predict(requests).logits, plain.predict(requests).logits, atol=1e-5)
        assert sorted(system.describe()["around"]) == sorted(names)
        system.close()
