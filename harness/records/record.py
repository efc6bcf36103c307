"""The record: one cell of one run, immutable, versioned and complete.

A record holds ids, hashes and numbers, never the text of an example, a path or the name of a host. The raw
samples are in one compressed file beside it, named by a hash of its content. Every derived number of a record
can be computed again from them.

Format history
    1   the first
    2   answers in the samples are text, one for each example, with the counts that scores are made of;
        `majority` is the primary metric of the best constant answer (before: only with one label an example)
    3   adds what the trust in a measurement rests on: the check of the meter, idle power, conditions before
        and after, counters of each round, offered load, overhead of the harness, and the compute limit of the
        cores; all of these may be absent
"""

import hashlib
import json
from collections.abc import Mapping
from types import NoneType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, dataclasses

from harness.common.json_types import Count, JsonObject, Real, Signed
from harness.common.model import FrozenModel, JsonFacts
from harness.records.estimate import Estimate
from harness.records.facts import (
    AdaptiveCost,
    ComputeLimit,
    ComputePeak,
    Conditions,
    GpuSnapshot,
    HarnessOverhead,
    Host,
    IdleEnergy,
    MachineSnapshot,
    Memory,
    OfferedLoad,
    OperatorProfile,
    RateTrial,
    Revision,
    SteadyState,
    TextLoss,
    Traffic,
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
    "SteadyState",
    "StopReason",
    "record_schema",
    "schema_text",
]

SCHEMA_VERSION = 3
"""The value of `Record.schema_version` in new records; a test compares the two."""


class CellFacts(FrozenModel):
    """What was measured: task x variant x settings; `group` names the cells that it is compared with.

    `command`, `definition` and `rung` are sha256 hashes of the definition of an external program, of a user's
    own task and of a rung; they are empty for all other cells. `cores` is the number of cores that all
    instances of a rung share, 0 outside ladders.
    """

    id: str
    group: str
    task: str
    variant: str
    device: str
    scenario: str
    boundary: Literal["encoded", "text", "process"]
    threads: Count
    instances: Count
    batch: Count
    max_length: Count
    command: str = ""
    definition: str = ""
    rung: str = ""
    cores: Count = 0
    twin: Count = 0
    rate: Real = 0.0
    slo: str = ""


class DataFacts(FrozenModel):
    """Where the examples came from.

    `fingerprint` is the sha256 of the split's file. `official` is true for the official file and null where
    that is unknown. `examples` counts the examples of the split, `sample` the distinct timed ones. `majority`
    is the primary metric of the best constant answer: the baseline of every quality.
    """

    tier: Literal["embedded", "local", "online"]
    name: str
    split: str
    fingerprint: str
    official: bool | None
    examples: Count
    sample: Count
    majority: Real | None
    note: str | None = None


class ModelFacts(FrozenModel):
    """The model: its base name, never a path; `fingerprint` is a hash of weights and configuration.

    `trained_on` is the sha256 of the file that the model was fine-tuned on, empty where that is unknown.
    """

    name: str
    tier: Literal["embedded", "local", "online"]
    fingerprint: str
    trained: bool
    trained_on: str = ""


class ArtifactFacts(FrozenModel):
    """The artifact: cache key, size on disk and manifest; `cached` is true if it was in the cache already."""

    key: str
    size_bytes: Count
    cached: bool
    manifest: JsonFacts


class PlacementFacts(FrozenModel):
    """Where the cell ran: what was requested, and what the engine and the kernel report.

    `counters` describes what `cycles` and `instructions` of a round count, or why they are unavailable.
    `board` is the driver's number of the board behind `cuda:N`: the `index` of a GpuSnapshot.
    """

    cpus: tuple[Count, ...]
    threads_requested: Count
    effective: JsonFacts
    counters: str | None = None
    board: Count | None = None


@dataclasses.dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Round:
    """One visit to the cell: the totals of one timed window.

    `position` is the cell's turn within the shuffled round. `cpu_ns`, `cycles` and `instructions` are those
    of the worker's process tree in the window. The parent observes `watched_ns` to `parent_cpu_ns` over the
    visit with its warm-up: CPU time of other processes on the run's CPUs (SMT siblings included) and on all
    other CPUs, CPU time that the hypervisor took, and CPU time of the parent itself; null where the kernel
    does not report it. `exchange_ns` is the round trip of a cache line between the first and the last CPU of
    the run, measured before the visit.

    A window repeats its slice in whole `passes`. `asked_ns` holds the duration of each call, in the order of
    the slice, as the median over passes; it is empty where calls overlap or one call holds the whole slice.
    `token_squares` is the sum of the squared sequence lengths. In scenario `server`, `offered_ns` is the time
    over which requests arrived, and `late_ns` the median delay with which the harness woke up for a request.
    `traffic` is that of a model server.
    """

    index: Count
    slice: Count
    position: Count
    launch: Count
    requests: Count
    sequences: Count
    tokens: Count
    wall_ns: Count
    cpu_ns: Count
    readings: tuple[Reading, ...]
    watched_ns: Count | None = None
    foreign_cpu_ns: Signed | None = None
    elsewhere_cpu_ns: Signed | None = None
    steal_ns: Signed | None = None
    parent_cpu_ns: Signed | None = None
    exchange_ns: Signed | None = None
    passes: Count = 1
    asked_ns: tuple[Count, ...] = ()
    token_squares: Count | None = None
    offered_ns: Count | None = None
    late_ns: Signed | None = None
    cycles: Count | None = None
    instructions: Count | None = None
    traffic: Traffic | None = None


