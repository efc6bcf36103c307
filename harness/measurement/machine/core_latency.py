"""How fast two CPUs answer each other: a cache line that goes there and back.

Threads that share a request wait for one another at every operator. A hypervisor that moves virtual CPUs
between cores with a common cache and cores without one makes that wait several times as long, for seconds
at a time, while work on a single CPU takes as long as before. An engine on several threads has two speeds
then, and a pool of instances has one. Nothing that the kernel tells shows it, so it is measured, before each
visit.
"""

from collections.abc import Callable, Sequence
from typing import Protocol


class CoreLatencyProbe(Protocol):
    """Two CPUs that can be asked how fast they answer each other."""

    def ask(self) -> int | None:
        """Return the nanoseconds of one round trip now; None where that cannot be measured."""

    def end(self) -> None:
        """End what answers."""


class NoCoreLatencyProbe:
    """Nobody to answer: a single CPU, or no compiler for the program that asks."""

    def ask(self) -> int | None:
        """Return None."""
        return None

    def end(self) -> None:
        """Do nothing."""


def core_latency_probe(
    cpus: Sequence[int], start: Callable[[int, int], CoreLatencyProbe | None]
) -> CoreLatencyProbe:
    """Return who answers for the first and the last of these CPUs."""
    return (start(cpus[0], cpus[-1]) if len(cpus) > 1 else None) or NoCoreLatencyProbe()
