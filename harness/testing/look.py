"""A fake of who else works: load, idle and the harness's own CPU time, all set in advance."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.common.procfs import Busy
from harness.measurement.machine.interference import UsageSample, UsageSampler
from harness.testing.clock import FakeClock


@dataclass(frozen=True, slots=True)
class FakeUsageSampler:
    """Sees what others use of each CPU, what the hypervisor takes of it, and what the parent uses of one.

    All three are shares of the time on `clock`, which looking does not move.
    """

    clock: FakeClock
    foreign: float = 0.0
    steal: float = 0.0
    parent: float = 0.0

    def __call__(self, cpus: Sequence[int]) -> UsageSampler:
        """Return who looks at these CPUs."""
        return lambda _worker: self._edge(len(cpus))

    def _edge(self, cpus: int) -> UsageSample:
        now = self.clock.now_ns
        parent, foreign = round(self.parent * now), round(self.foreign * now * cpus)
        spent = Busy(ours_ns=foreign + parent, elsewhere_ns=0, steal_ns=round(self.steal * now * cpus))
        return UsageSample(at_ns=now, parent_ns=parent, worker_ns=0, busy=spent)
