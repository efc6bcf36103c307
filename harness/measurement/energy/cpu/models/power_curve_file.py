"""Reads and checks a file of power curves: the one that comes with the package, or one of the user.

    power_curves.json, or FILE (JSON or YAML) --read_curves--> PowerCurves

docs/reference/meters.md describes the format. A file that is not of this form is refused with its entry.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.common.errors import UsageError
from harness.common.inputs.files import CONFIGURATION, InvalidText, decode_text, read_input
from harness.common.inputs.json_text import parse_json
from harness.common.inputs.yaml_text import read_yaml
from harness.measurement.energy.cpu.models.power_curves import (
    Instance,
    Points,
    PowerCurve,
    PowerCurves,
    PriceList,
    Server,
    mean_curve,
    watts_at,
)

SHIPPED = Path(__file__).with_name("power_curves.json")
FORMAT = "docs/reference/meters.md describes the format."


def read_curves(path: Path = SHIPPED) -> PowerCurves:
    """Read and check a file of curves, JSON or YAML; UsageError with the file for anything else."""
    where = str(path)
    fields = _mapping(
        _parsed(path), "expected a mapping with `source`, `licence`, `date` and `processors`", where
    )
    texts = {name: _text(fields, name, where) for name in ("source", "licence", "date")}
    processors = {
        str(name): _curve(entry, f"{where}: {name}")
        for name, entry in _mapping(fields.get("processors"), "`processors` has no curves", where).items()
    }
    if not processors:
        raise UsageError("`processors` has no curves.", where=where, remedy=FORMAT)
    instances = {
        str(name): _instance(entry, processors, f"{where}: {name}")
        for name, entry in _mapping(
            fields.get("instances") or {}, "`instances` must be a mapping", where
        ).items()
    }
    prices = _prices(fields["prices"], instances, f"{where}: prices") if "prices" in fields else None
    return PowerCurves(**texts, processors=processors, instances=instances, prices=prices)


def _parsed(path: Path) -> object:
    if path.suffix != ".json":
        return read_yaml(path).value
    content = read_input(path, CONFIGURATION, UsageError)
    try:
        return parse_json(decode_text(content, "utf-8-sig"))
    except InvalidText as problem:
        raise UsageError(f"{problem}.", where=str(path), remedy=FORMAT) from None


def _curve(entry: object, where: str) -> PowerCurve:
    fields = _mapping(entry, "expected `watts` by load", where)
    _no_others(fields, ("watts", "low", "high"), where)
    points = _points(fields.get("watts"), "watts", where)
    low = _points(fields["low"], "low", where) if "low" in fields else points
    high = _points(fields["high"], "high", where) if "high" in fields else points
    for load in {load for curve in (points, low, high) for load, _ in curve}:
        if not watts_at(low, load) <= watts_at(points, load) <= watts_at(high, load):
            raise UsageError(
                f"expected low <= watts <= high, got another order at a load of {100 * load:g} %.",
                where=where,
            )
    return PowerCurve(points, low, high)


def _points(entry: object, name: str, where: str) -> Points:
    """Return the points of a mapping from load in percent to watts, from 0 to 100, that never fall."""
    by_load = _mapping(entry, f"expected `{name}` with watts at a load of 0 and 100, in percent", where)
    points = sorted(
        (_number(load, "a load", where) / 100, _number(watts, f"`{name}`", where))
        for load, watts in by_load.items()
    )
    if not points or points[0][0] != 0.0 or points[-1][0] != 1.0:
        loads = ", ".join(map(str, by_load)) or "none"
        message = f"`{name}` must have watts at loads from 0 to 100 percent, got {loads}."
        raise UsageError(message, where=where, remedy=FORMAT)
    watts = [value for _, value in points]
    if watts[0] <= 0 or watts != sorted(watts):
        texts = ", ".join(f"{value:g}" for value in watts)
        raise UsageError(f"`{name}` must be above zero and not fall with load, got {texts}.", where=where)
    return tuple(points)


def _instance(entry: object, processors: Mapping[str, PowerCurve], where: str) -> Instance:
    """Return an instance: with its own watts, of the whole instance, or else the mean of its processors."""
    fields = _mapping(entry, "expected `vcpus` and `processors`", where)
    _no_others(fields, ("vcpus", "processors", "watts", "server"), where)
    vcpus, names = _count(fields.get("vcpus"), "`vcpus`", where), fields.get("processors")
    if not isinstance(names, list) or not names:
        raise UsageError(f"`processors` must be a list of names, got {names!r}.", where=where, remedy=FORMAT)
    for name in names:
        if name not in processors:
            raise UsageError(f"its processor {name!r} has no curve in this file.", where=where)
    curve = mean_curve([processors[name] for name in names])
    if "watts" in fields:
        points = _points(fields["watts"], "watts", where)
        curve = _with_points(curve, tuple((load, watts / vcpus) for load, watts in points))
    return Instance(
        vcpus, curve, tuple(names), _server(fields["server"], where) if "server" in fields else None
    )


def _with_points(curve: PowerCurve, points: Points) -> PowerCurve:
    """Return a curve with other points; its range covers both."""
    both = mean_curve([curve, PowerCurve(points, points, points)])
    return PowerCurve(points, both.low, both.high)


def _prices(entry: object, instances: Mapping[str, Instance], where: str) -> PriceList:
    fields = _mapping(entry, "expected `source`, `date` and `usd_per_hour`", where)
    _no_others(fields, ("source", "date", "usd_per_hour"), where)
    usd_per_hour = {}
    for name, price in _mapping(fields.get("usd_per_hour"), "`usd_per_hour` has no prices", where).items():
        if str(name) not in instances:
            raise UsageError(f"its instance {name!r} is not in this file.", where=where, remedy=FORMAT)
        usd_per_hour[str(name)] = _number(price, f"the price of {name}", where)
        if usd_per_hour[str(name)] <= 0:
            raise UsageError(f"the price of {name} must be above zero, got {price!r}.", where=where)
    return PriceList(_text(fields, "source", where), _text(fields, "date", where), usd_per_hour)


def _server(entry: object, where: str) -> Server:
    fields = _mapping(entry, "expected `kg_co2e` and `vcpus` of the server", where)
    _no_others(fields, ("kg_co2e", "vcpus"), where)
    kg_co2e = _number(fields.get("kg_co2e"), "`kg_co2e`", where)
    if kg_co2e <= 0:
        raise UsageError(f"`kg_co2e` must be above zero, got {kg_co2e:g}.", where=where)
    return Server(kg_co2e, _count(fields.get("vcpus"), "`vcpus` of the server", where))


def _no_others(fields: Mapping[Any, Any], names: Sequence[str], where: str) -> None:
    unexpected = [str(name) for name in fields if name not in names]
    if unexpected:
        message = f"expected {', '.join(names)}, got {', '.join(unexpected)}."
        raise UsageError(message, where=where, remedy=FORMAT)


def _count(value: object, name: str, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{name} must be a whole number above zero, got {value!r}.", where=where)
    return value


def _mapping(entry: object, message: str, where: str) -> Mapping[Any, Any]:
    if not isinstance(entry, Mapping):
        raise UsageError(f"{message}.", where=where, remedy=FORMAT)
    return entry


def _text(fields: Mapping[Any, Any], name: str, where: str) -> str:
    text = fields.get(name)
    if text is None or not str(text).strip():
        raise UsageError(f"`{name}` is missing.", where=where, remedy=f"Add a line `{name}: ...`. {FORMAT}")
    return str(text).strip()


def _number(value: object, name: str, where: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{name} must be a number, got {value!r}.", where=where, remedy=FORMAT)
    return number
