"""Rivals give the same answers with settings that are read back, and say what they lack."""

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
from harness.common.errors import DataError, DeviceError
from harness.systems.interface import EncodedSequence, Placement, PreparationSources, Request, Settings
from harness.workload.tasks.example import Logits
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.quantization.openvino_int8 import OpenVinoInt8Variant
from optimized.quantization.torch_int8 import CompiledInt8Variant

COMPILED, COMPILED_BF16, INT8 = torch_compile.VARIANTS
OPENVINO_FP32, OPENVINO_BF16, OPENVINO_STREAMS, _ = openvino.VARIANTS
ASKED = tiny.examples(7)

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
    artifact = variant.prepare(BOOLQ, sources, settings, tiny.workshop(shelf))
    system = variant.load(BOOLQ, artifact, tiny.CPU, settings)
    found = system.predict(system.encode(ASKED)).logits
    said = dict(system.describe())
    system.close()
    return found, {**said, "manifest": dict(artifact.manifest)}


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
    """It computes in what it says, on one stream and one thread, whatever the CPU's own default is."""
    found, said = answers(OPENVINO_FP32, tiny.sources(boolq_folder), shelf, batch)
    np.testing.assert_allclose(found, exact, atol=1e-3)
    assert (said["threads"], said["streams"], said["hint"]) == (1, "1", "LATENCY")
    assert "float" in said["precision"] or said["precision"] == "f32"
    assert said["manifest"]["agreement"]["max_logit_difference"] < 1e-3


@needs_openvino
@pytest.mark.parametrize("batch", [1, 3])
def test_openvino_for_throughput_gives_each_request_its_own_answer(
    boolq_folder: Path, shelf: Path, exact: Logits, batch: int
) -> None:
    """However streams share requests, answers come in the order asked; the artifact is that for latency."""
    sources, settings = tiny.sources(boolq_folder), Settings(max_length=32, batch=batch)
    artifact = OPENVINO_STREAMS.prepare(BOOLQ, sources, settings, tiny.workshop(shelf))
    assert artifact.key == OPENVINO_FP32.prepare(BOOLQ, sources, settings, tiny.workshop(shelf)).key
    several = replace(tiny.CPU, threads=2)
    system = OPENVINO_STREAMS.load(BOOLQ, artifact, several, settings)
    many = system.predict(system.encode(ASKED * 9)).logits
    np.testing.assert_allclose(many, np.tile(exact, (9, 1)), atol=1e-3)
    alone = system.predict(system.encode(ASKED[:1])).logits
    np.testing.assert_allclose(alone, exact[:1], atol=1e-3)
    assert system.predict([]).logits.shape == (0, 2)
    assert (system.describe()["hint"], system.describe()["streams"]) == ("THROUGHPUT", "2")
    system.close()


@needs_openvino
def test_openvino_int8_for_throughput_is_the_model_for_latency(boolq_folder: Path, shelf: Path) -> None:
    """One artifact, the same answers."""
    latency = answers(OpenVinoInt8Variant(calibration=5), calibrated(boolq_folder), shelf)
    streams = OpenVinoInt8Variant("openvino-int8-throughput", calibration=5, hint="THROUGHPUT")
    found, said = answers(streams, calibrated(boolq_folder), shelf)
    assert said["hint"] == "THROUGHPUT"
    assert said["manifest"] == latency[1]["manifest"]
    np.testing.assert_allclose(found, latency[0], atol=1e-3)


@needs_openvino
@needs_bf16
def test_openvino_in_bfloat16_rounds_and_says_so(boolq_folder: Path, shelf: Path, exact: Logits) -> None:
    """Eight bits of mantissa: close to the float answers, and not equal to them."""
    found, said = answers(OPENVINO_BF16, tiny.sources(boolq_folder), shelf)
    assert 0 < np.abs(found - exact).max() < 0.2 * np.abs(exact).max()
    assert "bf" in said["precision"]


@needs_openvino
def test_openvino_int8_takes_its_scales_from_training_examples(
    boolq_folder: Path, shelf: Path, exact: Logits
) -> None:
    """The manifest says how many and of which file, and how far the answers are from float32's."""
    found, said = answers(OpenVinoInt8Variant(calibration=5), calibrated(boolq_folder), shelf)
    manifest = said["manifest"]
    assert manifest["calibration"]["examples"] == 5
    assert manifest["calibration"]["data_sha256"] == "a" * 64
    assert 0 < manifest["agreement"]["max_logit_difference"] < manifest["agreement"]["bound"]
    assert np.abs(found - exact).max() < manifest["agreement"]["bound"]


@needs_openvino
def test_openvino_int8_refuses_to_go_without_training_examples(boolq_folder: Path, shelf: Path) -> None:
    """Before anything is converted."""
    with pytest.raises(DataError, match="training examples"):
        OpenVinoInt8Variant().prepare(
            BOOLQ, tiny.sources(boolq_folder, 0), tiny.SHORT, tiny.workshop(shelf / "empty")
        )


