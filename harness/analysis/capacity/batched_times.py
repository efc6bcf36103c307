"""Service times of a server that collects batches, from cells that were measured at several batch sizes.

single-stream    calls of 1 request --------+
batch of 8, 32   calls of 8, of 32 ---------+--> times by size --interpolated--> a batching server
offline of 32    the mean per 32 requests --+
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.analysis.capacity.queueing.batching import Batching, CallTimes, call_times
from harness.analysis.capacity.queueing.steady_state import Servers, SteadyLatency, steady_batched_latency
from harness.analysis.capacity.queueing.waiting import Seconds
from harness.analysis.capacity.service_times import ServiceTimes, by_round, sample_fault, service_times
from harness.records.estimate import Unavailable
from harness.records.record import Record

SamplesOf = Mapping[str, Any] | None

_NS = 1e9

_REQUESTS = 40_000
"""Simulated to see how full batches are."""


@dataclass(frozen=True, slots=True)
class SizedCalls:
    """Seconds of calls of `size` requests, by round; `scenario` shows where they come from."""

    size: int
    rounds: tuple[Seconds, ...]
    scenario: str


@dataclass(frozen=True, slots=True, eq=False)
class BatchedTimes:
    """How long calls of several sizes take, of a variant whose requests are collected into batches.

    `record` is that of the largest size, whose throughput and joules a busy server has. `sized` is in
    ascending order of size.
    """

    record: Record
    sized: tuple[SizedCalls, ...]
    batching: Batching
    instances: int
    distinct: int
    utilisation: float | None = None

    @property
    def round_count(self) -> int:
        """The rounds of the largest size."""
        return len(self.sized[-1].rounds)

    @property
    def how(self) -> str:
        """The batching in words."""
        return f"batches up to {self.batching.most} or {1e3 * self.batching.wait_s:g} ms"

    @property
    def source(self) -> str:
        """The sizes, with the scenarios that show them."""
        return ", ".join(f"{calls.scenario} of {calls.size}" for calls in self.sized)

    @property
    def mean(self) -> float:
        """The mean seconds of a full batch, by request."""
        return self._times().mean(self.batching.most) / self.batching.most

    def seconds_per_request(self, rate: float, servers: Servers) -> float:
        """Return the mean seconds of a call by request, with batches as full as this rate makes them."""
        return self.steady(rate, servers, requests=_REQUESTS).utilisation * servers.total / rate

    def shortest(self, percent: float) -> float:
        """Return the percentile of the latency of a request that nobody else follows."""
        return self.batching.wait_s + float(np.percentile(self._times().table[1], percent))

    def steady(self, rate: float, servers: Servers, *, requests: int, seed: int = 0) -> SteadyLatency:
        """Return the latency in steady state; UsageError where there is none."""
        return steady_batched_latency(
            self._times(), rate, servers, self.batching, requests=requests, seed=seed
        )

    def resampled(self, rng: np.random.Generator) -> "BatchedTimes":
        """Return the times of rounds that are drawn with replacement, for each size by itself."""
        return replace(self, sized=tuple(_resampled(calls, rng) for calls in self.sized))

    def on(self, copies: int) -> "BatchedTimes":
        """Return the times on a machine that holds so many of the measured one."""
        return replace(self, instances=copies * self.instances)

    def _times(self) -> CallTimes:
        measured = [(calls.size, np.concatenate(calls.rounds)) for calls in self.sized]
        return call_times(measured, self.batching.most)


def batched_times(
    records: Sequence[Record], samples: Sequence[SamplesOf], batching: Batching
) -> BatchedTimes | Unavailable:
    """Return the times of one variant's records, or why they do not show batches up to this size."""
    usable = [
        (record, arrays)
        for record, arrays in zip(records, samples, strict=True)
        if record.rounds and arrays is not None and not sample_fault(record, arrays)
    ]
    usable.sort(key=lambda pair: pair[0].cell.scenario != "offline")  # whose batches are sorted by length
    sized = {calls.size: calls for record, arrays in usable for calls in _sized(record, arrays)}
    if reason := _why_not(records, sized, batching):
        return Unavailable(reason)
    largest = sized[max(sized)]
    record, arrays = next(
        (record, arrays)
        for record, arrays in usable
        if (record.cell.scenario, record.cell.batch) == (largest.scenario, largest.size)
    )
    distinct = len(np.unique(arrays["timed_example"]))
    ordered = tuple(sized[size] for size in sorted(sized))
    return BatchedTimes(record, ordered, batching, 1, distinct)


def _why_not(records: Sequence[Record], sized: Mapping[int, SizedCalls], batching: Batching) -> str:
    if any(record.cell.instances > 1 for record in records):
        return "a pool divides a batch among its instances: batches are planned for one instance"
    if not sized or max(sized) < 2:  # noqa: PLR2004 -- a batch
        return f"no batch was measured: add --scenario single-stream,batch --batch {batching.most}"
    if max(sized) < batching.most:
        return (
            f"batches up to {batching.most} need a measured size of {batching.most} or more, and the largest "
            f"is {max(sized)}: add --scenario batch --batch {batching.most}"
        )
    if min(sized) > 1:
        return (
            f"calls of one request were not measured, the smallest batch is {min(sized)}: "
            "add --scenario single-stream"
        )
    return ""


def _sized(record: Record, samples: Mapping[str, Any]) -> tuple[SizedCalls, ...]:
    """Return the calls of a record; nothing where no call has a known number of requests."""
    scenario, size = record.cell.scenario, record.cell.batch
    if scenario == "single-stream":
        times = service_times(record, samples)
        return (SizedCalls(1, times.rounds, scenario),) if isinstance(times, ServiceTimes) else ()
    if scenario == "batch":
        rounds = [
            _full(calls, item.requests // item.passes, size) for item, calls in _rounds(record, samples)
        ]
    elif scenario == "offline" and size > 1:
        rounds = [calls / (item.requests / item.passes) * size for item, calls in _rounds(record, samples)]
    else:
        return ()
    kept = tuple(calls / _NS for calls in rounds if len(calls))
    return (SizedCalls(size, kept, scenario),) if kept else ()


def _rounds(record: Record, samples: Mapping[str, Any]) -> Sequence[tuple[Any, Seconds]]:
    return list(zip(record.rounds, by_round(samples, "call_ns"), strict=True))


def _full(calls: Seconds, requests: int, size: int) -> Seconds:
    """Return the calls of whole batches: the rest of each pass is shorter."""
    per_pass = -(-requests // size)
    whole = np.arange(len(calls)) % per_pass < requests // size
    return calls[whole]


def _resampled(calls: SizedCalls, rng: np.random.Generator) -> SizedCalls:
    chosen = rng.integers(len(calls.rounds), size=len(calls.rounds))
    return replace(calls, rounds=tuple(calls.rounds[index] for index in chosen))
