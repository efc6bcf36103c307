"""Other engines give the same answers, report their settings, and name what they lack."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from baselines.checkpoints import optional_packages
from baselines.checkpoints.artifacts import cpu_has_bf16
from baselines.encoding.batching import Batching, Padded
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines import openvino, pytorch, torch_compile
from baselines.registry import variants
from harness.common.errors import DataError, DeviceError, UsageError
from harness.systems.interface import EncodedSequence, Placement, PreparationSources, Request, Settings
from harness.workload.tasks.example import Logits
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.ladders.rung import engine_of
from optimized.quantization.openvino_int8 import OpenVinoInt8Variant
from optimized.quantization.torch_int8 import CompiledInt8Variant

COMPILED, COMPILED_BF16, INT8 = torch_compile.VARIANTS
OPENVINO_FP32, OPENVINO_BF16, OPENVINO_STREAMS, _ = openvino.VARIANTS
EXAMPLES = tiny.examples(7)

needs_openvino = pytest.mark.skipif(OPENVINO_FP32.unavailable() is not None, reason="extra openvino")
needs_bf16 = pytest.mark.skipif(not cpu_has_bf16(), reason="a CPU without bfloat16")
needs_compiler = pytest.mark.skipif(COMPILED.unavailable() is not None, reason="no C++ compiler on PATH")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the module, so that a graph is exported once."""
    return tmp_path_factory.mktemp("shelf")


def answers(
    variant: Any, sources: PreparationSources, shelf: Path, batch: int = 1
) -> tuple[Logits, dict[str, Any]]:
    """Prepare, load, answer and describe."""
    settings = Settings(max_length=32, batch=batch)
    artifact = variant.prepare(BOOLQ, sources, settings, tiny.preparation_context(shelf))
    system = variant.load(BOOLQ, artifact, tiny.CPU, settings)
    logits = system.predict(system.encode(EXAMPLES)).logits
    description = dict(system.describe())
    system.close()
    return logits, {**description, "manifest": dict(artifact.manifest)}


@pytest.fixture(scope="module")
def exact(boolq_folder: Path, shelf: Path) -> Logits:
    """Return PyTorch's own answers."""
    return answers(pytorch.VARIANTS[1], tiny.sources(boolq_folder), shelf)[0]


def calibrated(folder: Path) -> PreparationSources:
    """Return sources with a training split."""
    return replace(tiny.sources(folder, 6), training=lambda: tiny.examples(9), training_sha256="a" * 64)


@needs_openvino
@pytest.mark.parametrize("batch", [1, 3])
def test_openvino_in_float32_is_the_same_model(
    boolq_folder: Path, shelf: Path, exact: Logits, batch: int
) -> None:
    """It computes in the reported precision, on one stream and one thread, whatever the CPU's default is."""
    logits, description = answers(OPENVINO_FP32, tiny.sources(boolq_folder), shelf, batch)
    np.testing.assert_allclose(logits, exact, atol=1e-3)
    assert (description["threads"], description["streams"], description["hint"]) == (1, "1", "LATENCY")
    assert "float" in description["precision"] or description["precision"] == "f32"
    assert description["manifest"]["agreement"]["max_logit_difference"] < 1e-3


@needs_openvino
@pytest.mark.parametrize("batch", [1, 3])
def test_openvino_for_throughput_gives_each_request_its_own_answer(
    boolq_folder: Path, shelf: Path, exact: Logits, batch: int
) -> None:
    """Answers are in the order of the requests, whichever stream runs them; the artifact is shared."""
    sources, settings = tiny.sources(boolq_folder), Settings(max_length=32, batch=batch)
    artifact = OPENVINO_STREAMS.prepare(BOOLQ, sources, settings, tiny.preparation_context(shelf))
    assert (
        artifact.key == OPENVINO_FP32.prepare(BOOLQ, sources, settings, tiny.preparation_context(shelf)).key
    )
    several = replace(tiny.CPU, threads=2)
    system = OPENVINO_STREAMS.load(BOOLQ, artifact, several, settings)
    many = system.predict(system.encode(EXAMPLES * 9)).logits
    np.testing.assert_allclose(many, np.tile(exact, (9, 1)), atol=1e-3)
    alone = system.predict(system.encode(EXAMPLES[:1])).logits
    np.testing.assert_allclose(alone, exact[:1], atol=1e-3)
    assert system.predict([]).logits.shape == (0, 2)
    assert (system.describe()["hint"], system.describe()["streams"]) == ("THROUGHPUT", "2")
    system.close()


