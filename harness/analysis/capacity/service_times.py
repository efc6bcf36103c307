"""Service times of a record: how long each request kept an instance busy, without waiting.

    server          arrivals and answers --first come, first served--> when each request began
    single-stream   the duration of each call, of calls that follow one another without a pause

Times depend on the load. A pool's instances slow one another down, and after a pause a short request takes
longer: threads have to wake up, and caches hold other data. Only `server` shows both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.analysis.capacity.queueing.measured_order import MeasuredOrder
from harness.analysis.capacity.queueing.observed import served_times
from harness.analysis.capacity.queueing.steady_state import Servers, SteadyLatency, steady_latency
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

    others: "tuple[ServiceTimes, ...]" = ()
    """The same variant at other rates of `server`."""

    without_server: str = ""
    """Why its own record of `server` does not show the times, where there is one."""

    @property
    def all(self) -> Seconds:
        """The service times of all rounds."""
        return np.concatenate(self.rounds)

    @property
    def round_count(self) -> int:
        """The rounds that an interval resamples."""
        return len(self.rounds)

    @property
    def how(self) -> str:
        """Requests are served one by one, which needs no words."""
        return ""

    @property
    def mean(self) -> float:
        """The mean service time in seconds."""
        return float(self.all.mean())

    def seconds_per_request(self, rate: float, servers: Servers) -> float:  # noqa: ARG002 -- of the protocol
        """Return the mean service time, whatever the rate."""
        return self.mean

    def near(self, rate: float) -> "ServiceTimes":
        """Return the times that were measured at the load nearest to `rate`, in requests per second."""
        if self.utilisation is None:
            return self
        return min((self, *self.others), key=lambda times: abs(times.rate - rate))

    @property
    def rate(self) -> float:
        """The requests per second that arrived, in `server`; 0 elsewhere."""
        return self.record.load.rate if self.record.load else 0.0

    def shortest(self, percent: float) -> float:
        """Return the percentile of the service times: what remains where nothing waits."""
        return float(np.percentile(self.all, percent))

    def steady(self, rate: float, servers: Servers, *, requests: int, seed: int = 0) -> SteadyLatency:
        """Return the latency in steady state; UsageError where there is none."""
        return steady_latency(self.ordered or self.all, rate, servers, requests=requests, seed=seed)

    @property
    def ordered(self) -> MeasuredOrder | None:
        """The times in their order, where they show the slow phases of a machine under load."""
        return None if self.utilisation is None else MeasuredOrder(self.rounds)

    def resampled(self, rng: np.random.Generator) -> "ServiceTimes":
        """Return the times of rounds that are drawn with replacement."""
        chosen = rng.integers(len(self.rounds), size=len(self.rounds))
        return replace(self, rounds=tuple(self.rounds[index] for index in chosen))

    def on(self, copies: int) -> "ServiceTimes":
        """Return the times on a machine that holds so many of the measured one."""
        return replace(self, instances=copies * self.instances)

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
    if fault := sample_fault(record, samples):
        return Unavailable(fault)
    return _from_samples(record, samples)


def _from_samples(record: Record, samples: Mapping[str, Any]) -> ServiceTimes | Unavailable:
    scenario, instances = record.cell.scenario, record.cell.instances
    if scenario == "server":
        return _served(record, samples, instances)
    if scenario == "batch":
        return Unavailable(
            "its calls hold several requests: add --batching N:TIME, or measure --scenario single-stream"
        )
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
        record, tuple(calls / _NS for calls in by_round(samples, "call_ns")), 1, _distinct(samples)
    )


def sample_fault(record: Record, samples: Mapping[str, Any]) -> str:
    """Return why samples cannot be those of the record's calls; an empty text if they can."""
    if absent := [name for name in ("call_ns", "call_round", "timed_example") if name not in samples]:
        return f"its raw samples lack {', '.join(absent)}"
    same = set(samples["call_round"].tolist()) == {item.index for item in record.rounds}
    return "" if same else "its raw samples are of other rounds than the record's"


def _served(record: Record, samples: Mapping[str, Any], instances: int) -> ServiceTimes | Unavailable:
    if "gap_ns" not in samples:
        return Unavailable("it has no arrival times: an earlier version measured it")
    windows = zip(by_round(samples, "call_ns"), by_round(samples, "gap_ns"), strict=True)
    rounds = served_times(list(windows), instances)
    if isinstance(rounds, Unavailable):
        return rounds
    busy = sum(float(times.sum()) for times in rounds)
    seconds = sum(item.wall_ns for item in record.rounds) / _NS
    return ServiceTimes(record, rounds, instances, _distinct(samples), busy / seconds / instances)


def _distinct(samples: Mapping[str, Any]) -> int:
    """Return how many different requests were timed."""
    return len(np.unique(samples["timed_example"]))


def by_round(samples: Mapping[str, Any], name: str) -> list[Seconds]:
    """Return the values of an array of samples by round, in the order of the rounds."""
    numbers = samples["call_round"]
    values = np.asarray(samples[name], dtype=np.float64)
    order = dict.fromkeys(numbers.tolist())
    return [values[numbers == number] for number in order]
