"""The record: one cell of one run, immutable, versioned, complete.

It holds ids, hashes and numbers, never the text of an example, a path or a host's name. Raw samples lie
beside it in one compressed file named by hash; whatever is derived here can be derived again from them.

Format history
    1   the first
    2   answers in the samples are words, one for each example, with the counts that scores are made of;
        `majority` is the primary metric of the best constant answer, which it was for one label an example
    3   how trustworthy the measurement is: the meter's own check, idle power, conditions before and after,
        counters of each round, offered load, what the harness itself used, the cores' arithmetic limit; all
        may be absent
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from harness.common.model import FrozenModel
from harness.records.estimate import Estimate
from harness.records.facts import (
    AdaptiveCost,
    ComputeLimit,
    ComputePeak,
    Conditions,
    GpuSnapshot,
    Host,
    IdleEnergy,
    MachineSnapshot,
    OfferedLoad,
    OperatorProfile,
    RateTrial,
    Revision,
)
from harness.records.reading import Reading

__all__ = [
    "SCHEMA_VERSION",
    "AdaptiveCost",
    "ArtifactFacts",
    "CellFacts",
    "ComputeLimit",
    "ComputePeak",
    "Conditions",
    "DataFacts",
    "EnergyFacts",
    "Failure",
    "FrozenModel",
    "GpuSnapshot",
    "HarnessOverhead",
    "Host",
    "IdleEnergy",
    "MachineSnapshot",
    "Memory",
    "ModelFacts",
    "OfferedLoad",
    "OperatorProfile",
    "Percentile",
    "PlacementFacts",
    "Quality",
    "RateTrial",
    "Record",
    "Revision",
    "Round",
    "SamplesFile",
    "Startup",
    "StopReason",
]

SCHEMA_VERSION = 3
"""What `Record.schema_version` says; a test holds the two together."""


class CellFacts(FrozenModel):
    """What was measured: task x variant x settings; `group` names the cells it is compared with.

    `command`, `definition` and `rung` are sha256 of what makes a program from outside, a user's own task and
    a ladder's rung, empty for all others; `cores` is what all instances of a rung share, 0 for all others.
    """

    id: str
    group: str
    task: str
    variant: str
    device: str
    scenario: str
    boundary: Literal["encoded", "text", "process"]
    threads: int
    instances: int
    batch: int
    max_length: int
    command: str = ""
    definition: str = ""
    rung: str = ""
    cores: int = 0
    twin: int = 0
    rate: float = 0.0
    slo: str = ""


class DataFacts(FrozenModel):
    """Where the examples came from.

    `fingerprint` is the sha256 of the split's file; `official` says whether it is the official file, and is
    None where that is unknown; `examples` counts the split, `sample` the distinct timed ones; `majority` is
    the primary metric of the best answer that needs no reading, which a quality is read against.
    """

    tier: Literal["embedded", "local", "online"]
    name: str
    split: str
    fingerprint: str
    official: bool | None
    examples: int
    sample: int
    majority: float | None
    note: str | None = None


class ModelFacts(FrozenModel):
    """Whose answers these are: base name, never a path; `fingerprint` is of weights and configuration.

    `trained_on` is the sha256 of the file it was fine-tuned on, and empty where that is not known.
    """

    name: str
    tier: Literal["embedded", "local", "online"]
    fingerprint: str
    trained: bool
    trained_on: str = ""


class ArtifactFacts(FrozenModel):
    """What was prepared: cache key, size on disk, manifest; `cached` says whether this run found it there."""

    key: str
    size_bytes: int
    cached: bool
    manifest: dict[str, Any]


class PlacementFacts(FrozenModel):
    """Where it ran: what was requested, and what the engine and the kernel say it got.

    `counters` says what cycles and instructions count, or why there are none. `board` is the driver's number
    of the board that `cuda:N` is, the `index` of a moment's boards.
    """

    cpus: tuple[int, ...]
    threads_requested: int
    effective: dict[str, Any]
    counters: str | None = None
    board: int | None = None


class Round(FrozenModel):
    """One visit of the cell: the totals of one window.

    `position` is its turn within the shuffled round; `cpu_ns` is CPU time of the worker's process tree in
    the window. `watched_ns` to `parent_cpu_ns` are seen from outside and of the visit with its warm-up: CPU
    time of others on our CPUs (SMT siblings included) and on all other CPUs, what the hypervisor took from
    ours, and what the harness's own parent process used; None where the kernel hides it.

    A window repeats its slice in whole `passes`. `asked_ns` is how long each call took, in the order of the
    slice, the median over passes: empty where calls do not follow one another, or one is the whole slice.
    `token_squares` sums the squares of the sequences' lengths. Where requests arrive at a rate, `offered_ns`
    is how long they kept arriving and `late_ns` how late the harness woke up for one, the median. `cycles`
    and `instructions` are those of the process tree in the window. `exchange_ns` is how long the
    first and the last of the run's CPUs took to answer each other, before the visit.
    """

    index: int
    slice: int
    position: int
    launch: int
    requests: int
    sequences: int
    tokens: int
    wall_ns: int
    cpu_ns: int
    readings: tuple[Reading, ...]
    watched_ns: int | None = None
    foreign_cpu_ns: int | None = None
    elsewhere_cpu_ns: int | None = None
    steal_ns: int | None = None
    parent_cpu_ns: int | None = None
    exchange_ns: int | None = None
    passes: int = 1
    asked_ns: tuple[int, ...] = ()
    token_squares: int | None = None
    offered_ns: int | None = None
    late_ns: int | None = None
    cycles: int | None = None
    instructions: int | None = None


class Percentile(FrozenModel):
    """A latency percentile in nanoseconds, or None where `have` requests are fewer than it needs."""

    value_ns: float | None
    low_ns: float | None
    high_ns: float | None
    needed: int
    have: int


class Startup(FrozenModel):
    """What comes before steady state: loading, the very first request, and the warm-up that followed.

    `loaded_per_visit` is True where the group's memory would not fit and workers did not stay loaded.
    `steady` says whether times had settled when warming up ended. `first_length_ns` is what a request of a
    length not seen before took, `repeat_length_ns` what the same request took again: medians over `lengths`
    requests.
    """

    load_ns: int
    first_request_ns: int
    warmup_requests: int
    loaded_per_visit: bool = False
    steady: bool | None = None
    lengths: int = 0
    first_length_ns: int | None = None
    repeat_length_ns: int | None = None


class StopReason(FrozenModel):
    """Why no more rounds were added, where they were to be added until intervals are narrow.

    `asked` and `half_width` are shares of a speed-up: what was asked for, and the group's widest in the end.
    """

    asked: float
    reason: Literal["precision", "time budget", "rounds", "nothing to compare"]
    half_width: float | None


class Memory(FrozenModel):
    """Peak memory of the worker's process tree, and how the kernel counted it (`PSS` or `RSS`)."""

    peak_bytes: int
    counted_as: Literal["PSS", "RSS"]


