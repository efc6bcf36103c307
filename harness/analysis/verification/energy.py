"""Checks of the readings of one record: which meter they are of, their grade, and modelled joules made again.

    energy.meter --> grade     energy.describe --> source, zones, watts     cpu_ns x watts --> modelled joules

A model's joules follow from the CPU time of their window. What a counter showed is on trust: a record holds
the difference of two reads, and not the reads.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.analysis.verification.base import SealedRecord, VerificationCheck

if TYPE_CHECKING:
    from harness.records.reading import Grade, Reading
    from harness.records.record import Record, Round

JoulesModel = Callable[[float, float], float]
"""Microjoules of a window, from its CPU time and its length, both in nanoseconds."""

MODEL = "modelled"
"""The meter that makes joules from CPU time."""

GRADES: "Mapping[str, Grade]" = {
    **dict.fromkeys(("rapl", "perf", "hwmon", "nvml", "nvml-power", "external"), "measured"),
    **dict.fromkeys((MODEL, "replay"), "modelled"),
}
"""The grade of what each meter reads; `codecarbon` has both, by its description."""

EDGES = 4
"""How many times `span_ns - wall_ns` the CPU time of a model may lie outside the window, on every CPU.

Reading CPU time visits all processes, while other threads of the worker go on: at each edge, once within the
span and once outside.
"""

PAUSE_NS = 50_000_000
"""How long the reader may be interrupted outside the span, at each edge, while other threads go on."""

WIDER = "modelled joules, where the reading covers more than the window"

_WATTS = re.compile(r"CPU time x (\S+) W(?:,| / (\d+) cores)")


def check_energy(check: VerificationCheck, sealed: SealedRecord) -> None:
    """Check that all readings are of the record's meter, and make those of a model again."""
    record, name = sealed.record, sealed.name
    if record.energy.meter is None:
        check.holds(name, "readings: there is no meter", so=not list(_readings(record)))
        return
    _check_choice(check, name, record, record.energy.meter)
    for where, reading in _readings(record):
        _check_reading(check, f"{name}, {where}", record, reading)
    for item in record.rounds:
        where = f"{name}, round {item.index}"
        first = [(reading.zone, reading.scope) for reading in record.rounds[0].readings]
        check.same(where, "readings", [(reading.zone, reading.scope) for reading in item.readings], first)
        for reading in item.readings:
            problem = f"{reading.zone}: span_ns is less than wall_ns"
            check.holds(where, problem, so=reading.span_ns >= item.wall_ns)
            _check_joules(check, where, record, item, reading)


def _check_choice(check: VerificationCheck, name: str, record: "Record", meter: str) -> None:
    """Check that the meter is the one that was asked for and tried, and not one that was skipped."""
    skipped = {row[0] for row in record.energy.skipped}
    check.holds(name, f"energy.meter: {meter} was used, and skipped too", so=meter not in skipped)
    if record.energy.check is not None:
        checked = str(record.energy.check.get("meter"))
        check.holds(name, f"energy.check: it is of {checked}", so=checked in (meter, *meter.split("+")))
        check.holds(
            name, f"energy.check: {meter} did not move", so=record.energy.check.get("moved") is not False
        )
    if requested := record.configuration.get("meter"):
        check.same(name, "configuration.meter", str(requested).partition(":")[0], meter)
    watts = record.energy.describe.get("watts_per_cpu")
    text = _WATTS.match(str(record.energy.describe.get("source")))
    if watts and text:
        check.same(name, "energy.describe.watts_per_cpu", f"{watts * int(text[2] or 1):g}", text[1])


def _readings(record: "Record") -> "Iterator[tuple[str, Reading]]":
    for item in record.rounds:
        yield from ((f"round {item.index}", reading) for reading in item.readings)
    if record.idle:
        yield from (("idle before", reading) for reading in record.idle.before)
        yield from (("idle after", reading) for reading in record.idle.after)


