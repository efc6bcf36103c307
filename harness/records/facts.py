"""Parts of a record that describe the machine and the conditions of the measurement.

`harness.records.record` exports them all: import them from there.
"""

from typing import Literal

from pydantic import Field

from harness.common.json_types import Count, Real, Signed
from harness.common.model import FrozenModel, JsonFacts
from harness.records.reading import Reading


class RateTrial(FrozenModel):
    """One trial of the search for the highest rate that keeps a service-level objective (SLO).

    `rate` and `achieved` are requests per second offered and answered. `value_ns` is the percentile of the
    SLO by nearest rank over `requests`; `have` of them are distinct, and the percentile needs `needed`.
    `steady_ns` is the percentile of the same service times in steady state, computed, and `utilisation` the
    share of time that the instances are busy. `kept` is true if both percentiles keep the SLO.
    """

    rate: Real
    achieved: Real
    requests: Count
    value_ns: Count
    needed: Count
    have: Count
    overloaded: bool
    kept: bool
    steady_ns: Count | None = None
    utilisation: Real | None = None


class SteadyState(FrozenModel):
    """The latency that the service times of all windows have in steady state: computed, and not measured.

    `value_ns` is the `percentile` at the rate of the record, `error_ns` the standard error of the simulation,
    `measured_ns` the same percentile of the measured latencies, by nearest rank. `utilisation` is the share
    of time that the instances are busy. Where there is no value, `unavailable` holds the reason.
    """

    percentile: Real
    measured_ns: Count
    value_ns: Count | None = None
    error_ns: Count | None = None
    utilisation: Real | None = None
    unavailable: str | None = None


class OfferedLoad(FrozenModel):
    """Requests per second that arrived and that were answered, over all rounds of scenario `server`.

    `overloaded` is true if the system fell behind; `seed` is that of the arrivals. `promise` is the
    service-level objective (`--slo`), `highest_rate` the highest rate of `trials` that kept it, and
    `capacity` the requests per second when all arrive at once. `steady` is null in earlier records.
    """

    rate: Real
    achieved: Real
    overloaded: bool
    seed: Signed
    promise: str = ""
    highest_rate: Real | None = None
    capacity: Real | None = None
    trials: tuple[RateTrial, ...] = ()
    steady: SteadyState | None = None


class Traffic(FrozenModel):
    """What a client exchanged with a model server in one window.

    `first_byte_ns` is the median time from sending a request to the first byte of its answer, `client_cpu_ns`
    the CPU time of the client's process. `opened` counts connections that were opened within the window,
    `resent` requests that were sent again because a closed connection had not taken them.
    """

    sent_bytes: Count
    received_bytes: Count
    first_byte_ns: Count | None = None
    client_cpu_ns: Count
    opened: Count = 0
    resent: Count = 0


class TextLoss(FrozenModel):
    """What truncation removed from the first or the second texts (`text`) of a split.

    `examples` counts the examples whose text was cut, `tokens` the tokens removed from them; `most` is the
    largest share that one text lost.
    """

    text: Literal["first", "second"]
    examples: int
    tokens: int
    most: float


class AdaptiveCost(FrozenModel):
    """The cost of a timed request in an adaptive system: layers, the answering stage, or tokens.

    `histogram` counts the distinct timed examples by value; `quality` holds the primary metric over the
    labelled examples of each value. Both are empty above 24 distinct values, `quality` also without metrics.
    """

    mean: Real
    histogram: dict[str, Count] = Field(default_factory=dict)
    quality: dict[str, Real] = Field(default_factory=dict)


class Memory(FrozenModel):
    """Peak memory of the worker's process tree, and the kernel's count that it is from (`PSS` or `RSS`)."""

    peak_bytes: Count
    counted_as: Literal["PSS", "RSS"]


