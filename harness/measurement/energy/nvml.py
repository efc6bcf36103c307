"""NVML: the energy counters of NVIDIA boards, in millijoules since the driver was loaded (Volta and newer).

The counter steps about every 100 ms, so windows want to be long. Boards without it are polled for power
instead, by the meter `nvml-power`. A board is measured as a whole, whoever uses it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.measurement.energy.counters.counter import CounterTraits, Sample
from harness.measurement.energy.counters.sampler import Sampler, readings
from harness.measurement.machine.gpu_boards import (
    BoardUnavailable,
    GpuBoard,
    facts,
    load_nvml,
    open_boards,
    own_processes,
)
from harness.records.reading import Grade, Reading, Zone

TRAITS = CounterTraits(
    source="NVML total energy",
    update_ns=100_000_000,  # ML.ENERGY, measured on several boards
    quantum_uj=1_000.0,
    ceiling_watts=3_000,  # twice the 1.4 kW of the largest boards of 2025
)
NO_COUNTER = "Use a board of the Volta generation or newer; `--meter nvml-power` polls others."


class NvmlMeter:
    """Reads the energy counters of boards.

    A board is NVML's index, a UUID (`GPU-...`) or a MIG instance; `boards` is one, several, or None for all.
    `nvml` is the module pynvml or anything shaped like it, imported on construction unless given. What is
    missing makes every reading unavailable. `own` returns the processes that are not foreign to us.
    """

    def __init__(
        self,
        boards: int | str | Sequence[int | str] | None = 0,
        nvml: Any = None,  # noqa: ANN401 -- a module
        clock: Callable[[], int] = time.monotonic_ns,
        *,
        own: Callable[[], set[int]] = own_processes,
    ) -> None:
        self._names = names_of(boards)
        self._clock, self._own = clock, own
        self._boards: tuple[GpuBoard, ...] = ()
        self._obstacle: tuple[str, str] | None = None
        try:
            self._nvml = load_nvml(nvml)
            self._boards = open_boards(self._names, self._nvml)
        except BoardUnavailable as missing:
            self._obstacle = (str(missing.args[0]), str(missing.args[1]))

    @property
    def name(self) -> str:
        """Its name in the table of meters."""
        return "nvml"

    @property
    def grade(self) -> Grade:
        """The best grade its readings can have."""
        return "measured"

    def zones(self) -> tuple[Zone, ...]:
        """Return the boards; all may be summed."""
        return tuple(board.zone for board in self._boards) or (Zone("gpu", "board"),)

    def start(self) -> Sampler[tuple[Sample, ...]]:
        """Read the first edge; the caller has synchronised the device."""
        return Sampler(self._take)

    def read(self, mark: Sampler[tuple[Sample, ...]]) -> tuple[Reading, ...]:
        """Read the second edge."""
        return readings(mark, self.zones(), self.traits())

    def traits(self) -> tuple[CounterTraits, ...]:
        """Return what is known of each board's counter."""
        return (TRAITS,) * len(self.zones())

    def describe(self) -> dict[str, Any]:
        """Return source, steps, and each board's model and who shares it."""
        known = [facts(board, self._nvml, self._own) for board in self._boards]
        return {"source": TRAITS.source, "update_period_ns": TRAITS.update_ns, "boards": known}

    def spec(self) -> dict[str, Any]:
        """Return what opens this meter again in another process."""
        return {"meter": "nvml", "boards": None if self._names is None else list(self._names)}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why it cannot be used here and what would allow it, or None."""
        return self._obstacle or self._without_counter()

    def _without_counter(self) -> tuple[str, str] | None:
        for board in self._boards:
            sample = self._sample(board)
            if sample.reason:
                return f"{board.zone.name}: {sample.reason}", NO_COUNTER
            if sample.microjoules == 0:
                return f"{board.zone.name}: the counter reads 0, as where a board has none", NO_COUNTER
        return None

    def _take(self) -> tuple[Sample, ...]:
        if self._obstacle:
            return tuple(Sample(self._clock(), None, self._obstacle[0]) for _ in self.zones())
        return tuple(self._sample(board) for board in self._boards)

    def _sample(self, board: GpuBoard) -> Sample:
        try:
            millijoules = int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(board.handle))
        except self._nvml.NVMLError as error:
            return Sample(self._clock(), None, f"NVML says: {error}")
        return Sample(self._clock(), millijoules * 1000)


def open_nvml(spec: Mapping[str, Any]) -> NvmlMeter:
    """Open the meter that `NvmlMeter.spec` described."""
    return NvmlMeter(spec["boards"])


def names_of(boards: int | str | Sequence[int | str] | None) -> tuple[int | str, ...] | None:
    """Return boards as a tuple of names; None stands for all there are."""
    if boards is None:
        return None
    return (boards,) if isinstance(boards, int | str) else tuple(boards)
