"""Cascades: systems of one task in order, each of which passes on the requests it is not confident of.

    request --> stage 1 --confident?--> answer
                   |no
                stage 2 --confident?--> answer
                   |no
                  ...  last stage ----> answer

This is the adaptive inference that FastFormers names as future work, with whole systems as stages: a student
answers easy requests, its teacher the others. Thresholds are calibrated for an allowed loss of quality on the
part of the training split that trains nothing; the manifest has the whole curve. Thresholds depend on model
and texts, so the loss on other texts has to be measured.
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
from harness.workload.tasks.example import Example, Logits
from optimized.adaptive.calibration import GIVEN, RULE, StageAnswers, calibrate, held_out_examples
from optimized.adaptive.confidence import as_numbers, check_thresholds
from optimized.adaptive.criteria import NEVER, check_criterion, confidence_scores
from optimized.adaptive.requirements import check_single_label

_VERSION = 2

CRITERIA = ("confidence", "entropy")
"""The criteria of a stage. Patience is left out: it counts the answers of one model's own exit heads."""


@dataclass(frozen=True, slots=True, eq=False)
class StagedRequest(Request):
    """A request as encoded by each stage; `sequences` are the first stage's."""

    stages: tuple[Request, ...] = ()


class CascadeSystem:
    """Systems in order; a request is passed on until the score of an answer reaches the stage's threshold.

    A stage with the threshold `never` is not run, so it costs nothing.
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
        """Encode the examples for every stage; stages with the same encoding share their requests."""
        encodings = [
            getattr(stage, "encoding", "") or str(number) for number, stage in enumerate(self._stages)
        ]
        encoded: dict[str, Sequence[Request]] = {}
        for encoding, stage in zip(encodings, self._stages, strict=True):
            if encoding not in encoded:
                encoded[encoding] = stage.encode(examples)
        rows = zip(*(encoded[encoding] for encoding in encodings), strict=True)
        return [StagedRequest(row[0].id, row[0].sequences, tuple(row)) for row in rows]

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer encoded requests; `costs` has the number of the stage, from 1, that answered each."""
        staged = cast("Sequence[StagedRequest]", requests)
        logits: dict[int, Logits] = {}
        answered_by = np.zeros(len(requests))
        pending = list(range(len(requests)))
        for number, stage in enumerate(self._stages):
            if not pending:
                break
            if self._is_closed(number):
                continue
            predictions = stage.predict([staged[index].stages[number] for index in pending])
            for row, index in enumerate(pending):
                low, high = predictions.offsets[row], predictions.offsets[row + 1]
                logits[index], answered_by[index] = predictions.logits[low:high], number + 1
            passed_on = self._passes_on(number, predictions)
            pending = [index for index, passes in zip(pending, passed_on, strict=True) if passes]
        rows = [logits[index] for index in range(len(requests))]
        empty = np.zeros((0, len(self._task.labels)), np.float32)
        return Predictions(
            np.concatenate(rows) if rows else empty, offsets_of(requests), costs={"stage": answered_by}
        )

    def describe(self) -> Mapping[str, Any]:
        """Return the thresholds and the descriptions of the stages."""
        stages = [dict(stage.describe()) for stage in self._stages]
        shared: dict[str, Any] = {
            name: stages[0][name] for name in ("threads", "max_length") if name in stages[0]
        }
        return {
            **shared,
            "engine": "cascade of " + ", ".join(str(stage.get("engine")) for stage in stages),
            "criterion": self._criterion,
            "thresholds": list(self._thresholds),
            "batch": 1,
            "stages": stages,
        }

    def close(self) -> None:
        """Release every stage."""
        for stage in self._stages:
            stage.close()

    def _is_closed(self, number: int) -> bool:
        return number < len(self._thresholds) and self._thresholds[number] >= NEVER

    def _passes_on(self, number: int, predictions: Predictions) -> list[bool]:
        if number == len(self._stages) - 1:
            return [False] * (len(predictions.offsets) - 1)
        scores = confidence_scores(self._task, predictions.logits, predictions.offsets, self._criterion)
        return [bool(score < self._thresholds[number]) for score in scores]