@needs_openvino
def test_openvino_is_loaded_without_its_telemetry(tmp_path: Path) -> None:
    """It would write a folder into the home directory on import; NNCF would ask to report as well."""
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
    found, said = answers(INT8, tiny.sources(boolq_folder), shelf)
    assert 0 < np.abs(found - exact).max() < 0.5 * np.abs(exact).max()
    assert said["weights"].startswith("int8")
    assert said["quantized_engine"] != "none"


@needs_compiler
def test_a_compiled_model_is_the_same_model_at_any_length(
    boolq_folder: Path, shelf: Path, exact: Logits
) -> None:
    """Its shapes are dynamic from the start, so no length falls back to another graph."""
    found, said = answers(COMPILED, tiny.sources(boolq_folder), shelf)
    np.testing.assert_allclose(found, exact, atol=1e-4)
    assert "frozen" in said["compiled"]


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


def test_without_the_extra_the_line_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every engine of an extra names it."""

    def absent(name: str) -> str:
        raise optional_packages.PackageNotFoundError(name)

    monkeypatch.setattr(optional_packages, "version", absent)
    wanted = {OPENVINO_FP32: "openvino", OpenVinoInt8Variant(): "openvino", CompiledInt8Variant(): "torchao"}
    for variant, extra in wanted.items():
        assert f"pip install 'fastformers-bench[{extra}]'" in str(variant.unavailable())


@pytest.mark.parametrize(
    ("variant", "device", "said"),
    [(INT8, "cuda", "runs on the CPU"), (COMPILED, "cuda:9", "cuda:9 is not there")],
    ids=["int8", "compiled"],
)
def test_a_device_that_is_none_for_it_is_refused(
    boolq_folder: Path, shelf: Path, variant: Any, device: str, said: str
) -> None:
    """Before a weight is loaded."""
    artifact = variant.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.workshop(shelf))
    with pytest.raises(DeviceError, match=said):
        variant.load(BOOLQ, artifact, Placement(device, (0,), 1), tiny.SHORT)


def test_rivals_stand_in_the_table() -> None:
    """Under the names that users type."""
    names = [variant.name for variant in variants()]
    assert {"pytorch-compiled", "pytorch-compiled-bf16", "pytorch-int8", "openvino-fp32"} <= set(names)


def test_an_engine_that_compiles_for_each_length_is_given_few_of_them() -> None:
    """Multiples of 16 and the maximum; a call is padded to the next, and its mask says what is padding."""
    widths = openvino.compiled_lengths(50)
    assert widths == (16, 32, 48, 50)
    seen: list[tuple[int, int]] = []

    def run(padded: Padded) -> Logits:
        seen.append((padded.ids.shape[1], int(padded.mask.sum())))
        return np.zeros((len(padded.ids), 2), dtype=np.float32)

    ids = [np.ones(length, dtype=np.int64) for length in (1, 16, 17, 49, 50)]
    asked = [Request(str(at), (EncodedSequence(each, each),)) for at, each in enumerate(ids)]
    Batching(1, 0, (0, 1), widths=widths).answer(asked, run)
    assert seen == [(16, 1), (16, 16), (32, 17), (50, 49), (50, 50)]
    seen.clear()
    openvino.warm_up(run, widths, pad_id=0, spans=False)
    assert [width for width, _ in seen] == list(widths)


@pytest.mark.skipif(CompiledInt8Variant().unavailable() is not None, reason="extra torchao, a C++ compiler")
def test_pytorchs_exported_int8_is_close_before_it_is_compiled(
    boolq_folder: Path, shelf: Path, exact: Logits
) -> None:
    """The program takes any length and number of sequences; compiling takes a minute, and is not tried."""
    import torch

    sources = replace(calibrated(boolq_folder), trial=())
    variant = CompiledInt8Variant(calibration=5)
    artifact = variant.prepare(BOOLQ, sources, tiny.SHORT, tiny.workshop(shelf))
    assert artifact.manifest["calibration"]["examples"] == 5
    assert "no trial examples" in artifact.manifest["agreement"]
    program = torch.export.load(artifact.folder / "program.pt2").module()
    encoder = TextEncoder(artifact.folder, 32)

    def run(padded: Padded) -> Logits:
        arrays = {name: torch.from_numpy(array) for name, array in padded.arrays().items()}
        with torch.no_grad():
            found: Logits = program(arrays).numpy()
        return found

    for batch in (1, 3):
        asked = encoder.encode(ASKED)
        found = Batching(batch, encoder.pad_id, (0, 1)).answer(asked, run).logits
        assert 0 < np.abs(found - exact).max() < 0.5 * np.abs(exact).max()
