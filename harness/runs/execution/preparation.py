"""The workers that prepare variants: one for all of a place, or each side of a gate its own."""

from harness.sweep.launch import Worker
from harness.sweep.machine import Machine
from harness.sweep.plan import Plan


class Preparer:
    """The worker that prepares, started when needed; what it has imported serves many runs."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._workers: dict[str, Worker] = {}
        self._place: tuple[tuple[int, ...], int] = ((), 0)

    def worker(self, plan: Plan, variant: str) -> Worker:
        """Return the variant's worker, a new one if there is none: one for all, or each side its own.

        A plan of other CPUs or threads gets new ones.
        """
        if self._place != (plan.cpus, plan.threads):
            self.end()
        self._place = (plan.cpus, plan.threads)
        side = plan.side(variant)
        name = side.name if side else ""
        if name not in self._workers:
            self._workers[name] = self._machine.launch_of(side)(plan.cpus, plan.threads)
        return self._workers[name]

    def end(self) -> None:
        """End the workers, if there are any."""
        for worker in self._workers.values():
            worker.end()
        self._workers.clear()
