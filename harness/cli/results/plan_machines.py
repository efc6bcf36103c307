"""The machine types that `bench plan` plans for, from the file of power curves and prices."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.options.units import named
from harness.common.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from harness.analysis.capacity.machine_types import MachineType
    from harness.measurement.energy.cpu.models.power_curves import Instance, PowerCurves
    from reports import Price

_OPTION = "--machines"
_FILES = (".json", ".yaml", ".yml")


def machine_types(text: str, prices: "Mapping[str, Price]") -> "tuple[MachineType, ...]":
    """Return the machine types of `--machines NAME,NAME@FILE,FILE`; one like the measured machine for none.

    `prices` are the user's by name, with an empty name for one that fits any machine. UsageError for an
    unknown name, or a machine without a price.
    """
    if not text:
        return (_as_measured(prices),)
    types = tuple(machine for word in named(text, _OPTION) for machine in _types_of(word, prices))
    names = [machine.name for machine in types]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"{twice} is named twice.", where=_OPTION, remedy="Name each machine once.")
    if "" in prices and len(types) > 1:
        raise UsageError(
            f"--price-per-hour is the price of one machine, got {len(types)}.",
            remedy="Give --prices FILE with a price for each.",
        )
    return types


def _as_measured(prices: "Mapping[str, Price]") -> "MachineType":
    from harness.analysis.capacity.machine_types import MachineType
    from reports import price_of

    if len(prices) > 1:
        raise UsageError(
            f"the price list has {len(prices)} machines, and the plan is for one like the measured one.",
            where="--prices",
            remedy=f"Name those to plan for: --machines {','.join(prices)}.",
        )
    price = next(iter(prices.values()), None) or price_of(None)
    return MachineType("", price.usd_per_hour, price.source)


def _types_of(word: str, prices: "Mapping[str, Price]") -> "list[MachineType]":
    from harness.measurement.energy.cpu.models.power_curve_file import SHIPPED, read_curves
    from harness.measurement.energy.cpu.models.power_curves import same_name

    name, at, file = word.rpartition("@")
    if not at and (Path(word).suffix in _FILES or Path(word).is_file()):
        curves = read_curves(Path(word))
        if not curves.instances:
            raise UsageError(
                "the file has no instances.", where=word, remedy="docs/reference/meters.md describes them."
            )
        return [_type_of(own, instance, curves, prices) for own, instance in curves.instances.items()]
    curves = read_curves(Path(file) if at else SHIPPED)
    wanted = name if at else word
    own = same_name(wanted, curves.instances)
    if own is None:
        raise unknown_name("instance", wanted, curves.instances)
    return [_type_of(own, curves.instances[own], curves, prices)]


def _type_of(
    name: str, instance: "Instance", curves: "PowerCurves", prices: "Mapping[str, Price]"
) -> "MachineType":
    from harness.analysis.capacity.machine_types import MachineType, PowerModel
    from harness.measurement.energy.cpu.models.power_curves import same_name, watts_at

    def watts(load: float) -> float:
        return instance.vcpus * watts_at(instance.curve.points, load)

    source = f"modelled by the published power of {name}: {curves.source}, {curves.date}"
    own = "" if "" in prices else same_name(name, prices)
    if own is not None:
        usd_per_hour, price_source = prices[own].usd_per_hour, prices[own].source
    elif curves.prices is not None and name in curves.prices.usd_per_hour:
        usd_per_hour = curves.prices.usd_per_hour[name]
        price_source = f"{name}; {curves.prices.source}, {curves.prices.date}"
    else:
        raise UsageError(
            f"no price of {name} is known.",
            where=_OPTION,
            remedy="Give --prices FILE with USD per hour (docs/howto/plan.md).",
        )
    power = PowerModel(watts, source, instance.vcpus)
    return MachineType(name, usd_per_hour, price_source, instance.vcpus, power, instance.processors)
