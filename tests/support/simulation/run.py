"""Runs with real workers and clocks, but with simulated counters and planned faults.

bench run --Machine--> real workers, which read the real files of simulated counters
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
    """A fault of a zone, just before a visit; visits are counted from 0 over all workers.

    The zone works again before the next visit, unless the fault is to `last`.
    """

    visit: int
    zone: str
    fault: Fault
    last: bool = False


class Saboteur:
    """Starts workers, counts their visits, and makes the machine fail as planned."""

    def __init__(self, machine: SimulatedMachine, planned: Sequence[Breakdown], launch: Launch) -> None:
        self._machine, self._planned, self._launch = machine, planned, launch
        self.visits = 0

    def launch(self, *arguments: Any) -> Worker:
        """Start a worker whose visits are counted."""
        return CountedWorker(self._launch(*arguments), self._before_visit)

    def _before_visit(self) -> None:
        for breakdown in self._planned:
            if breakdown.visit == self.visits - 1 and not breakdown.last:
                self._machine.mend(breakdown.zone)
        for breakdown in self._planned:
            if breakdown.visit == self.visits:
                self._machine.break_down(breakdown.zone, breakdown.fault)
        self.visits += 1


class CountedWorker(Worker):
    """A worker that calls a function before each visit."""

    def __init__(self, worker: Worker, before_visit: Callable[[], None]) -> None:
        self._worker, self._before_visit = worker, before_visit

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._worker.pid

    def exchange(self, action: str, fields: JsonObject, on_progress: OnProgress | None = None) -> JsonObject:
        """Send a message to the worker."""
        if action == "visit":
            self._before_visit()
        return self._worker.exchange(action, fields, on_progress)

    def stop(self) -> None:
        """Stop the worker's process."""
        self._worker.stop()

    def resume(self) -> None:
        """Continue the worker's process."""
        self._worker.resume()

    def end(self) -> None:
        """End the worker's process."""
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
