"""CTranslate2 on the CPU: the checkpoint's encoder as a model of its own format, in float32.

A rival with its own best settings: one replica with the threads it was given, the matrix library that it
picks for the processor itself (forcing another lost a sixth when tried), no padding for a single request.
Where several go together it is told their lengths.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from baselines.checkpoints.artifacts import cache_key, find_or_make, library_versions, missing_modules
from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import label_columns
from baselines.checkpoints.optional_packages import missing_extra
from baselines.encoding.batching import Batching, Padded, Run
from baselines.encoding.tokenizer import TextEncoder, check_length
from baselines.engines.adapter import Adapter
from baselines.engines.agreement import probes, require_agreement
from baselines.engines.ctranslate2_weights import (
    MODEL,
    ClassifierHead,
    read_head,
    require_supported,
    write_model,
)
from baselines.engines.onnx.runtime import copy_text_side
from baselines.models.flops import work_facts
from harness.common.errors import DeviceError
from harness.systems.interface import Artifact, Placement, PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Logits

LIBRARIES = ("torch", "transformers", "ctranslate2")


class CTranslate2System(Adapter):
    """An encoder in CTranslate2 with its head in numpy."""

    def __init__(
        self,
        engine: Any,  # noqa: ANN401 -- a ctranslate2.Encoder
        head: ClassifierHead,
        encoder: TextEncoder,
        batching: Batching,
        facts: Mapping[str, Any],
    ) -> None:
        super().__init__(run_of(engine, head, segments=bool(facts["segments"])), encoder, batching)
        self._engine = engine
        self._facts = facts

    def describe(self) -> Mapping[str, Any]:
        """Read back what CTranslate2 computes with; threads are as asked for, as it does not tell."""
        return {
            **self._facts,
            "engine": "ctranslate2",
            "engine_version": version("ctranslate2"),
            "precision": self._engine.compute_type,
            "replicas": self._engine.num_encoders,
            "padding": "to the longest of a call",
            "batch": self._batching.batch,
            "max_length": self._encoder.max_length,
        }

    def close(self) -> None:
        """Release the model."""
        del self._engine, self._run


@dataclass(frozen=True, slots=True)
class CTranslate2Variant:
    """The checkpoint's encoder in CTranslate2, float32."""

    name: str = "ctranslate2-fp32"
    summary: str = "CTranslate2 fp32, no padding (extra ctranslate2)"
    tolerance: float = 1e-3  # of a logit against PyTorch, both in float32

    def unavailable(self) -> str | None:
        """Say what is not installed."""
        return missing_extra("ctranslate2") or missing_modules("torch", "transformers")

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Write the model once; CheckpointError for what CTranslate2 cannot compute, or does differently."""
        checkpoint = sources.checkpoint
        check_checkpoint(checkpoint.folder, task, settings, checkpoint.name)
        parents, libraries = [checkpoint.fingerprint], library_versions(*LIBRARIES)
        key = cache_key(self.name, 1, task, parents, libraries=libraries, tolerance=self.tolerance)

        def make(folder: Path) -> dict[str, Any]:
            workshop.progress(f"converting {checkpoint.name} to CTranslate2")
            write_model(checkpoint.folder, folder, None)
            copy_text_side(checkpoint.folder, folder)
            facts = {"agreement": _agreement(checkpoint.folder, folder, self.tolerance)}
            return {"recipe": self.name, "version": 1, "parents": parents, "libraries": libraries, **facts}

        return find_or_make(workshop.cache, key, make, energy=workshop.energy)

    def load(
        self, task: Task, artifact: Artifact, placement: Placement, settings: Settings
    ) -> CTranslate2System:
        """Open the model; DeviceError for anything but the CPU."""
        return open_model(artifact, task, placement, settings, "float32")


def check_checkpoint(folder: Path, task: Task, settings: Settings, name: str) -> None:
    """Refuse a checkpoint that this engine cannot serve, before anything is converted."""
    config = read_config(folder)
    require_supported(config, name)
    label_columns(config, task, name)
    check_length(config, settings.max_length)


def open_model(
    artifact: Artifact, task: Task, placement: Placement, settings: Settings, compute: str
) -> CTranslate2System:
    """Open an artifact's model to compute with `compute`; config.json and tokenizer.json lie beside it."""
    encoder = TextEncoder(artifact.folder, settings.max_length)
    config = read_config(artifact.folder)
    columns = label_columns(config, task, artifact.folder.name)
    known = ("weights", "activations", "reduce_range")
    facts = {name: artifact.manifest[name] for name in known if name in artifact.manifest}
    facts |= {"threads": placement.threads, "segments": _segments(config), **work_facts(config)}
    engine = load_engine(artifact.folder, placement, compute)
    batching = Batching(settings.batch, encoder.pad_id, columns)
    return CTranslate2System(engine, read_head(artifact.folder), encoder, batching, facts)


def load_engine(folder: Path, placement: Placement, compute: str) -> Any:  # noqa: ANN401
    """Return the encoder: one replica with the placement's threads, which works when it is asked."""
    import ctranslate2

    if placement.device != "cpu":
        raise DeviceError(
            f"CTranslate2 variants run on the CPU here, not on {placement.device}.",
            remedy="Use --device cpu.",
        )
    return ctranslate2.Encoder(
        str(folder / MODEL),
        device="cpu",
        compute_type=compute,
        inter_threads=1,
        intra_threads=placement.threads,
    )


def run_of(engine: Any, head: ClassifierHead, *, segments: bool) -> Run:  # noqa: ANN401
    """Return the function that answers one padded batch."""
    from ctranslate2 import StorageView

    def run(padded: Padded) -> Logits:
        lengths = padded.mask.sum(axis=1).astype(np.int32)
        found = engine.forward_batch(
            StorageView.from_array(padded.ids.astype(np.int32)),
            StorageView.from_array(lengths),
            token_type_ids=padded.segments.tolist() if segments else None,
        )
        return head.logits(np.asarray(found.last_hidden_state), padded)

    return run


def _segments(config: Mapping[str, Any]) -> bool:
    """Say whether the model tells segments apart: as `classifier.uses_segments`, without loading it."""
    return config["model_type"] != "distilbert" and int(config.get("type_vocab_size", 2)) > 1


def _agreement(source: Path, folder: Path, tolerance: float) -> dict[str, float]:
    from baselines.models import classifier

    config = read_config(source)
    engine = load_engine(folder, Placement("cpu", (), threads=1), "float32")
    candidate = run_of(engine, read_head(folder), segments=_segments(config))
    reference = classifier.runner(classifier.load_classifier(source))
    worst = require_agreement(reference, candidate, probes(config), tolerance)
    return {"max_logit_difference": worst, "bound": tolerance}


VARIANTS = (CTranslate2Variant(),)
