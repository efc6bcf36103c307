"""Int8 in our own compiled encoder: one pass per layer, no padding, and a scale for each token.

    checkpoint --fp32 ONNX (the parent)--> what answers are compared with
               --quantise, pack-->         encoder.safetensors --+--> NativeSystem
    the wheel's library, or kernels/*.c compiled --> encoder.so --+

Libraries run one operator after another over all tokens. Here a block of rows goes through an entire layer
while it is in the cache, rows are quantised where they are computed, and threads wait for one another once
a layer. Short sequences of a call are packed together (kernels/encoder.c). Each token has its own scale (as
in Yao et al. 2022, ZeroQuant, arXiv 2206.01861, section 3), so an answer does not depend on the other
sequences of a pack. The last layer computes only the tokens that the head reads.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from baselines.checkpoints.artifacts import cache_key, find_or_make, library_versions, link, missing_modules
from baselines.checkpoints.folder import is_span_checkpoint, read_config
from baselines.checkpoints.labels import label_columns
from baselines.encoding.batching import pad
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines import profiles
from baselines.engines.onnx.runtime import OnnxVariant, copy_text_side
from baselines.models.families import facts_of
from baselines.models.flops import work_facts
from harness.common.errors import DeviceError, reason_of
from harness.systems.interface import (
    Artifact,
    Checkpoint,
    Placement,
    Predictions,
    PreparationContext,
    PreparationSources,
    Request,
    Settings,
    offsets_of,
    sequences_of,
)
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.graphs.candidates import NO_TRIAL, CandidateTimer, sha256_of
from optimized.graphs.closeness import BATCH, VERSION, batch_dependence
from optimized.native import build
from optimized.native.engine import CLASSES, Engine, Library, library_facts
from optimized.native.layout import POOLING, Arrays, ModelFields
from optimized.native.supported import require_supported

_VERSION = 6
_CALIBRATION = 16  # trial examples whose activations decide which units are smoothed
WEIGHTS = "encoder.safetensors"
"""The file of the arrays in an artifact's folder."""

_LIBRARIES = ("torch", "transformers", "safetensors")


class NativeSystem:
    """A compiled encoder and its tokenizer."""

    def __init__(
        self, engine: Engine, encoder: TextEncoder, columns: Sequence[int], facts: Mapping[str, Any]
    ) -> None:
        self._engine, self._encoder = engine, encoder
        self._columns, self._facts = list(columns), facts

    @property
    def encoding(self) -> str:
        """The encoding's name, equal for all systems that encode alike."""
        return self._encoder.encoding

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Encode texts as unpadded requests."""
        return self._encoder.encode(examples)

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer all sequences in one call of C; columns are in the task's order of labels."""
        sequences = list(sequences_of(requests))
        if not sequences:
            return Predictions(np.empty((0, len(self._columns)), np.float32), offsets_of(requests))
        logits = self._engine.answer(sequences)[:, self._columns]
        return Predictions(np.ascontiguousarray(logits), offsets_of(requests))

    def profile(self, requests: Sequence[Request]) -> Mapping[str, float]:
        """Return seconds by class of operator: the time of a call, divided in proportion to ticks."""
        self.predict(requests)
        ticks_before, start = self._engine.ticks(), time.perf_counter()
        self.predict(requests)
        seconds, ticks = time.perf_counter() - start, self._engine.ticks() - ticks_before
        shares = dict(zip(CLASSES, seconds * ticks / ticks.sum(), strict=True))
        return {name: float(shares.get(name, 0.0)) for name in profiles.CLASSES}

    def describe(self) -> Mapping[str, Any]:
        """Return what was compiled and how it is used."""
        return {**self._facts, "max_length": self._encoder.max_length}

    def close(self) -> None:
        """End the threads."""
        self._engine.close()


