"""The variants of a run that a plan can rest on: each once, by the records that show its service times best.

records --same variant and placement--> groups --service times, or why there are none--> a service model each
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.analysis.capacity.batched_times import batched_times
from harness.analysis.capacity.queueing.batching import Batching
from harness.analysis.capacity.service_model import ServiceModel
from harness.analysis.capacity.service_times import ServiceTimes, service_times
from harness.analysis.diagnostics.base import is_null
from harness.common.errors import UsageError
from harness.records.estimate import Unavailable
from harness.records.record import Record

ReadSamples = Callable[[Record], Mapping[str, Any] | None]

_PREFERRED = ("server", "single-stream", "batch", "offline")
"""Whose reason is given where no record of a variant shows its service times."""


def check_comparable(records: Sequence[Record]) -> None:
    """Raise UsageError for records of unlike machines or of several tasks: one plan is for one of each."""
    hosts = {record.host.fingerprint for record in records}
    if len(hosts) > 1:
        raise UsageError(
            f"the records were measured on {len(hosts)} unlike machines, and a plan rests on one.",
            remedy="Name a run of one machine; `bench report` tells machines apart.",
        )
    tasks = {record.cell.task: None for record in records}
    if len(tasks) > 1:
        raise UsageError(
            f"the records are of several tasks ({', '.join(tasks)}), whose requests differ.",
            remedy="Name a run of one task.",
        )


def services_of(
    records: Sequence[Record], samples: ReadSamples, batchings: Sequence[Batching] = ()
) -> Iterator[tuple[Record, ServiceModel | Unavailable]]:
    """Yield each variant and placement with its service model, or the reason why it has none."""
    groups: dict[tuple[object, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(_identity(record), []).append(record)
    for unordered in groups.values():
        group = sorted(unordered, key=_order)
        if any(map(is_null, group)):
            yield (
                group[0],
                Unavailable("it does not read its input: it shows what the harness costs, not a model"),
            )
            continue
        one_by_one = _best(group, samples)
        batched = [batched_times(group, [samples(record) for record in group], own) for own in batchings]
        if not isinstance(one_by_one, Unavailable) or not batched:
            yield group[0], one_by_one
        for service in batched:
            yield group[0], service


def _identity(record: Record) -> tuple[object, ...]:
    cell = record.cell
    return (
        *(
            cell.variant,
            cell.device,
            cell.boundary,
            cell.threads,
            cell.instances,
            cell.cores,
            cell.max_length,
        ),
        *(
            cell.command,
            cell.definition,
            cell.rung,
            cell.twin,
            record.model.fingerprint,
            record.data.fingerprint,
        ),
    )


def _best(group: Sequence[Record], samples: ReadSamples) -> ServiceTimes | Unavailable:
    """Return the times of the busiest `server` that was not overloaded, else those of `single-stream`."""
    results = [service_times(record, samples(record)) for record in group]
    usable = sorted((times for times in results if isinstance(times, ServiceTimes)), key=_trust)
    if not usable:
        return results[0]
    offered = (times for times in usable[:-1] if times.record.load and not times.record.load.overloaded)
    return replace(usable[-1], others=tuple(offered), without_server=_without_server(group, results))


def _without_server(group: Sequence[Record], results: Sequence[ServiceTimes | Unavailable]) -> str:
    """Return why a record of scenario `server` shows no times; an empty text where none was measured."""
    reasons = (
        result.reason
        for record, result in zip(group, results, strict=True)
        if record.cell.scenario == "server" and isinstance(result, Unavailable)
    )
    return next(reasons, "")


def _order(record: Record) -> int:
    scenario = record.cell.scenario
    return _PREFERRED.index(scenario) if scenario in _PREFERRED else len(_PREFERRED)


def _trust(times: ServiceTimes) -> tuple[bool, bool, float]:
    load = times.record.load
    return load is None or not load.overloaded, times.utilisation is not None, times.utilisation or 0.0
