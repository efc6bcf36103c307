"""Variants that need a GPU are unavailable without one; ONNX Runtime's two distributions are told apart."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nvml import FakeNvml
from worlds import World, boolq_folder

from baselines.checkpoints import artifacts
from baselines.checkpoints.artifacts import library_versions
from baselines.engines.onnx import cuda
from baselines.engines.onnx.cuda import PROVIDER, OnnxCudaVariant, open_on_cuda, wrong_onnxruntime
from baselines.models.cuda import NO_GPU, cuda_index, require_cuda, sees_gpu
from harness.cli.app import call
from harness.common.errors import DeviceError
from harness.systems.interface import Placement
from harness.testing.world import altered
from optimized.batching import cuda_graphs

LINES = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'onnxruntime-gpu>=1.22'"


def test_the_driver_reports_whether_there_is_a_gpu() -> None:
    """A driver with a board, and one that does not start."""
    assert sees_gpu(FakeNvml())
    assert not sees_gpu(FakeNvml(broken="nvmlInit"))


def test_cuda_is_its_first_board() -> None:
    """`cuda:N` is board N."""
    assert (cuda_index("cuda"), cuda_index("cuda:3")) == (0, 3)
    with pytest.raises(DeviceError, match="not a CUDA device: cpu"):
        cuda_index("cpu")


def test_a_variant_for_cuda_refuses_the_cpu() -> None:
    """With the option to use instead."""
    require_cuda("x", "cuda:1")
    with pytest.raises(DeviceError, match="x runs on CUDA only, not on cpu") as refused:
        require_cuda("x", "cpu")
    assert "--device cuda" in str(refused.value)


@pytest.mark.parametrize(
    ("installed", "message"),
    [
        ({"onnxruntime", "onnxruntime-gpu"}, "both installed and overwrite one another"),
        ({"onnxruntime"}, "needs onnxruntime-gpu in place of onnxruntime"),
        (set(), "needs onnxruntime-gpu"),
        ({"onnxruntime-gpu"}, None),
    ],
)
def test_the_two_distributions_of_onnx_runtime_are_told_apart(
    installed: set[str], message: str | None
) -> None:
    """Each trouble with the lines that end it."""
    problem = wrong_onnxruntime(installed.__contains__)
    if message is None:
        assert problem is None
        return
    assert problem is not None
    assert message in problem
    assert problem.endswith(LINES)


def test_without_a_gpu_the_variants_that_need_one_are_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing package is reported first."""
    monkeypatch.setattr(cuda, "wrong_onnxruntime", lambda: None)
    for module in (cuda, cuda_graphs):
        monkeypatch.setattr(module, "sees_gpu", lambda: False)
    assert OnnxCudaVariant().unavailable() == NO_GPU
    assert cuda_graphs.VARIANTS[0].unavailable() == NO_GPU
    monkeypatch.setattr(cuda, "sees_gpu", lambda: True)
    assert OnnxCudaVariant().unavailable() is None


def test_a_clash_is_refused_by_the_command_and_explained_by_doctor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both distributions: if named, the run ends with 2 and the commands to run; doctor reports them too."""
    monkeypatch.setattr(cuda, "wrong_onnxruntime", partial(wrong_onnxruntime, lambda _name: True))
    world = World(tmp_path)
    world.catalog = replace(
        world.catalog, variants={**world.catalog.variants, "onnx-cuda": OnnxCudaVariant()}
    )
    world.machine = altered(world.machine, check_device=lambda _device: None)
    arguments = ["--device", "cuda:0", "--variants", "onnx-cuda", "--data", str(boolq_folder(tmp_path))]
    assert call(["run", "-q", *arguments], world.context()) == 2
    stderr = capsys.readouterr().err
    assert "onnx-cuda cannot run here: onnxruntime and onnxruntime-gpu are both installed" in stderr
    assert LINES in stderr
    assert call(["doctor", "--json"], world.context()) == 0
    assert LINES in json.loads(capsys.readouterr().out)["variants"]["onnx-cuda"]


class FakeRuntime:
    """A fake of onnxruntime with `available` providers, whose sessions have those in `started`."""

    def __init__(self, available: Sequence[str], started: Sequence[str]) -> None:
        self.available, self.started = list(available), list(started)
        self.opened: Any = None
        self.ExecutionMode = SimpleNamespace(ORT_SEQUENTIAL=0)
        self.GraphOptimizationLevel = SimpleNamespace(ORT_ENABLE_ALL=99)

    def get_available_providers(self) -> list[str]:
        return self.available

    def disable_telemetry_events(self) -> None:
        """Do nothing: the fake has no telemetry."""

    def SessionOptions(self) -> Any:  # noqa: N802 -- its name
        return SimpleNamespace(add_session_config_entry=lambda *_words: None)

    def InferenceSession(self, path: str, options: Any, providers: Any) -> Any:  # noqa: N802 -- its name
        self.opened = (path, options, providers)
        return SimpleNamespace(get_providers=lambda: self.started)


ON_BOARD_1 = Placement("cuda:1", (0, 1), threads=2)


def test_a_session_is_opened_on_the_board_in_float32_proper() -> None:
    """The provider's default would round to TF32, which the baseline does not."""
    runtime = FakeRuntime([PROVIDER], [PROVIDER, "CPUExecutionProvider"])
    open_on_cuda("model.onnx", ON_BOARD_1, runtime)
    path, options, providers = runtime.opened
    assert path == "model.onnx"
    assert providers[0] == (PROVIDER, {"device_id": "1", "use_tf32": "0"})
    assert options.intra_op_num_threads == 2


@pytest.mark.parametrize(
    ("available", "started", "message"),
    [
        (["CPUExecutionProvider"], ["CPUExecutionProvider"], f"has no {PROVIDER}"),
        ([PROVIDER], ["CPUExecutionProvider"], "would run on the CPU"),
    ],
)
def test_no_session_falls_back_to_the_cpu(available: list[str], started: list[str], message: str) -> None:
    """ONNX Runtime would, with a warning."""
    with pytest.raises(DeviceError, match=message):
        open_on_cuda("model.onnx", ON_BOARD_1, FakeRuntime(available, started))


def test_the_version_of_onnx_runtime_is_that_of_the_distribution_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With onnxruntime-gpu in place of onnxruntime, the variants on the CPU still find theirs."""

    def version(name: str) -> str:
        if name == "onnxruntime-gpu":
            return "9.9"
        raise artifacts.PackageNotFoundError(name)

    monkeypatch.setattr(artifacts, "version", version)
    assert library_versions("onnxruntime") == {"onnxruntime": "9.9"}
    with pytest.raises(artifacts.PackageNotFoundError):
        library_versions("torch")
