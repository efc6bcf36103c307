"""Machines that a plan may rent: price, power, and how many of the measured machine one holds.

Nobody measured a variant on a machine type. A plan assumes that a type with twice the virtual CPUs of the
measured machine serves twice as many requests, each as fast. Documents state this assumption.
"""

from collections.abc import Callable
from dataclasses import dataclass

from harness.records.estimate import Unavailable
from harness.records.record import Record

Watts = Callable[[float], float]
"""The power of a machine in watts at a load of its CPUs from 0 to 1."""


@dataclass(frozen=True, slots=True)
class PowerModel:
    """The published power of a machine of so many virtual CPUs: `source` says whose figures it holds."""

    watts: Watts
    source: str
    vcpus: int = 1


@dataclass(frozen=True, slots=True)
class MachineType:
    """A machine and its price; `name` is empty for one like the measured machine.

    `vcpus` is None where a machine is one like the measured one. `processors` are those that it may have.
    """

    name: str
    usd_per_hour: float
    price_source: str
    vcpus: int | None = None
    power: PowerModel | None = None
    processors: tuple[str, ...] = ()

    def copies(self, record: Record) -> int | Unavailable:
        """Return how many machines like that of the record one of these holds, or why none."""
        if self.vcpus is None:
            return 1
        measured = measured_vcpus(record)
        if measured is None:
            return Unavailable(f"the record does not state how many CPUs {self.name} is compared with")
        if self.vcpus < measured:
            return Unavailable(
                f"{self.name} has {self.vcpus} vCPUs, and it was measured on {measured}: "
                "nothing shows how fast fewer are"
            )
        return self.vcpus // measured


def measured_vcpus(record: Record) -> int | None:
    """Return the CPUs of the measured machine, those that the run could have used."""
    usable = record.host.facts.get("usable_logical_cpus")
    if isinstance(usable, int) and not isinstance(usable, bool) and usable > 0:
        return usable
    return len(record.placement.cpus) if record.placement else None


def always_busy_usd(seconds_per_request: float, usd_per_hour: float, requests: float = 1e8) -> float:
    """Return USD for requests on machines that are always busy, as the FastFormers paper counts."""
    return seconds_per_request * requests / 3600 * usd_per_hour
