"""Timing candidates at preparation: the same loop, interleaved, so that a recipe chooses by measurement."""

import random
from collections.abc import Mapping, Sequence
from statistics import median

from harness.measurement.timing.loop import Clock, freeze_loaded_objects, run_visit
from harness.systems.interface import System
from harness.workload.tasks.example import Example

ROUNDS = 5


def measure_candidates(
    systems: Mapping[str, System], examples: Sequence[Example], clock: Clock, rounds: int = ROUNDS
) -> dict[str, float]:
    """Return median seconds per request of each system, one request a call, in seeded shuffled rounds.

    One unrecorded pass comes first. Raises ValueError without examples.
    """
    if not examples:
        raise ValueError("expected at least one example to time candidates on, got none")
    calls = {name: [(request,) for request in system.encode(examples)] for name, system in systems.items()}
    times: dict[str, list[float]] = {name: [] for name in systems}
    for name, system in systems.items():
        for call in calls[name]:
            system.predict(call)
    freeze_loaded_objects()
    for index in range(rounds):
        order = sorted(systems)
        random.Random(index).shuffle(order)  # noqa: S311 -- a seeded order, not a secret
        for name in order:
            visit = run_visit(
                systems[name], calls[name], warmup=calls[name][:1], clock=clock, cpu_clock=clock, meter=None
            )
            times[name].append(visit.wall_ns / len(examples) / 1e9)
    return {name: median(values) for name, values in times.items()}
