"""PyTorch variants with CUDA graphs, one per bucket of lengths, for requests that arrive one at a time.

Graphs are captured when the system is loaded, and count in the record's load time. A sequence is padded to
the next bucket; several are answered one by one, so other variants are faster in `offline` and `batch`.
The artifact is the checkpoint itself.
"""

import time
from dataclasses import dataclass

from baselines.checkpoints.artifacts import missing_modules
from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import label_columns
from baselines.encoding.batching import Batching
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.device_queue import queued
from baselines.engines.pytorch import Precision, checkpoint_itself, limit_threads
from baselines.engines.torch_compile import RefinedSystem
from baselines.models.cuda import NO_GPU, find_device, on_host, require_cuda, sees_gpu, synchronise
from harness.common.errors import UsageError
from harness.systems.interface import (
    Artifact,
    Placement,
    PreparationContext,
    PreparationSources,
    Settings,
    System,
)
from harness.workload.tasks.base import Task


@dataclass(frozen=True, slots=True)
class CapturedVariant:
    """CUDA graphs in one precision; lengths are padded to the next multiple of `step`."""

    name: str
    summary: str
    precision: Precision
    step: int = 16

    def unavailable(self) -> str | None:
        """Return what is not installed, or that there is no GPU."""
        return missing_modules("torch", "transformers") or (None if sees_gpu() else NO_GPU)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Return the checkpoint itself as the artifact: graphs live in the process that captured them."""
        del context
        if self.step < 1:
            raise UsageError(f"step must be at least 1 token, got {self.step}.", where="option step")
        return checkpoint_itself(self.name, task, sources, settings)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> System:
        """Load the checkpoint and capture a graph for each bucket; DeviceError for anything but CUDA."""
        import torch

        from baselines.models.classifier import load_classifier
        from optimized.batching.buckets import Buckets, bucket_lengths, cuda_capture

        require_cuda(self.name, placement.device)
        device = find_device(placement.device)
        limit_threads(placement.threads)
        encoder = TextEncoder(artifact.folder, settings.max_length)
        columns = label_columns(read_config(artifact.folder), task, artifact.folder.name)
        model = load_classifier(artifact.folder).to(device, getattr(torch, self.precision))
        begin = time.perf_counter()
        buckets = Buckets(model, bucket_lengths(settings.max_length, self.step), cuda_capture(device))
        synchronise(device)
        facts = {
            "batch": "one sequence at a time",
            "padding": f"to the next multiple of {self.step}",
            "cuda_graphs": len(buckets.lengths),
            "recorded_in_s": round(time.perf_counter() - begin, 3),
        }
        batching = Batching(settings.batch, encoder.pad_id, columns, collect=on_host)
        return queued(RefinedSystem(facts, model, buckets.launch, encoder, batching), device.type)


VARIANTS = (
    CapturedVariant(
        "pytorch-graphs-bf16", "PyTorch bfloat16, CUDA graphs by length, on CUDA only", "bfloat16"
    ),
    CapturedVariant("pytorch-graphs-fp16", "PyTorch float16, CUDA graphs by length, on CUDA only", "float16"),
)
