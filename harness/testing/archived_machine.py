"""The kernel files of a machine in an acceptance archive, whose RAPL counters repeat what was recorded.

Acceptance --ArchivedMachine--> class/intel-rapl:0/energy_uj, written row by row on the recorded clock
"""

from pathlib import Path

from harness.measurement.energy.counters.meter import read_text
from harness.measurement.energy.cpu.rapl import COUNTER, RaplMeter, survey_powercap
from harness.studies.acceptance import Acceptance
from harness.studies.acceptance.machine_files import POWERCAP


class ArchivedMachine:
    """An archive's files below an empty folder; `step` shows the next row of the rapid reads of RAPL.

    `system` is that folder, `root` its powercap tree: the arguments of `choose_meter`.
    """

    def __init__(self, acceptance: Acceptance, folder: Path) -> None:
        self.system, self.root = folder, folder / POWERCAP
        for path, text in acceptance.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(f"{text}\n")
        for name in self.root.glob("*/name"):
            (name.parent / COUNTER).write_text("0\n")
        traces = [trace for trace in acceptance.counters if trace.meter == RaplMeter.name]
        counters = {
            counter.zone.name: counter.file for counter in survey_powercap(self.root, read_text).counters
        }
        self._files = [counters[zone.name] for trace in traces for zone in trace.zones]
        self._rows, self._now_ns = [row for trace in traces for row in trace.check], 0
        self.step()

    def clock(self) -> int:
        """Return the time of the row that is shown."""
        return self._now_ns

    def step(self) -> None:
        """Write the next row into the files; after the last one, time passes and nothing moves."""
        if not self._rows:
            self._now_ns += 1_000_000
            return
        row = self._rows.pop(0)
        self._now_ns = row[0] or 0
        for file, value in zip(self._files, row[1:], strict=True):
            file.write_text("unreadable\n" if value is None else f"{value}\n")

    def rapl(self) -> RaplMeter:
        """Return a meter of these files."""
        return RaplMeter(self.root, self.clock)
