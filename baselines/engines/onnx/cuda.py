"""ONNX Runtime on NVIDIA boards: the fp32 graph with its CUDA provider.

`onnxruntime` and `onnxruntime-gpu` are two distributions of one module: each overwrites files of the other,
and removing one leaves the other broken. Both at once, or the wrong one, is said and refused. So is a session
that was opened without the provider: ONNX Runtime would fall back to the CPU and only mention it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from baselines.checkpoints.artifacts import missing_modules
from baselines.engines.device_queue import DeviceQueue
from baselines.engines.onnx.runtime import GRAPH, OnnxVariant, open_graph, session_options
from baselines.models.cuda import NO_GPU, cuda_index, require_cuda, sees_gpu
from harness.common.errors import DeviceError
from harness.systems.interface import (
    Artifact,
    Placement,
    PreparationContext,
    PreparationSources,
    Settings,
    System,
)
from harness.workload.tasks.base import Task

PROVIDER = "CUDAExecutionProvider"

SWAP = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'onnxruntime-gpu>=1.22'"
"""What leaves one whole distribution with the provider; the variants on the CPU run with it too."""


def installed(distribution: str) -> bool:
    """Say whether a distribution is installed."""
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def wrong_onnxruntime(has: Callable[[str], bool] = installed) -> str | None:
    """Say what is wrong with the installed distributions of ONNX Runtime and which lines help, or None."""
    cpu, gpu = has("onnxruntime"), has("onnxruntime-gpu")
    if cpu and gpu:
        return f"onnxruntime and onnxruntime-gpu are both installed and overwrite one another: {SWAP}"
    return None if gpu else f"needs onnxruntime-gpu in place of onnxruntime: {SWAP}"


@dataclass(frozen=True, slots=True)
class OnnxCudaVariant:
    """The graph of `onnx-fp32`, opened with the CUDA provider."""

    name: str = "onnx-cuda"
    summary: str = "ONNX Runtime fp32 on CUDA, no padding beyond a batch (onnxruntime-gpu)"
    parent: OnnxVariant = field(default_factory=OnnxVariant)

    def unavailable(self) -> str | None:
        """Say which distribution is missing or in the way, or that there is no GPU."""
        lacks = missing_modules("torch", "transformers", "onnx") or wrong_onnxruntime()
        return lacks or (None if sees_gpu() else NO_GPU)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Return the exported graph, which was compared with PyTorch on the CPU."""
        return self.parent.prepare(task, sources, settings, workshop)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> System:
        """Open the graph on the board; DeviceError for a CPU, or where the provider does not come up."""
        import onnxruntime

        require_cuda(self.name, placement.device)

        def opened(graph: Any, where: Placement) -> Any:  # noqa: ANN401 -- a path, a session
            return open_on_cuda(str(graph), where, onnxruntime)

        graph = artifact.folder / GRAPH
        return DeviceQueue(open_graph(graph, task, placement, settings, artifact.manifest, opened))


def open_on_cuda(graph: str, placement: Placement, onnxruntime: Any) -> Any:  # noqa: ANN401 -- has no types
    """Return a session on the placement's board; DeviceError unless the CUDA provider answers.

    Products stay in float32 proper: the provider would round their inputs to TF32, which PyTorch does not.
    """
    if PROVIDER not in onnxruntime.get_available_providers():
        raise DeviceError(f"this onnxruntime has no {PROVIDER}.", remedy=f"Run {SWAP}.")
    onnxruntime.disable_telemetry_events()
    options = {"device_id": str(cuda_index(placement.device)), "use_tf32": "0"}
    providers = [(PROVIDER, options), "CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(
        graph, session_options(placement, onnxruntime), providers=providers
    )
    if session.get_providers()[0] != PROVIDER:
        raise DeviceError(
            f"{PROVIDER} did not come up, and ONNX Runtime would answer on the CPU.",
            remedy="Install the versions of CUDA and cuDNN that onnxruntime-gpu names, or use pytorch-*.",
        )
    return session
