"""Token dropping: each layer passes on only its most important tokens.

    fine-tuned model --length dropout--> model --export--> graph with schedule as input --int8--> schedule

A schedule has one parameter: the share of its tokens that each dropping layer keeps. The cheapest schedule
within the allowed loss is chosen on the part of the training split that trains nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from baselines.checkpoints.artifacts import cache_key, find_or_make, library_versions, link, missing_modules
from baselines.checkpoints.folder import read_config
from baselines.encoding.tokenizer import check_length
from baselines.engines.onnx.runtime import GRAPH, copy_text_side
from baselines.models.families import require_facts
from baselines.models.shape import shape_of
from baselines.training.datasets import TrainingSettings
from harness.common.errors import UnsupportedError, UsageError, reason_of
from harness.common.json_types import JsonObject
from harness.systems.interface import (
    Artifact,
    Checkpoint,
    Placement,
    PreparationContext,
    PreparationSources,
    Settings,
)
from harness.workload.tasks.base import Task
from optimized.adaptive.calibration import GIVEN, RULE
from optimized.adaptive.confidence import check_loss
from optimized.adaptive.requirements import CASCADE, check_data, check_model, missing_in_dropping
from optimized.adaptive.token_dropping.budget import ALL
from optimized.adaptive.token_dropping.search import schedule_of
from optimized.adaptive.token_dropping.system import TokenSystem, open_tokens
from optimized.graphs.candidates import CandidateTimer, sha256_of
from optimized.graphs.transforms import needs_seven_bits, quantise
from optimized.recipes.base import output_of
from optimized.recipes.resumable import TrainingSession, find_or_resume

_VERSION = 1
_LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime")
_TECHNIQUE = "token dropping"
_NO_TRIAL = "unavailable, because there were no trial examples"


@dataclass(frozen=True, slots=True)
class TokensVariant:
    """Token dropping in the layers `after` (default: all but the last).

    `keep` is the share of its tokens that each of these layers keeps, or `all`. By default it is calibrated
    to lose at most `loss` points on held-out examples. Before that, the model is trained with length dropout
    for `steps` batches of 16 sequences; with 0 steps it is not changed.
    """

    name: str = "onnx-tokens"
    summary: str = "ONNX Runtime fp32, dropping tokens that receive little attention (token dropping)"
    weights: Literal["fp32", "int8"] = "fp32"
    after: tuple[int, ...] = ()
    loss: float = 0.5
    keep: float | str | None = None
    steps: int = 300
    learning_rate: float = 3e-5
    seed: int = 0
    tolerance: float = 1e-4  # of a logit, between the graph and PyTorch

    def __post_init__(self) -> None:
        """Accept a single layer as well as several; raise UsageError for invalid options."""
        after = self.after
        object.__setattr__(self, "after", tuple(after) if isinstance(after, tuple | list) else (after,))
        integers = all(isinstance(layer, int) and not isinstance(layer, bool) for layer in self.after)
        if not (integers and all(low < high for low, high in pairwise((0, *self.after)))):
            raise UsageError(
                f"after must be layers, counted from 1, in rising order; got {list(self.after)}.",
                where=self.name,
                remedy="Name layers before the last: after: [2, 3], say.",
            )
        if self.keep is not None and self.keep != "all" and not _is_share(self.keep):
            raise UsageError(
                f"keep must be a share from 0.01 to 1, or all; got {self.keep!r}.", where=self.name
            )
        check_loss(self.loss, self.name)
        if self.steps < 0 or not 0 < self.learning_rate <= 1:
            raise UsageError(
                "steps must be 0 or more, and learning_rate above 0 and at most 1; "
                f"got {self.steps} and {self.learning_rate}.",
                where=self.name,
            )

    def unavailable(self) -> str | None:
        """Return which modules are not installed, or None if all are."""
        return missing_modules(*_LIBRARIES)

    def unsupported(self, task: Task, config: JsonObject) -> str | None:
        """Return what the technique lacks for the encoder of a checkpoint."""
        del task
        return reason_of(lambda: require_facts(_TECHNIQUE, config, "", missing_in_dropping, CASCADE))

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Train with length dropout and export, or find both in the cache; then quantise and calibrate.

        CheckpointError for an unsupported family, an untrained model or too few layers; UsageError for a task
        with choices or spans or without training examples; DataError if the training split is the reported
        one.
        """
        after = self._after(task, sources)
        check_length(read_config(sources.checkpoint.folder), settings.max_length)
        timer = CandidateTimer.of(self.name, task, sources, settings, context)
        checkpoint, training = sources.checkpoint, None
        if self.steps:
            checkpoint, training = self._train(after, sources, timer)
        plain = self._graph(after, checkpoint, timer)
        return self._calibrated(plain, training, sources, timer)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> TokenSystem:
        """Open the graph; DeviceError for anything but the CPU."""
        names = ("weights", "reduce_range", "exporter", "attention", "opset")
        facts = {name: artifact.manifest[name] for name in names if name in artifact.manifest}
        after, keep = artifact.manifest["thinned_after"], artifact.manifest["kept_percent"]
        return open_tokens(artifact.folder, task, after, keep, placement, settings, facts)

    def _after(self, task: Task, sources: PreparationSources) -> tuple[int, ...]:
        """Return the layers that drop tokens; refuse an unsupported model, task or training split."""
        checkpoint = sources.checkpoint
        check_model(_TECHNIQUE, task, checkpoint, self.name, missing_in_dropping, heads=("sequence",))
        check_data(_TECHNIQUE, sources, self.name)
        layers = shape_of(read_config(checkpoint.folder), checkpoint.name).layers
        after = self.after or tuple(range(1, layers))
        if not after or after[-1] >= layers:
            raise UnsupportedError(
                f"tokens can be dropped before the last of {layers} layers, got after {list(after)}.",
                where=checkpoint.name,
                remedy="Name earlier layers; the last layer computes only the first token.",
            )
        return after

    def _train(
        self, after: tuple[int, ...], sources: PreparationSources, timer: CandidateTimer
    ) -> tuple[Checkpoint, Artifact]:
        """Return the checkpoint after length dropout, and its artifact."""
        source, length = sources.checkpoint, timer.settings.max_length
        examples = list(sources.training())
        tuning = TrainingSettings(
            epochs=1, learning_rate=self.learning_rate, max_length=length, seed=self.seed
        )
        options = {
            "after": after,
            "steps": self.steps,
            "seed": self.seed,
            "learning_rate": self.learning_rate,
            "data_sha256": sources.training_sha256 or sha256_of(examples),
            "max_length": length,
            "libraries": library_versions("torch", "transformers", "accelerate", "tokenizers"),
        }

        def make(session: TrainingSession, folder: Path) -> dict[str, Any]:
            from optimized.adaptive.token_dropping import length_dropout

            facts = length_dropout.train(
                timer.task,
                source,
                after,
                examples,
                length,
                tuning,
                self.steps,
                timer.context,
                session,
                folder,
            )
            return {"recipe": "length-drop", "version": _VERSION, "parents": [source.fingerprint], **facts}

        key = cache_key("length-drop", _VERSION, timer.task, [source.fingerprint], **options)
        artifact = find_or_resume(timer.context, key, make)
        return output_of(artifact, source.name, source).checkpoint, artifact

    def _graph(self, after: tuple[int, ...], checkpoint: Checkpoint, timer: CandidateTimer) -> Artifact:
        """Return the artifact with the graph in fp32, shared by variants of all precisions and losses."""
        parents, length = [checkpoint.fingerprint], timer.settings.max_length
        options = {"after": after, "tolerance": self.tolerance, "libraries": library_versions(*_LIBRARIES)}

        def make(folder: Path) -> dict[str, Any]:
            from optimized.adaptive.token_dropping import graph

            timer.context.progress(f"exporting {checkpoint.name} with token dropping")
            facts = graph.export(timer.task, checkpoint.folder, after, length, self.tolerance, folder)
            return {"recipe": "tokens", "version": _VERSION, "parents": parents, **facts}

        key = cache_key("tokens", _VERSION, timer.task, parents, **options, max_length=length)
        return find_or_make(timer.context.cache, key, make, energy=timer.context.energy)

    def _calibrated(
        self, plain: Artifact, training: Artifact | None, sources: PreparationSources, timer: CandidateTimer
    ) -> Artifact:
        """Return the artifact with the graph in this variant's precision and the schedule."""
        parents = [artifact.key for artifact in (training, plain) if artifact]
        options = {
            "loss": self.loss,
            "keep": self.keep,
            "training": sources.training_sha256,
            "rule": RULE,
        }
        names = ("thinned_after", "exporter", "attention", "opset")
        shared = {name: plain.manifest[name] for name in names}
        before = training.manifest["scores"]["before"] if training else None

        def make(folder: Path) -> dict[str, Any]:
            facts = self._write_graph(plain, folder, timer)
            after = shared["thinned_after"]
            if self.keep is not None:
                calibration = {"kept_percent": _percent(self.keep), "calibration": GIVEN}
            else:
                calibration = schedule_of(folder, after, self.loss, before, sources, timer)
            origin = {"recipe": self.name, "version": _VERSION, "parents": parents}
            return {**origin, **shared, **facts, **calibration}

        key = cache_key(self.name, _VERSION, timer.task, parents, **options, **timer.key_parts())
        return find_or_make(timer.context.cache, key, make, energy=timer.context.energy)

    def _write_graph(self, plain: Artifact, folder: Path, timer: CandidateTimer) -> dict[str, Any]:
        """Write the graph into `folder`, unchanged or quantised to int8; return manifest fields."""
        copy_text_side(plain.folder, folder)
        if self.weights == "fp32":
            link(plain.folder / GRAPH, folder / GRAPH)
            return {"weights": "float32", "agreement": plain.manifest["agreement"]}
        timer.context.progress("quantising to int8")
        quantise(plain.folder / GRAPH, folder / GRAPH, reduce_range=needs_seven_bits())
        facts = {"weights": "int8, per channel", "reduce_range": needs_seven_bits()}
        after = plain.manifest["thinned_after"]
        return {**facts, "agreement": _closeness(plain.folder, folder, after, timer)}


def _closeness(
    plain: Path, folder: Path, after: Sequence[int], timer: CandidateTimer
) -> dict[str, Any] | str:
    """Compare with all tokens kept, since int8 changes which tokens are dropped."""
    if not timer.trial:
        return _NO_TRIAL
    options = (timer.task, after, ALL, timer.context.placement, timer.settings)
    exact, quantised = open_tokens(plain, *options), open_tokens(folder, *options)
    try:
        return timer.require_closeness(exact, quantised)
    finally:
        exact.close()
        quantised.close()


def _is_share(keep: object) -> bool:
    return isinstance(keep, float | int) and not isinstance(keep, bool) and 1 / ALL <= keep <= 1


def _percent(keep: float | str) -> int:
    return ALL if keep == "all" else round(ALL * float(keep))


TOKENS = (
    TokensVariant(),
    TokensVariant("onnx-tokens-int8", "token dropping with matrix products in int8", "int8"),
)
"""The variants in both precisions."""