class Percentile(FrozenModel):
    """A latency percentile in nanoseconds with its interval; null where `have` is below `needed`."""

    value_ns: Real | None
    low_ns: Real | None
    high_ns: Real | None
    needed: Count
    have: Count


class Startup(FrozenModel):
    """What comes before steady state: loading, the first request and the warm-up.

    `loaded_per_visit` is true where the systems of the group did not fit into memory together, so that each
    visit loaded its system again. `steady` is true if times had settled at the end of the warm-up.
    `first_length_ns` is the time of a request whose length had not occurred before, `repeat_length_ns` the
    time of the same request when it was repeated: medians over `lengths` requests.
    """

    load_ns: Count
    first_request_ns: Count
    warmup_requests: Count
    loaded_per_visit: bool = False
    steady: bool | None = None
    lengths: Count = 0
    first_length_ns: Count | None = None
    repeat_length_ns: Count | None = None


class StopReason(FrozenModel):
    """Why no more rounds were added, in a run that adds rounds until intervals are narrow.

    `asked` is the requested half-width of the intervals and `half_width` the widest of the group at the end,
    both as a share of the speed-up.
    """

    asked: Real
    reason: Literal["precision", "time budget", "rounds", "nothing to compare"]
    half_width: Real | None


class Quality(FrozenModel):
    """The quality of the answers to `timed` + `untimed` examples.

    `metrics` holds every official metric in 0..1; where it is empty, `unavailable` holds the reason.
    `answers_sha256` is a hash of the answers in split order (equal hashes mean equal answers), `timed_sha256`
    one of the answers to the timed examples. `losses` holds what truncation removed, for each text that was
    cut. `unstable` counts examples whose answer changed when they were timed again.
    """

    metrics: dict[str, Estimate]
    primary: str
    timed: Count
    untimed: Count
    answers_sha256: str | None
    truncated: Count = 0
    unavailable: str | None = None
    unstable: Count | None = None
    timed_sha256: str | None = None
    losses: tuple[TextLoss, ...] = ()


class SamplesFile(FrozenModel):
    """The compressed file of raw samples beside the record: its name and sha256."""

    file: str
    sha256: str


class Failure(FrozenModel):
    """Why the cell was not measured, or only in part: class of the error, message, remedy."""

    kind: str
    message: str
    remedy: str | None = None


class EnergyFacts(FrozenModel):
    """The meter that was used, and the meters that could not be used.

    `skipped` holds (meter, reason, remedy). `check` is the result of the meter's check before the sweep (the
    fields of `harness.measurement.energy.check.MeterCheck`).
    """

    meter: str | None
    describe: JsonFacts
    skipped: tuple[tuple[str, str, str], ...]
    check: JsonFacts | None = None


def _check_configuration(configuration: JsonObject) -> JsonObject:
    """Return the options; ValueError where one that reports read has another type than it should."""
    for names, kind, expected in _OPTION_TYPES:
        for name in names:
            if not isinstance(configuration.get(name), (kind, tuple, NoneType)):
                raise ValueError(f"{name} must be {expected}")  # noqa: TRY004 -- what pydantic expects
    return configuration


_OPTION_TYPES = ((("variants", "scenarios"), list, "a list"), (("custom",), dict, "an object"))

Configuration = Annotated[JsonFacts, AfterValidator(_check_configuration)]
"""The options of a run, as JSON has them."""


class Record(FrozenModel):
    """One cell of one run.

    `status` is `failed` if nothing usable was measured and `partial` if rounds are missing; both have a
    `failure`. `profile` is quick, default or full; `launches` counts starts of the worker processes.
    """

    schema_version: Literal[1, 2, 3] = 3
    run: str
    created: str
    status: Literal["complete", "partial", "failed"]
    failure: Failure | None = None
    profile: str
    seed: Signed
    launches: Count
    rounds_planned: Count
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
    configuration: Configuration = Field(default_factory=dict)
    content_sha256: str | None = None


def sealed_sha256(payload: Mapping[str, Any]) -> str:
    """Return the sha256 of a record's JSON object without `content_sha256`, independent of its layout.

    The hash is of the JSON as it was written, not of the parsed model, so that a later version with more
    fields computes the same.
    """
    content = {name: value for name, value in payload.items() if name != "content_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def record_schema() -> JsonObject:
    """Return the JSON Schema of a record of this version; earlier versions only lack optional fields."""
    generated = Record.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"fastformers-bench record, version {SCHEMA_VERSION}",
        "description": "One cell of one run; results/README.md describes each field.",
        **{name: value for name, value in generated.items() if name not in ("title", "description")},
    }


def schema_text() -> str:
    """Return the schema as the text of results/record.schema.json."""
    return json.dumps(record_schema(), indent=1) + "\n"
