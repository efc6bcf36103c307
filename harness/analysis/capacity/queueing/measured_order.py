"""Service times in the order in which they were measured, and streams of requests that keep it.

A machine has slow phases: a neighbour on its processor, other programs, heat. Requests queue in them. The
same times drawn one by one, which mixes slow with fast, give a shorter tail than was measured.
"""

from dataclasses import dataclass

import numpy as np

from harness.analysis.capacity.queueing.waiting import Seconds

_LONGEST_BLOCK = 2_000
"""Requests that are drawn together; slow phases beyond that are cut."""


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredOrder:
    """The service times in seconds of each round, in the order of its requests."""

    rounds: tuple[Seconds, ...]

    @property
    def all(self) -> Seconds:
        """The service times of all rounds."""
        return np.concatenate(self.rounds) if self.rounds else np.empty(0)

    @property
    def block(self) -> int:
        """How many requests are drawn together: a round, or a part of a long one."""
        return min(_LONGEST_BLOCK, max(len(times) for times in self.rounds))

    def draw(self, shape: tuple[int, int], rng: np.random.Generator) -> Seconds:
        """Return service times [streams, requests]: blocks of rounds, drawn at random (Kuensch 1989).

        A round is drawn by its share of the requests; a block that reaches its end goes on at its beginning.
        """
        lengths = np.array([len(times) for times in self.rounds])
        starts = np.cumsum(lengths) - lengths
        streams, requests = shape
        blocks = (streams, -(-requests // self.block))
        chosen = rng.choice(len(lengths), blocks, p=lengths / lengths.sum())
        offsets = rng.integers(lengths[chosen])
        within = (offsets[..., None] + np.arange(self.block)) % lengths[chosen][..., None]
        times: Seconds = self.all[starts[chosen][..., None] + within]
        return times.reshape(streams, -1)[:, :requests]
