"""CTranslate2 on the CPU: the checkpoint's encoder in CTranslate2's model format, in float32.

The settings are the engine's fastest: one replica with all threads of the placement, the matrix library that
CTranslate2 selects for the processor (forcing another was a sixth slower), no padding for a single request.
A batch is passed with the lengths of its sequences.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    second_input,
    write_model,
)
from baselines.engines.onnx.runtime import copy_text_side
from baselines.models.cuda import require_cpu
from baselines.models.families import facts_of
from baselines.models.flops import work_facts
from harness.common.errors import reason_of
from harness.systems.interface import (
    Artifact,
    Placement,
    PreparationContext,
    PreparationSources,
    Settings,
    TokenIds,
)
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Logits

if TYPE_CHECKING:
    from ctranslate2 import Encoder

LIBRARIES = ("torch", "transformers", "ctranslate2")
_DESCRIBED = ("weights", "activations", "reduce_range")
"""The fields of a manifest that a system repeats in its description."""


class CTranslate2System(Adapter):
    """An encoder in CTranslate2 with its head in numpy."""

    def __init__(
        self,
        engine: "Encoder",
        head: ClassifierHead,
        encoder: TextEncoder,
        batching: Batching,
        facts: Mapping[str, Any],
    ) -> None:
        super().__init__(encoder_runner(engine, head, facts["second_input"]), encoder, batching)
        self._engine = engine
        self._facts = facts

    def describe(self) -> Mapping[str, Any]:
        """Return what CTranslate2 reports; it does not report threads, so those are as requested."""
        return {
            **{name: value for name, value in self._facts.items() if name != "second_input"},
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
        """Return which libraries are not installed, or None."""
        return missing_extra("ctranslate2") or missing_modules("torch", "transformers")

    def unsupported(self, task: Task, config: Mapping[str, Any]) -> str | None:
        """Return what CTranslate2 lacks for the encoder of a checkpoint."""
        del task
        return reason_of(lambda: require_supported(config, "config.json"))

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Convert the model, or find it in the cache.

        CheckpointError if CTranslate2 does not support the model, or computes other logits.
        """
        checkpoint = sources.checkpoint
        check_checkpoint(checkpoint.folder, task, settings, checkpoint.name)
        parents, libraries = [checkpoint.fingerprint], library_versions(*LIBRARIES)
        key = cache_key(self.name, 1, task, parents, libraries=libraries, tolerance=self.tolerance)

        def make(folder: Path) -> dict[str, Any]:
            context.progress(f"converting {checkpoint.name} to CTranslate2")
            write_model(checkpoint.folder, folder, None)
            copy_text_side(checkpoint.folder, folder)
            facts = {"agreement": _agreement(checkpoint.folder, folder, self.tolerance)}
            return {"recipe": self.name, "version": 1, "parents": parents, "libraries": libraries, **facts}

        return find_or_make(context.cache, key, make, energy=context.energy)

    def load(
        self, task: Task, artifact: Artifact, placement: Placement, settings: Settings
    ) -> CTranslate2System:
        """Open the model; DeviceError for any device but the CPU."""
        return open_model(artifact, task, placement, settings, "float32")


def check_checkpoint(folder: Path, task: Task, settings: Settings, name: str) -> None:
    """Raise CheckpointError or UsageError for what this engine cannot run, before it is converted."""
    config = read_config(folder)
    require_supported(config, name)
    label_columns(config, task, name)
    check_length(config, settings.max_length)


def open_model(
    artifact: Artifact, task: Task, placement: Placement, settings: Settings, compute: str
) -> CTranslate2System:
    """Open an artifact's model with the compute type `compute`, such as `float32` or `int8`.

    The artifact's folder holds config.json and tokenizer.json too.
    """
    encoder = TextEncoder(artifact.folder, settings.max_length)
    config = read_config(artifact.folder)
    columns = label_columns(config, task, artifact.folder.name)
    facts = {name: artifact.manifest[name] for name in _DESCRIBED if name in artifact.manifest}
    facts |= {"threads": placement.threads, **_inputs(config), **work_facts(config)}
    engine = load_encoder(artifact.folder, placement, compute)
    batching = Batching(settings.batch, encoder.pad_id, columns)
    return CTranslate2System(engine, read_head(artifact.folder), encoder, batching, facts)


def load_encoder(folder: Path, placement: Placement, compute: str) -> "Encoder":
    """Return the encoder: one replica with the placement's threads."""
    import ctranslate2

    require_cpu("CTranslate2", placement.device)
    return ctranslate2.Encoder(str(folder / MODEL), **encoder_options(placement, compute))


def encoder_options(placement: Placement, compute: str) -> dict[str, Any]:
    """Return the arguments of `ctranslate2.Encoder`."""
    return {
        "device": "cpu",
        "compute_type": compute,
        "inter_threads": 1,
        "intra_threads": placement.threads,
    }


def encoder_runner(engine: "Encoder", head: ClassifierHead, second: str | None) -> Run:
    """Return the function that runs one padded batch; `second` is what `second_input` returns."""
    from ctranslate2 import StorageView

    def looked_up(padded: Padded) -> TokenIds:
        positions = np.broadcast_to(np.arange(padded.ids.shape[1]), padded.ids.shape)
        return padded.segments if second == "segments" else positions

    def run(padded: Padded) -> Logits:
        lengths = padded.mask.sum(axis=1).astype(np.int32)
        output = engine.forward_batch(
            StorageView.from_array(padded.ids.astype(np.int32)),
            StorageView.from_array(lengths),
            token_type_ids=None if second is None else looked_up(padded).tolist(),
        )
        return head.logits(np.asarray(output.last_hidden_state), padded)

    return run


def _inputs(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the encoder looks up beside the words, and whether that is segments."""
    second = second_input(facts_of(config))
    return {"segments": second == "segments", "second_input": second}


def _agreement(source: Path, folder: Path, tolerance: float) -> dict[str, float]:
    from baselines.models import classifier

    config = read_config(source)
    engine = load_encoder(folder, Placement("cpu", (), threads=1), "float32")
    candidate = encoder_runner(engine, read_head(folder), second_input(facts_of(config)))
    reference = classifier.runner(classifier.load_classifier(source))
    difference = require_agreement(reference, candidate, probes(config), tolerance)
    return {"max_logit_difference": difference, "bound": tolerance}


VARIANTS = (CTranslate2Variant(),)
