"""What the recorded counters show: dead zones, mirrors, update periods, power under each load, agreement.

CounterTrace --replayed_check--> properties of each counter
             --phase_readings--> watts of each phase --> does the power follow the load?
two meters of one zone --> do they count the same energy?
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

from harness.common.json_types import JsonObject, JsonValue
from harness.studies.acceptance.model import CounterTrace, Phase
from harness.studies.acceptance.recording import phase_readings, replayed_check

IDLE, ONE_CPU, ALL_CPUS, MATRIX = "idle", "one-cpu", "all-cpus", "matrix-product"

TOLERANCE = 0.05
"""Two interfaces to one counter may differ by this share: their windows differ by the time of a read."""

FOLLOWS = 1.05
"""The power of a full load must be this many times that of the idle machine."""

SENSORS_AGREE = 0.10
"""A board's counter and its power sensor may differ by this share, as in a run's warning."""


def examine(counters: Sequence[CounterTrace], phases: Sequence[Phase]) -> JsonObject:
    """Return what the counters show, as JSON values; `problems` are sentences, empty if all is well."""
    counter_findings = [_counter_findings(trace) for trace in counters]
    agreements = list(_agreements(counter_findings))
    problems = [problem for findings in counter_findings for problem in _problems(findings)]
    problems += [
        f"{item['first']} and {item['second']} count different energy of {item['zone']}: {item['ratio']:.3f}"
        for item in agreements
        if not item["agrees"]
    ]
    problems += [f"{phase.name}: {phase.reason}" for phase in phases if phase.reason]
    return {"counters": counter_findings, "agreements": agreements, "problems": problems}


def _counter_findings(trace: CounterTrace) -> JsonObject:
    check = replayed_check(trace)
    return {
        "meter": trace.meter,
        "scopes": {zone.name: zone.scope for zone in trace.zones},
        "check": check.facts(),
        "watts": {item.phase: _watts(trace, item.rows) for item in trace.phases},
        "wraps_seen": {zone.name: _decreases(trace, place) for place, zone in enumerate(trace.zones, 1)},
    }


def _watts(trace: CounterTrace, rows: Sequence[tuple[int | None, ...]]) -> JsonObject:
    """Return each zone's mean power in a phase, or the reason why there is none."""
    return {
        reading.zone: reading.reason or "the phase has no length"
        if reading.microjoules is None or reading.span_ns <= 0
        else round(1000 * reading.microjoules / reading.span_ns, 3)  # uJ over ns is kW
        for reading in phase_readings(trace, rows)
    }


def _decreases(trace: CounterTrace, place: int) -> int:
    """Return how often a counter decreased: it wrapped around, or restarted."""
    rows = [*trace.check, *(row for phase in trace.phases for row in phase.rows)]
    values = [value for row in rows if (value := row[place]) is not None]
    return sum(after < before for before, after in pairwise(values))


def _agreements(found: Sequence[JsonObject]) -> Iterator[JsonObject]:
    """Yield the ratio of the energy that two meters counted of one zone, for each phase of both."""
    for first, second in combinations(found, 2):
        for phase in first["watts"]:
            for zone, watts in first["watts"][phase].items():
                others = second["watts"].get(phase, {}).get(zone)
                if _is_power(watts) and _is_power(others):
                    ratio = round(watts / others, 4)
                    names = {"zone": zone, "phase": phase, "first": first["meter"], "second": second["meter"]}
                    yield {**names, "ratio": ratio, "agrees": abs(ratio - 1) <= TOLERANCE}


def _problems(findings: JsonObject) -> Iterator[str]:
    meter, check = findings["meter"], findings["check"]
    if check["reason"]:
        yield f"{meter}: {check['reason']}"
    for zone, reason in check["left_out"]:
        yield f"{meter}: {zone} {reason}"
    if check["agreement"] is not None and abs(check["agreement"] - 1) > SENSORS_AGREE:
        yield f"{meter}: the counters show {check['agreement']:.2f} times the power of the power sensor"
    for zone, scope in findings["scopes"].items():
        if reason := _unmoved(findings["watts"], zone, scope):
            yield f"{meter}: {zone} {reason}"


def _unmoved(watts: JsonObject, zone: str, scope: str) -> str | None:
    """Return that a zone's power does not follow the load, or None; memory need not."""
    load = MATRIX if scope == "board" else ALL_CPUS
    if scope == "dram" or IDLE not in watts or load not in watts:
        return None
    idle, full = watts[IDLE].get(zone), watts[load].get(zone)
    if not _is_power(full):
        return f"has no power in phase {load}: {full}"
    if not _is_power(idle):
        return f"has no power in phase {IDLE}: {idle}"
    return None if full >= FOLLOWS * idle else f"shows {idle} W idle and {full} W in phase {load}"


def _is_power(value: JsonValue) -> bool:
    return isinstance(value, int | float) and value > 0
