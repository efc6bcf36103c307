"""NVML power, polled and integrated: for boards without an energy counter.

    look ---100 ms--- look ---100 ms--- look --trapezoids--> joules

Power is the poorer road: what happens between two looks is not seen, and on boards since Ampere (GA100 apart)
one look is the mean of the second before it (NVML, nvmlDeviceGetPowerUsage). The resolution says both, and
the looks cost CPU time, which every reading states.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.measurement.energy.counters.counter import unavailable
from harness.measurement.energy.counters.integration import integrate
from harness.measurement.energy.counters.sampler import Sampler
from harness.measurement.energy.nvml import names_of
from harness.measurement.machine.gpu_boards import (
    BoardUnavailable,
    GpuBoard,
    asked,
    facts,
    load_nvml,
    open_boards,
    own_processes,
)
from harness.records.reading import Grade, Reading, Zone

EVERY_S = 0.1
"""The sensors show a new value every 20 to 100 ms, by generation (arXiv 2312.02741)."""

LATE = 5
"""A look that comes more than this many periods late leaves a hole that no line may cross."""

SECOND_NS = 1_000_000_000
AMPERE = 7  # NVML_DEVICE_ARCH_AMPERE
INSTANTANEOUS = ("A100", "A30")  # GA100, the exception that NVML names
QUANTUM_UW = 1_000.0  # power comes in milliwatts
NO_POWER = "Use another board: NVML shows neither energy nor power of this one."
SOURCE = "NVML power, looked at every 100 ms and integrated by trapezoids"


@dataclass(frozen=True, slots=True)
class PowerSample:
    """One look: when, and microwatts, or why there are none."""

    at_ns: int
    microwatts: float | None
    reason: str | None = None


class NvmlPowerMeter:
    """Polls the power of boards, from a thread, while a window is open.

    `boards`, `nvml`, `clock` and `own` are those of `NvmlMeter`; `every_s` is the time between two looks, or
    None where a test looks itself.
    """

    def __init__(
        self,
        boards: int | str | Sequence[int | str] | None = 0,
        nvml: Any = None,  # noqa: ANN401 -- a module
        clock: Callable[[], int] = time.monotonic_ns,
        *,
        every_s: float | None = EVERY_S,
        own: Callable[[], set[int]] = own_processes,
    ) -> None:
        self._names = names_of(boards)
        self._clock, self._every_s, self._own = clock, every_s, own
        self._boards: tuple[GpuBoard, ...] = ()
        self._obstacle: tuple[str, str] | None = None
        try:
            self._nvml = load_nvml(nvml)
            self._boards = open_boards(self._names, self._nvml)
        except BoardUnavailable as missing:
            self._obstacle = (str(missing.args[0]), str(missing.args[1]))
        self._average_ns = [_average_ns(board, self._nvml) for board in self._boards]

    @property
    def name(self) -> str:
        """Its name in the table of meters."""
        return "nvml-power"

    @property
    def grade(self) -> Grade:
        """The best grade its readings can have."""
        return "measured"

    def zones(self) -> tuple[Zone, ...]:
        """Return the boards; all may be summed."""
        return tuple(board.zone for board in self._boards) or (Zone("gpu", "board"),)

    def start(self) -> Sampler[tuple[PowerSample, ...]]:
        """Look for the first time; the caller has synchronised the device."""
        return Sampler(self._take, None if self._obstacle else self._every_s)

    def read(self, mark: Sampler[tuple[PowerSample, ...]]) -> tuple[Reading, ...]:
        """Look for the last time, and integrate."""
        rows = mark.end()
        if self._obstacle:
            return (unavailable(self.zones()[0], SOURCE, 0, self._obstacle[0]),)
        return tuple(
            reading(board.zone, looks, average_ns, mark.observer_ns)
            for board, average_ns, looks in zip(
                self._boards, self._average_ns, zip(*rows, strict=True), strict=True
            )
        )

    def describe(self) -> dict[str, Any]:
        """Return source, period, and each board's model, sensor and who shares it."""
        known = [
            {**facts(board, self._nvml, self._own), "sensor_averages_ns": average_ns}
            for board, average_ns in zip(self._boards, self._average_ns, strict=True)
        ]
        return {
            "source": SOURCE,
            "update_period_ns": round(EVERY_S * 1e9) + max(self._average_ns, default=0),
            "looks_every_s": EVERY_S,
            "accuracy": "the sensor's own error, of some 5 %, is not in the resolution",
            "boards": known,
        }

    def spec(self) -> dict[str, Any]:
        """Return what opens this meter again in another process."""
        return {"meter": "nvml-power", "boards": None if self._names is None else list(self._names)}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why it cannot be used here and what would allow it, or None."""
        return self._obstacle or self._without_power()

    def _without_power(self) -> tuple[str, str] | None:
        for board in self._boards:
            look = self._look(board)
            if look.reason:
                return f"{board.zone.name}: {look.reason}", NO_POWER
        return None

    def _take(self) -> tuple[PowerSample, ...]:
        return tuple(self._look(board) for board in self._boards)

    def _look(self, board: GpuBoard) -> PowerSample:
        try:
            milliwatts = int(self._nvml.nvmlDeviceGetPowerUsage(board.handle))
        except self._nvml.NVMLError as error:
            return PowerSample(self._clock(), None, f"NVML says: {error}")
        if milliwatts == 0:
            return PowerSample(self._clock(), None, "the sensor reads 0 W, which no board draws")
        return PowerSample(self._clock(), milliwatts * 1000.0)


def open_nvml_power(spec: Mapping[str, Any]) -> NvmlPowerMeter:
    """Open the meter that `NvmlPowerMeter.spec` described."""
    return NvmlPowerMeter(spec["boards"])


def reading(zone: Zone, looks: Sequence[PowerSample], average_ns: int, observer_ns: int = 0) -> Reading:
    """Return what a zone used between its first look and its last; looks that failed in between are left out.

    The resolution is that of two edges, each off by one period and the sensor's average at the mean power,
    with the roughness of the looks and one step of the sensor. What a sensor shows at a time is the mean of
    some time before it, so a window sees the power of a moment earlier at both of its edges.
    """
    first, last = looks[0], looks[-1]
    span_ns = last.at_ns - first.at_ns
    if first.microwatts is None or last.microwatts is None:
        return unavailable(zone, SOURCE, span_ns, first.reason or last.reason or "no power was read")
    middle = [look for look in looks[1:-1] if first.at_ns < look.at_ns < last.at_ns]
    points = [(look.at_ns, look.microwatts) for look in (first, *middle, last) if look.microwatts is not None]
    period_ns = round(EVERY_S * 1e9)
    if span_ns < 2 * (period_ns + average_ns):
        least = 2 * (period_ns + average_ns) / 1e9
        return unavailable(zone, SOURCE, span_ns, f"the sensor needs windows of {least:g} s or more")
    found = integrate(points)
    if found.longest_gap_ns > LATE * period_ns:
        return unavailable(zone, SOURCE, span_ns, f"nobody looked for {found.longest_gap_ns / 1e9:.3g} s")
    edges = 2 * found.microjoules * (period_ns + average_ns) / span_ns
    return Reading(
        zone=zone.name,
        grade="measured",
        scope=zone.scope,
        source=SOURCE,
        microjoules=found.microjoules,
        span_ns=span_ns,
        resolution_uj=math.ceil(edges + found.rough_uj + QUANTUM_UW * span_ns / 1e9),
        samples=len(points),
        observer_ns=observer_ns,
    )


def _average_ns(board: GpuBoard, nvml: Any) -> int:  # noqa: ANN401 -- a module
    """Return over how long one look is a mean; where the generation is unknown, the longest that is known."""
    generation = asked(nvml, "nvmlDeviceGetArchitecture", board.handle)
    instantaneous = not {*INSTANTANEOUS}.isdisjoint(board.model.replace("-", " ").split())
    old = generation is not None and int(generation) < AMPERE
    return 0 if old or instantaneous else SECOND_NS
