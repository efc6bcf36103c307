"""The accuracy of real meters on a simulated machine of known energy, for windows of several lengths.

    python -m simulation.recovery [--windows 20] [--json]

Each window has random shares of work and rest, and begins at a random time. A window is inside if the energy
that was read differs from the energy that was used by at most the stated uncertainty: the larger of the
meter's own and that of the meter's check.
"""

import argparse
import hashlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from simulation.machine import BOARD, SimulatedMachine

from harness.common.errors import MeasurementError
from harness.measurement.energy.check import MeterCheck, check_meter, widen_resolution
from harness.measurement.energy.cpu.rapl import RaplMeter
from harness.measurement.energy.meter import Meter
from harness.measurement.energy.nvml import NvmlMeter
from harness.records.reading import sum_readings

LENGTHS_MS: Mapping[str, Sequence[int]] = {"rapl": (10, 50, 200, 500), "nvml": (500, 1000, 2000)}
CHUNK = bytes(2**16)
"""Data to hash as work: 0.1 ms without the interpreter's lock."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window: the energy that was used, the energy that was read, and its stated uncertainty.

    All in microjoules. The exact energy is read just before and just after each edge, so the energy that was
    used lies between two numbers; they differ if the machine paused this process at an edge.
    """

    least_uj: float
    most_uj: float
    read_uj: int
    stated_uj: int

    @property
    def exact_uj(self) -> float:
        """The energy that was used: the mean of its two limits."""
        return (self.least_uj + self.most_uj) / 2

    @property
    def inside(self) -> bool:
        """Whether the error is within the stated uncertainty."""
        return self.least_uj - self.stated_uj <= self.read_uj <= self.most_uj + self.stated_uj


@dataclass(frozen=True, slots=True)
class Row:
    """All windows of one length: their total joules, and their errors relative to the energy that was used.

    `late` windows do not count: the simulation itself was late by more than an update period.
    """

    meter: str
    length_ms: int
    windows: int
    late: int
    known_joules: float
    read_joules: float
    stated: float
    worst_error: float
    inside: float


def window(
    meter: Meter, check: MeterCheck, exact_uj: Callable[[], float], work: Callable[[], object]
) -> Window:
    """Measure one window of work; MeasurementError if the meter has no joules for it."""
    before_start = exact_uj()
    mark = meter.start()
    after_start = exact_uj()
    work()
    before_read = exact_uj()
    readings = meter.read(mark)
    after_read = exact_uj()
    total = sum_readings([widen_resolution(reading, check.facts()) for reading in readings])
    if total is None or total.microjoules is None:
        reason = total.reason if total else "it has no zone"
        raise MeasurementError(f"the meter has no joules: {reason}.", where=meter.name)
    return Window(
        before_read - after_start, after_read - before_start, total.microjoules, total.resolution_uj
    )


def mixed(length_ns: int, generator: random.Random, clock: Callable[[], int] = time.monotonic_ns) -> None:
    """Work and rest in turn, with a random share of work, for a length of time."""
    share, end = generator.uniform(0.2, 1.0), clock() + length_ns
    while (now := clock()) < end:
        busy = now + min(end - now, 5_000_000) * share
        while clock() < busy:
            hashlib.sha256(CHUNK).digest()
        time.sleep(max(0.0, min(end - now, 5_000_000) * (1 - share)) / 1e9)


def row(name: str, length_ms: int, windows: Sequence[Window], late: int) -> Row:
    """Return the row of all windows of one length."""
    errors = (abs(window.read_uj / window.exact_uj - 1) for window in windows)
    return Row(
        meter=name,
        length_ms=length_ms,
        windows=len(windows),
        late=late,
        known_joules=sum(window.exact_uj for window in windows) / 1e6,
        read_joules=sum(window.read_uj for window in windows) / 1e6,
        stated=max((window.stated_uj / window.exact_uj for window in windows), default=0.0),
        worst_error=max(errors, default=0.0),
        inside=sum(window.inside for window in windows) / max(1, len(windows)),
    )


def recover(
    windows: int, lengths_ms: Mapping[str, Sequence[int]] = LENGTHS_MS, seed: int = 0
) -> tuple[list[MeterCheck], list[Row]]:
    """Measure this many windows of each length; return each meter's check, and a row for each length."""
    checks, rows, generator = [], [], random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        machine = SimulatedMachine(Path(folder), boards={0: BOARD})
        meters: dict[str, tuple[Meter, tuple[str, ...]]] = {
            "rapl": (RaplMeter(machine.root), ()),
            "nvml": (NvmlMeter(0, machine.nvml), ("gpu-0",)),
        }
        with machine.running():
            for name, lengths in lengths_ms.items():
                meter, zones = meters[name]
                checks.append(check := check_meter(meter))
                measure = partial(_window, machine, zones, meter, check, generator)
                for length in lengths:
                    measured = [measure(length) for _ in range(windows)]
                    in_time = [window for window in measured if window is not None]
                    rows.append(row(name, length, in_time, windows - len(in_time)))
    return checks, rows


def _window(
    machine: SimulatedMachine,
    zones: tuple[str, ...],
    meter: Meter,
    check: MeterCheck,
    generator: random.Random,
    length_ms: int,
) -> Window | None:
    """Measure one window at a random time; None if the simulation was late meanwhile."""
    time.sleep(generator.uniform(0, 0.02))
    machine.kept_up(*zones)
    exact_uj, work = partial(machine.exact_uj, *zones), partial(mixed, length_ms * 1_000_000, generator)
    measured = window(meter, check, exact_uj, work)
    return measured if machine.kept_up(*zones) else None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--windows", type=int, default=20, help="windows of each length")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    checks, rows = recover(arguments.windows, seed=arguments.seed)
    if arguments.json:
        report = {"checks": [check.facts() for check in checks], "rows": [asdict(row) for row in rows]}
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
    else:
        sys.stdout.write(rendered(checks, rows))


def rendered(checks: Sequence[MeterCheck], rows: Sequence[Row]) -> str:
    """Return the table as text."""
    lines = [
        f"{check.meter}: steps every {max(zone.update_ns or 0 for zone in check.zones) / 1e6:.1f} ms, "
        f"1 % needs {check.least_window_ms} ms"
        for check in checks
    ]
    lines += ["", "meter  window  windows     known      read  stated  worst error  inside"]
    lines += [
        f"{row.meter:<5} {row.length_ms:>4} ms {row.windows:>8} {row.known_joules:>7.2f} J "
        f"{row.read_joules:>7.2f} J {100 * row.stated:>5.1f} % {100 * row.worst_error:>10.1f} % "
        f"{100 * row.inside:>5.0f} %" + (f"  ({row.late} late)" if row.late else "")
        for row in rows
    ]
    late = "late: windows left out because the simulation itself was an update late (a busy machine)"
    return "\n".join([*lines, *(["", late] if any(row.late for row in rows) else []), ""])


if __name__ == "__main__":
    main()
