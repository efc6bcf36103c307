"""The latency between two CPUs: the time of a cache line that goes there and back.

Threads that share a request wait for one another at every operator. If a hypervisor moves virtual CPUs
between cores with a shared cache and cores without one, that wait becomes several times as long, for seconds
at a time, while work on a single CPU takes as long as before. An engine with several threads then has two
speeds, and a pool of instances has one. The kernel does not show this, so it is measured before each visit.
"""

from collections.abc import Callable, Sequence
from typing import Protocol


class CoreLatencyProbe(Protocol):
    """Measures the latency between two CPUs."""

    def measure(self) -> int | None:
        """Return the nanoseconds of one round trip now; None if it cannot be measured."""

    def close(self) -> None:
        """End the probe's process."""


class NoCoreLatencyProbe:
    """Measures nothing: there is a single CPU, or no compiler for the probe's program."""

    def measure(self) -> int | None:
        """Return None."""
        return None

    def close(self) -> None:
        """Do nothing."""


def core_latency_probe(
    cpus: Sequence[int], start: Callable[[int, int], CoreLatencyProbe | None]
) -> CoreLatencyProbe:
    """Return the probe between the first and the last of these CPUs, made by `start`."""
    return (start(cpus[0], cpus[-1]) if len(cpus) > 1 else None) or NoCoreLatencyProbe()