def _check_reading(check: VerificationCheck, where: str, record: "Record", reading: "Reading") -> None:
    """Compare grade, source and scope of a reading with the description of its meter."""
    meter = str(record.energy.meter)
    parts: Mapping[str, Mapping[str, Any]] = record.energy.describe.get("meters") or {
        meter: record.energy.describe
    }
    names = [name for name in parts if name in GRADES or name == "codecarbon"]
    if len(names) < len(parts):
        check.skip(f"the grade of the meter {meter} is not part of this version")
        return
    if reading.grade == "unavailable":
        return
    own = next((name for name in names if _is_of(reading.source, parts[name], name)), None)
    check.holds(
        where, f"{reading.zone}: its source is not that of {meter}: {reading.source}", so=own is not None
    )
    if own is None:
        return
    check.same(where, f"{reading.zone}: grade", reading.grade, _grade(own, parts[own]))
    scopes = {zone["zone"]: zone["scope"] for zone in parts[own].get("zones", ())}
    expected = scopes.get(reading.zone, reading.scope)
    if own == MODEL:
        expected = "process share" if "watts_per_cpu" in parts[own] else "machine share"
    check.same(where, f"{reading.zone}: scope", reading.scope, expected)


def _is_of(source: str, describe: Mapping[str, Any], meter: str) -> bool:
    """Return whether a source is that of a meter, or of one of its zones (`RAPL powercap, psys`)."""
    if meter == "replay":
        return source.startswith("replay of ")
    own = str(describe.get("source"))
    return source == own or source.startswith(f"{own}, ")


def _grade(name: str, describe: Mapping[str, Any]) -> "Grade":
    if name in GRADES:
        return GRADES[name]
    return "measured" if str(describe.get("processor")).startswith("measured") else "modelled"


def model_of(record: "Record") -> JoulesModel | None:
    """Return the joules of a model by CPU time and window; None for another meter, or an unknown model."""
    describe = record.energy.describe
    if record.energy.meter != MODEL:
        return None
    if watts := describe.get("watts_per_cpu"):
        return _cpu_time_model(float(watts))
    if isinstance(describe.get("watts"), Mapping) and describe.get("vcpus"):
        return _curve_model(describe["watts"], float(describe["vcpus"]))
    return None


def _cpu_time_model(watts: float) -> JoulesModel:
    def joules(cpu_ns: float, span_ns: float) -> float:
        del span_ns
        return watts * cpu_ns / 1000  # W x ns = nJ

    return joules


def _curve_model(watts: Mapping[str, float], vcpus: float) -> JoulesModel:
    """Return the model of a power curve: watts of a virtual CPU by load, `{"0 %": 1.1, "100 %": 4.2}`."""
    points = sorted((float(load.removesuffix("%")) / 100, float(power)) for load, power in watts.items())
    loads, powers = zip(*points, strict=True)

    def joules(cpu_ns: float, span_ns: float) -> float:
        load = cpu_ns / (vcpus * span_ns) if span_ns else 0.0
        power = powers[-1] * load if load > 1 else float(np.interp(load, loads, powers))
        return vcpus * power * span_ns / 1000

    return joules


def _check_joules(
    check: VerificationCheck, where: str, record: "Record", item: "Round", reading: "Reading"
) -> None:
    """Make the joules of a model again: of the window's CPU time at least, and of its edges at most."""
    if record.energy.meter != MODEL or reading.microjoules is None:
        return
    model = model_of(record)
    if model is None:
        check.skip("this version does not have the model of the modelled joules")
        return
    edges_ns = _outside_ns(record, item, reading)
    least, most = (model(cpu_ns, reading.span_ns) for cpu_ns in (item.cpu_ns, item.cpu_ns + edges_ns))
    problem = (
        f"{reading.zone}: the record has {reading.microjoules} uJ, and the model gives {least:.0f} to "
        f"{most:.0f} uJ for its CPU time"
    )
    check.holds(where, problem, so=least - 1 <= reading.microjoules <= most + 1)
    if edges_ns and least:
        check.allow(WIDER, most / least - 1)


def _outside_ns(record: "Record", item: "Round", reading: "Reading") -> int:
    """Return how much CPU time beyond the window a reading may cover; none if it covers the window alone."""
    outside_ns = reading.span_ns - item.wall_ns
    cpus = len(record.placement.cpus) if record.placement else 1
    return cpus * (EDGES * outside_ns + 2 * PAUSE_NS) if outside_ns else 0
