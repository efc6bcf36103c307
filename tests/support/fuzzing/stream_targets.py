"""Readers of what other programs write: answers of a program, counters of the kernel, rows of a meter."""

import os
from pathlib import Path

from fuzzing.target import Target
from harness.catalog import load_catalog
from harness.common.errors import UsageError
from harness.measurement.energy.cpu.rapl import RaplMeter
from harness.measurement.energy.external.meter import ExternalMeter
from harness.measurement.energy.external.replay import ReplayMeter
from harness.systems.interface import Artifact, Placement, Settings
from harness.testing.powercap import PowercapTree
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Example, TextInput

_EXAMPLES = [Example(str(number), (TextInput("a passage", "is it"),)) for number in range(2)]
_ANSWERS = b'{"id": "0", "label": "true"}\n{"id": "1", "label": "false"}\n'
_COUNTERS = b"package-0\x1e262143328850\x1e1000\x1epackage-0\x1e262143328850\x1e21000"
_CSV = b"time,joules\n1700000000.0,100.5\n1700000001.0,120.25\n1700000002.5,150\n"
_ROWS = b'{"time": 1700000000.0, "watts": 20}\n{"time": 1700000001.0, "watts": 21.5}\n'
_RECORDING = (
    b'{"meter": "rapl", "zones": [{"zone": "package-0", "scope": "package", "range_uj": 1000000}]}\n'
    b'{"zone": "package-0", "at_ns": 1000, "microjoules": 5, "window": 0}\n'
    b'{"zone": "package-0", "at_ns": 2000, "microjoules": 25, "window": 0}\n'
)


def stream_targets() -> list[Target]:
    """Return the readers of what other programs write."""
    return [
        Target("answers of a program", [_ANSWERS], _program),
        Target("powercap trees", [_COUNTERS], _powercap),
        Target("rows of a meter", [_CSV, _ROWS], _rows),
        Target("recordings of a meter", [_RECORDING], _recording),
    ]


def _program(folder: Path, content: bytes) -> None:
    """Let a program write these bytes and end."""
    path = folder / "answers"
    path.write_bytes(content)
    placement, settings = Placement("cpu", (0,), 1), Settings(command=f"cat {path}")
    system = (
        load_catalog()
        .variant("command")
        .load(get_task("boolq"), Artifact(folder, "", {}), placement, settings)
    )
    try:
        system.predict(system.encode(_EXAMPLES))
    finally:
        system.close()


def _powercap(folder: Path, content: bytes) -> None:
    """Read a zone whose files hold these bytes: name, range and energy, at the start and at the end."""
    tree = PowercapTree(folder)
    tree.add("package-0", "intel-rapl/intel-rapl:0", "package-0")
    zone = tree.root / "intel-rapl:0"
    parts = [*content.split(b"\x1e"), *[b""] * 6][:6]
    _write(zone, parts[:3])
    meter = RaplMeter(tree.root)
    meter.obstacle()
    meter.describe()
    mark = meter.start()
    _write(zone, parts[3:])
    meter.read(mark)


def _write(zone: Path, parts: list[bytes]) -> None:
    for name, part in zip(("name", "max_energy_range_uj", "energy_uj"), parts, strict=True):
        (zone / name).write_bytes(part)


def _rows(folder: Path, content: bytes) -> None:
    path = folder / "rows.csv"
    path.write_bytes(content)
    os.utime(path)
    meter = ExternalMeter(f"wall={path}")
    if meter.obstacle() is None:
        meter.describe()


def _recording(folder: Path, content: bytes) -> None:
    path = folder / "recording.jsonl"
    path.write_bytes(content)
    meter = ReplayMeter(path)
    if obstacle := meter.obstacle():
        raise UsageError(*obstacle[:1])
    meter.describe()
    meter.read(meter.start())
