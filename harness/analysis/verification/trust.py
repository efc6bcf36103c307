"""What the figures of a run rest on, and nothing else in its records confirms: what is on trust.

A figure is made again from raw values; a raw value was read once, by one process. Who can write the files can
write other raw values and make every hash anew. Only a signature tells who vouches for them (`signature`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.analysis.verification.base import SealedRecord
from harness.analysis.verification.energy import model_of

if TYPE_CHECKING:
    from harness.records.record import Record


@dataclass(frozen=True, slots=True)
class Trusted:
    """Raw values on trust: the figures of a report that rest on them, their fields, and the reason.

    Fields are named as in results/README.md; those after `samples.` are arrays of the samples file.
    `together` is true for fields that others confirm: a change in one of them is found, and a change in all
    of them is not.
    """

    figures: str
    fields: tuple[str, ...]
    reason: str
    together: bool = False


CLOCK = Trusted(
    "latency, throughput, speed-up",
    ("samples.call_ns", "samples.gap_ns", "rounds.offered_ns", "rounds.late_ns"),
    "a clock showed the time of each call once; windows and percentiles agree with it",
)
ORDER = Trusted(
    "pairs of rounds",
    ("rounds.index", "rounds.launch"),
    "a record holds no time of day for a round; slices and turns follow from index and seed",
    together=True,
)
ANSWERS = Trusted(
    "quality",
    ("samples.timed_answer", "samples.answer", "quality.truncated"),
    "the system gave each answer once; the model is not run again",
)
MODELLED = Trusted(
    "energy, modelled",
    ("rounds.cpu_ns", "energy.describe"),
    "the kernel showed the CPU time once, and the watts are an assumption",
)
COUNTED = Trusted(
    "energy",
    ("rounds.readings", "energy.meter", "energy.describe", "energy.check"),
    "a record holds the difference of two reads of the counter, and not the reads",
)
IDLE = Trusted("energy net of idle", ("idle",), "as for energy; it is the same in all cells of a group")
MEMORY = Trusted("peak memory", ("memory",), "the kernel showed it once; nothing else depends on it")
SIZE = Trusted(
    "size on disk, preparation, break-even",
    ("artifact",),
    "the artifact is not kept with the record; it is no smaller than its graph",
)
TOKENS = Trusted(
    "tokens, operations, sequences",
    ("rounds.tokens", "rounds.token_squares", "samples.cost_NAME"),
    "texts and tokenizer are not kept; they are the same in all rounds of a slice",
)
LIMIT = Trusted(
    "share of the compute limit",
    ("limit", "operators", "placement.effective"),
    "peaks and profile were measured once, and the engine reports its own work",
)
TRAFFIC = Trusted(
    "traffic of a model server", ("rounds.traffic",), "the client counted it once, as it sent and received"
)
SEARCH = Trusted("highest rate", ("load.trials", "load.capacity"), "the requests of the trials are not kept")
START = Trusted("loading, warm-up, steadiness", ("start",), "a clock showed it once")
STOP = Trusted("reason to stop", ("stop",), "it was decided during the run")
WARNINGS = Trusted(
    "warnings",
    (
        *("rounds.watched_ns", "rounds.foreign_cpu_ns", "rounds.elsewhere_cpu_ns", "rounds.steal_ns"),
        *("rounds.parent_cpu_ns", "rounds.exchange_ns", "rounds.cycles", "rounds.instructions"),
        *("placement.counters", "conditions", "host_changes", "observer"),
    ),
    "the kernel showed other processes, counters and conditions once",
)
FACTS = Trusted(
    "machine, software, settings, failures",
    (
        *("host", "software", "revision", "model", "placement", "cell", "data", "configuration", "failure"),
        *("run", "created", "profile", "seed", "rounds_planned", "energy.skipped", "quality.unavailable"),
    ),
    "what the run's process found; they agree with their hashes and with one another",
    together=True,
)

_PARTS: Sequence[tuple[Trusted, Callable[["Record"], bool]]] = (
    (CLOCK, lambda record: bool(record.rounds)),
    (ORDER, lambda record: len(record.rounds) > 1),
    (ANSWERS, lambda record: record.quality is not None),
    (MODELLED, lambda record: _has_joules(record) and model_of(record) is not None),
    (COUNTED, lambda record: _has_joules(record) and model_of(record) is None),
    (IDLE, lambda record: record.idle is not None and bool(record.idle.before)),
    (MEMORY, lambda record: record.memory is not None),
    (SIZE, lambda record: record.artifact is not None),
    (TOKENS, lambda record: bool(record.rounds)),
    (LIMIT, lambda record: record.limit is not None),
    (TRAFFIC, lambda record: any(item.traffic is not None for item in record.rounds)),
    (SEARCH, lambda record: record.load is not None and bool(record.load.trials)),
    (START, lambda record: record.start is not None),
    (STOP, lambda record: record.stop is not None),
    (WARNINGS, lambda record: bool(record.rounds)),
    (FACTS, lambda record: bool(record.software)),
)


def trusted_parts() -> list[Trusted]:
    """Return all parts of a record that can be on trust."""
    return [part for part, _ in _PARTS]


def trusted_in(sealed: Sequence[SealedRecord]) -> list[Trusted]:
    """Return the parts of a run that are on trust, where any of its records has them."""
    return [part for part, has in _PARTS if any(has(item.record) for item in sealed)]


def _has_joules(record: "Record") -> bool:
    return any(reading.microjoules is not None for item in record.rounds for reading in item.readings)
