"""Distributes the points of a sweep over hosts: all points to each host, or each point to one.

Every host works on one point at a time, and all hosts side by side. A host that is lost takes no further
point; what it had sealed before is kept.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Literal, Protocol

from harness.common.errors import BenchError, MeasurementError
from harness.runs.cluster.point import Point, PointResult

PerHost = Literal["same", "split"]

_NO_HOST = "no host was left for it"


class HostLost(MeasurementError):
    """A host does not answer, and the engine has given it up."""


class Host(Protocol):
    """A host of the cluster that is held for measuring."""

    @property
    def name(self) -> str:
        """What messages call it; records do not hold it."""

    def run(self, point: Point) -> PointResult:
        """Run a point there; HostLost if the host is gone."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a point on a host: its result, or why there is none."""

    host: str
    job: str
    point: str
    result: PointResult | None
    reason: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether all of its cells are complete."""
        return self.result is not None and self.result.exit_code == 0 and not self.result.unfinished

    @property
    def text(self) -> str:
        """How it ended, in words."""
        if self.result is None:
            return f"is lost: {self.reason}"
        if self.is_sound:
            return "is done"
        last = self.result.messages[-1] if self.result.messages else ""
        kept = f" ({', '.join(self.result.unfinished)} can be resumed)" if self.result.unfinished else ""
        return f"ended with exit {self.result.exit_code}{kept}: {last}"


def queues_of(hosts: int, points: Sequence[Point], per_host: PerHost) -> list[deque[Point]]:
    """Return the points of each host: all of them, or one queue that all hosts share."""
    shared = deque(points)
    return [shared if per_host == "split" else deque(points) for _ in range(hosts)]


def dispatch(
    hosts: Sequence[Host], queues: Sequence[deque[Point]], report: Callable[[str], None]
) -> list[Outcome]:
    """Run the points of each host's queue; return what became of each, also without a host left for it."""
    lock = Lock()

    def work(host: Host, queue: deque[Point]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        while point := _next(queue, lock):
            report(f"{host.name}: {point.name} begins")
            outcomes.append(outcome := _run(host, point))
            report(f"{host.name}: {point.name} {outcome.text}")
            if outcome.result is None:
                break
        return outcomes

    threads = ThreadPoolExecutor(len(hosts))
    try:
        outcomes = [outcome for by_host in threads.map(work, hosts, queues) for outcome in by_host]
    finally:
        threads.shutdown(wait=False, cancel_futures=True)  # Ctrl-C: the engine's end releases them
    left = {id(queue): queue for queue in queues}.values()
    return outcomes + [
        Outcome("", point.job, point.name, None, _NO_HOST) for queue in left for point in queue
    ]


def _next(queue: deque[Point], lock: Lock) -> Point | None:
    with lock:
        return queue.popleft() if queue else None


def _run(host: Host, point: Point) -> Outcome:
    try:
        return Outcome(host.name, point.job, point.name, host.run(point))
    except BenchError as error:
        return Outcome(host.name, point.job, point.name, None, error.message)
