"""A cascade: systems of one task in order, each passing on the requests it is unsure of.

    request --> stage 1 --sure enough?--> answer
                   |no
                stage 2 --sure enough?--> answer
                   |no
                  ...  last stage ------> answer

Adaptive inference as FastFormers names it as the next step, at the level of whole systems: a student answers
what is easy, its teacher the rest. How sure is sure enough is found on the part of train that no recipe
learns from, for a stated loss of quality, and the whole curve stands in the manifest. The thresholds depend
on the model and the texts; that they keep their promise elsewhere is for the measurement to say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from baselines.checkpoints.artifacts import cache_key, find_or_make, link_all
from harness.common.errors import UsageError
from harness.systems.interface import (
    Artifact,
    Placement,
    Predictions,
    PreparationContext,
    PreparationSources,
    Request,
    Settings,
    System,
    Variant,
    offsets_of,
)
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.adaptive.calibration import GIVEN, RULE, StageAnswers, calibrated, held_out_of
from optimized.adaptive.confidence import as_numbers, check_rule
from optimized.adaptive.criteria import NEVER, check_criterion, sureness

_VERSION = 2

CRITERIA = ("confidence", "entropy")
"""By which a stage may be sure."""


@dataclass(frozen=True, slots=True, eq=False)
class StagedRequest(Request):
    """A request as each stage's tokenizer reads it; `sequences` are the first stage's."""

    stages: tuple[Request, ...] = ()


class CascadeSystem:
    """Systems in order; a request goes on until one is sure enough of its answer.

    A stage whose threshold is never reached is not asked: the cascade then costs what the others do.
    """

    def __init__(
        self,
        task: Task,
        stages: Sequence[System],
        thresholds: Sequence[float],
        criterion: str = "confidence",
    ) -> None:
        self._criterion = criterion
        self._task, self._stages, self._thresholds = task, stages, tuple(thresholds)

    def encode(self, examples: Sequence[Example]) -> list[StagedRequest]:
        """Turn text into requests for every stage: any of them may be asked."""
        # stages that encode alike share their requests
        made: dict[str, Sequence[Request]] = {}
        for number, stage in enumerate(self._stages):
            name = getattr(stage, "encoding", "") or str(number)
            if name not in made:
                made[name] = stage.encode(examples)
        names = [getattr(stage, "encoding", "") or str(number) for number, stage in enumerate(self._stages)]
        rows = zip(*(made[name] for name in names), strict=True)
        return [StagedRequest(row[0].id, row[0].sequences, tuple(row)) for row in rows]

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer requests that it encoded; `costs` says which stage, from 1, answered each."""
        staged = cast("Sequence[StagedRequest]", requests)
        answered: list[Any] = [None] * len(requests)
        who = np.zeros(len(requests))
        pending = list(range(len(requests)))
        for number, stage in enumerate(self._stages):
            if not pending:
                break
            if self._left_out(number):
                continue
            found = stage.predict([staged[place].stages[number] for place in pending])
            left = self._left(number, found)
            for row, place in enumerate(pending):
                low, high = found.offsets[row], found.offsets[row + 1]
                answered[place], who[place] = found.logits[low:high], number + 1
            pending = [place for place, is_left in zip(pending, left, strict=True) if is_left]
        logits = np.concatenate(answered) if answered else np.zeros((0, len(self._task.labels)), np.float32)
        return Predictions(logits, offsets_of(requests), costs={"stage": who})

    def describe(self) -> Mapping[str, Any]:
        """Say what the stages say, and the thresholds between them."""
        said = [dict(stage.describe()) for stage in self._stages]
        shared: dict[str, Any] = {
            name: said[0][name] for name in ("threads", "max_length") if name in said[0]
        }
        return {
            **shared,
            "engine": "cascade of " + ", ".join(str(each.get("engine")) for each in said),
            "criterion": self._criterion,
            "thresholds": list(self._thresholds),
            "batch": 1,
            "stages": said,
        }

    def close(self) -> None:
        """Release every stage."""
        for stage in self._stages:
            stage.close()

    def _left_out(self, number: int) -> bool:
        """Say whether a stage is never sure, and so need not be asked."""
        return number < len(self._thresholds) and self._thresholds[number] >= NEVER

    def _left(self, number: int, found: Predictions) -> list[bool]:
        if number == len(self._stages) - 1:
            return [False] * (len(found.offsets) - 1)
        sure = sureness(self._task, found.logits, found.offsets, self._criterion)
        return [bool(each < self._thresholds[number]) for each in sure]


