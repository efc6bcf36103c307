"""NVML power, polled and integrated: for boards without an energy counter.

    sample ---100 ms--- sample ---100 ms--- sample --trapezoidal rule--> joules

Power is less exact than a counter: a change between two samples is missed, and on boards since Ampere (except
GA100) one sample is the mean of the second before it (NVML, nvmlDeviceGetPowerUsage). The resolution includes
both. Sampling uses CPU time, which every reading states.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.common.json_types import JsonObject
from harness.measurement.energy.counters.counter import available, unavailable
from harness.measurement.energy.counters.integration import LATE, integrate
from harness.measurement.energy.counters.meter import Clock
from harness.measurement.energy.counters.sampler import Sampler
from harness.measurement.energy.meter import MeterSpec
from harness.measurement.energy.nvml import TRAITS, BoardMeter
from harness.measurement.machine.gpu_boards import (
    GpuBoard,
    Nvml,
    nvml_message,
    nvml_remedy,
    own_processes,
    query,
)
from harness.records.reading import Reading, Zone

EVERY_S = 0.1
"""The polling interval: sensors have a new value every 20 to 100 ms, by generation (arXiv 2312.02741)."""

SECOND_NS = 1_000_000_000
AMPERE = 7  # NVML_DEVICE_ARCH_AMPERE
INSTANTANEOUS = ("A100", "A30")  # GA100, the exception that NVML's documentation names
QUANTUM_UW = 1_000.0  # power comes in milliwatts
NO_POWER = "Use another board: NVML shows neither the energy nor the power of this one."
BROKEN = "Update NVIDIA's driver: the sensor shows what is no power. Until then the board has no joules."
ABOVE_LIMIT = 2
"""Boards exceed their limit for moments, which a sensor averages: twice the limit is never shown."""
SOURCE = "NVML power, looked at every 100 ms and integrated by trapezoids"


@dataclass(frozen=True, slots=True)
class PowerSample:
    """One sample: the time, and the power in microwatts or why it was not readable.

    `implausible`: the sensor showed a power that the board cannot draw.
    """

    at_ns: int
    microwatts: float | None
    reason: str | None = None
    implausible: bool = False


class NvmlPowerMeter(BoardMeter):
    """Polls the power of boards, from a thread, while a window is open.

    `boards`, `nvml`, `clock` and `own` are those of `BoardMeter`; `every_s` is the polling interval, or None
    if a test samples by itself.
    """

    name = "nvml-power"

    def __init__(
        self,
        boards: int | str | Sequence[int | str] | None = 0,
        nvml: Nvml = None,
        clock: Clock = time.monotonic_ns,
        *,
        every_s: float | None = EVERY_S,
        own: Callable[[], set[int]] = own_processes,
    ) -> None:
        super().__init__(boards, nvml, clock, own=own)
        self._every_s = every_s
        self._average_ns = [_average_ns(board, self._nvml) for board in self._boards]
        self._ceiling_watts = {board.zone: _ceiling_watts(board, self._nvml) for board in self._boards}

    def start(self) -> Sampler[tuple[PowerSample, ...]]:
        """Take the first sample; the caller has synchronised the device."""
        return Sampler(self._take, None if self._missing else self._every_s)

    def read(self, mark: Sampler[tuple[PowerSample, ...]]) -> tuple[Reading, ...]:
        """Take the last sample, and integrate."""
        samples_by_board = zip(*mark.end(), strict=True)
        if self._missing:
            return (unavailable(self.zones()[0], SOURCE, 0, self._missing[0]),)
        return tuple(
            reading(board.zone, samples, average_ns, mark.observer_ns)
            for board, average_ns, samples in zip(
                self._boards, self._average_ns, samples_by_board, strict=True
            )
        )

    def describe(self) -> JsonObject:
        """Return the source, the update period, and each board's model, sensor and other users."""
        boards = zip(self._facts(), self._average_ns, strict=True)
        return {
            "source": SOURCE,
            "update_period_ns": round(EVERY_S * 1e9) + max(self._average_ns, default=0),
            "looks_every_s": EVERY_S,
            "accuracy": "the sensor's own error, about 5 %, is not included in the resolution",
            "most_watts": max(self._ceiling_watts.values(), default=0),
            "boards": [{**board, "sensor_averages_ns": average_ns} for board, average_ns in boards],
        }

    def _board_obstacle(self, board: GpuBoard) -> tuple[str, str] | None:
        sample = self._sample(board)
        if not sample.reason:
            return None
        remedy = BROKEN if sample.implausible else nvml_remedy(sample.reason, NO_POWER)
        return f"{board.zone.name}: {sample.reason}", remedy

    def _take(self) -> tuple[PowerSample, ...]:
        return tuple(self._sample(board) for board in self._boards)

    def _sample(self, board: GpuBoard) -> PowerSample:
        try:
            milliwatts = int(self._nvml.nvmlDeviceGetPowerUsage(board.handle))
        except self._nvml.NVMLError as error:
            return PowerSample(self._clock(), None, nvml_message(error))
        if milliwatts == 0:
            return PowerSample(self._clock(), None, "the sensor reads 0 W, which is not possible")
        ceiling_watts = self._ceiling_watts[board.zone]
        if milliwatts > ceiling_watts * 1000:
            read = f"the sensor reads {milliwatts / 1000:,.0f} W"
            reason = f"{read}, and the board draws {ceiling_watts:,} W at most"
            return PowerSample(self._clock(), None, reason, implausible=True)
        return PowerSample(self._clock(), milliwatts * 1000.0)


