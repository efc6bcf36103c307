"""NVML: the energy counter of an NVIDIA board, in millijoules since the driver was loaded (Volta and newer).

The counter steps about every 100 ms, so windows want to be long; power is never polled, because on recent
boards it is an average over a second. The board is measured as a whole, whoever uses it.
"""

import importlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from harness.meters.base import Grade, Reading, Zone
from harness.meters.counters import Sample, Traits, reading

TRAITS = Traits(
    source="NVML total energy",
    update_ns=100_000_000,  # ML.ENERGY, measured on several boards
    quantum_uj=1_000.0,
    ceiling_watts=3_000,  # twice the 1.4 kW of the largest boards of 2025
)
INSTALL = "Install NVIDIA's driver and the distribution nvidia-ml-py; nvidia-smi lists the boards."
NO_COUNTER = "Use a board of the Volta generation or newer."


class NvmlMeter:
    """Reads the energy counter of one board.

    `board` is NVML's index, or a UUID (`GPU-...`). `nvml` is the module pynvml or anything shaped like it; it
    is imported on construction unless given. What is missing makes every reading unavailable.
    """

    def __init__(
        self,
        board: int | str = 0,
        nvml: Any = None,  # noqa: ANN401 -- a module
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._board, self._clock = board, clock
        self._zone = Zone(f"gpu-{board}", "board")
        self._obstacle: tuple[str, str] | None = None
        self._facts: dict[str, Any] = {}
        try:
            self._nvml = importlib.import_module("pynvml") if nvml is None else nvml
            self._handle = self._open()
            self._facts = {"board": _text(self._nvml.nvmlDeviceGetName(self._handle))}
            self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        except ImportError:
            self._obstacle = ("the Python module pynvml is missing", INSTALL)
        except self._nvml.NVMLError as error:
            remedy = NO_COUNTER if self._facts else INSTALL
            self._obstacle = (f"NVML says: {error}", remedy)

    @property
    def name(self) -> str:
        """Its name in the table of meters."""
        return "nvml"

    @property
    def grade(self) -> Grade:
        """The best grade its readings can have."""
        return "measured"

    def zones(self) -> tuple[Zone, ...]:
        """Return the board."""
        return (self._zone,)

    def start(self) -> Sample:
        """Read the first edge; the caller has synchronised the device."""
        if self._obstacle:
            return Sample(self._clock(), None, self._obstacle[0])
        try:
            millijoules = int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))
        except self._nvml.NVMLError as error:
            return Sample(self._clock(), None, f"NVML says: {error}")
        return Sample(self._clock(), millijoules * 1000)

    def read(self, mark: Sample) -> tuple[Reading, ...]:
        """Read the second edge."""
        return (reading(self._zone, mark, self.start(), TRAITS),)

    def describe(self) -> dict[str, Any]:
        """Return source, steps and the board's name."""
        return {"source": TRAITS.source, "update_period_ns": TRAITS.update_ns, **self._facts}

    def spec(self) -> dict[str, Any]:
        """Return what opens this meter again in another process."""
        return {"meter": "nvml", "board": self._board}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why it cannot be used here and what would allow it, or None."""
        return self._obstacle

    def _open(self) -> Any:  # noqa: ANN401 -- NVML's handle
        self._nvml.nvmlInit()
        if isinstance(self._board, str):
            return self._nvml.nvmlDeviceGetHandleByUUID(self._board)
        return self._nvml.nvmlDeviceGetHandleByIndex(self._board)


def open_nvml(spec: Mapping[str, Any]) -> NvmlMeter:
    """Open the meter that `NvmlMeter.spec` described."""
    return NvmlMeter(spec["board"])


def board_of(device: int, visible: str | None) -> int | str:
    """Return NVML's name for CUDA's device number: NVML ignores `CUDA_VISIBLE_DEVICES`, given as `visible`.

    A number stays a number, a UUID a UUID; MIG names are passed on and NVML refuses them with its own words.
    """
    names = [name.strip() for name in (visible or "").split(",") if name.strip()]
    if device >= len(names):
        return device
    return int(names[device]) if names[device].isdigit() else names[device]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
