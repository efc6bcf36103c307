"""The real machine, but for its energy: real workers and clocks, simulated counters, planned faults.

bench run --Machine--> real workers, which read the simulated counters' real files
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from simulation.counter import Fault
from simulation.machine import SimulatedMachine

from harness.common.json_types import JsonObject
from harness.measurement.energy.selection import choose_meter
from harness.runs.services import LocalMachine, Machine
from harness.runs.worker.process import OnProgress, Worker
from harness.testing.world import altered

Launch = Callable[..., Worker]
"""As `WorkerLauncher.launch`."""


@dataclass(frozen=True, slots=True)
class Breakdown:
    """What goes wrong, and just before which visit of the run, counted from 0 over all workers.

    The zone works again before the visit after it, unless it is to `last`.
    """

    visit: int
    zone: str
    fault: Fault
    last: bool = False


class Saboteur:
    """Starts workers, counts the visits that they are asked for, and lets the machine fail in time."""

    def __init__(self, machine: SimulatedMachine, planned: Sequence[Breakdown], launch: Launch) -> None:
        self._machine, self._planned, self._launch = machine, planned, launch
        self.visits = 0

    def launch(self, *arguments: Any) -> Worker:
        """Start a worker whose visits are counted."""
        return Counted(self._launch(*arguments), self._visited)

    def _visited(self) -> None:
        for each in self._planned:
            if each.visit == self.visits - 1 and not each.last:
                self._machine.mend(each.zone)
        for each in self._planned:
            if each.visit == self.visits:
                self._machine.break_down(each.zone, each.fault)
        self.visits += 1


class Counted(Worker):
    """A worker whose visits are reported before they begin."""

    def __init__(self, worker: Worker, visited: Callable[[], None]) -> None:
        self._worker, self._visited = worker, visited

    @property
    def pid(self) -> int:
        """The process that does the work."""
        return self._worker.pid

    def exchange(self, action: str, fields: JsonObject, on_progress: OnProgress | None = None) -> JsonObject:
        """Report a visit, and send the message."""
        if action == "visit":
            self._visited()
        return self._worker.exchange(action, fields, on_progress)

    def stop(self) -> None:
        """Stop it."""
        self._worker.stop()

    def resume(self) -> None:
        """Let it run."""
        self._worker.resume()

    def end(self) -> None:
        """End it."""
        self._worker.end()


def simulated(
    machine: SimulatedMachine,
    planned: Sequence[Breakdown] = (),
    launch: Launch | None = None,
    **others: Callable[..., Any],
) -> Machine:
    """Return this machine with the simulated one's counters; `others` replaces further methods of it."""
    local = LocalMachine()
    methods: Mapping[str, Callable[..., Any]] = {
        "choose_meter": partial(choose_meter, root=machine.root, nvml=machine.nvml),
        "launch": Saboteur(machine, planned, launch or local.launch).launch,
        **others,
    }
    return altered(local, **methods)