@needs_openvino
def test_openvino_int8_for_throughput_is_the_model_for_latency(boolq_folder: Path, shelf: Path) -> None:
    """One artifact, the same answers."""
    latency = answers(OpenVinoInt8Variant(calibration=5), calibrated(boolq_folder), shelf)
    streams = OpenVinoInt8Variant("openvino-int8-throughput", calibration=5, hint="THROUGHPUT")
    logits, description = answers(streams, calibrated(boolq_folder), shelf)
    assert description["hint"] == "THROUGHPUT"
    assert description["manifest"] == latency[1]["manifest"]
    np.testing.assert_allclose(logits, latency[0], atol=1e-3)


@needs_openvino
@needs_bf16
def test_openvino_in_bfloat16_rounds_and_reports_it(boolq_folder: Path, shelf: Path, exact: Logits) -> None:
    """Eight bits of mantissa: close to the float answers, and not equal to them."""
    logits, description = answers(OPENVINO_BF16, tiny.sources(boolq_folder), shelf)
    assert 0 < np.abs(logits - exact).max() < 0.2 * np.abs(exact).max()
    assert "bf" in description["precision"]


@needs_openvino
def test_openvino_int8_takes_its_scales_from_training_examples(
    boolq_folder: Path, shelf: Path, exact: Logits
) -> None:
    """The manifest holds their number, the file's hash, and the difference from the float32 answers."""
    logits, description = answers(OpenVinoInt8Variant(calibration=5), calibrated(boolq_folder), shelf)
    manifest = description["manifest"]
    assert manifest["calibration"]["examples"] == 5
    assert manifest["calibration"]["data_sha256"] == "a" * 64
    assert 0 < manifest["agreement"]["max_logit_difference"] < manifest["agreement"]["bound"]
    assert np.abs(logits - exact).max() < manifest["agreement"]["bound"]


@needs_openvino
def test_openvino_int8_refuses_to_go_without_training_examples(boolq_folder: Path, shelf: Path) -> None:
    """Before anything is converted."""
    with pytest.raises(DataError, match="training examples"):
        OpenVinoInt8Variant().prepare(
            BOOLQ, tiny.sources(boolq_folder, 0), tiny.SHORT, tiny.preparation_context(shelf / "empty")
        )


