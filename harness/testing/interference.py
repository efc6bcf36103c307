"""A fake of interference: the CPU use of other processes and of the harness itself, set in advance."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.common.procfs import Busy
from harness.measurement.machine.interference import UsageSample, UsageSampler
from harness.testing.clock import FakeClock


@dataclass(frozen=True, slots=True)
class FakeUsageSampler:
    """Reports shares of the time on `clock` as CPU time, without moving the clock.

    `foreign` is the share of each CPU that other processes use, `steal` the share of each CPU that the
    hypervisor takes, and `parent` the share of one CPU that the parent process uses.
    """

    clock: FakeClock
    foreign: float = 0.0
    steal: float = 0.0
    parent: float = 0.0

    def __call__(self, cpus: Sequence[int]) -> UsageSampler:
        """Return the sampler for these CPUs."""
        return lambda _worker: self._sample(len(cpus))

    def _sample(self, cpus: int) -> UsageSample:
        now = self.clock.now_ns
        parent, foreign = round(self.parent * now), round(self.foreign * now * cpus)
        busy = Busy(busy_ns=foreign + parent, elsewhere_ns=0, steal_ns=round(self.steal * now * cpus))
        return UsageSample(at_ns=now, parent_ns=parent, worker_ns=0, busy=busy)
