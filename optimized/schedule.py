"""Who answers what: requests become chunks, longest first, and instances fetch them as they become free.

    weights --chunks_of--> chunks --Board--> an instance each

Chunks shrink towards the end (guided self-scheduling, Polychronopoulos and Kuck 1987), so that the instances
end together although nobody knows how long a request takes. Nothing here knows a process or a clock.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

MOST_WEIGHT = 8192
"""Tokens of one chunk: sixteen sequences of 512, so long at work that the message about them costs nothing,
and still a small part of what an instance may be silent for."""

WARM_ANSWERS = 4
"""Chunks after which an instance counts as warm; until all are, idle ones take turns."""

_DEPTH = 2  # chunks an instance holds: one at work, one waiting, so that it need not wait for us


def chunks_of(weights: Sequence[int], instances: int, batch: int = 1) -> list[list[int]]:
    """Cut positions into chunks, heaviest first: each half of an equal share of what is left.

    Chunks are whole multiples of `batch` but for the last, since a system answers so many together.
    Without weights there is one chunk, which is empty: somebody must still answer nothing.
    """
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
class Job:
    """One call: the examples or requests it holds, and what instances answered to them so far.

    `done` is told the answers, or the error; that happens once, and then the job is `over`.
    """

    do: Literal["encode", "predict"]
    asked: Sequence[Any]
    done: Callable[[Any], None]
    left: int = 0
    parts: list[tuple[Sequence[int], Any]] = field(default_factory=list)
    over: bool = False


@dataclass(slots=True, eq=False)
class Chunk:
    """Some of a job, by position; `attempts` counts the instances that died over it."""

    job: Job
    indexes: Sequence[int]
    attempts: int = 0


@dataclass(slots=True)
class Seat:
    """One instance on the board: what it holds, oldest first, what it answered, and when it last did."""

    held: deque[Chunk] = field(default_factory=deque)
    answered: int = 0
    turn: int = 0

    @property
    def rank(self) -> tuple[int, int]:
        """Sort idle instances: cold ones first, then the one that answered last, whose caches are warm."""
        return min(self.answered, WARM_ANSWERS), -self.turn


class Board:
    """Chunks that wait, and chunks that instances hold; each is in one place at a time.

    Jobs are served in the order they came, so none starves; what an instance lost comes before all else.
    """

    def __init__(self, instances: int) -> None:
        self.waiting: deque[Chunk] = deque()
        self.seats = [Seat() for _ in range(instances)]
        self._turn = 0

    def add(self, chunks: Iterable[Chunk]) -> None:
        """Let chunks wait behind all others."""
        self.waiting.extend(chunks)

    def hand_out(self, ready: Collection[int]) -> tuple[int, Chunk] | None:
        """Give the next chunk to one of the instances that are ready; None if all have enough.

        An instance is given a second chunk only of the job it is at work on, whose chunks weigh alike, and
        only while more than a chunk for each instance waits.
        """
        while self.waiting and self.waiting[0].job.over:
            self.waiting.popleft()  # nobody waits for it any more
        if not self.waiting:
            return None
        room = [place for place in ready if self._room(self.seats[place], self.waiting[0])]
        if not room:
            return None
        place = min(room, key=lambda one: (len(self.seats[one].held), *self.seats[one].rank))
        chunk = self.waiting.popleft()
        self.seats[place].held.append(chunk)
        return place, chunk

    def _room(self, seat: Seat, chunk: Chunk) -> bool:
        if not seat.held or len(seat.held) == _DEPTH:
            return not seat.held
        return seat.held[0].job is chunk.job and len(self.waiting) > len(self.seats)

    def answered(self, place: int) -> Chunk:
        """Take the oldest chunk from an instance that answered it."""
        seat = self.seats[place]
        self._turn += 1
        seat.turn = self._turn
        seat.answered += 1
        return seat.held.popleft()

    def lost(self, place: int) -> Chunk | None:
        """Take back all that a dead instance held, to be answered next; return what it was at work on."""
        held = self.seats[place].held
        self.waiting.extendleft(reversed(held))
        suspect = held[0] if held else None
        if suspect:
            suspect.attempts += 1
        self.seats[place] = Seat()
        return suspect

    def chunks(self) -> Iterator[Chunk]:
        """Yield all chunks, waiting and held."""
        yield from self.waiting
        for seat in self.seats:
            yield from seat.held
