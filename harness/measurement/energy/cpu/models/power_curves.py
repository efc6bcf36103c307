"""Published power curves: watts of one virtual CPU by load, for processors and for rented machines.

    PowerCurves, and the name of a machine --machine_power--> MachinePower

A curve is the power of a whole server, divided by its hardware threads: idle power, memory and losses of the
power supply are in it. `power_curve_file` reads them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.common.errors import UsageError, unknown_name

NAME_FILE = "--meter modelled:NAME@FILE (docs/reference/meters.md)."
UNKNOWN = "an unknown processor"

Points = tuple[tuple[float, float], ...]
"""Load between 0 and 1, and watts of one virtual CPU at that load; from load 0 to load 1."""


@dataclass(frozen=True, slots=True)
class PowerCurve:
    """Watts of one virtual CPU by load, and the lowest and the highest that are published for it."""

    points: Points
    low: Points
    high: Points


@dataclass(frozen=True, slots=True)
class Server:
    """The server of a rented machine: kilograms of CO2 equivalent for making it, and its virtual CPUs."""

    kg_co2e: float
    vcpus: int


@dataclass(frozen=True, slots=True)
class Instance:
    """A rented machine: its virtual CPUs, its curve, the processors that it may run on, and its server."""

    vcpus: int
    curve: PowerCurve
    processors: tuple[str, ...]
    server: Server | None = None


@dataclass(frozen=True, slots=True)
class PriceList:
    """USD per hour of rented machines by name: what they cost at a date in the past, and who published it."""

    source: str
    date: str
    usd_per_hour: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PowerCurves:
    """The curves of a file, with its source, licence and date; `prices` have a source of their own."""

    source: str
    licence: str
    date: str
    processors: Mapping[str, PowerCurve]
    instances: Mapping[str, Instance]
    prices: PriceList | None = None


@dataclass(frozen=True, slots=True)
class MachinePower:
    """The curve of one machine with `vcpus` virtual CPUs; `source` states whose figures it holds.

    `reason` is why no figure of this machine's own processor is used.
    """

    name: str
    vcpus: float
    curve: PowerCurve
    source: str
    reason: str = ""

    def watts(self, load: float) -> float:
        """Return the power of the machine at a load, as a share of all its CPUs; above 1 it rises with it."""
        return self.vcpus * watts_at(self.curve.points, load)


def watts_at(points: Points, load: float) -> float:
    """Return the watts of one virtual CPU at a load, on the lines between the points."""
    if load >= 1.0:
        return points[-1][1] * load
    for (left, lower), (right, upper) in pairwise(points):
        if load <= right:
            return lower + (upper - lower) * (max(load, left) - left) / (right - left)
    return points[-1][1]


def machine_power(name: str, curves: PowerCurves, cpus: float, where: str = "--meter") -> MachinePower:
    """Return the power of a processor or an instance by its name; `cpus` are those of this machine.

    UsageError for an unknown name, or an instance with fewer virtual CPUs than this machine shows.
    """
    source = f"{curves.source}, {curves.date}"
    processor = same_name(name, curves.processors)
    if processor:
        return MachinePower(processor, cpus, curves.processors[processor], source)
    instance = same_name(name, curves.instances)
    if not instance:
        raise _unknown(name, curves)
    entry = curves.instances[instance]
    if cpus > entry.vcpus:
        raise UsageError(
            f"expected at most the {entry.vcpus} vCPUs of {instance}, got a machine with {cpus:g}.",
            where=where,
            remedy="Name the instance that this is, or the processor.",
        )
    return MachinePower(instance, entry.vcpus, entry.curve, f"{' or '.join(entry.processors)}; {source}")


def _unknown(name: str, curves: PowerCurves) -> UsageError:
    """Return the error for a name without a curve: instances like it, or all processors, or a file."""
    error = unknown_name("processor or instance", name, curves.instances)
    known = f"Name an instance, or one of {', '.join(curves.processors)}."
    similar = error.remedy if (error.remedy or "").startswith("Did you mean") else known
    return UsageError(
        error.message, where="--meter", remedy=f"{similar} Or write a file with its curve: {NAME_FILE}"
    )


def unknown_power(curves: PowerCurves, cpus: float, generation: str | None = None) -> MachinePower:
    """Return the mean of all processors, with the lowest and the highest of them as its range."""
    curve = mean_curve(list(curves.processors.values()))
    name = f"{generation}, without a curve of its own" if generation else UNKNOWN
    source = f"mean of {len(curves.processors)} processors; {curves.source}, {curves.date}"
    return MachinePower(name, cpus, curve, source)


def mean_curve(curves: Sequence[PowerCurve]) -> PowerCurve:
    """Return the mean of several curves at every load that any of them has; the range covers them all."""
    loads = sorted({load for curve in curves for load, _ in curve.points})

    def at_every_load(name: str, combine: Callable[[list[float]], float]) -> Points:
        return tuple(
            (load, combine([watts_at(getattr(curve, name), load) for curve in curves])) for load in loads
        )

    return PowerCurve(
        points=at_every_load("points", lambda watts: math.fsum(watts) / len(watts)),
        low=at_every_load("low", min),
        high=at_every_load("high", max),
    )


def same_name(name: str, names: Mapping[str, object]) -> str | None:
    """Return the name of a table that is written like this one, or None: `Standard_D4_v3` is `D4 v3`."""
    return next((own for own in names if _plain(own) == _plain(name)), None)


def _plain(name: str) -> str:
    return name.strip().casefold().removeprefix("standard_").replace("_", " ")
