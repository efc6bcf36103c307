"""The roofline of a processor: the share of the cores' peak that a system reaches.

    configuration --work--> operations per token and per pair of tokens, the same for all engines of a model
    record's tokens --------> operations per request -----+
    record's time per request ---------------------------> operations per second --> share of the limit
    measured peaks of the same machine --------------------+

The limit is the rate of arithmetic from registers at the lowest precision, int8, on all cores that the system
may use. No library reaches it, because weights and activations must be loaded from memory. A share therefore
compares engines on one machine, and is an upper bound of what is left (S. Williams et al. 2009, "Roofline").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.analysis.compute_limit import (
    encoder_work_of,
    operations_per_request,
    precision_of,
    skipped_share,
)
from harness.analysis.statistics.estimates import time_per_request
from harness.common.errors import UsageError
from harness.records.estimate import Unavailable
from harness.records.record import Record

KINDS = ("int8", "bf16", "fp32")
"""Precisions of products, the fastest first."""

_SQUARES = (256, 1024)
"""Sides of the square products: one whose operands fit into the inner caches, and one whose do not."""


@dataclass(frozen=True, slots=True)
class RooflinePosition:
    """The position of one system: operations per request and per second, and shares of two limits, in 0..1.

    Operations are those of the model; `skipped` is the share of them that the system does not compute.
    `of_int8` is the share of the cores' int8 peak, `of_own` that of the peak at the system's own `precision`.
    """

    variant: str
    scenario: str
    precision: str
    operations: float
    per_second: float
    of_int8: float
    of_own: float
    least_seconds: float
    """Seconds of a request at the int8 limit."""
    skipped: float = 0.0


def roofline_position(record: Record, cores: Mapping[str, Any]) -> RooflinePosition | Unavailable:
    """Return the position of a system; `cores` holds the measured peaks by number of threads."""
    operations, time = operations_per_request(record), time_per_request(record.rounds)
    if isinstance(operations, Unavailable):
        return operations
    if isinstance(time, Unavailable):
        return time
    peaks = peaks_of(cores, len(record.placement.cpus) if record.placement else 1)
    if isinstance(peaks, Unavailable):
        return peaks
    precision, skipped = precision_of(record), skipped_share(record)
    rate = operations / (time.value / 1e9)
    return RooflinePosition(
        variant=record.cell.variant,
        scenario=record.cell.scenario,
        precision=precision,
        operations=operations,
        per_second=rate,
        of_int8=rate / peaks["int8"] if "int8" in peaks else float("nan"),
        of_own=rate / peaks[precision] if precision in peaks else float("nan"),
        least_seconds=operations / max(peaks.values()),
        skipped=0.0 if isinstance(skipped, Unavailable) else skipped,
    )


def peaks_of(cores: Mapping[str, Any], threads: int) -> dict[str, float] | Unavailable:
    """Return the peak of each precision on `threads` threads, in operations per second."""
    measured = cores.get(str(threads))
    if not measured or not measured["arithmetic"]:
        return Unavailable(f"the peak of {threads} threads was not measured")
    return {name: float(peak["per_second"]) for name, peak in measured["arithmetic"].items()}


def shapes_of(records: Sequence[Record]) -> list[list[int]]:
    """Return the products [rows, inner, columns] of a layer of each model of the records, and square ones.

    Rows are the mean tokens of a sequence: the products of an engine that answers one request at a time.
    """
    shapes: dict[tuple[int, int, int], None] = {}
    for record in records:
        work, sequences = encoder_work_of(record), sum(item.sequences for item in record.rounds)
        if work and sequences:
            rows = round(sum(item.tokens for item in record.rounds) / sequences)
            hidden, ffn = work["hidden"], work["ffn"]
            shapes |= dict.fromkeys([(rows, hidden, hidden), (rows, hidden, ffn), (rows, ffn, hidden)])
    return [*map(list, shapes), *([size, size, size] for size in _SQUARES)]


def same_host(records: Sequence[Record], fingerprint: str) -> None:
    """Raise UsageError unless all records come from the machine with this fingerprint."""
    if any(record.host.fingerprint != fingerprint for record in records):
        raise UsageError(
            "the run comes from another machine, or this one has changed since.",
            where=records[0].run,
            remedy="Measure the peaks on the machine of the run.",
        )
