"""The roofline of a board: the share of its measured arithmetic and memory rates that a system reaches.

    operations per request / highest measured rate of a product in its precision = lower bound by arithmetic
    bytes of the weights   / measured rate of memory copies                      = lower bound by memory

For a single request the board reads all weights of the layers at least once, so both bounds apply; for many
requests together the weights are read once for all, and only the first applies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.analysis.compute_limit import operations_per_request, precision_of
from harness.analysis.statistics.estimates import time_per_request
from harness.measurement.machine.devices import devices_of
from harness.records.estimate import Unavailable
from harness.records.record import Record

SQUARES = ([1024] * 3, [4096] * 3, [8192] * 3)
"""Products that are always measured: a board reaches its highest rate only with large ones."""

_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True, slots=True)
class DeviceRooflinePosition:
    """The position of one system below the roofline of its board: seconds of a request, and two lower bounds.

    `share` is the larger bound over the seconds, in 0..1. `of_products` is the system's rate of operations
    over the highest rate of a product in its precision. `memory_seconds` is None if requests are answered
    together.
    """

    variant: str
    scenario: str
    precision: str
    operations: float
    per_second: float
    of_products: float
    seconds: float
    arithmetic_seconds: float
    memory_seconds: float | None
    share: float

    @property
    def of_copies(self) -> float | None:
        """Bytes of the weights over seconds, as a share of the rate of memory copies."""
        return None if self.memory_seconds is None else self.memory_seconds / self.seconds


def device_roofline_position(
    record: Record, peaks: Mapping[str, Any]
) -> DeviceRooflinePosition | Unavailable:
    """Return the position of a system, given the measured peaks of its board."""
    if devices_of(record.cell.device) != devices_of(str(peaks["device"])):
        return Unavailable(f"it ran on {record.cell.device}, and the peaks are of {peaks['device']}")
    operations, time = operations_per_request(record), time_per_request(record.rounds)
    if isinstance(operations, Unavailable):
        return operations
    if isinstance(time, Unavailable):
        return time
    precision = precision_of(record)
    rates = highest(peaks["products"])
    if precision not in rates:
        return Unavailable(f"no product in {precision} was measured")
    seconds = time.value / 1e9
    arithmetic, memory = operations / rates[precision], _memory_seconds(record, precision, peaks)
    return DeviceRooflinePosition(
        variant=record.cell.variant,
        scenario=record.cell.scenario,
        precision=precision,
        operations=operations,
        per_second=operations / seconds,
        of_products=arithmetic / seconds,
        seconds=seconds,
        arithmetic_seconds=arithmetic,
        memory_seconds=memory,
        share=max(arithmetic, memory or 0.0) / seconds,
    )


def highest(products: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the highest rate of a product in each precision, operations per second."""
    rates: dict[str, float] = {}
    for product in products:
        name, rate = str(product["precision"]), float(product["per_second"])
        rates[name] = max(rate, rates.get(name, 0.0))
    return rates


def _memory_seconds(record: Record, precision: str, peaks: Mapping[str, Any]) -> float | None:
    effective = record.placement.effective if record.placement else {}
    if record.cell.scenario != "single-stream" or "work" not in effective:
        return None
    return _BYTES[precision] * float(effective["work"]["weights"]) / float(peaks["copy_bytes_per_second"])
