"""NVML: the energy counters of NVIDIA boards, in millijoules since the driver was loaded (Volta and newer).

The counters are updated about every 100 ms, so windows should be long. A board without a counter is polled
for power instead, by the meter `nvml-power`. The energy of a board covers all its users.
"""

import time
from collections.abc import Callable, Sequence

from harness.common.json_types import JsonObject
from harness.measurement.energy.counters.counter import CounterTraits, Sample
from harness.measurement.energy.counters.meter import Clock, CounterMeter, Samples
from harness.measurement.energy.meter import MeterSpec
from harness.measurement.machine.gpu_boards import (
    BoardUnavailable,
    GpuBoard,
    Names,
    Nvml,
    facts,
    load_nvml,
    nvml_message,
    nvml_remedy,
    open_boards,
    own_processes,
)
from harness.records.reading import Grade, Zone

TRAITS = CounterTraits(
    source="NVML total energy",
    update_ns=100_000_000,  # ML.ENERGY, measured on several boards
    quantum_uj=1_000.0,
    ceiling_watts=3_000,  # twice the 1.4 kW of the largest boards of 2025
)
NO_COUNTER = "Use a board of the Volta generation or newer, or poll its power with --meter nvml-power."


class BoardMeter:
    """What the meters of NVIDIA boards share: the boards that they read.

    A board is NVML's index, a UUID (`GPU-...`) or a MIG instance; `boards` is one, several, or None for all.
    `nvml` is the module pynvml or an object with the same functions; pynvml is imported unless it is given.
    If the module, the driver or a board is missing, every reading is unavailable. `own` returns the ids of
    the processes that do not count as other users of a board.
    """

    name: str
    grade: Grade = "measured"

    def __init__(
        self,
        boards: int | str | Sequence[int | str] | None = 0,
        nvml: Nvml = None,
        clock: Clock = time.monotonic_ns,
        *,
        own: Callable[[], set[int]] = own_processes,
    ) -> None:
        self._names = names_of(boards)
        self._clock, self._own = clock, own
        self._boards: tuple[GpuBoard, ...] = ()
        self._missing: tuple[str, str] | None = None
        try:
            self._nvml = load_nvml(nvml)
            self._boards = open_boards(self._names, self._nvml)
        except BoardUnavailable as error:
            self._missing = (error.reason, error.remedy)

    def zones(self) -> tuple[Zone, ...]:
        """Return one zone per board; their sum is meaningful."""
        return tuple(board.zone for board in self._boards) or (Zone("gpu", "board"),)

    def spec(self) -> JsonObject:
        """Return the arguments that open this meter in another process."""
        return {"meter": self.name, "boards": None if self._names is None else list(self._names)}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why the meter cannot be used here, and the remedy; None if every board is readable."""
        obstacles = (self._board_obstacle(board) for board in self._boards)
        return self._missing or next((obstacle for obstacle in obstacles if obstacle), None)

    def _board_obstacle(self, board: GpuBoard) -> tuple[str, str] | None:
        raise NotImplementedError

    def _facts(self) -> list[JsonObject]:
        return [facts(board, self._nvml, self._own) for board in self._boards]


class NvmlMeter(BoardMeter, CounterMeter):
    """Reads the energy counters of boards; the caller has synchronised the device at both edges."""

    name = "nvml"

    def traits(self) -> tuple[CounterTraits, ...]:
        """Return the properties of each board's counter."""
        return (TRAITS,) * len(self.zones())

    def describe(self) -> JsonObject:
        """Return the source, the update period, and each board's model and other users."""
        return {"source": TRAITS.source, "update_period_ns": TRAITS.update_ns, "boards": self._facts()}

    def _board_obstacle(self, board: GpuBoard) -> tuple[str, str] | None:
        sample = self._sample(board)
        if sample.reason:
            return f"{board.zone.name}: {sample.reason}", nvml_remedy(sample.reason, NO_COUNTER)
        if sample.microjoules == 0:
            return f"{board.zone.name}: the counter reads 0, as on a board that has none", NO_COUNTER
        return None

    def _take(self) -> Samples:
        if self._missing:
            return tuple(Sample(self._clock(), None, self._missing[0]) for _ in self.zones())
        return tuple(self._sample(board) for board in self._boards)

    def _sample(self, board: GpuBoard) -> Sample:
        try:
            millijoules = int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(board.handle))
        except self._nvml.NVMLError as error:
            return Sample(self._clock(), None, nvml_message(error))
        return Sample(self._clock(), millijoules * 1000)


def open_nvml(spec: MeterSpec) -> NvmlMeter:
    """Open the meter that `NvmlMeter.spec` described."""
    return NvmlMeter(spec["boards"])


def names_of(boards: int | str | Sequence[int | str] | None) -> Names | None:
    """Return boards as a tuple of names; None stands for all boards."""
    if boards is None:
        return None
    return (boards,) if isinstance(boards, int | str) else tuple(boards)