@dataclass(frozen=True, slots=True)
class NativeVariant:
    """The checkpoint in the compiled encoder, which computes what `optimized/native/supported.py` accepts.

    `smooth` divides large units of the feed-forward parts, so that their scales fit the others.
    """

    name: str = "native-int8"
    summary: str = "int8 in a compiled encoder of our own, one fused pass per layer"
    parent: OnnxVariant = field(default_factory=OnnxVariant)
    smooth: bool = True

    def unavailable(self) -> str | None:
        """Return what the CPU or the machine lacks; None if it lacks nothing."""
        problem = build.unavailable(build.level_of(build.flags_here()))
        return problem or self.parent.unavailable() or missing_modules("torch", "transformers")

    def unsupported(self, task: Task, config: Mapping[str, Any]) -> str | None:
        """Return what the compiled encoder lacks for the encoder of a checkpoint."""
        del task
        return reason_of(lambda: _require_supported(config, "", spans=is_span_checkpoint(config)))

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Quantise weights, compare the answers with float32's; UnsupportedError if they are not close.

        Also CheckpointError, before anything is made, for an encoder that the C code does not compute.
        """
        name = sources.checkpoint.name
        _require_supported(read_config(sources.checkpoint.folder), name, spans=task.head == "span")
        parent = self.parent.prepare(task, sources, settings, context)
        timer = CandidateTimer.of(self.name, task, sources, settings, context)
        level = _level()
        library_artifact = build.prepare_library(level, context)
        inputs = {
            "level": level.name,
            "library": library_artifact.key,
            "max_length": settings.max_length,
            "trial": sha256_of(sources.trial),
            "closeness": VERSION,
            "smooth": self.smooth,
        }
        libraries = library_versions(*_LIBRARIES)
        key = cache_key(self.name, _VERSION, task, [parent.key], libraries=libraries, **inputs)

        def make(folder: Path) -> dict[str, Any]:
            copy_text_side(parent.folder, folder)
            link(library_artifact.folder / build.LIBRARY, folder / build.LIBRARY)
            context.progress("rounding weights to int8")
            library = Library(folder / build.LIBRARY, level.name)
            written = _write_weights(sources.checkpoint, folder, library, level, timer, smooth=self.smooth)
            header = {
                "recipe": self.name,
                "version": _VERSION,
                "parents": [parent.key, library_artifact.key],
                "libraries": libraries,
                "compiler": library_artifact.manifest["compiler"],
            }
            agreement = self._compare_with_fp32(parent, Artifact(folder, key, written), timer)
            return {**header, **written, **agreement}

        return find_or_make(context.cache, key, make, energy=context.energy)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> NativeSystem:
        """Open the weights, with the placement's threads; DeviceError for anything but the CPU."""
        from safetensors.numpy import load_file

        if placement.device != "cpu":
            raise DeviceError(
                f"{self.name} runs on the CPU, not on {placement.device}.", remedy="Use --device cpu."
            )
        encoder = TextEncoder(artifact.folder, settings.max_length)
        config = read_config(artifact.folder)
        columns = label_columns(config, task, artifact.folder.name)
        fields = ModelFields.from_manifest(artifact.manifest["numbers"])
        library = Library(artifact.folder / build.LIBRARY, artifact.manifest["level"])
        weights = load_file(artifact.folder / WEIGHTS)
        engine = Engine(library, fields, weights, placement.threads, settings.max_length)
        all_tokens = fields.pooling != POOLING["first"]
        facts = _system_facts(artifact.manifest, config, placement, all_tokens=all_tokens)
        return NativeSystem(engine, encoder, columns, facts)

    def _compare_with_fp32(
        self, parent: Artifact, quantised: Artifact, timer: CandidateTimer
    ) -> dict[str, Any]:
        if not timer.trial:
            reason = "unavailable, because there were no trial examples"
            return {"agreement": reason, "batch_dependence": reason}
        timer.context.progress("comparing int8 answers with fp32")
        placement, task = timer.context.placement, timer.task
        fp32 = self.parent.load(task, parent, placement, timer.settings)
        int8 = self.load(task, quantised, placement, timer.settings)
        batched = self.load(task, quantised, placement, timer.in_batches(BATCH))
        try:
            return {
                "agreement": timer.require_closeness(fp32, int8),
                "batch_dependence": batch_dependence(task, batched, timer.trial),
            }
        finally:
            for system in (fp32, int8, batched):
                system.close()


def _require_supported(config: Mapping[str, Any], where: str, *, spans: bool) -> None:
    require_supported(facts_of(config, where, "native-int8"), where, spans=spans)


def _level() -> build.Level:
    level = build.level_of(build.flags_here())
    if level is None:
        raise DeviceError(f"native-int8 {build.unavailable(level)}.", remedy="Use onnx-int8.")
    return level


def _write_weights(
    checkpoint: Checkpoint,
    folder: Path,
    library: Library,
    level: build.Level,
    timer: CandidateTimer,
    *,
    smooth: bool,
) -> dict[str, Any]:
    """Quantise the checkpoint's weights into the folder; return the manifest's fields about them."""
    from safetensors.numpy import save_file

    from baselines.models.classifier import load_classifier
    from optimized.native.weights import extract

    model = load_classifier(checkpoint.folder)
    factors, smoothing = _smooth(model, folder, library, timer) if smooth else ({}, "none: smooth is false")
    fields, arrays = extract(model, library.layout, checkpoint.name)
    arrays |= factors
    save_file(arrays, folder / WEIGHTS)
    return {
        "weights": "int8, per channel",
        "activations": "int8, one scale for a token",
        "smoothing": smoothing,
        "level": level.name,
        **library_facts(library, level.lost),
        "numbers": asdict(fields),
        "bytes": sum(array.nbytes for array in arrays.values()),
    }


def _smooth(
    model: Any,  # noqa: ANN401 -- torch has no types
    folder: Path,
    library: Library,
    timer: CandidateTimer,
) -> tuple[Arrays, dict[str, Any] | str]:
    """Smooth the model's feed-forward parts on trial examples; return the factors for C, and the facts."""
    from baselines.models.classifier import runner
    from optimized.native import smoothing

    if not timer.trial:
        return {}, NO_TRIAL
    timer.context.progress("smoothing large units")
    encoder, layers = TextEncoder(folder, timer.settings.max_length), smoothing.units_of(model)
    sequences = sequences_of(encoder.encode(timer.trial[:_CALIBRATION]))
    inputs = [pad([sequence], encoder.pad_id) for sequence in sequences]
    factors = smoothing.smooth(layers, runner(model), inputs, library.layout)
    return smoothing.arrays_of(layers, factors, library.layout), smoothing.facts_of(factors, len(layers))


_MANIFEST_FIELDS = (
    *("weights", "activations", "level", "compiler", "lost", "dot_product", "vector_bits"),
    *("activation_levels", "weight_levels", "smoothing"),
)


def _system_facts(
    manifest: Mapping[str, Any], config: Mapping[str, Any], placement: Placement, *, all_tokens: bool
) -> dict[str, Any]:
    return {
        **{name: manifest[name] for name in _MANIFEST_FIELDS if name in manifest},
        "engine": "native",
        "engine_version": str(_VERSION),
        "threads": placement.threads,
        "padding": "none",
        "batch": "whole sequences to each thread, short ones packed",
        "last_layer": "all tokens" if all_tokens else "the first token, which the head reads",
        "graph_bytes": manifest["bytes"],
        **work_facts(config, last_whole=all_tokens),
    }
