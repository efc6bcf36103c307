"""The fastest there is for this model on this machine, by measurement and not by belief.

Every engine that is worth trying and is installed here prepares the model; those whose answers stay close to
float32's are timed, interleaved, on training examples, with the threads they will have; the fastest is kept.
What else was tried, how it did, and what was refused and why, is in the manifest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import cache_key, cpu_flags, find_or_make, link_all
from harness.common.errors import BenchError, CheckpointError, UsageError
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
from optimized.batching.wrapper import Wrapped
from optimized.graphs.candidates import sha256_of

_VERSION = 3
_FOLDER = "system"
_SHARED = ("agreement", "batch_dependence", "calibration", "weights", "activations", "kept_float")
"""What a manifest says of the artifact that was kept, where reports look for it."""


class ChosenSystem(Wrapped):
    """The system of the variant that was chosen, which it names."""

    def __init__(self, name: str, system: System) -> None:
        super().__init__(system, {"chosen": name})
        self._name = name

    def profile(self, requests: Sequence[Request]) -> Mapping[str, float]:
        """Return seconds by class of operator; UsageError where the chosen engine does not say."""
        if not isinstance(self._system, ProfiledSystem):
            raise UsageError(f"{self._name} has no profiler of its engine.")
        return self._system.profile(requests)


@dataclass(frozen=True, slots=True)
class FastestVariant:
    """The fastest of `choices`, which all answer like the model."""

    choices: tuple[Variant, ...]
    name: str = "fastest"
    summary: str = "the fastest of the engines here for this model, found by timing them on training examples"

    def unavailable(self) -> str | None:
        """Say what the first choice lacks, where none can run."""
        reasons = [choice.unavailable() for choice in self.choices]
        return None if None in reasons else reasons[0]

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Prepare all that can run here, time them and keep the fastest; CheckpointError if none is left."""
        made, refused = self._made(task, sources, settings, workshop)
        here = {"cpu": cpu_flags(), "threads": workshop.placement.threads, "refused": sorted(refused)}
        asked = {"trial": sha256_of(sources.trial), "max_length": settings.max_length}
        key = cache_key(self.name, _VERSION, task, [each.key for each in made.values()], **here, **asked)

        def make(folder: Path) -> dict[str, Any]:
            workshop.progress(f"timing {', '.join(made)}")
            seconds = self._timed(task, made, sources, settings, workshop)
            chosen = min(seconds, key=seconds.__getitem__) if seconds else next(iter(made))
            link_all(made[chosen].folder, folder / _FOLDER)
            kept = made[chosen].manifest
            return {
                **{name: kept[name] for name in _SHARED if name in kept},
                "recipe": self.name,
                "version": _VERSION,
                "parents": [each.key for each in made.values()],
                "chosen": chosen,
                "chosen_because": "the lowest median time" if seconds else "not measured: no trial examples",
                "seconds_per_request": seconds or "unavailable, because there were no trial examples",
                "trials": _trials(made),
                "refused": refused,
                _FOLDER: dict(kept),
            }

        return find_or_make(workshop.cache, key, make, energy=workshop.energy)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> ChosenSystem:
        """Load the variant that was chosen."""
        kept = artifact.manifest[_FOLDER]
        part = Artifact(artifact.folder / _FOLDER, kept["key"], kept)
        name = artifact.manifest["chosen"]
        return ChosenSystem(name, self._choice(name).load(task, part, placement, settings))

    def _choice(self, name: str) -> Variant:
        return next(choice for choice in self.choices if choice.name == name)

    def _made(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> tuple[dict[str, Artifact], dict[str, str]]:
        made: dict[str, Artifact] = {}
        refused: dict[str, str] = {}
        problems: list[BenchError] = []
        for choice in self.choices:
            if reason := choice.unavailable():
                refused[choice.name] = reason
                continue
            try:
                made[choice.name] = choice.prepare(task, sources, settings, workshop)
            except BenchError as problem:
                refused[choice.name] = str(problem)
                problems.append(problem)
        if made:
            return made, refused
        if problems:
            raise problems[0]
        raise CheckpointError(
            "no engine here can run it.", where=self.name, remedy=next(iter(refused.values()))
        )

    def _timed(
        self,
        task: Task,
        made: Mapping[str, Artifact],
        sources: PreparationSources,
        settings: Settings,
        workshop: PreparationContext,
    ) -> dict[str, float]:
        if not sources.trial:
            return {}
        systems: dict[str, System] = {}
        try:
            for name, artifact in made.items():
                systems[name] = self._choice(name).load(task, artifact, workshop.placement, settings)
            return dict(workshop.measure(systems, sources.trial))
        finally:
            for system in systems.values():
                system.close()


def _trials(made: Mapping[str, Artifact]) -> dict[str, Any]:
    """Return what the engines tried on their own, by variant, whoever was chosen."""
    return {name: each.manifest["trials"] for name, each in made.items() if "trials" in each.manifest}
