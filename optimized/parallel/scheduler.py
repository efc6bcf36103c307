"""Who answers what: requests become chunks, longest first, and instances fetch them as they become free.

    weights --chunks_of--> chunks --Board--> a sheet, which instances take them from

Chunks shrink towards the end (guided self-scheduling, Polychronopoulos and Kuck 1987), so that the instances
end together although nobody knows how long a request takes. Nothing here knows a process or a clock.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from optimized.parallel.shared_call import SharedCall

MOST_WEIGHT = 8192
"""Tokens of one chunk: sixteen sequences of 512, so long at work that taking them costs nothing,
and still a small part of what an instance may be silent for."""

WARM_CALLS = 4
"""Calls after which an instance counts as warm; until all are, idle ones take turns."""


def chunks_of(weights: Sequence[int], instances: int, batch: int = 1) -> list[list[int]]:
    """Cut positions into chunks, heaviest first: each half of an equal share of what is left.

    Chunks are whole multiples of `batch` but for the last, since a system answers so many together.
    Without weights there is one chunk, which is empty: somebody must still answer nothing.
    """
    if len(weights) == 1:
        return [[0]]
    order = sorted(range(len(weights)), key=lambda index: -weights[index])
    steps = [order[start : start + batch] for start in range(0, len(order), batch)]
    left = sum(weights)
    chunks: list[list[int]] = [[]]
    held, most = 0, _share(left, instances)
    for step in steps:
        weight = sum(weights[index] for index in step)
        if chunks[-1] and held + weight > most:
            left -= held
            held, most = 0, _share(left, instances)
            chunks.append([])
        chunks[-1] += step
        held += weight
    return chunks


def _share(left: int, instances: int) -> int:
    return min(MOST_WEIGHT, left // (2 * instances))


@dataclass(slots=True, eq=False)
class PoolCall:
    """One call: what is asked, in chunks by position, and what instances answered to these so far.

    `bodies` and `rooms` are the chunks' bytes and how many bytes each answer may have; `whole` puts answers
    in order; `done` is told that, or the error, once, and then the job is `over`. `seats` counts the
    instances at work on it, `deaths` those that died over each chunk; `spilled` holds answers that came by
    the pipe.
    """

    kind: int
    asked: Sequence[Any]
    chunks: Sequence[Sequence[int]]
    bodies: Sequence[bytes]
    rooms: Sequence[int]
    whole: Callable[[Self], Any]
    done: Callable[[Any], None] = lambda _: None
    sheet: SharedCall | None = None
    seats: int = 0
    deaths: Counter[int] = field(default_factory=Counter)
    spilled: dict[int, bytes] = field(default_factory=dict)
    answers: Sequence[bytes] = ()
    over: bool = False

    @property
    def wanting(self) -> bool:
        """Whether another instance would find something to take: fewer are at work than chunks are left."""
        return not self.over and (self.sheet is None or self.sheet.unfinished > self.seats)

    def collect(self) -> bool:
        """Copy the answers from the sheet, which another call may have next; False until all are there.

        One that comes by the pipe may still be on its way when its chunk is finished.
        """
        if self.sheet is None or self.sheet.unfinished:
            return False
        found = [self.sheet.answer(chunk) for chunk in range(len(self.chunks))]
        if any(said is None and chunk not in self.spilled for chunk, said in enumerate(found)):
            return False
        self.answers = [self.spilled[chunk] if said is None else said for chunk, said in enumerate(found)]
        return True


@dataclass(slots=True)
class Seat:
    """One instance on the board: the job it is at work on, how many it was, and when it last ended one."""

    job: PoolCall | None = None
    ended: int = 0
    turn: int = 0

    @property
    def rank(self) -> tuple[int, int]:
        """Sort idle instances: cold ones first, then the one that worked last, whose caches are warm."""
        return min(self.ended, WARM_CALLS), -self.turn


class CallQueue:
    """Jobs that wait, and jobs that lie on a sheet, where instances take one chunk after the other.

    Jobs are served in the order they came, so none starves. There are as many sheets as instances: a job is
    laid out only for an instance that is idle, and each that lies out has one at work on it, or is wanting.
    """

    def __init__(self, sheets: Sequence[SharedCall]) -> None:
        self.seats = [Seat() for _ in sheets]
        self._waiting: deque[PoolCall] = deque()
        self._lying: list[PoolCall] = []
        self._free = list(sheets)
        self._turn = 0

    def add(self, job: PoolCall) -> None:
        """Let a job wait behind all others."""
        self._waiting.append(job)

    def hand_out(self, ready: Iterable[int]) -> tuple[int, SharedCall] | None:
        """Seat one of the instances that are ready at a job that wants one; None if there is no such pair."""
        if not self._waiting and not self._lying:
            return None
        idle = [place for place in ready if self.seats[place].job is None]
        job = self._wanting() if idle else None
        if job is None:
            return None
        place = min(idle, key=lambda one: self.seats[one].rank)
        if job.sheet is None:
            job.sheet = self._free.pop()
            job.sheet.lay_out(job.kind, job.bodies, job.rooms)
        self.seats[place].job = job
        job.seats += 1
        return place, job.sheet

    def left(self, place: int) -> None:
        """Take an instance from a job of which nothing is left to take."""
        seat = self.seats[place]
        self._turn += 1
        seat.turn = self._turn
        seat.ended += 1
        self._leave(seat)

    def lost(self, place: int) -> None:
        """Take a dead instance from its job; whoever comes in its place is cold."""
        self._leave(self.seats[place])
        self.seats[place] = Seat()

    def jobs(self) -> list[PoolCall]:
        """Return all jobs, lying out and waiting."""
        return [*self._lying, *self._waiting]

    def _wanting(self) -> PoolCall | None:
        """Return the oldest job that wants an instance, and forget those that are over."""
        for job in list(self._lying):
            if job.wanting:
                return job
            self._clear(job)
        while self._waiting:
            job = self._waiting.popleft()
            if not job.over:
                self._lying.append(job)
                return job
        return None

    def _leave(self, seat: Seat) -> None:
        job, seat.job = seat.job, None
        if job is not None:
            job.seats -= 1
            self._clear(job)

    def _clear(self, job: PoolCall) -> None:
        """Let the next job have the sheet of one that is over, once nobody is at work on it."""
        if job.over and not job.seats and job.sheet is not None:
            job.sheet.trim()
            self._free.append(job.sheet)
            self._lying.remove(job)
            job.sheet = None
