"""The plan of a run: everything that is decided before the first clock starts, written down first.

A run resumes from its plan and its journal alone, so the plan holds every input by value or fingerprint; the
folders it names stay on this machine and never reach a record.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from harness.records.ladder import Ladder, Rung
from harness.records.record import EnergyFacts, FrozenModel, Revision
from harness.records.side import Side, side_of
from harness.workload.tasks import TaskReference, resolve_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.custom import CustomTaskDefinition


class Profile(FrozenModel):
    """How much is measured: rounds, distinct timed requests, unrecorded requests before each window.

    `rounds` are those of each of `launches`: workers are started anew between launches.
    `slice_at_least` keeps a slice from becoming too small to stand for the sample. A window lasts `window_ms`
    at least, over as many passes of its slice as that takes. Warming up ends after `warm_windows` windows of
    requests at the latest.
    """

    name: str
    rounds: int
    sample: int
    warmup: int
    slice_at_least: int = 32
    launches: int = 1
    window_ms: int = 0
    warm_windows: int = 8

    @property
    def all_rounds(self) -> int:
        """The rounds of all launches."""
        return self.rounds * self.launches


PROFILES = {
    # 96 requests: the smallest multiple of three slices of 32 that carries a p90 (64 are needed)
    "quick": Profile(name="quick", rounds=3, sample=96, warmup=4, warm_windows=4),
    # 704 = 22 x 32 requests carry a p99 (662 are needed); what so many rounds find: docs/method.md
    "default": Profile(name="default", rounds=22, sample=704, warmup=4, window_ms=100),
    # 30 windows of 20 s are 600 s for each system, as MLPerf's inference rules ask for
    "full": Profile(name="full", rounds=10, sample=704, warmup=4, launches=3, window_ms=20_000),
}


class DataPlan(FrozenModel):
    """The split that is measured; `folder` is where it lies on this machine."""

    tier: Literal["embedded", "local", "online"]
    folder: str
    split: str
    fingerprint: str


class ModelPlan(FrozenModel):
    """The checkpoint that variants are made from."""

    name: str
    tier: Literal["embedded", "local", "online"]
    folder: str
    fingerprint: str
    trained: bool
    trained_on: str = ""


class DevicePlan(FrozenModel):
    """What is a device's own in a run: the variants measured on it, its meter, and how long its windows are.

    `board` is the driver's number of the board that it is; None on a CPU, or where the driver does not tell.
    """

    device: str
    board: int | None = None
    variants: tuple[str, ...]
    ladder: Ladder | None = None
    """The ladder whose rungs are the variants."""
    profile: Profile
    meter: dict[str, Any] | None
    energy: EnergyFacts | None = None
    """What the records say of the meter, as it was found and tried before the sweep."""


class Plan(DevicePlan):
    """One run: task, data, model, variants and settings, profile and seed."""

    version: Literal[2] = 2
    run: str
    created: str
    task: str
    custom: CustomTaskDefinition | None = None
    """What makes the task, where it is the user's own."""
    data: DataPlan
    model: ModelPlan
    scenarios: tuple[str, ...]
    batches: tuple[int, ...] = ()
    """Requests a call, in scenario `batch`; in `offline` how many a system may answer together."""
    rates: tuple[float, ...] = ()
    """Requests per second, in scenario `server`."""
    slo: str = ""
    """The promise for which scenario `server` searches the highest rate."""
    boundary: Literal["encoded", "text", "process"] = "encoded"
    roofline: bool = False
    """Whether the cores' arithmetic limit is measured before and after."""
    null_test: bool = False
    """Whether the one variant is measured against itself."""
    precision: float | None = None
    """Half-width of the speed-ups' intervals, as a share, until which rounds are added."""
    time_budget_s: float | None = None
    """Seconds of measuring after which none is added."""
    instances_each: int = 1
    """Copies of each variant that share the threads; rungs of a ladder say so themselves."""
    command: str = ""
    """The program from outside; it stays on this machine, and its sha256 makes the cell."""
    others: tuple[DevicePlan, ...] = ()
    """Further devices, measured after the first in the same run."""
    cpus: tuple[int, ...]
    threads: int
    max_length: int
    seed: int
    quality: Literal["full", "sample"]
    meter_asked: str = ""
    """The meter that the user named; it stays on this machine, as its argument may hold a path."""
    host_fingerprint: str
    revision: Revision | None = None
    """The commit of the project under test."""
    sides: tuple[Side, ...] = ()
    """Of a gate: whose code and whose model each variant is of, by what stands behind its `@`."""
    configuration: dict[str, Any]

    def parts(self) -> "tuple[Plan, ...]":
        """Return the plan of each device by itself, in order; all have an equal part of the time budget."""
        if not self.others:
            return (self,)
        budget_s = self.time_budget_s and self.time_budget_s / (1 + len(self.others))
        shared = {"others": (), "time_budget_s": budget_s}
        places = [DevicePlan(**_own(self)), *self.others]
        return tuple(
            self.model_copy(update={**shared, **_own(place), "configuration": self._configured(place)})
            for place in places
        )

    def _configured(self, place: DevicePlan) -> dict[str, Any]:
        """Return the configuration as a record of a device keeps it: its own, and beside what else it was."""
        together = [self.device, *(each.device for each in self.others)]
        own = {"device": place.device, "devices": together, "variants": list(place.variants)}
        return self.configuration | own

    def side(self, variant: str) -> Side | None:
        """Return the side that a variant belongs to, None outside a gate."""
        return next((side for side in self.sides if side.name == side_of(variant)), None)

    def model_of(self, variant: str) -> ModelPlan:
        """Return the checkpoint that a variant is made from."""
        side = self.side(variant)
        return ModelPlan(**side.checkpoint) if side and side.checkpoint else self.model

    def cache_of(self, variant: str, cache: Path) -> Path:
        """Return where a variant's artifacts lie."""
        side = self.side(variant)
        return Path(side.cache) if side and side.cache else cache

    @property
    def task_words(self) -> TaskReference:
        """The task as it crosses to a worker."""
        return self.task if self.custom is None else self.custom.words

    @property
    def definition_sha256(self) -> str:
        """What tells two custom tasks over the same rows apart; empty for all others."""
        if self.custom is None:
            return ""
        return hashlib.sha256(json.dumps(self.custom.words, sort_keys=True).encode()).hexdigest()

    def rung_words(self, variant: str) -> dict[str, Any] | None:
        """Return what makes a rung's variant; None for one of the catalog, unless it is several copies."""
        if self.ladder:
            return self.ladder.rung(variant).words()
        return Rung(name=variant, engine=variant).words() if self.instances_each > 1 else None

    def environment(self, variant: str) -> Mapping[str, str]:
        """Return the variables that a variant's workers are started with; none outside a ladder."""
        return self.ladder.rung(variant).environment if self.ladder else {}

    def instances(self, variant: str) -> int:
        """Return how many processes answer for a variant."""
        return self.ladder.rung(variant).count(len(self.cpus)) if self.ladder else self.instances_each

    @property
    def asked(self) -> Task:
        """The task."""
        return resolve_task(self.task_words)


def _own(place: DevicePlan) -> dict[str, Any]:
    return {name: getattr(place, name) for name in DevicePlan.model_fields}
