"""Trainings as tasks of Ray: each runs on whichever host is free, and on another one where that is lost."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from harness.common.errors import ExitCode
from harness.runs.cluster.point import Point
from harness.runs.cluster.ray_hosts import RESOURCE, TRAINING_SHARE, candidates, train_here
from harness.runs.cluster.training import Trained

MOST_RETRIES = 2
"""How often Ray starts a training again whose process or host is lost."""


def spread(
    points: Sequence[Point], expected: Mapping[str, str | None], report: Callable[[str], None]
) -> Iterator[tuple[Point, Trained]]:
    """Train on free hosts of the cluster, and yield each result when it is there.

    A training takes as many CPUs as the smallest host has. Hosts that join meanwhile take part. `expected`
    has the sha256 of files and folders that a host must have.
    """
    import ray
    from ray.exceptions import RayError

    options = {
        "num_cpus": min(host.cpus for host in candidates(ray.nodes()).values()),
        "resources": {RESOURCE: TRAINING_SHARE},
        "max_retries": MOST_RETRIES,
        "scheduling_strategy": "SPREAD",
    }
    train = ray.remote(train_here).options(**options)
    waiting = {train.remote(point, dict(expected)): point for point in points}
    while waiting:
        (ready, *_), _ = ray.wait(list(waiting), num_returns=1)
        point = waiting.pop(ready)
        try:
            trained: Trained = ray.get(ready)
        except (RayError, ConnectionError) as error:
            reason = str(error).strip().splitlines()[0]
            trained = Trained("", int(ExitCode.NOTHING_MEASURED), (f"it is lost: {reason}",), {})
        report(f"{point.name} {trained.text}")
        yield point, trained