@needs_openvino
def test_openvino_is_loaded_without_its_telemetry(tmp_path: Path) -> None:
    """It would write a folder into the home directory on import; NNCF would enable it as well."""
    code = (
        "import sys\n"
        "from baselines.engines.openvino import load_openvino\n"
        "from optimized.quantization.openvino_int8 import load_nncf\n"
        "load_openvino(), load_nncf()\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert not (tmp_path / "intel").exists()


def test_int8_of_pytorch_rounds_the_products(boolq_folder: Path, shelf: Path, exact: Logits) -> None:
    """Near the float answers, not equal; the engine that computes them is named."""
    logits, description = answers(INT8, tiny.sources(boolq_folder), shelf)
    assert 0 < np.abs(logits - exact).max() < 0.5 * np.abs(exact).max()
    assert description["weights"].startswith("int8")
    assert description["quantized_engine"] != "none"


@needs_compiler
def test_a_compiled_model_is_the_same_model_at_any_length(
    boolq_folder: Path, shelf: Path, exact: Logits
) -> None:
    """Its shapes are dynamic from the start, so no length falls back to another graph."""
    logits, description = answers(COMPILED, tiny.sources(boolq_folder), shelf)
    np.testing.assert_allclose(logits, exact, atol=1e-4)
    assert "frozen" in description["compiled"]


def test_a_rung_asks_the_compiler_to_time_kernels(
    boolq_folder: Path, shelf: Path, exact: Logits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inductor gets the mode, without CUDA graphs, and the description has it; timing takes minutes."""
    import torch

    asked: list[str] = []

    def compile_nothing(model: Any, *, dynamic: bool, mode: str) -> Any:
        assert dynamic
        asked.append(mode)
        return model

    monkeypatch.setattr(torch, "compile", compile_nothing)
    tuned = engine_of("pytorch-compiled", {"mode": "max-autotune"})
    logits, description = answers(tuned, tiny.sources(boolq_folder), shelf)
    np.testing.assert_allclose(logits, exact, atol=1e-5)
    assert asked == ["max-autotune-no-cudagraphs"]
    assert description["compiled"].endswith("dynamic shapes, max-autotune-no-cudagraphs")


@pytest.mark.parametrize(
    ("engine", "mode"),
    [("pytorch-compiled", "fastest"), ("pytorch-compiled", 3), ("pytorch-int8", "max-autotune")],
)
def test_a_mode_that_the_compiler_lacks_is_refused(engine: str, mode: Any) -> None:
    """Before anything is prepared; what does not compile has the default alone."""
    with pytest.raises(UsageError, match=f"mode must be default.*got {mode!r}"):
        engine_of(engine, {"mode": mode})


def test_without_a_compiler_its_absence_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing on PATH and no CXX: what is needed, and how to name it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    reason = COMPILED.unavailable()
    assert reason is not None
    assert "g++" in reason
    assert "CXX" in reason
    assert INT8.unavailable() is None
    monkeypatch.setenv("CXX", shutil.which("python3") or sys.executable)
    assert COMPILED.unavailable() is None


def test_without_the_extra_the_reason_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every engine of an extra names it."""

    def absent(name: str) -> str:
        raise optional_packages.PackageNotFoundError(name)

    monkeypatch.setattr(optional_packages, "version", absent)
    openvino = "pip install 'openvino>=2025.3' 'nncf>=2.18'"
    for variant in (OPENVINO_FP32, OpenVinoInt8Variant()):
        assert str(variant.unavailable()).endswith(openvino)
    assert str(CompiledInt8Variant().unavailable()).endswith("pip install 'torchao>=0.14'")


@pytest.mark.parametrize(
    ("variant", "device", "message"),
    [(INT8, "cuda", "runs on the CPU only"), (COMPILED, "cuda:9", "cuda:9 is not there")],
    ids=["int8", "compiled"],
)
def test_a_device_that_it_cannot_use_is_refused(
    boolq_folder: Path, shelf: Path, variant: Any, device: str, message: str
) -> None:
    """Before a weight is loaded."""
    artifact = variant.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(shelf))
    with pytest.raises(DeviceError, match=message):
        variant.load(BOOLQ, artifact, Placement(device, (0,), 1), tiny.SHORT)


def test_other_engines_are_in_the_table() -> None:
    """Under the names that users type."""
    names = [variant.name for variant in variants()]
    assert {"pytorch-compiled", "pytorch-compiled-bf16", "pytorch-int8", "openvino-fp32"} <= set(names)


def test_an_engine_that_compiles_for_each_length_is_given_few_of_them() -> None:
    """Multiples of 16 and the maximum; a call is padded to the next, and its mask marks the padding."""
    widths = openvino.compiled_lengths(50)
    assert widths == (16, 32, 48, 50)
    shapes: list[tuple[int, int]] = []

    def run(padded: Padded) -> Logits:
        shapes.append((padded.ids.shape[1], int(padded.mask.sum())))
        return np.zeros((len(padded.ids), 2), dtype=np.float32)

    ids = [np.ones(length, dtype=np.int64) for length in (1, 16, 17, 49, 50)]
    requests = [Request(str(at), (EncodedSequence(zeros, zeros),)) for at, zeros in enumerate(ids)]
    Batching(1, 0, (0, 1), widths=widths).answer(requests, run)
    assert shapes == [(16, 1), (16, 16), (32, 17), (50, 49), (50, 50)]
    shapes.clear()
    openvino.warm_up(run, widths, pad_id=0, spans=False)
    assert [width for width, _ in shapes] == list(widths)


@pytest.mark.skipif(CompiledInt8Variant().unavailable() is not None, reason="extra torchao, a C++ compiler")
def test_pytorchs_exported_int8_is_close_before_it_is_compiled(
    boolq_folder: Path, shelf: Path, exact: Logits
) -> None:
    """The program takes any length and number of sequences; compiling takes a minute, and is not tried."""
    import torch

    sources = replace(calibrated(boolq_folder), trial=())
    variant = CompiledInt8Variant(calibration=5)
    artifact = variant.prepare(BOOLQ, sources, tiny.SHORT, tiny.preparation_context(shelf))
    assert artifact.manifest["calibration"]["examples"] == 5
    assert "no trial examples" in artifact.manifest["agreement"]
    program = torch.export.load(artifact.folder / "program.pt2").module()
    encoder = TextEncoder(artifact.folder, 32)

    def run(padded: Padded) -> Logits:
        arrays = {name: torch.from_numpy(array) for name, array in padded.arrays().items()}
        with torch.no_grad():
            logits: Logits = program(arrays).numpy()
        return logits

    for batch in (1, 3):
        requests = encoder.encode(EXAMPLES)
        logits = Batching(batch, encoder.pad_id, (0, 1)).answer(requests, run).logits
        assert 0 < np.abs(logits - exact).max() < 0.5 * np.abs(exact).max()
