from pathlib import Path

import pytest

from baselines.registry import variants as baseline_variants
from harness.common.errors import UsageError
from harness.records.ladder import parse_ladder
from harness.systems.interface import Artifact, Settings, Variant
from optimized.adaptive.cascade import CascadeVariant
from optimized.exported.registry import engine_files, exported_engine, not_exported_because, text_folder
from optimized.fastest import FastestVariant
from optimized.ladders import LADDERS
from optimized.ladders.rung import variant_of
from optimized.quantization.onnx_tuned import TunedVariant
from optimized.registry import variants as optimized_variants

ALL = {variant.name: variant for variant in (*baseline_variants(), *optimized_variants())}
HOW = Settings(max_length=64)


def test_every_variant_has_an_engine_or_a_reason_and_never_both() -> None:
    """By name, so that a new variant has to be decided on."""
    able = {name for name, variant in ALL.items() if exported_engine(variant)}
    assert able == {
        *("onnx-fp32", "onnx-fused", "onnx-int8", "onnx-int8-static", "onnx-int8-tuned", "onnx-int8-batched"),
        *("native-int8", "fastest", "ctranslate2-fp32", "ctranslate2-int8", "openvino-fp32", "openvino-bf16"),
        *(
            "openvino-fp32-throughput",
            "openvino-bf16-throughput",
            "openvino-int8",
            "openvino-int8-throughput",
        ),
        "openvino-int8-batched",
    }
    for variant in ALL.values():
        assert (exported_engine(variant) is None) == (not_exported_because(variant) is not None)


def test_the_reason_is_a_fact_of_the_variant() -> None:
    """Not of the task or the machine."""
    assert "PyTorch" in str(not_exported_because(ALL["pytorch-packed-bf16"]))
    assert "drops tokens" in str(not_exported_because(ALL["onnx-tokens-int8"]))
    assert "stops at an exit" in str(not_exported_because(ALL["onnx-exits"]))
    assert not_exported_because(ALL["null"]) == "it has no model"
    choosing = FastestVariant((ALL["onnx-int8"], ALL["pytorch-int8"]))
    assert not_exported_because(choosing) == "it may choose pytorch-int8, which cannot"


@pytest.mark.parametrize("name", sorted(LADDERS))
def test_a_rung_is_exported_as_its_engine_is(name: str) -> None:
    """Pruned, distilled, with several instances: the recipes change the checkpoint, not the engine."""
    for rung in parse_ladder(LADDERS[name], name, {}).rungs:
        variant = variant_of(rung.words())
        inner: Variant = variant.engine
        if isinstance(inner, CascadeVariant):
            assert "next stage" in str(not_exported_because(variant))
        else:
            assert exported_engine(variant) == exported_engine(ALL[rung.engine])


def test_a_chosen_or_batched_variant_is_exported_from_the_artifact_that_it_wraps(tmp_path: Path) -> None:
    """The files are those of the inner folder."""
    inner = tmp_path / "system"
    inner.mkdir()
    (inner / "model.onnx").write_text("")
    wrapped = {"key": "inner", "around": []}
    artifact = Artifact(tmp_path, "outer", {"chosen": "onnx-int8", "system": wrapped})
    for variant in (ALL["fastest"], ALL["onnx-int8-batched"]):
        assert engine_files(variant, artifact, HOW).files == {"model.onnx": inner / "model.onnx"}
    assert text_folder(artifact).folder == inner


def test_tuned_session_options_go_along(tmp_path: Path) -> None:
    """A winner's speed is what its options give it."""
    for name in ("model.onnx", "maskless.onnx"):
        (tmp_path / name).write_text("")
    manifest = {"around": ["no mask", "no arena", "denormals as zero", "io binding", "no spinning"]}
    files = engine_files(TunedVariant(), Artifact(tmp_path, "key", manifest), HOW)
    assert set(files.files) == {"model.onnx", "maskless.onnx"}
    assert files.settings == {
        "engine": "onnxruntime",
        "model": "model.onnx",
        "maskless": "maskless.onnx",
        "arena": False,
        "io_binding": True,
        "session": {"session.intra_op.allow_spinning": "0", "session.set_denormal_as_zero": "1"},
    }
    plain = engine_files(TunedVariant(), Artifact(tmp_path, "key", {"around": []}), HOW)
    assert set(plain.files) == {"model.onnx"}


def test_a_variant_from_elsewhere_is_exported_if_its_artifact_has_a_graph(tmp_path: Path) -> None:
    """A plug-in's, say."""

    class Other:
        name, summary = "other", "from elsewhere"

    with pytest.raises(UsageError, match=r"its artifact has no model\.onnx"):
        engine_files(Other(), Artifact(tmp_path, "key", {}), HOW)  # type: ignore[arg-type]
    (tmp_path / "model.onnx").write_text("")
    assert engine_files(Other(), Artifact(tmp_path, "key", {}), HOW).files  # type: ignore[arg-type]


def test_a_refused_variant_is_refused_after_preparation_too() -> None:
    """Whoever calls the function."""
    with pytest.raises(UsageError, match="cannot be exported, because it has no model"):
        engine_files(ALL["null"], Artifact(Path(), "key", {}), HOW)
