"""What a record says of the machine and of what stood beside the measurement, rather than of the cell.

Parts of `harness.records.record`, which names them all: import them from there.
"""

from typing import Any

from pydantic import Field

from harness.common.model import FrozenModel
from harness.records.reading import Reading


class RateTrial(FrozenModel):
    """One rate that was tried for a promise: requests per second offered and answered, and its latency.

    `value_ns` is the promise's percentile by nearest rank, over `requests` of which `have` are distinct,
    while such a percentile needs `needed`.
    """

    rate: float
    achieved: float
    requests: int
    value_ns: int
    needed: int
    have: int
    overloaded: bool
    kept: bool


class OfferedLoad(FrozenModel):
    """Requests per second that arrived and that were answered, over all rounds of scenario `server`.

    `overloaded` says that the system fell behind; `seed` draws the arrivals. `promise` was asked for by
    `--slo`, `highest_rate` is the highest of `trials` that kept it, and `capacity` what it answers without
    waiting.
    """

    rate: float
    achieved: float
    overloaded: bool
    seed: int
    promise: str = ""
    highest_rate: float | None = None
    capacity: float | None = None
    trials: tuple[RateTrial, ...] = ()


class AdaptiveCost(FrozenModel):
    """What a system that adapts spent on a timed request: layers, the stage that answered, tokens.

    `histogram` counts distinct timed examples by value, `quality` holds the primary metric of those with a
    label. Both are empty where there are more than two dozen values, `quality` also where there is none.
    """

    mean: float
    histogram: dict[str, int] = Field(default_factory=dict)
    quality: dict[str, float] = Field(default_factory=dict)


class GpuSnapshot(FrozenModel):
    """One board now; `throttled_by` names what holds its clocks down, `foreign` counts processes of others.

    `index` is the driver's number of it.
    `held_back_ns` counts, by `power` and `thermal`, for how long a limit has done so since the driver came.
    """

    name: str
    temperature_c: int | None = None
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    power_limit_mw: int | None = None
    throttled_by: tuple[str, ...] = ()
    held_back_ns: dict[str, int] = Field(default_factory=dict)
    foreign: int | None = None
    index: int | None = None


class MachineSnapshot(FrozenModel):
    """What moves by itself, at one moment; of the CPUs of the run where it is about CPUs.

    `thermal_throttles` to `swapped_pages` count since boot, so only differences of them mean something.
    """

    load_average: float | None = None
    frequency_khz: int | None = None
    temperature_mc: int | None = None
    thermal_throttles: int | None = None
    quota_throttled_us: int | None = None
    steal_ns: int | None = None
    pressure_us: dict[str, int] = Field(default_factory=dict)
    swapped_pages: int | None = None
    gpus: tuple[GpuSnapshot, ...] = ()


class Conditions(FrozenModel):
    """The moments before the first worker and after the last, `span_ns` apart.

    `busiest` names the process of others that worked most meanwhile, and how many CPUs it kept busy.
    """

    before: MachineSnapshot
    after: MachineSnapshot
    span_ns: int
    busiest: str | None = None


class IdleEnergy(FrozenModel):
    """Energy of windows in which all workers are loaded and stopped: before the first round, after the last.

    Readings as in a Round; where idle is not measured they are empty and `unavailable` says why.
    """

    before: tuple[Reading, ...] = ()
    after: tuple[Reading, ...] = ()
    unavailable: str | None = None


class ComputePeak(FrozenModel):
    """Operations per second from registers (a multiply-add is two), before the first worker, after the last.

    `after` is None where the second measurement failed.
    """

    instruction: str
    before: float
    after: float | None = None

    @property
    def per_second(self) -> float:
        """The higher of the two: others on the machine only ever make it slower."""
        return max(self.before, self.after or 0.0)


class ComputeLimit(FrozenModel):
    """What the cores of a run do at most, by precision, on as many `threads` as it had; or why not known."""

    threads: int
    peaks: dict[str, ComputePeak] = Field(default_factory=dict)
    unavailable: str | None = None


class OperatorProfile(FrozenModel):
    """Where the engine's own profiler says that time goes: `seconds` by class of operator over `requests`.

    Measured after the rounds, as a profiler slows what it watches: only the shares mean something.
    """

    seconds: dict[str, float] = Field(default_factory=dict)
    requests: int = 0
    unavailable: str | None = None


class Host(FrozenModel):
    """The fingerprint of the machine; `name_sha256` hides its name, `facts` holds what bears on speed."""

    fingerprint: str
    name_sha256: str
    facts: dict[str, Any]


class Revision(FrozenModel):
    """The commit of the project under test, shortened; `dirty` where files it tracks had been changed."""

    commit: str
    dirty: bool

    def __str__(self) -> str:
        """Say it as git does."""
        return f"{self.commit}{'-dirty' if self.dirty else ''}"