class Quality(FrozenModel):
    """How good the answers were, over `timed` + `untimed` examples.

    `metrics` holds every official metric in 0..1, or is empty and `unavailable` says why.
    `answers_sha256` is over the answers in split order: equal hashes mean equal answers; `timed_sha256` is
    over those of the timed examples. `unstable` counts examples whose answer changed when timed again.
    """

    metrics: dict[str, Estimate]
    primary: str
    timed: int
    untimed: int
    answers_sha256: str | None
    truncated: int = 0
    unavailable: str | None = None
    unstable: int | None = None
    timed_sha256: str | None = None


class SamplesFile(FrozenModel):
    """The compressed file of raw samples beside the record: its name and its sha256."""

    file: str
    sha256: str


class Failure(FrozenModel):
    """Why the cell has no measurement, or only part of one."""

    kind: str
    message: str
    remedy: str | None = None


class HarnessOverhead(FrozenModel):
    """What measuring cost: the loop's own nanoseconds per request on a system that answers at once.

    The rest is of the whole sweep, of all its cells: how long it took, CPU time of the parent process and of
    all workers in it, and how many threads of the parent woke up beside its main one.
    """

    loop_ns_per_request: float
    sweep_wall_ns: int | None = None
    parent_cpu_ns: int | None = None
    workers_cpu_ns: int | None = None
    pollers: int | None = None


class EnergyFacts(FrozenModel):
    """The meter that was used and the ones that were not.

    `skipped` holds (meter, why it was skipped, what would allow it), `check` what the meter showed when it
    was tried before the sweep (the fields of `harness.measurement.energy.check.Check`).
    """

    meter: str | None
    describe: dict[str, Any]
    skipped: tuple[tuple[str, str, str], ...]
    check: dict[str, Any] | None = None


class Record(FrozenModel):
    """One cell of one run.

    `status` is `failed` where nothing usable was measured and `partial` where rounds are missing; both come
    with a `failure`. `profile` is quick, default or full; `launches` counts process launches.
    """

    schema_version: Literal[1, 2, 3] = 3
    run: str
    created: str
    status: Literal["complete", "partial", "failed"]
    failure: Failure | None = None
    profile: str
    seed: int
    launches: int
    rounds_planned: int
    cell: CellFacts
    data: DataFacts
    model: ModelFacts
    artifact: ArtifactFacts | None = None
    placement: PlacementFacts | None = None
    host: Host
    host_changes: tuple[str, ...] = ()
    conditions: Conditions | None = None
    software: dict[str, str]
    energy: EnergyFacts
    start: Startup | None = None
    stop: StopReason | None = None
    rounds: tuple[Round, ...] = ()
    latency: dict[str, Percentile] = Field(default_factory=dict)
    load: OfferedLoad | None = None
    idle: IdleEnergy | None = None
    limit: ComputeLimit | None = None
    operators: OperatorProfile | None = None
    memory: Memory | None = None
    quality: Quality | None = None
    spent: dict[str, AdaptiveCost] = Field(default_factory=dict)
    observer: HarnessOverhead | None = None
    samples: SamplesFile | None = None
    revision: Revision | None = None
    configuration: dict[str, Any] = Field(default_factory=dict)
    content_sha256: str | None = None


def sealed_sha256(words: Mapping[str, Any]) -> str:
    """Return the sha256 of all that a record's JSON says but `content_sha256`, whatever its layout.

    It is of the words as they were written, so that a later version, which knows more fields, agrees.
    """
    said = {name: value for name, value in words.items() if name != "content_sha256"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