def open_nvml_power(spec: MeterSpec) -> NvmlPowerMeter:
    """Open the meter that `NvmlPowerMeter.spec` described."""
    return NvmlPowerMeter(spec["boards"])


def reading(zone: Zone, samples: Sequence[PowerSample], average_ns: int, observer_ns: int = 0) -> Reading:
    """Return the energy of a zone between its first sample and its last; failed ones in between are left out.

    One implausible sample makes it unavailable: the others of such a sensor cannot be trusted either.
    The resolution is that of two edges, each off by one interval and the sensor's averaging time at the mean
    power, plus the roughness of the samples and one step of the sensor. A sensor that averages shows the
    power of a moment earlier, at both edges of the window.
    """
    first, last = samples[0], samples[-1]
    span_ns = last.at_ns - first.at_ns
    if first.microwatts is None or last.microwatts is None:
        return unavailable(zone, SOURCE, span_ns, first.reason or last.reason or "no power was read")
    if wrong := next((sample.reason for sample in samples if sample.implausible), None):
        return unavailable(zone, SOURCE, span_ns, wrong)
    between = [sample for sample in samples[1:-1] if first.at_ns < sample.at_ns < last.at_ns]
    points = [
        (sample.at_ns, sample.microwatts)
        for sample in (first, *between, last)
        if sample.microwatts is not None
    ]
    period_ns = round(EVERY_S * 1e9)
    if span_ns < 2 * (period_ns + average_ns):
        least = 2 * (period_ns + average_ns) / 1e9
        return unavailable(zone, SOURCE, span_ns, f"the sensor needs windows of {least:g} s or more")
    integral = integrate(points)
    if integral.longest_gap_ns > LATE * period_ns:
        gap = f"{integral.longest_gap_ns / 1e9:.3g} s"
        return unavailable(zone, SOURCE, span_ns, f"the power was not sampled for {gap}")
    edges = 2 * integral.microjoules * (period_ns + average_ns) / span_ns
    resolution_uj = math.ceil(edges + integral.rough_uj + QUANTUM_UW * span_ns / 1e9)
    return available(zone, SOURCE, span_ns, integral.microjoules, resolution_uj, len(points), observer_ns)


def _ceiling_watts(board: GpuBoard, nvml: Nvml) -> int:
    """Return the watts above which a sample is no power: twice the board's highest limit, at most 3 kW."""
    limits = query(nvml, lambda: nvml.nvmlDeviceGetPowerManagementLimitConstraints(board.handle))
    enforced = query(nvml, lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(board.handle))
    milliwatts = max(int(limits[1]) if limits and len(limits) > 1 else 0, int(enforced or 0))
    return min(ABOVE_LIMIT * milliwatts // 1000, TRAITS.ceiling_watts) or TRAITS.ceiling_watts


def _average_ns(board: GpuBoard, nvml: Nvml) -> int:
    """Return the averaging time of a board's sensor; for an unknown generation, the longest that is known."""
    generation = query(nvml, lambda: nvml.nvmlDeviceGetArchitecture(board.handle))
    instantaneous = not {*INSTANTANEOUS}.isdisjoint(board.model.replace("-", " ").split())
    old = generation is not None and int(generation) < AMPERE
    return 0 if old or instantaneous else SECOND_NS
