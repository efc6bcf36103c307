"""How far joules by a published power curve may lie from the truth: the lowest and the highest they allow.

    lowest  = CPU time of the process x the least rise from idle to full load     (idle power left out)
    highest = virtual CPUs x the highest power at full load x window              (every CPU busy)

The curve is that of other servers, whose error is not published. A model of CPU time times a constant has no
range: the constant is a limit of cooling.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from harness.records.record import Record, Round


@dataclass(frozen=True, slots=True)
class ModelledRange:
    """The lowest and the highest energy, as multiples of the modelled energy: medians over rounds."""

    low: float
    high: float


def modelled_range(record: Record) -> ModelledRange | None:
    """Return the range of a record's modelled joules, or None where its model has none."""
    lowest, highest = (record.energy.describe.get(name) for name in ("lowest_watts", "highest_watts"))
    vcpus = record.energy.describe.get("vcpus")
    if not (isinstance(lowest, Mapping) and isinstance(highest, Mapping) and isinstance(vcpus, int | float)):
        return None
    rise, full = lowest["100 %"] - lowest["0 %"], vcpus * highest["100 %"]
    rounds = [(item, joules) for item in record.rounds if (joules := _joules(item))]
    if not rounds:
        return None
    low = statistics.median(min(1.0, rise * item.cpu_ns / 1e9 / joules) for item, joules in rounds)
    high = statistics.median(max(1.0, full * item.wall_ns / 1e9 / joules) for item, joules in rounds)
    return ModelledRange(low, high)


def _joules(item: Round) -> float:
    return (
        sum(reading.microjoules or 0 for reading in item.readings if reading.scope == "machine share") / 1e6
    )