@dataclass(frozen=True, slots=True)
class CascadeVariant:
    """Variants in order, the cheapest first, with given thresholds or ones calibrated for `loss` points.

    `thresholds` has one value for each stage but the last: a score of the criterion (confidence or entropy)
    from 0 to 1, or `never`, which passes all requests on.
    """

    name: str
    summary: str
    stages: tuple[Variant, ...]
    loss: float = 0.5
    thresholds: tuple[float | str, ...] = ()
    criterion: str = "confidence"

    def __post_init__(self) -> None:
        """Raise UsageError for invalid options."""
        check_criterion(self.criterion, CRITERIA)
        if len(self.stages) < 2:  # noqa: PLR2004 -- a single stage passes nothing on
            raise UsageError(f"a cascade needs at least two stages, got {len(self.stages)}.", where=self.name)
        check_thresholds(self.thresholds, len(self.stages), self.loss, self.name)

    def unavailable(self) -> str | None:
        """Return why the first unavailable stage cannot run, or None if all can."""
        return next((reason for stage in self.stages if (reason := stage.unavailable())), None)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Prepare every stage, and calibrate thresholds on the held-out part of the training split."""
        check_single_label("a cascade", task, self.name)
        artifacts = [stage.prepare(task, sources, settings, context) for stage in self.stages]
        parents = [artifact.key for artifact in artifacts]
        key = cache_key(
            "cascade",
            _VERSION,
            task,
            parents,
            loss=self.loss,
            thresholds=list(self.thresholds),
            criterion=self.criterion,
            rule=RULE,
            training=sources.training_sha256,
            max_length=settings.max_length,
        )

        def make(folder: Path) -> dict[str, Any]:
            for number, artifact in enumerate(artifacts, 1):
                link_all(artifact.folder, folder / f"stage-{number}")
            facts = self._thresholds_and_calibration(task, artifacts, sources, settings, context)
            stages = [dict(artifact.manifest) for artifact in artifacts]
            return {"recipe": "cascade", "version": _VERSION, "parents": parents, **facts, "stages": stages}

        return find_or_make(context.cache, key, make, energy=context.energy)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> CascadeSystem:
        """Load every stage with the whole placement, since only one stage works at a time."""
        parts = [
            Artifact(artifact.folder / f"stage-{number}", manifest["key"], manifest)
            for number, manifest in enumerate(artifact.manifest["stages"], 1)
        ]
        stages = self._load_stages(task, parts, placement, settings)
        return CascadeSystem(task, stages, artifact.manifest["thresholds"], self.criterion)

    def _load_stages(
        self, task: Task, artifacts: Sequence[Artifact], placement: Placement, settings: Settings
    ) -> list[System]:
        placement = replace(placement, in_turns=True)
        return [
            stage.load(task, artifact, placement, settings)
            for stage, artifact in zip(self.stages, artifacts, strict=True)
        ]

    def _thresholds_and_calibration(
        self,
        task: Task,
        artifacts: Sequence[Artifact],
        sources: PreparationSources,
        settings: Settings,
        context: PreparationContext,
    ) -> dict[str, Any]:
        if self.thresholds:
            return {"thresholds": as_numbers(self.thresholds), "calibration": GIVEN}
        held_out = held_out_examples(sources, self.name)
        context.progress(f"running every stage on {len(held_out)} held-out examples")
        systems = self._load_stages(task, artifacts, context.placement, settings)
        try:
            by_number = {str(number): system for number, system in enumerate(systems)}
            times = context.measure(by_number, sources.trial)
            predictions = [system.predict(system.encode(held_out)) for system in systems]
        finally:
            for system in systems:
                system.close()
        seconds = [times[number] for number in by_number]
        answers = StageAnswers(
            task,
            held_out,
            sources.training_sha256,
            predictions,
            seconds,
            full_seconds=seconds[-1],
            skip_closed=True,
        )
        return calibrate(answers, self.loss, self.criterion)
