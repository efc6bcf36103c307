"""How well known joules come back: windows of several lengths on the simulated machine, read by real meters.

    python -m simulation.recovery [--windows 20] [--json]

Each window holds work and rest in drawn shares and begins at a drawn moment. A window is inside if what was
read differs from what was used by no more than the uncertainty that is stated with it: the larger of the
meter's own and of what the meter's check saw.
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
"""What work hashes: a tenth of a millisecond without the interpreter's lock."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window: energy that was used, that was read, and the uncertainty stated with it, in microjoules.

    The account is looked at just before and just after each edge, so what was used lies between two numbers;
    they differ where the machine paused this process at an edge.
    """

    least_uj: float
    most_uj: float
    read_uj: int
    stated_uj: int

    @property
    def known_uj(self) -> float:
        """What was used, halfway between the two looks at either edge."""
        return (self.least_uj + self.most_uj) / 2

    @property
    def inside(self) -> bool:
        """Whether what was read differs from what was used by no more than was stated."""
        return self.least_uj - self.stated_uj <= self.read_uj <= self.most_uj + self.stated_uj


@dataclass(frozen=True, slots=True)
class Row:
    """Windows of one length, in joules all together, and their errors as shares of what was used."""

    meter: str
    length_ms: int
    windows: int
    late: int
    """windows that do not count, because the simulation itself fell more than one of its updates behind"""
    known_joules: float
    read_joules: float
    stated: float
    worst_error: float
    inside: float


def window(
    meter: Meter, checked: MeterCheck, known: Callable[[], float], work: Callable[[], object]
) -> Window:
    """Measure one window of work; MeasurementError where the meter has no joules for it."""
    begin = known()
    mark = meter.start()
    began = known()
    work()
    end = known()
    readings = meter.read(mark)
    ended = known()
    found = sum_readings([widen_resolution(reading, checked.facts()) for reading in readings])
    if found is None or found.microjoules is None:
        why = found.reason if found else "it reads no zone"
        raise MeasurementError(f"the simulated machine has no joules: {why}.", where=meter.name)
    return Window(end - began, ended - begin, found.microjoules, found.resolution_uj)


def mixed(length_ns: int, dice: random.Random, clock: Callable[[], int] = time.monotonic_ns) -> None:
    """Work and rest in turn, in a drawn share, for so long."""
    share, end = dice.uniform(0.2, 1.0), clock() + length_ns
    while (now := clock()) < end:
        busy = now + min(end - now, 5_000_000) * share
        while clock() < busy:
            hashlib.sha256(CHUNK).digest()
        time.sleep(max(0.0, min(end - now, 5_000_000) * (1 - share)) / 1e9)


def row(name: str, length_ms: int, found: Sequence[Window], late: int) -> Row:
    """Add windows of one length up."""
    known = sum(each.known_uj for each in found)
    return Row(
        meter=name,
        length_ms=length_ms,
        windows=len(found),
        late=late,
        known_joules=known / 1e6,
        read_joules=sum(each.read_uj for each in found) / 1e6,
        stated=max((each.stated_uj / each.known_uj for each in found), default=0.0),
        worst_error=max((abs(each.read_uj / each.known_uj - 1) for each in found), default=0.0),
        inside=sum(each.inside for each in found) / max(1, len(found)),
    )


def recover(
    windows: int, lengths_ms: Mapping[str, Sequence[int]] = LENGTHS_MS, seed: int = 0
) -> tuple[list[MeterCheck], list[Row]]:
    """Measure so many windows of each length; return the check of each meter, and a row for each length."""
    checks, rows, dice = [], [], random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        machine = SimulatedMachine(Path(folder), boards={0: BOARD})
        meters: dict[str, tuple[Meter, tuple[str, ...]]] = {
            "rapl": (RaplMeter(machine.root), ()),
            "nvml": (NvmlMeter(0, machine.nvml), ("gpu-0",)),
        }
        with machine.running():
            for name, lengths in lengths_ms.items():
                meter, zones = meters[name]
                checks.append(checked := check_meter(meter))
                one = partial(_one, machine, zones, meter, checked, dice)
                for length in lengths:
                    seen = [one(length) for _ in range(windows)]
                    found = [each for each in seen if each is not None]
                    rows.append(row(name, length, found, windows - len(found)))
    return checks, rows


def _one(
    machine: SimulatedMachine,
    zones: tuple[str, ...],
    meter: Meter,
    checked: MeterCheck,
    dice: random.Random,
    length_ms: int,
) -> Window | None:
    """Measure one window at a drawn moment; None where the simulation did not keep up meanwhile."""
    time.sleep(dice.uniform(0, 0.02))
    machine.kept_up(*zones)
    known, work = partial(machine.known_uj, *zones), partial(mixed, length_ms * 1_000_000, dice)
    found = window(meter, checked, known, work)
    return found if machine.kept_up(*zones) else None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--windows", type=int, default=20, help="windows of each length")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    checks, rows = recover(asked.windows, seed=asked.seed)
    if asked.json:
        found = {"checks": [each.facts() for each in checks], "rows": [asdict(each) for each in rows]}
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    else:
        sys.stdout.write(rendered(checks, rows))


def rendered(checks: Sequence[MeterCheck], rows: Sequence[Row]) -> str:
    """Return the table as text."""
    lines = [
        f"{each.meter}: steps every {max(zone.update_ns or 0 for zone in each.zones) / 1e6:.1f} ms, "
        f"1 % needs {each.least_window_ms} ms"
        for each in checks
    ]
    lines += ["", "meter  window  windows     known      read  stated  worst error  inside"]
    lines += [
        f"{each.meter:<5} {each.length_ms:>4} ms {each.windows:>8} {each.known_joules:>7.2f} J "
        f"{each.read_joules:>7.2f} J {100 * each.stated:>5.1f} % {100 * each.worst_error:>10.1f} % "
        f"{100 * each.inside:>5.0f} %" + (f"  ({each.late} late)" if each.late else "")
        for each in rows
    ]
    late = "late: windows left out because the simulation itself fell an update behind (a busy machine)"
    return "\n".join([*lines, *(["", late] if any(each.late for each in rows) else []), ""])


if __name__ == "__main__":
    main()