@dataclass(frozen=True, slots=True)
class CascadeVariant:
    """Variants in order, the cheapest first; thresholds for at most `loss` points, or as they are given.

    `thresholds` has one for each stage but the last: how sure, 0 to 1 by the criterion (confidence or
    entropy), or `never`, which passes everything on.
    """

    name: str
    summary: str
    stages: tuple[Variant, ...]
    loss: float = 0.5
    thresholds: tuple[float | str, ...] = ()
    criterion: str = "confidence"

    def __post_init__(self) -> None:
        """Refuse what is no cascade."""
        # patience counts answers of one model's own classifiers
        check_criterion(self.criterion, CRITERIA)
        if len(self.stages) < 2:  # noqa: PLR2004 -- or nothing is passed on
            raise UsageError("a cascade needs at least two stages.", where=self.name)
        check_rule(self.thresholds, len(self.stages), self.loss, self.name)

    def unavailable(self) -> str | None:
        """Say what the first stage that cannot run lacks."""
        return next((reason for stage in self.stages if (reason := stage.unavailable())), None)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Prepare every stage, and find thresholds on the held-out part of the training split."""
        made = [stage.prepare(task, sources, settings, workshop) for stage in self.stages]
        words = {
            "loss": self.loss,
            "thresholds": list(self.thresholds),
            "criterion": self.criterion,
            "rule": RULE,
        }
        shared = {"training": sources.training_sha256, "max_length": settings.max_length}
        key = cache_key("cascade", _VERSION, task, [each.key for each in made], **words, **shared)

        def make(folder: Path) -> dict[str, Any]:
            for number, artifact in enumerate(made):
                link_all(artifact.folder, folder / f"stage-{number + 1}")
            facts = self._calibrated(task, made, sources, settings, workshop)
            parents = [artifact.key for artifact in made]
            stages = [dict(artifact.manifest) for artifact in made]
            return {"recipe": "cascade", "version": _VERSION, "parents": parents, **facts, "stages": stages}

        return find_or_make(workshop.cache, key, make, energy=workshop.energy)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> CascadeSystem:
        """Load every stage, each with the whole placement: they never work at the same time."""
        manifests = artifact.manifest["stages"]
        parts = [
            Artifact(artifact.folder / f"stage-{number + 1}", manifest["key"], manifest)
            for number, manifest in enumerate(manifests)
        ]
        placement = replace(placement, in_turns=True)
        loaded = [
            stage.load(task, part, placement, settings)
            for stage, part in zip(self.stages, parts, strict=True)
        ]
        return CascadeSystem(task, loaded, artifact.manifest["thresholds"], self.criterion)

    def _calibrated(
        self,
        task: Task,
        made: Sequence[Artifact],
        sources: PreparationSources,
        settings: Settings,
        workshop: PreparationContext,
    ) -> dict[str, Any]:
        if self.thresholds:
            return {"thresholds": as_numbers(self.thresholds), "calibration": GIVEN}
        held_out = held_out_of(sources, self.name)
        workshop.progress(f"asking {len(held_out)} held-out examples of every stage")
        loaded = [
            stage.load(task, artifact, replace(workshop.placement, in_turns=True), settings)
            for stage, artifact in zip(self.stages, made, strict=True)
        ]
        try:
            names = {str(number): system for number, system in enumerate(loaded)}
            seconds = workshop.measure(names, sources.trial)
            found = [system.predict(system.encode(held_out)) for system in loaded]
        finally:
            for system in loaded:
                system.close()
        taken = [seconds[name] for name in names]
        said = (task, held_out, sources.training_sha256, found, taken)
        asked = StageAnswers(*said, full_seconds=taken[-1], skips_the_unsure=True)
        return calibrated(asked, self.loss, self.criterion)
