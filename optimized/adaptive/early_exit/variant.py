"""Early exit: each request stops at the first exit whose head is confident enough of the answer.

    fine-tuned model --heads trained on the frozen layers--> stages as graphs --int8--> thresholds --> system

Skipped layers cost nothing, since each stage is a session of its own
(`optimized/adaptive/early_exit/staged_system.py`). As for cascades, thresholds are calibrated for an allowed
loss on the part of the training split that trains nothing.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from baselines.checkpoints.artifacts import cache_key, find_or_make, library_versions, missing_modules
from baselines.checkpoints.folder import read_config
from baselines.encoding.tokenizer import check_length
from baselines.models.families import require_facts
from baselines.models.shape import shape_of
from baselines.training.datasets import SPLIT_SEED, split_for_selection
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
from optimized.adaptive.confidence import as_numbers, check_thresholds
from optimized.adaptive.criteria import check_criterion
from optimized.adaptive.early_exit.staged_system import StagedSystem, open_stages
from optimized.adaptive.early_exit.thresholds import calibrate_stages, write_stages
from optimized.adaptive.requirements import CASCADE, check_data, check_model, missing_in_exits
from optimized.graphs.candidates import CandidateTimer, sha256_of
from optimized.recipes.base import output_of
from optimized.recipes.resumable import TrainingSession, find_or_resume

_VERSION = 3
_TECHNIQUE = "early exit"
_LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime")
_MAX_EXITS = 3  # of which all combinations of thresholds on the grid are evaluated
_EXPORT_FACTS = ("exporter", "attention", "opset")
_STAGE_OPTIONS = ("exits", "steps", "seed", "tolerance")


@dataclass(frozen=True, slots=True)
class ExitsVariant:
    """Early exit after the layers `exits` (default: after about a third and two thirds of the layers).

    Thresholds are calibrated to lose at most `loss` points on held-out examples, unless `thresholds` gives
    one for each exit: a score of the criterion (`optimized/adaptive/criteria.py`), or `never`. With patience,
    the default exits are after every layer, and there is one threshold: how many heads in a row have to
    agree. Heads are trained for `steps` batches of 32 on frozen layers. With `joint`, the layers are trained
    before, towards the labels at every exit.
    """

    name: str = "onnx-exits"
    summary: str = "ONNX Runtime fp32 in stages, stopping at the first confident exit (early exit)"
    weights: Literal["fp32", "int8"] = "fp32"
    exits: tuple[int, ...] = ()
    loss: float = 0.5
    thresholds: tuple[float | str, ...] = ()
    criterion: str = "confidence"
    steps: int = 1500
    joint: bool = False
    seed: int = 0
    tolerance: float = 1e-4  # of a logit, between all stages and the whole model in PyTorch

    def __post_init__(self) -> None:
        """Accept a single exit or threshold as well as several; raise UsageError for invalid options."""
        for name in ("exits", "thresholds"):
            value = getattr(self, name)
            object.__setattr__(self, name, tuple(value) if isinstance(value, tuple | list) else (value,))
        check_criterion(self.criterion)
        integers = all(map(_is_integer, self.exits))
        rising = integers and all(low < high for low, high in pairwise((0, *self.exits)))
        few = len(self.exits) <= _MAX_EXITS or self.criterion == "patience"
        if not (rising and few):
            raise UsageError(
                f"exits must be up to {_MAX_EXITS} layers, counted from 1, in rising order; "
                f"got {list(self.exits)}.",
                where=self.name,
                remedy="Write exits: [2, 4], say.",
            )
        thresholds = self._thresholds(len(self.exits) or len(self.thresholds))
        object.__setattr__(self, "thresholds", thresholds)
        # the default exits of patience depend on the model, which is known only in `prepare`
        if self.exits or self.criterion != "patience":
            check_thresholds(
                thresholds, (len(self.exits) or len(thresholds)) + 1, self.loss, self.name, self.criterion
            )
        if self.steps < 0:
            raise UsageError(f"steps must be 0 or more, got {self.steps}.", where=self.name)

    def unavailable(self) -> str | None:
        """Return which modules are not installed, or None if all are."""
        return missing_modules(*_LIBRARIES)

    def unsupported(self, task: Task, config: JsonObject) -> str | None:
        """Return what the technique lacks for the encoder of a checkpoint."""
        del task
        return reason_of(lambda: require_facts(_TECHNIQUE, config, "", missing_in_exits, CASCADE))

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Train heads and write stages, or find them in the cache; then quantise and calibrate.

        CheckpointError for an unsupported family, an untrained model or too few layers; UsageError for a task
        with choices or without training examples; DataError if the training split is the reported one.
        """
        exits = self._exits(task, sources)
        check_length(read_config(sources.checkpoint.folder), settings.max_length)
        timer = CandidateTimer.of(self.name, task, sources, settings, context)
        if self.joint:
            sources = replace(sources, checkpoint=self._train_jointly(exits, sources, timer))
        return self._calibrated(self._stages(exits, sources, timer), sources, timer)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> StagedSystem:
        """Open every stage; DeviceError for anything but the CPU."""
        names = ("weights", "reduce_range", *_EXPORT_FACTS)
        facts = {name: artifact.manifest[name] for name in names if name in artifact.manifest}
        depths, thresholds = artifact.manifest["depths"], artifact.manifest["thresholds"]
        return open_stages(
            artifact.folder, task, depths, thresholds, placement, settings, facts, self.criterion
        )

    def _exits(self, task: Task, sources: PreparationSources) -> tuple[int, ...]:
        """Return the layers with an exit; refuse an unsupported model, task or training split."""
        checkpoint = sources.checkpoint
        check_model(_TECHNIQUE, task, checkpoint, self.name, missing_in_exits)
        check_data(_TECHNIQUE, sources, self.name)
        layers = shape_of(read_config(checkpoint.folder), checkpoint.name).layers
        exits = self.exits or self._default_exits(layers)
        if not exits or exits[-1] >= layers:
            raise UnsupportedError(
                f"exits must be before the last of {layers} layers, got {list(exits)}.",
                where=checkpoint.name,
                remedy="Name earlier layers; the last layer has the model's own classifier.",
            )
        check_thresholds(self._thresholds(len(exits)), len(exits) + 1, self.loss, self.name, self.criterion)
        return exits

    def _default_exits(self, layers: int) -> tuple[int, ...]:
        if self.criterion == "patience":
            return tuple(range(1, layers))
        return tuple(sorted({layer for layer in (layers // 3, 2 * layers // 3) if layer}))

    def _thresholds(self, exits: int) -> tuple[float | str, ...]:
        """Return a threshold for each exit; a single patience or `never` holds for all exits."""
        holds_for_all = self.criterion == "patience" or self.thresholds == ("never",)
        return self.thresholds * exits if holds_for_all and len(self.thresholds) == 1 else self.thresholds

    def _train_jointly(
        self, exits: tuple[int, ...], sources: PreparationSources, timer: CandidateTimer
    ) -> Checkpoint:
        """Return the checkpoint whose layers were trained together with exits."""
        source, length = sources.checkpoint, timer.settings.max_length
        training = list(sources.training())
        settings = {
            "exits": exits,
            "seed": self.seed,
            "data_sha256": sources.training_sha256 or sha256_of(training),
            "max_length": length,
            "libraries": library_versions("torch", "transformers", "accelerate", "tokenizers"),
        }

        def make(session: TrainingSession, folder: Path) -> dict[str, Any]:
            from optimized.adaptive.early_exit import joint_training

            facts = joint_training.train(
                timer.task, source, exits, training, length, self.seed, timer.context, session, folder
            )
            return {"recipe": "joint-exits", "version": _VERSION, "parents": [source.fingerprint], **facts}

        key = cache_key("joint-exits", _VERSION, timer.task, [source.fingerprint], **settings)
        artifact = find_or_resume(timer.context, key, make)
        return output_of(artifact, source.name, source).checkpoint

    def _stages(self, exits: tuple[int, ...], sources: PreparationSources, timer: CandidateTimer) -> Artifact:
        """Return the artifact with the stages in fp32, shared by variants of all precisions and losses."""
        checkpoint, length = sources.checkpoint, timer.settings.max_length
        training = list(sources.training())
        options = {name: getattr(self, name) for name in _STAGE_OPTIONS} | {"exits": exits}
        shared = {
            "data_sha256": sources.training_sha256 or sha256_of(training),
            "max_length": length,
            "libraries": library_versions(*_LIBRARIES),
        }
        parents = [checkpoint.fingerprint]

        def make(session: TrainingSession, folder: Path) -> dict[str, Any]:
            from optimized.adaptive.early_exit import train_stages

            kept, _ = split_for_selection(training, SPLIT_SEED)
            head_training = train_stages.HeadTraining(
                timer.task, checkpoint, examples=kept, max_length=length, **options
            )
            timer.context.progress(f"training exits after layers {', '.join(map(str, exits))}")
            facts = train_stages.make(head_training, session, folder)
            return {"recipe": "exits", "version": _VERSION, "parents": parents, **shared, **facts}

        key = cache_key("exits", _VERSION, timer.task, parents, **options, **shared)
        return find_or_resume(timer.context, key, make)

    def _calibrated(self, plain: Artifact, sources: PreparationSources, timer: CandidateTimer) -> Artifact:
        """Return the artifact with the stages in this variant's precision and the thresholds."""
        options = {
            "loss": self.loss,
            "thresholds": self.thresholds,
            "criterion": self.criterion,
            "rule": RULE,
        }
        shared = {name: plain.manifest[name] for name in ("exits", "depths", "training", *_EXPORT_FACTS)}

        def make(folder: Path) -> dict[str, Any]:
            facts = write_stages(plain, folder, self.weights, timer)
            if self.thresholds:
                thresholds = self._thresholds(len(shared["exits"]))
                calibration = {"thresholds": as_numbers(thresholds), "calibration": GIVEN}
            else:
                calibration = calibrate_stages(
                    folder, shared["depths"], self.loss, self.criterion, sources, timer
                )
            origin = {"recipe": self.name, "version": _VERSION, "parents": [plain.key]}
            return {**origin, **shared, **facts, **calibration}

        key = cache_key(self.name, _VERSION, timer.task, [plain.key], **options, **timer.key_parts())
        return find_or_make(timer.context.cache, key, make, energy=timer.context.energy)


def _is_integer(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


EARLY_EXIT = (
    ExitsVariant(),
    ExitsVariant("onnx-exits-int8", "early exit with every stage in int8", "int8"),
)
"""The variants in both precisions."""
