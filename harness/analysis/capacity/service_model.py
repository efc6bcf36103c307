"""What a queue needs of a variant: how long it takes, how many requests at once, and how sure that is."""

from typing import Protocol

import numpy as np

from harness.analysis.capacity.queueing.steady_state import Servers, SteadyLatency
from harness.records.record import Record


class ServiceModel(Protocol):
    """How one variant serves requests: one by one (`ServiceTimes`), or in batches (`BatchedTimes`)."""

    @property
    def record(self) -> Record:
        """The record that the model rests on."""

    @property
    def instances(self) -> int:
        """How many calls one machine serves at once."""

    @property
    def distinct(self) -> int:
        """The different requests among those that were timed."""

    @property
    def utilisation(self) -> float | None:
        """Of the instances while they were measured, in `server`; None where they never waited."""

    @property
    def round_count(self) -> int:
        """The rounds that an interval resamples."""

    @property
    def source(self) -> str:
        """The scenario that shows the times."""

    @property
    def how(self) -> str:
        """How requests are taken, in words; empty where they are served one by one."""

    @property
    def mean(self) -> float:
        """Mean seconds that a request keeps one instance busy, at the highest throughput."""

    def seconds_per_request(self, rate: float, servers: Servers) -> float:
        """Return the mean seconds that a request keeps an instance busy at a rate, over all servers."""

    def shortest(self, percent: float) -> float:
        """Return the percentile of the latency without any queue, in seconds."""

    def steady(self, rate: float, servers: Servers, *, requests: int, seed: int = 0) -> SteadyLatency:
        """Return the latency in steady state; UsageError where there is none."""

    def resampled(self, rng: np.random.Generator) -> "ServiceModel":
        """Return the model with rounds that are drawn with replacement."""

    def on(self, copies: int) -> "ServiceModel":
        """Return the model of a machine that holds so many of the measured one."""


def load_of(service: ServiceModel, rate: float, machines: int) -> float:
    """Return the rate as a share of what so many machines can serve."""
    return rate * service.mean / service.instances / machines