class GpuSnapshot(FrozenModel):
    """One board at one moment; `index` is the driver's number of it.

    `throttled_by` names what limits its clocks, `foreign` counts processes of other users of the board.
    `held_back_ns` is how long its `power` and its `thermal` limit have slowed it since the driver was loaded.
    """

    name: str
    temperature_c: Signed | None = None
    sm_clock_mhz: Count | None = None
    memory_clock_mhz: Count | None = None
    power_limit_mw: Count | None = None
    throttled_by: tuple[str, ...] = ()
    held_back_ns: dict[str, Count] = Field(default_factory=dict)
    foreign: Count | None = None
    index: Count | None = None


class MachineSnapshot(FrozenModel):
    """Conditions of the machine at one moment; CPU fields are of the CPUs of the run.

    `thermal_throttles` to `swapped_pages` are counters since boot: only differences between two snapshots
    are meaningful.
    """

    load_average: Real | None = None
    frequency_khz: Count | None = None
    temperature_mc: Signed | None = None
    thermal_throttles: Count | None = None
    quota_throttled_us: Count | None = None
    steal_ns: Signed | None = None
    pressure_us: dict[str, Count] = Field(default_factory=dict)
    swapped_pages: Count | None = None
    gpus: tuple[GpuSnapshot, ...] = ()


class Conditions(FrozenModel):
    """Snapshots before the first worker and after the last, `span_ns` apart.

    `busiest` names the foreign process with the most CPU time in between, and how many CPUs it kept busy.
    """

    before: MachineSnapshot
    after: MachineSnapshot
    span_ns: Count
    busiest: str | None = None


class IdleEnergy(FrozenModel):
    """Energy of windows in which all workers are loaded and stopped: before the first round, after the last.

    Readings are as in a Round; where idle energy was not measured they are empty and `unavailable` holds the
    reason.
    """

    before: tuple[Reading, ...] = ()
    after: tuple[Reading, ...] = ()
    unavailable: str | None = None


class ComputePeak(FrozenModel):
    """Operations per second from registers (a multiply-add is two), before the first worker, after the last.

    `after` is null if the second measurement failed.
    """

    instruction: str
    before: Real
    after: Real | None = None

    @property
    def per_second(self) -> float:
        """The higher of the two: other work on the machine only lowers the rate."""
        return max(self.before, self.after or 0.0)


class ComputeLimit(FrozenModel):
    """Peak rates of the run's cores by precision, on as many `threads` as the run had CPUs.

    Where they could not be measured, `unavailable` holds the reason.
    """

    threads: Count
    peaks: dict[str, ComputePeak] = Field(default_factory=dict)
    unavailable: str | None = None


class OperatorProfile(FrozenModel):
    """Time by class of operator according to the engine's profiler: `seconds` over `requests`.

    It is measured after the rounds, because a profiler slows the engine: only the shares are meaningful.
    """

    seconds: dict[str, Real] = Field(default_factory=dict)
    requests: Count = 0
    unavailable: str | None = None


class Host(FrozenModel):
    """The machine: `facts` that affect speed, their hash `fingerprint`, and a hash of the machine's name."""

    fingerprint: str
    name_sha256: str
    facts: JsonFacts


class Revision(FrozenModel):
    """The commit of the project under test, shortened; `dirty` is true if tracked files had been changed."""

    commit: str
    dirty: bool

    def __str__(self) -> str:
        """Format it as `git describe --dirty` does."""
        return f"{self.commit}{'-dirty' if self.dirty else ''}"


UNFINISHED = "unfinished"
"""The status of a record that is made from the journal of an unfinished run: no stored record has it."""


def is_unfinished(status: str) -> bool:
    """Return whether this is the status of a record that is made from a journal, for a report."""
    return status == UNFINISHED


class HarnessOverhead(FrozenModel):
    """The cost of measuring: nanoseconds per request of the timed loop, on a system that answers at once.

    The others are of the whole sweep: its length, CPU times, and the parent's threads beside its main one.
    """

    loop_ns_per_request: Real
    sweep_wall_ns: Count | None = None
    parent_cpu_ns: Signed | None = None
    workers_cpu_ns: Count | None = None
    pollers: Count | None = None
    ray_cpu_ns: Count | None = None
    ray_processes: tuple[str, ...] = ()
