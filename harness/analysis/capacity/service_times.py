"""Service times of a record: how long each request kept an instance busy, without waiting.

    single-stream   the duration of each call, of a system that has the machine to itself
    server          arrivals and answers --first come, first served--> when each request began

A pool's instances slow one another down, so how long one takes while all are busy is only seen in `server`.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.analysis.capacity.queueing.waiting import Seconds
from harness.records.estimate import Unavailable
from harness.records.record import Record

LOW_LOAD = 0.3
"""Below this utilisation of a pool, an instance mostly works alone, and faster than beside busy ones."""

_NS = 1e9


@dataclass(frozen=True, slots=True, eq=False)
class ServiceTimes:
    """Service times in seconds by round, of a variant with `instances` that serve at once.

    `distinct` counts the different requests among them.
    """

    record: Record
    rounds: tuple[Seconds, ...]
    instances: int
    distinct: int
    utilisation: float | None = None
    """Of the instances while this was measured, in `server`; None in `single-stream`, where it is 1."""

    @property
    def all(self) -> Seconds:
        """The service times of all rounds."""
        return np.concatenate(self.rounds)

    @property
    def source(self) -> str:
        """The scenario, with the rate and the utilisation of `server`."""
        if self.utilisation is None or self.record.load is None:
            return self.record.cell.scenario
        return f"server at {self.record.load.rate:.3g}/s ({100 * self.utilisation:.0f} % busy)"


def service_times(record: Record, samples: Mapping[str, Any] | None) -> ServiceTimes | Unavailable:
    """Return the service times of a record, or why it does not show them."""
    if not record.rounds:
        return Unavailable("nothing was measured")
    if samples is None:
        return Unavailable("its raw samples are missing or were changed")
    if fault := _fault(record, samples):
        return Unavailable(fault)
    return _from_samples(record, samples)


def _from_samples(record: Record, samples: Mapping[str, Any]) -> ServiceTimes | Unavailable:
    scenario, instances = record.cell.scenario, record.cell.instances
    if scenario == "server":
        return _served(record, samples, instances)
    if scenario != "single-stream":
        return Unavailable(
            f"scenario {scenario} has no time of a single request: add --scenario single-stream"
        )
    if instances > 1:
        return Unavailable(
            f"requests one after another do not show how long one takes while all {instances} instances "
            "work: measure it with --scenario server --rate N"
        )
    return ServiceTimes(
        record, tuple(calls / _NS for calls in _by_round(samples, "call_ns")), 1, _distinct(samples)
    )


def _fault(record: Record, samples: Mapping[str, Any]) -> str:
    """Return why samples cannot be those of the record's calls; an empty text if they can."""
    if absent := [name for name in ("call_ns", "call_round", "timed_example") if name not in samples]:
        return f"its raw samples lack {', '.join(absent)}"
    same = set(samples["call_round"].tolist()) == {item.index for item in record.rounds}
    return "" if same else "its raw samples are of other rounds than the record's"


def begun_at(arrivals: Sequence[float] | Seconds, ends: Sequence[float] | Seconds, servers: int) -> Seconds:
    """Return when each request began, where `servers` take requests in their order of arrival.

    A request begins when it arrives, or when all but `servers` - 1 of the earlier ones are done.
    """
    begun = np.empty(len(arrivals))
    latest: list[float] = []  # the last `servers` ends among the earlier requests, the first of them on top
    for number, (arrival, end) in enumerate(zip(arrivals, ends, strict=True)):
        begun[number] = max(arrival, latest[0]) if len(latest) == servers else arrival
        if len(latest) < servers:
            heapq.heappush(latest, end)
        else:
            heapq.heappushpop(latest, end)
    return begun


def _served(record: Record, samples: Mapping[str, Any], instances: int) -> ServiceTimes | Unavailable:
    if "gap_ns" not in samples:
        return Unavailable("it has no arrival times: an earlier version measured it")
    rounds, busy, spans = [], 0.0, 0.0
    parts = (_by_round(samples, "call_ns"), _by_round(samples, "gap_ns"))
    for item, calls, gaps in zip(record.rounds, *parts, strict=True):
        ends = np.cumsum(calls + gaps)
        times = (ends - begun_at(ends - calls, ends, instances)) / _NS
        if times.min() < 0:
            return Unavailable("its requests were not served in their order of arrival")
        rounds.append(times)
        busy, spans = busy + float(times.sum()), spans + item.wall_ns / _NS
    return ServiceTimes(record, tuple(rounds), instances, _distinct(samples), busy / spans / instances)


def _distinct(samples: Mapping[str, Any]) -> int:
    """Return how many different requests were timed."""
    return len(np.unique(samples["timed_example"]))


def _by_round(samples: Mapping[str, Any], name: str) -> list[Seconds]:
    numbers = samples["call_round"]
    values = np.asarray(samples[name], dtype=np.float64)
    order = dict.fromkeys(numbers.tolist())
    return [values[numbers == number] for number in order]
