"""The variant `fastest`: chooses the fastest engine for a model on this machine by timing.

Every candidate engine that is installed prepares the model. Those whose answers stay close to float32's are
timed, interleaved, on training examples, with the threads of the run, and the fastest is kept. The manifest
holds the times of all of them, and the reasons why others were refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from baselines.checkpoints.artifacts import cache_key, cpu_flags, find_or_make, link_all
from harness.common.errors import BenchError, CheckpointError, UsageError
from harness.common.json_types import JsonObject
from harness.systems.interface import (
    Artifact,
    Placement,
    PreparationContext,
    PreparationSources,
    ProfiledSystem,
    Request,
    Settings,
    System,
    Variant,
)
from harness.workload.tasks.base import Task
from optimized.batching.wrapper import SystemWrapper
from optimized.graphs.candidates import NO_TRIAL, CandidateTimer, sha256_of

_VERSION = 3
_FOLDER = "system"
_INHERITED = ("agreement", "batch_dependence", "calibration", "weights", "activations", "kept_float")
"""Entries of the chosen artifact's manifest that reports read from this one."""


class ChosenSystem(SystemWrapper):
    """The system of the chosen variant; its description has the variant's name."""

    def __init__(self, name: str, system: System) -> None:
        super().__init__(system, {"chosen": name})
        self._name = name

    def profile(self, requests: Sequence[Request]) -> Mapping[str, float]:
        """Return seconds by class of operator; UsageError where the chosen engine has no profiler."""
        if not isinstance(self._system, ProfiledSystem):
            raise UsageError(f"{self._name} has no profiler for its engine.")
        return self._system.profile(requests)


@dataclass(frozen=True, slots=True)
class FastestVariant:
    """The fastest of the variants in `choices`."""

    choices: tuple[Variant, ...]
    name: str = "fastest"
    summary: str = "the fastest of the engines here for this model, found by timing them on training examples"

    def unavailable(self) -> str | None:
        """Return what the first choice lacks, if none can run."""
        reasons = [choice.unavailable() for choice in self.choices]
        return None if None in reasons else reasons[0]

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Prepare all choices, time them and keep the fastest; BenchError if none can be prepared."""
        artifacts, refused = self._prepare_all(task, sources, settings, context)
        machine = {"cpu": cpu_flags(), "threads": context.placement.threads, "refused": sorted(refused)}
        data = {"trial": sha256_of(sources.trial), "max_length": settings.max_length}
        parents = [artifact.key for artifact in artifacts.values()]
        key = cache_key(self.name, _VERSION, task, parents, **machine, **data)
        timer = CandidateTimer.of(self.name, task, sources, settings, context)
        openers = {
            name: partial(self._choice(name).load, task, artifact, context.placement, settings)
            for name, artifact in artifacts.items()
        }

        def make(folder: Path) -> JsonObject:
            context.progress(f"timing {', '.join(artifacts)}")
            seconds = timer.time(openers) if sources.trial else {}
            chosen = min(seconds, key=seconds.__getitem__) if seconds else next(iter(artifacts))
            link_all(artifacts[chosen].folder, folder / _FOLDER)
            manifest = artifacts[chosen].manifest
            return {
                **{name: manifest[name] for name in _INHERITED if name in manifest},
                "recipe": self.name,
                "version": _VERSION,
                "parents": parents,
                "chosen": chosen,
                "chosen_because": "the lowest median time" if seconds else "not measured: no trial examples",
                "seconds_per_request": seconds or NO_TRIAL,
                "trials": _trials(artifacts),
                "refused": refused,
                _FOLDER: dict(manifest),
            }

        return find_or_make(context.cache, key, make, energy=context.energy)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> ChosenSystem:
        """Load the chosen variant."""
        manifest = artifact.manifest[_FOLDER]
        parent = Artifact(artifact.folder / _FOLDER, manifest["key"], manifest)
        choice = self.chosen(artifact)
        return ChosenSystem(choice.name, choice.load(task, parent, placement, settings))

    def chosen(self, artifact: Artifact) -> Variant:
        """Return the variant that preparation chose."""
        return self._choice(artifact.manifest["chosen"])

    def _choice(self, name: str) -> Variant:
        return next(choice for choice in self.choices if choice.name == name)

    def _prepare_all(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> tuple[dict[str, Artifact], dict[str, str]]:
        artifacts: dict[str, Artifact] = {}
        refused: dict[str, str] = {}
        problems: list[BenchError] = []
        for choice in self.choices:
            if reason := choice.unavailable():
                refused[choice.name] = reason
                continue
            try:
                artifacts[choice.name] = choice.prepare(task, sources, settings, context)
            except BenchError as problem:
                refused[choice.name] = str(problem)
                problems.append(problem)
        if artifacts:
            return artifacts, refused
        if problems:
            raise problems[0]
        raise CheckpointError(
            "none of the engines can run this model here.",
            where=self.name,
            remedy=next(iter(refused.values())),
        )


def _trials(artifacts: Mapping[str, Artifact]) -> JsonObject:
    """Return the trials that the engines made while preparing, by variant."""
    return {
        name: artifact.manifest["trials"]
        for name, artifact in artifacts.items()
        if "trials" in artifact.manifest
    }
