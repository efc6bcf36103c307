"""PyTorch variants without padding: a batch is packed into one row, up to a budget of tokens.

Sorting by length (`pytorch-sorted-*`) leaves little padding; packing leaves none, whatever the lengths and
their order. The changes to the model are in optimized/batching/packing.py. The artifact is the checkpoint.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
from baselines.models.families import require_facts
from baselines.models.families.facts import EncoderFacts
from harness.common.errors import reason_of
from harness.common.json_types import JsonObject
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
    from transformers import PreTrainedModel

    from optimized.batching.packing import PackedModel


class PackedSystem(RefinedSystem):
    """A classifier that answers packed sequences (see `PackedModel`)."""

    def __init__(
        self,
        packed: "PackedModel",
        tokens: int,
        model: "PreTrainedModel",
        encoder: TextEncoder,
        batching: Batching,
    ) -> None:
        facts = {"batch": f"packed, {tokens} tokens", "padding": "none: packed"}
        # `begin` replaces the only caller of a padded forward pass
        super().__init__(facts, model, packed.launch, encoder, batching)  # type: ignore[arg-type]
        self._packed, self._tokens, self._columns = packed, tokens, batching.columns

    def begin(self, requests: Sequence[Request]) -> Answering:
        """Launch the requests in order, as many sequences at once as fit into the budget."""
        sequences, offsets = list(sequences_of(requests)), offsets_of(requests)
        if not sequences:
            return lambda: Predictions(np.empty((0, len(self._columns)), dtype=np.float32), offsets)
        edges = pack([len(sequence.ids) for sequence in sequences], self._tokens)
        collected = on_host([self._packed.launch(sequences[start:end]) for start, end in edges])
        columns = list(self._columns)
        return lambda: Predictions(np.ascontiguousarray(collected()[:, columns]), offsets)


_REMEDY = "Use pytorch-sorted-bf16, which works for every family."


def _missing(facts: EncoderFacts) -> Iterator[str]:
    """Yield what packing lacks for an encoder."""
    if facts.positions != ("learned",):
        yield "relative or rotary positions"
    if facts.shared_layers:
        yield "layers with shared weights"


@dataclass(frozen=True, slots=True)
class PackedVariant:
    """Packed batches in one precision, of up to `tokens` tokens."""

    name: str
    summary: str
    precision: Precision
    tokens: int = TOKENS

    def unavailable(self) -> str | None:
        """Return what is not installed, or what the machine lacks."""
        return without_bf16(self.precision) or missing_modules("torch", "transformers")

    def unsupported(self, task: Task, config: JsonObject) -> str | None:
        """Return what packing lacks for the encoder of a checkpoint."""
        del task
        return reason_of(lambda: require_facts("packing", config, "", _missing, _REMEDY))

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Return the checkpoint itself as the artifact: attention is replaced when it is loaded."""
        del context
        check_budget(self.tokens, settings.max_length)
        return checkpoint_itself(self.name, task, sources, settings)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> System:
        """Load the checkpoint; DeviceError or CheckpointError where packing is not supported."""
        import torch

        from baselines.models.classifier import load_classifier, uses_segments
        from optimized.batching.packing import (
            ATTENTION,
            FAMILIES,
            PackedModel,
            attention_for,
            packing_error,
            require_packable,
        )

        check_precision(self.name, self.precision, placement.device)
        device, precision = find_device(placement.device), getattr(torch, self.precision)
        attend = attention_for(device, precision)
        limit_threads(placement.threads)
        encoder = TextEncoder(artifact.folder, settings.max_length)
        config, name = read_config(artifact.folder), artifact.folder.name
        if config.get("model_type") not in FAMILIES:
            raise packing_error(name)
        columns = label_columns(config, task, name)
        model = load_classifier(artifact.folder, ATTENTION).to(device, precision)
        packed = PackedModel(model, attend, uses_segments(model))
        require_packable(model, packed, name)
        synchronise(device)
        batching = Batching(settings.batch, encoder.pad_id, columns)
        system = PackedSystem(packed, self.tokens, model, encoder, batching)
        return queued(system, device.type)


def pack(lengths: Sequence[int], tokens: int) -> list[tuple[int, int]]:
    """Return the begin and end of each pack, in order: up to `tokens` tokens, or one longer sequence."""
    edges, used = [0], 0
    for index, length in enumerate(lengths):
        if index > edges[-1] and used + length > tokens:
            edges.append(index)
            used = 0
        used += length
    return list(zip(edges, [*edges[1:], len(lengths)], strict=True)) if lengths else []


VARIANTS = (
    PackedVariant("pytorch-packed-bf16", "PyTorch bfloat16, batches packed without padding", "bfloat16"),
    PackedVariant("pytorch-packed-fp16", "PyTorch float16, the same, on CUDA only", "float16"),
)
