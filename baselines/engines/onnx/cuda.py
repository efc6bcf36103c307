"""ONNX Runtime on NVIDIA GPUs: the fp32 graph with the CUDA provider.

`onnxruntime` and `onnxruntime-gpu` are two distributions of one module: each overwrites files of the other,
and removing one leaves the other broken. The variant is unavailable where both or only the first are
installed. A session that opens without the provider is an error too: ONNX Runtime would fall back to the CPU
with no more than a warning.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

PROVIDER = "CUDAExecutionProvider"

REINSTALL = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'onnxruntime-gpu>=1.22'"
"""The commands that leave one complete distribution with the provider; the CPU variants run with it too."""


def is_installed(distribution: str) -> bool:
    """Return whether a distribution is installed."""
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def wrong_onnxruntime(installed: Callable[[str], bool] = is_installed) -> str | None:
    """Return what is wrong with the installed distributions of ONNX Runtime and how to fix it, or None."""
    cpu, gpu = installed("onnxruntime"), installed("onnxruntime-gpu")
    if cpu and gpu:
        return f"onnxruntime and onnxruntime-gpu are both installed and overwrite one another: {REINSTALL}"
    return None if gpu else f"needs onnxruntime-gpu in place of onnxruntime: {REINSTALL}"


@dataclass(frozen=True, slots=True)
class OnnxCudaVariant:
    """The graph of `onnx-fp32`, opened with the CUDA provider."""

    name: str = "onnx-cuda"
    summary: str = "ONNX Runtime fp32 on CUDA, no padding beyond a batch (onnxruntime-gpu)"
    parent: OnnxVariant = field(default_factory=OnnxVariant)

    def unavailable(self) -> str | None:
        """Return which distribution is missing or must be removed, or that there is no GPU, or None."""
        problem = missing_modules("torch", "transformers", "onnx") or wrong_onnxruntime()
        return problem or (None if sees_gpu() else NO_GPU)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Return the exported graph, which was compared with PyTorch on the CPU."""
        return self.parent.prepare(task, sources, settings, context)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> System:
        """Open the graph on the GPU; DeviceError for a CPU, or if the provider does not start."""
        import onnxruntime

        require_cuda(self.name, placement.device)

        def open_with(graph: Path, placement: Placement) -> "InferenceSession":
            return open_on_cuda(str(graph), placement, onnxruntime)

        graph = artifact.folder / GRAPH
        return DeviceQueue(open_graph(graph, task, placement, settings, artifact.manifest, open_with))


def open_on_cuda(graph: str, placement: Placement, onnxruntime: ModuleType) -> "InferenceSession":
    """Return a session on the placement's GPU; DeviceError unless the CUDA provider starts.

    Matrix products stay in float32: the provider's default rounds their inputs to TF32, PyTorch's does not.
    """
    if PROVIDER not in onnxruntime.get_available_providers():
        raise DeviceError(f"this onnxruntime has no {PROVIDER}.", remedy=f"Run {REINSTALL}.")
    onnxruntime.disable_telemetry_events()
    options = {"device_id": str(cuda_index(placement.device)), "use_tf32": "0"}
    providers = [(PROVIDER, options), "CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(
        graph, session_options(placement, onnxruntime), providers=providers
    )
    if session.get_providers()[0] != PROVIDER:
        raise DeviceError(
            f"{PROVIDER} did not start, and ONNX Runtime would run on the CPU.",
            remedy="Install the versions of CUDA and cuDNN that onnxruntime-gpu requires, or use pytorch-*.",
        )
    return session
