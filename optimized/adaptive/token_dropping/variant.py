"""Token reduction: layers that pass on only the tokens that the others attend to.

    fine-tuned model --length drop-out--> model --graph, its schedule an input--> int8 --held-out--> schedule

The schedules tried are a family of one number: the share that each thinning layer keeps of what reached it.
The cheapest that loses no more than was asked for is chosen on the part of train that no recipe learns from.
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
from baselines.models.shape import shape_of
from baselines.training.datasets import TrainingSettings
from harness.common.errors import CheckpointError, UsageError
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
from optimized.adaptive.requirements import check_data, check_model
from optimized.adaptive.token_dropping.budget import ALL
from optimized.adaptive.token_dropping.search import schedule_of
from optimized.adaptive.token_dropping.system import TokenSystem, open_tokens
from optimized.graphs.candidates import CandidateTimer, sha256_of
from optimized.graphs.closeness import require_closeness
from optimized.graphs.transforms import needs_seven_bits, quantise
from optimized.recipes.base import output_of
from optimized.recipes.resumable import TrainingSession, find_or_resume

_VERSION = 1
_LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime")
_WHAT = "token reduction"
_NO_TRIAL = "unavailable, because there were no trial examples"


@dataclass(frozen=True, slots=True)
class TokensVariant:
    """Tokens dropped in the layers `after` (by default all but the last).

    `keep` is the share of its tokens that each of them keeps, or `all`; else it is found for at most `loss`
    points on held-out examples. The model is trained before, for `steps` of 16 sequences with length
    drop-out; with 0 steps it stays as it is.
    """

    name: str = "onnx-tokens"
    summary: str = "ONNX Runtime fp32, dropping tokens that get little attention (token reduction)"
    weights: Literal["fp32", "int8"] = "fp32"
    after: tuple[int, ...] = ()
    loss: float = 0.5
    keep: float | str | None = None
    steps: int = 300
    learning_rate: float = 3e-5
    seed: int = 0
    tolerance: float = 1e-4  # of a logit, against the model in PyTorch

    def __post_init__(self) -> None:
        """Take one layer as well as several, and refuse what are none."""
        given = self.after
        object.__setattr__(self, "after", tuple(given) if isinstance(given, tuple | list) else (given,))
        whole = all(isinstance(each, int) and not isinstance(each, bool) for each in self.after)
        if not (whole and all(low < high for low, high in pairwise((0, *self.after)))):
            raise UsageError(
                f"after {list(self.after)} names no layers.",
                where=self.name,
                remedy="Name layers before the last, counted from 1, in rising order: after: [2, 3].",
            )
        if self.keep is not None and self.keep != "all" and not _is_share(self.keep):
            raise UsageError(
                f"{self.keep!r} is no share to keep.", where=self.name, remedy="From 0.01 to 1, or all."
            )
        if not 0 <= self.loss <= 100:  # noqa: PLR2004 -- hundredths
            raise UsageError(f"a loss of {self.loss} points is none: 0 to 100.", where=self.name)
        if self.steps < 0 or not 0 < self.learning_rate <= 1:
            raise UsageError("steps are 0 or more, a learning rate above 0 and at most 1.", where=self.name)

    def unavailable(self) -> str | None:
        """Say what is not installed."""
        return missing_modules(*_LIBRARIES)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Train with length drop-out and export, or find both; then quantise and choose a schedule.

        CheckpointError for a family whose layers are not known, an untrained model or too few layers;
        UsageError for a task of choices or spans, or without training examples; DataError where these are
        reported.
        """
        after = self._after(task, sources)
        check_length(read_config(sources.checkpoint.folder), settings.max_length)
        bench = CandidateTimer(self.name, task, sources.trial, settings, workshop)
        trained = self._trained(after, sources, bench) if self.steps else None
        checkpoint = trained[0] if trained else sources.checkpoint
        plain = self._graph(after, checkpoint, bench)
        return self._decided(plain, trained[1] if trained else None, sources, bench)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> TokenSystem:
        """Open the graph; DeviceError for anything but the CPU."""
        known = ("weights", "reduce_range", "exporter", "attention", "opset")
        facts = {name: artifact.manifest[name] for name in known if name in artifact.manifest}
        after, keep = artifact.manifest["thinned_after"], artifact.manifest["kept_percent"]
        return open_tokens(artifact.folder, task, after, keep, placement, settings, facts)

    def _after(self, task: Task, sources: PreparationSources) -> tuple[int, ...]:
        """Return the layers in which tokens are dropped, or refuse the model, the task or the data."""
        checkpoint = sources.checkpoint
        check_model(_WHAT, task, checkpoint, self.name, heads=("sequence",))
        check_data(_WHAT, sources, self.name)
        layers = shape_of(read_config(checkpoint.folder), checkpoint.name).layers
        after = self.after or tuple(range(1, layers))
        if not after or after[-1] >= layers:
            raise CheckpointError(
                f"it has {layers} layers, so none can be dropped after layer {after[-1] if after else 0}.",
                where=checkpoint.name,
                remedy="Tokens are dropped before the last layer, which reads the first token alone.",
            )
        return after

    def _trained(
        self, after: tuple[int, ...], sources: PreparationSources, bench: CandidateTimer
    ) -> tuple[Checkpoint, Artifact]:
        """Return the checkpoint that is used to missing tokens, and the artifact of its training."""
        source, length = sources.checkpoint, bench.settings.max_length
        training = list(sources.training())
        tuning = TrainingSettings(
            epochs=1, learning_rate=self.learning_rate, max_length=length, seed=self.seed
        )
        words = {
            "after": after,
            "steps": self.steps,
            "seed": self.seed,
            "learning_rate": self.learning_rate,
            "data_sha256": sources.training_sha256 or sha256_of(training),
            "max_length": length,
            "libraries": library_versions("torch", "transformers", "accelerate", "tokenizers"),
        }

        def make(session: TrainingSession, folder: Path) -> dict[str, Any]:
            from optimized.adaptive.token_dropping import length_dropout

            facts = length_dropout.train(
                bench.task,
                source,
                after,
                training,
                length,
                tuning,
                self.steps,
                bench.workshop,
                session,
                folder,
            )
            return {"recipe": "length-drop", "version": _VERSION, "parents": [source.fingerprint], **facts}

        key = cache_key("length-drop", _VERSION, bench.task, [source.fingerprint], **words)
        artifact = find_or_resume(bench.workshop, key, make)
        return output_of(artifact, source.name, source).checkpoint, artifact

    def _graph(self, after: tuple[int, ...], checkpoint: Checkpoint, bench: CandidateTimer) -> Artifact:
        """Return the artifact of the graph in fp32, which variants of any precision and loss share."""
        parents, length = [checkpoint.fingerprint], bench.settings.max_length
        words = {"after": after, "tolerance": self.tolerance, "libraries": library_versions(*_LIBRARIES)}

        def make(folder: Path) -> dict[str, Any]:
            from optimized.adaptive.token_dropping import graph

            bench.workshop.progress(f"exporting {checkpoint.name} with tokens dropped")
            facts = graph.export(bench.task, checkpoint.folder, after, length, self.tolerance, folder)
            return {"recipe": "tokens", "version": _VERSION, "parents": parents, **facts}

        key = cache_key("tokens", _VERSION, bench.task, parents, **words, max_length=length)
        return find_or_make(bench.workshop.cache, key, make, energy=bench.workshop.energy)

    def _decided(
        self, plain: Artifact, trained: Artifact | None, sources: PreparationSources, bench: CandidateTimer
    ) -> Artifact:
        """Return the artifact of the graph at this variant's precision, with its schedule."""
        parents = [each.key for each in (trained, plain) if each]
        words = {
            "loss": self.loss,
            "keep": self.keep,
            "training": sources.training_sha256,
            "rule": RULE,
        }
        names = ("thinned_after", "exporter", "attention", "opset")
        shared = {name: plain.manifest[name] for name in names}
        before = trained.manifest["scores"]["before"] if trained else None

        def make(folder: Path) -> dict[str, Any]:
            facts = self._rounded(plain, folder, bench)
            after = shared["thinned_after"]
            if self.keep is not None:
                decided = {"kept_percent": _percent(self.keep), "calibration": GIVEN}
            else:
                decided = schedule_of(folder, after, self.loss, before, sources, bench)
            kind = {"recipe": self.name, "version": _VERSION, "parents": parents}
            return {**kind, **shared, **facts, **decided}

        key = cache_key(self.name, _VERSION, bench.task, parents, **words, **bench.key_parts())
        return find_or_make(bench.workshop.cache, key, make, energy=bench.workshop.energy)

    def _rounded(self, plain: Artifact, folder: Path, bench: CandidateTimer) -> dict[str, Any]:
        """Put the graph into `folder`, as it is or with int8 products; return what was done."""
        copy_text_side(plain.folder, folder)
        if self.weights == "fp32":
            link(plain.folder / GRAPH, folder / GRAPH)
            return {"weights": "float32", "agreement": plain.manifest["agreement"]}
        bench.workshop.progress("quantising to int8")
        quantise(plain.folder / GRAPH, folder / GRAPH, reduce_range=needs_seven_bits())
        facts = {"weights": "int8, per channel", "reduce_range": needs_seven_bits()}
        after = plain.manifest["thinned_after"]
        return {**facts, "agreement": _closeness(plain.folder, folder, after, bench)}


def _closeness(
    plain: Path, folder: Path, after: Sequence[int], bench: CandidateTimer
) -> dict[str, Any] | str:
    """Compare with all tokens kept: which ones go is chosen by numbers that int8 moves."""
    if not bench.trial:
        return _NO_TRIAL
    own = (bench.task, after, ALL, bench.workshop.placement, bench.settings)
    exact, near = open_tokens(plain, *own), open_tokens(folder, *own)
    try:
        return require_closeness(bench.task, exact, near, bench.trial, bench.name)
    finally:
        exact.close()
        near.close()


def _is_share(keep: object) -> bool:
    known = isinstance(keep, float | int) and not isinstance(keep, bool)
    return known and 1 / ALL <= float(keep) <= 1  # type: ignore[arg-type]  # a number by now


def _percent(keep: float | str) -> int:
    return ALL if keep == "all" else round(ALL * float(keep))


TOKENS = (
    TokensVariant(),
    TokensVariant("onnx-tokens-int8", "token reduction with products in int8", "int8"),
)
"""Both precisions, as the table of variants lists them."""
