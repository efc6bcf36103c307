"""The record: one cell of one run, immutable, versioned, complete.

It holds ids, hashes and numbers, never the text of an example, a path or a host's name. Raw samples lie
beside it in one compressed file named by hash; whatever is derived here can be derived again from them.

Format history
    1   the first
    2   answers in the samples are words, one for each example, with the counts that scores are made of;
        `majority` is the primary metric of the best constant answer, which it was for one label an example
    3   how trustworthy the measurement is: the meter's own check, idle power, conditions before and after,
        counters of each round, offered load, what the harness itself used; all may be absent
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.estimate import Estimate
from harness.meters.base import Reading

SCHEMA_VERSION = 3
"""What `Record.schema_version` says; a test holds the two together."""


class Facts(BaseModel):
    """A part of a record: frozen, and closed to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CellFacts(Facts):
    """What was measured: task x variant x settings; `group` names the cells it is compared with."""

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


class DataFacts(Facts):
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


class ModelFacts(Facts):
    """Whose answers these are: base name, never a path; `fingerprint` is of weights and configuration.

    `trained_on` is the sha256 of the file it was fine-tuned on, and empty where that is not known.
    """

    name: str
    tier: Literal["embedded", "local", "online"]
    fingerprint: str
    trained: bool
    trained_on: str = ""


class ArtifactFacts(Facts):
    """What was prepared: cache key, size on disk, manifest; `cached` says whether this run found it there."""

    key: str
    size_bytes: int
    cached: bool
    manifest: dict[str, Any]


class PlacementFacts(Facts):
    """Where it ran: what was requested, and what the engine and the kernel say it got."""

    cpus: tuple[int, ...]
    threads_requested: int
    effective: dict[str, Any]


class Round(Facts):
    """One visit of the cell: the totals of one window.

    `position` is its turn within the shuffled round; `cpu_ns` is CPU time of the worker's process tree in
    the window.
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


class Percentile(Facts):
    """A latency percentile in nanoseconds, or None where `have` requests are fewer than it needs."""

    value_ns: float | None
    low_ns: float | None
    high_ns: float | None
    needed: int
    have: int


class Start(Facts):
    """What comes before steady state: loading, the very first request, and the warm-up that followed.

    `loaded_per_visit` is True where the group's memory would not fit and workers did not stay loaded.
    """

    load_ns: int
    first_request_ns: int
    warmup_requests: int
    loaded_per_visit: bool = False


class Memory(Facts):
    """Peak memory of the worker's process tree, and how the kernel counted it (`PSS` or `RSS`)."""

    peak_bytes: int
    counted_as: Literal["PSS", "RSS"]


class Quality(Facts):
    """How good the answers were, over `timed` + `untimed` examples.

    `metrics` holds every official metric in 0..1, or is empty and `unavailable` says why.
    `answers_sha256` is over the answers in split order: equal hashes mean equal answers.
    """

    metrics: dict[str, Estimate]
    primary: str
    timed: int
    untimed: int
    answers_sha256: str | None
    truncated: int = 0
    unavailable: str | None = None


class Samples(Facts):
    """The compressed file of raw samples beside the record: its name and its sha256."""

    file: str
    sha256: str


class Failure(Facts):
    """Why the cell has no measurement, or only part of one."""

    kind: str
    message: str
    remedy: str | None = None


class Observer(Facts):
    """What measuring cost: the loop's own nanoseconds per request on a system that answers at once."""

    loop_ns_per_request: float


class EnergyFacts(Facts):
    """The meter that was used and the ones that were not.

    `skipped` holds (meter, why it was skipped, what would allow it).
    """

    meter: str | None
    describe: dict[str, Any]
    skipped: tuple[tuple[str, str, str], ...]


class Host(Facts):
    """The fingerprint of the machine; `name_sha256` hides its name, `facts` holds what bears on speed."""

    fingerprint: str
    name_sha256: str
    facts: dict[str, Any]


class Record(Facts):
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
    software: dict[str, str]
    energy: EnergyFacts
    start: Start | None = None
    rounds: tuple[Round, ...] = ()
    latency: dict[str, Percentile] = Field(default_factory=dict)
    memory: Memory | None = None
    quality: Quality | None = None
    observer: Observer | None = None
    samples: Samples | None = None
    configuration: dict[str, Any] = Field(default_factory=dict)
