"""Early exit: a model that stops at the layer after which it is sure of its answer.

    fine-tuned model --heads trained on the frozen layers--> stages as graphs --int8--> thresholds --> system

Skipped layers cost nothing, since each stage is a session of its own
(`optimized/adaptive/early_exit/staged_system.py`). How sure is
sure enough is found as for cascades: on the part of train that no recipe learns from, for a stated loss.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from baselines.checkpoints.artifacts import cache_key, find_or_make, library_versions, missing_modules
from baselines.checkpoints.folder import read_config
from baselines.encoding.tokenizer import check_length
from baselines.models.shape import shape_of
from baselines.training.datasets import SPLIT_SEED, split_for_selection
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
from optimized.adaptive.confidence import as_numbers, check_rule
from optimized.adaptive.criteria import check_criterion
from optimized.adaptive.early_exit.staged_system import StagedSystem, open_stages
from optimized.adaptive.early_exit.thresholds import rounded, thresholds_of
from optimized.adaptive.requirements import check_data, check_model
from optimized.graphs.candidates import CandidateTimer, sha256_of
from optimized.recipes.base import output_of
from optimized.recipes.resumable import TrainingSession, find_or_resume

_VERSION = 3
_WHAT = "early exit"
_LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime")
_MOST = 3  # exits for which every choice of thresholds on the grid is looked at
_EXPORTED = ("exporter", "attention", "opset")
_WORDS = ("exits", "steps", "seed", "tolerance")


@dataclass(frozen=True, slots=True)
class ExitsVariant:
    """Early exit after the layers `exits` (by default about a third and two thirds of them).

    `loss` points may be lost on held-out examples; `thresholds`, one an exit, are used as they are given: how
    sure by the criterion (`optimized/adaptive/criteria.py`), or `never`. For patience there are exits after
    all layers
    unless they are named, and one threshold: how many in a row have to agree. Heads are trained for
    `steps` of 32 on frozen layers; with `joint`, layers are trained before, towards the labels at every exit.
    """

    name: str = "onnx-exits"
    summary: str = "ONNX Runtime fp32 in stages, stopping at the layer that is sure (early exit)"
    weights: Literal["fp32", "int8"] = "fp32"
    exits: tuple[int, ...] = ()
    loss: float = 0.5
    thresholds: tuple[float | str, ...] = ()
    criterion: str = "confidence"
    steps: int = 1500
    joint: bool = False
    seed: int = 0
    tolerance: float = 1e-4  # of a logit, all stages against the whole model in PyTorch

    def __post_init__(self) -> None:
        """Take one exit or threshold as well as several, and refuse what are none."""
        for name in ("exits", "thresholds"):
            given = getattr(self, name)
            object.__setattr__(self, name, tuple(given) if isinstance(given, tuple | list) else (given,))
        check_criterion(self.criterion)
        rising = all(low < high for low, high in pairwise((0, *self.exits)) if _whole(low) and _whole(high))
        few = len(self.exits) <= _MOST or self.criterion == "patience"
        if not (all(map(_whole, self.exits)) and rising and few):
            raise UsageError(
                f"exits {list(self.exits)} are none.",
                where=self.name,
                remedy=f"Name up to {_MOST} layers, counted from 1, in rising order: exits: [2, 4].",
            )
        thresholds = self._thresholds(len(self.exits) or len(self.thresholds))
        object.__setattr__(self, "thresholds", thresholds)
        # with layers unknown, the model's say how many exits there are
        if self.exits or self.criterion != "patience":
            check_rule(
                thresholds, (len(self.exits) or len(thresholds)) + 1, self.loss, self.name, self.criterion
            )
        if self.steps < 0:
            raise UsageError("steps are 0 or more.", where=self.name)

    def unavailable(self) -> str | None:
        """Say what is not installed."""
        return missing_modules(*_LIBRARIES)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Train heads and write stages, or find them; then quantise and calibrate.

        CheckpointError for a family whose layers are not known, an untrained model or too few layers;
        UsageError for a task of choices, or without training examples; DataError where these are reported.
        """
        exits = self._exits(task, sources)
        check_length(read_config(sources.checkpoint.folder), settings.max_length)
        bench = CandidateTimer(self.name, task, sources.trial, settings, workshop)
        mine = replace(sources, checkpoint=self._jointly(exits, sources, bench)) if self.joint else sources
        return self._decided(self._stages(exits, mine, bench), mine, bench)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> StagedSystem:
        """Open every stage; DeviceError for anything but the CPU."""
        known = ("weights", "reduce_range", *_EXPORTED)
        facts = {name: artifact.manifest[name] for name in known if name in artifact.manifest}
        depths, thresholds = artifact.manifest["depths"], artifact.manifest["thresholds"]
        return open_stages(
            artifact.folder, task, depths, thresholds, placement, settings, facts, self.criterion
        )

    def _exits(self, task: Task, sources: PreparationSources) -> tuple[int, ...]:
        """Return the layers after which there are exits, or refuse the model, the task or the data."""
        checkpoint = sources.checkpoint
        check_model(_WHAT, task, checkpoint, self.name)
        check_data(_WHAT, sources, self.name)
        layers = shape_of(read_config(checkpoint.folder), checkpoint.name).layers
        exits = self.exits or self._usual(layers)
        if not exits or exits[-1] >= layers:
            raise CheckpointError(
                f"it has {layers} layers, so there is no exit after layer {exits[-1] if exits else 0}.",
                where=checkpoint.name,
                remedy="An exit lies before the last layer, whose own classifier comes anyhow.",
            )
        check_rule(self._thresholds(len(exits)), len(exits) + 1, self.loss, self.name, self.criterion)
        return exits

    def _usual(self, layers: int) -> tuple[int, ...]:
        """Return after which layers exits lie unless they are named."""
        if self.criterion == "patience":
            return tuple(range(1, layers))
        return tuple(sorted({at for at in (layers // 3, 2 * layers // 3) if at}))

    def _thresholds(self, exits: int) -> tuple[float | str, ...]:
        """Return a threshold for each exit: one that is said once may hold for all."""
        for_all = self.criterion == "patience" or self.thresholds == ("never",)
        return self.thresholds * exits if for_all and len(self.thresholds) == 1 else self.thresholds

    def _jointly(
        self, exits: tuple[int, ...], sources: PreparationSources, bench: CandidateTimer
    ) -> Checkpoint:
        """Return the checkpoint whose layers were trained with exits in mind."""
        source, length = sources.checkpoint, bench.settings.max_length
        training = list(sources.training())
        words = {
            "exits": exits,
            "seed": self.seed,
            "data_sha256": sources.training_sha256 or sha256_of(training),
            "max_length": length,
            "libraries": library_versions("torch", "transformers", "accelerate", "tokenizers"),
        }

        def make(session: TrainingSession, folder: Path) -> dict[str, Any]:
            from optimized.adaptive.early_exit import joint_training as joint

            facts = joint.train(
                bench.task, source, exits, training, length, self.seed, bench.workshop, session, folder
            )
            return {"recipe": "joint-exits", "version": _VERSION, "parents": [source.fingerprint], **facts}

        key = cache_key("joint-exits", _VERSION, bench.task, [source.fingerprint], **words)
        artifact = find_or_resume(bench.workshop, key, make)
        return output_of(artifact, source.name, source).checkpoint

    def _stages(self, exits: tuple[int, ...], sources: PreparationSources, bench: CandidateTimer) -> Artifact:
        """Return the artifact of stages in fp32, which variants of any precision and loss share."""
        checkpoint, length = sources.checkpoint, bench.settings.max_length
        training = list(sources.training())
        words = {name: getattr(self, name) for name in _WORDS} | {"exits": exits}
        shared = {
            "data_sha256": sources.training_sha256 or sha256_of(training),
            "max_length": length,
            "libraries": library_versions(*_LIBRARIES),
        }
        parents = [checkpoint.fingerprint]

        def make(session: TrainingSession, folder: Path) -> dict[str, Any]:
            from optimized.adaptive.early_exit import train_stages

            kept, _ = split_for_selection(training, SPLIT_SEED)
            lesson = train_stages.HeadTraining(
                bench.task, checkpoint, examples=kept, max_length=length, **words
            )
            bench.workshop.progress(f"training exits after layers {', '.join(map(str, exits))}")
            facts = train_stages.make(lesson, session, folder)
            return {"recipe": "exits", "version": _VERSION, "parents": parents, **shared, **facts}

        key = cache_key("exits", _VERSION, bench.task, parents, **words, **shared)
        return find_or_resume(bench.workshop, key, make)

    def _decided(self, plain: Artifact, sources: PreparationSources, bench: CandidateTimer) -> Artifact:
        """Return the artifact of stages at this variant's precision, with thresholds."""
        words = {
            "loss": self.loss,
            "thresholds": self.thresholds,
            "criterion": self.criterion,
            "rule": RULE,
        }
        shared = {name: plain.manifest[name] for name in ("exits", "depths", "training", *_EXPORTED)}

        def make(folder: Path) -> dict[str, Any]:
            facts = rounded(plain, folder, self.weights, bench)
            if self.thresholds:
                given = self._thresholds(len(shared["exits"]))
                decided = {"thresholds": as_numbers(given), "calibration": GIVEN}
            else:
                decided = thresholds_of(folder, shared["depths"], self.loss, self.criterion, sources, bench)
            kind = {"recipe": self.name, "version": _VERSION, "parents": [plain.key]}
            return {**kind, **shared, **facts, **decided}

        key = cache_key(self.name, _VERSION, bench.task, [plain.key], **words, **bench.key_parts())
        return find_or_make(bench.workshop.cache, key, make, energy=bench.workshop.energy)


def _whole(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


EARLY_EXIT = (
    ExitsVariant(),
    ExitsVariant("onnx-exits-int8", "early exit with every stage in int8", "int8"),
)
"""Both precisions, as the table of variants lists them."""
