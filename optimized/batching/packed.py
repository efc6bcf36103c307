"""PyTorch without any padding: the sequences of a batch one behind the other, within a budget of tokens.

Sorting by length (`pytorch-sorted-*`) leaves little padding, packing none, whatever the lengths and their
order. What it takes of a model is in optimized/batching/packing.py. The artifact is the checkpoint itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.checkpoints.artifacts import missing_modules
from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import label_columns
from baselines.encoding.batching import Batching, check_budget
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.device_queue import Answering, queued
from baselines.engines.pytorch import (
    TOKENS,
    Precision,
    check_precision,
    checkpoint_itself,
    limit_threads,
    without_bf16,
)
from baselines.engines.torch_compile import RefinedSystem
from baselines.models.cuda import find_device, on_host, synchronise
from harness.systems.interface import (
    Artifact,
    Placement,
    Predictions,
    PreparationContext,
    PreparationSources,
    Request,
    Settings,
    System,
    offsets_of,
    sequences_of,
)
from harness.workload.tasks.base import Task

if TYPE_CHECKING:
    from optimized.batching.packing import PackedModel


class PackedSystem(RefinedSystem):
    """A classifier that answers packed sequences; see `PackedModel`."""

    def __init__(self, packed: "PackedModel", tokens: int, columns: Sequence[int], *plain: Any) -> None:  # noqa: ANN401
        facts = {
            "batch": f"packed, {tokens} tokens",
            "padding": "none: packed",
        }
        super().__init__(facts, *plain)
        self._packed, self._tokens, self._columns = packed, tokens, columns

    def begin(self, requests: Sequence[Request]) -> Answering:
        """Launch the requests in order, as many sequences together as the budget holds."""
        sequences, offsets = list(sequences_of(requests)), offsets_of(requests)
        if not sequences:
            return lambda: Predictions(np.empty((0, len(self._columns)), dtype=np.float32), offsets)
        edges = packs([len(sequence.ids) for sequence in sequences], self._tokens)
        collected = on_host([self._packed.launch(sequences[start:end]) for start, end in edges])
        columns = list(self._columns)
        return lambda: Predictions(np.ascontiguousarray(collected()[:, columns]), offsets)


@dataclass(frozen=True, slots=True)
class PackedVariant:
    """Packed batches in one precision; `tokens` is the budget of a batch."""

    name: str
    summary: str
    precision: Precision
    tokens: int = TOKENS

    def unavailable(self) -> str | None:
        """Say what is not installed, or what the machine lacks."""
        return without_bf16(self.precision) or missing_modules("torch", "transformers")

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Return the checkpoint itself as the artifact: attention is replaced when it is loaded."""
        del workshop
        check_budget(self.tokens, settings.max_length)
        return checkpoint_itself(self.name, task, sources, settings)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> System:
        """Load the checkpoint; DeviceError or CheckpointError where it cannot be packed."""
        import torch

        from baselines.models.classifier import load_classifier, uses_segments
        from optimized.batching.packing import (
            FAMILIES,
            NAME,
            PackedModel,
            attend_on,
            not_packable,
            require_packable,
        )

        check_precision(self.name, self.precision, placement.device)
        device, precision = find_device(placement.device), getattr(torch, self.precision)
        attend = attend_on(device, precision)
        limit_threads(placement.threads)
        encoder = TextEncoder(artifact.folder, settings.max_length)
        config, name = read_config(artifact.folder), artifact.folder.name
        if config.get("model_type") not in FAMILIES:
            raise not_packable(name)
        columns = label_columns(config, task, name)
        model = load_classifier(artifact.folder, NAME).to(device, precision)
        packed = PackedModel(model, attend, uses_segments(model))
        require_packable(model, packed, name)
        synchronise(device)
        batching = Batching(settings.batch, encoder.pad_id, columns)
        made = PackedSystem(packed, self.tokens, columns, model, packed.launch, encoder, batching)
        return queued(made, device.type)


def packs(lengths: Sequence[int], tokens: int) -> list[tuple[int, int]]:
    """Return where each pack begins and ends, in order: `tokens` at most, or one sequence that is longer."""
    edges, used = [0], 0
    for place, length in enumerate(lengths):
        if place > edges[-1] and used + length > tokens:
            edges.append(place)
            used = 0
        used += length
    return list(zip(edges, [*edges[1:], len(lengths)], strict=True)) if lengths else []


VARIANTS = (
    PackedVariant("pytorch-packed-bf16", "PyTorch bfloat16, batches packed without padding", "bfloat16"),
    PackedVariant("pytorch-packed-fp16", "PyTorch float16, the same, on CUDA only", "float16"),
)
