"""The plan of a run: everything that is decided before the first clock starts, and written to disk first.

A run resumes from its plan and its journal alone, so the plan holds every input by value or fingerprint; the
folders it names stay on this machine and never reach a record.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from harness.common.json_types import JsonObject
from harness.records.inputs import DataPlan, ModelPlan
from harness.records.ladder import Ladder, Rung
from harness.records.record import EnergyFacts, FrozenModel, Host, Revision
from harness.records.side import Side, side_of, without_side
from harness.systems.server import ServerDefinition
from harness.workload.tasks import TaskReference, resolve_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.custom import CustomTaskDefinition

__all__ = ["PROFILES", "DataPlan", "DevicePlan", "ModelPlan", "Plan", "Profile"]


class Profile(FrozenModel):
    """How much is measured: rounds, distinct timed requests, unrecorded requests before each window.

    `rounds` are those of each of `launches`: workers are started anew between launches.
    `slice_at_least` keeps a slice from becoming too small to represent the sample. A window lasts `window_ms`
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
    # 704 = 22 x 32 requests carry a p99 (662 are needed); what so many rounds find:
    # docs/explanation/method.md
    "default": Profile(name="default", rounds=22, sample=704, warmup=4, window_ms=100),
    # 30 windows of 20 s are 600 s for each system, as MLPerf's inference rules require
    "full": Profile(name="full", rounds=10, sample=704, warmup=4, launches=3, window_ms=20_000),
}


class DevicePlan(FrozenModel):
    """The part of a plan that belongs to one device: its variants, its meter, the length of its windows.

    `board` is the driver's number of the board that it is; None on a CPU, or where it is unknown. `meter` is
    what opens the meter in a worker.
    """

    device: str
    board: int | None = None
    variants: tuple[str, ...]
    ladder: Ladder | None = None
    """The ladder whose rungs are the variants."""
    profile: Profile
    meter: JsonObject | None
    energy: EnergyFacts | None = None
    """The meter's facts for the records, as it was chosen and tried before the run."""


class Plan(DevicePlan):
    """One run: task, data, model, variants and settings, profile and seed."""

    version: Literal[2] = 2
    run: str
    created: str
    task: str
    custom: CustomTaskDefinition | None = None
    """The definition of the task, where it is the user's own."""
    data: DataPlan
    model: ModelPlan
    scenarios: tuple[str, ...]
    batches: tuple[int, ...] = ()
    """Requests a call, in scenario `batch`; in `offline` how many a system may answer together."""
    rates: tuple[float, ...] = ()
    """Requests per second, in scenario `server`."""
    slo: str = ""
    """The service-level objective for which scenario `server` searches the highest rate."""
    boundary: Literal["encoded", "text", "process"] = "encoded"
    roofline: bool = False
    """Whether the cores' arithmetic limit is measured before and after."""
    null_test: bool = False
    """Whether the one variant is measured against itself."""
    copies: int = 2
    """Of a null test: how many workers of the variant are measured side by side."""
    precision: float | None = None
    """Half-width of the speed-ups' intervals, as a share, until which rounds are added."""
    time_budget_s: float | None = None
    """Seconds of measuring after which no round is added."""
    instances_each: int = 1
    """Copies of each variant that share the threads; a rung of a ladder has its own number."""
    command: str = ""
    """The external program; it stays on this machine, and its sha256 is part of the cell."""
    servers: tuple[ServerDefinition, ...] = ()
    """The model servers among the variants; a record holds the sha256 of each."""
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
    host: Host | None = None
    """The machine as the run began; None in plans of earlier versions."""
    software: dict[str, str] = Field(default_factory=dict)
    """Versions as the run began; empty in plans of earlier versions."""
    revision: Revision | None = None
    """The commit of the project under test."""
    sides: tuple[Side, ...] = ()
    """Of a gate: the code and the model of each variant, by the part of its name after `@`."""
    configuration: JsonObject

    def parts(self) -> "tuple[Plan, ...]":
        """Return the plan of each device by itself, in order; all have an equal part of the time budget."""
        if not self.others:
            return (self,)
        budget_s = self.time_budget_s and self.time_budget_s / (1 + len(self.others))
        shared = {"others": (), "time_budget_s": budget_s}
        device_plans = [DevicePlan(**_device_fields(self)), *self.others]
        return tuple(
            self.model_copy(
                update={**shared, **_device_fields(plan), "configuration": self._configuration_of(plan)}
            )
            for plan in device_plans
        )

    def _configuration_of(self, plan: DevicePlan) -> JsonObject:
        """Return the configuration in a record of a device: its own part, and all devices of the run."""
        devices = [self.device, *(other.device for other in self.others)]
        return self.configuration | {
            "device": plan.device,
            "devices": devices,
            "variants": list(plan.variants),
        }

    def side(self, variant: str) -> Side | None:
        """Return the side that a variant belongs to, None outside a gate."""
        return next((side for side in self.sides if side.name == side_of(variant)), None)

    def model_of(self, variant: str) -> ModelPlan:
        """Return the checkpoint that a variant is made from."""
        side = self.side(variant)
        return side.checkpoint if side and side.checkpoint else self.model

    def cache_of(self, variant: str, cache: Path) -> Path:
        """Return where a variant's artifacts lie."""
        side = self.side(variant)
        return Path(side.cache) if side and side.cache else cache

    @property
    def task_words(self) -> TaskReference:
        """The task as messages to a worker hold it."""
        return self.task if self.custom is None else self.custom.words

    @property
    def definition_sha256(self) -> str:
        """What distinguishes two custom tasks over the same rows; empty for all others."""
        if self.custom is None:
            return ""
        return hashlib.sha256(json.dumps(self.custom.words, sort_keys=True).encode()).hexdigest()

    def server(self, variant: str) -> ServerDefinition | None:
        """Return the model server of this name; None for any other variant."""
        return next((server for server in self.servers if server.name == variant), None)

    def rung_definition(self, variant: str) -> JsonObject | None:
        """Return what a rung's variant or a server is made from; None for a variant of the catalog."""
        if server := self.server(variant):
            return server.to_json()
        if self.ladder:
            return self.ladder.rung(variant).words()
        engine = without_side(variant)
        return Rung(name=engine, engine=engine).words() if self.instances_each > 1 else None

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


def _device_fields(plan: DevicePlan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in DevicePlan.model_fields}
