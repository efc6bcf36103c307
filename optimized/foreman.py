"""Hands chunks to instances, hears their answers, and replaces those that die.

Nothing happens here by itself: somebody calls `turn` again and again, which sleeps in `epoll` until an
instance says something or ends. `ask` may be called by others meanwhile, and hands out at once what it can.
"""

import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from harness.errors import BenchError, MeasurementError
from harness.system import Placement
from optimized.frames import error_from, flat, gathered, whole
from optimized.handle import Ending, Handle, Inner
from optimized.schedule import Board, Chunk, Job, chunks_of

ATTEMPTS = 3
"""How often requests are asked over which instances die, and how often in a row one may die unheard."""

LOOKS = 10
"""Looks in a row at a silent instance at work before it is given up; a group that was stopped loses one."""

_DYING_S = 2.0  # from the end of an instance's socket to the end of its process
_PARTING_S = 5.0  # for an idle system to close its files


class Foreman:
    """The instances of these placements; raises what one of them raises at loading."""

    def __init__(
        self, inner: Inner, placements: Sequence[Placement], patience_s: float, clock: Callable[[], float]
    ) -> None:
        self._inner, self._placements, self._clock = inner, placements, clock
        self._look_s, self._looked = patience_s / LOOKS, clock()
        self._lock = threading.Lock()
        self._board = Board(len(placements))
        self._deaths = [0] * len(placements)
        self._told: deque[tuple[Job, BenchError | None]] = deque()
        self._epoll, self._bell = select.epoll(), os.eventfd(0)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._places: dict[int, int] = {}
        self.handles: list[Handle] = []
        self.replaced = 0
        self.broken: BenchError | None = None
        self._started = False
        try:
            self._start()
        except BaseException:
            self.end()
            raise

    def ask(self, job: Job, weights: Sequence[int], batch: int = 1) -> None:
        """Queue a job and hand out what idle instances can take; raise what broke the pool, if it did."""
        chunks = [Chunk(job, indexes) for indexes in chunks_of(weights, len(self._placements), batch)]
        job.left = len(chunks)
        with self._lock:
            if self.broken:
                raise self.broken
            self._board.add(chunks)
            self._feed()

    def turn(self) -> None:
        """Wait for something to happen, deal with it, and tell the jobs that are done."""
        events = self._epoll.poll(self._look_s)
        with self._lock:
            for descriptor, event in events:
                if descriptor in self._places:
                    self._hear(self._places[descriptor], event)
            self._look()
            self._feed()
        self._tell()

    def give_up(self, problem: BenchError) -> None:
        """Take no more jobs, wake whoever waits in `turn`, and tell all jobs the problem."""
        with self._lock:
            self._break(problem)
        os.eventfd_write(self._bell, 1)
        self._tell()

    def end(self) -> None:
        """End all instances, once nobody calls `turn` any more; those that idle may close what they hold."""
        idle = [
            handle for handle, seat in zip(self.handles, self._board.seats, strict=False) if not seat.held
        ]
        for handle in idle:
            handle.leave()
        for handle in self.handles:
            handle.end(_PARTING_S if handle in idle and handle.facts else 0.0)
        self._epoll.close()
        os.close(self._bell)

    def _start(self) -> None:
        """Start all instances at once, and wait until each is ready."""
        for placement in self._placements:
            self.handles.append(Handle(self._inner, placement))
            self._attend(len(self.handles) - 1)
        while not all(handle.facts for handle in self.handles):
            self.turn()
            if self.broken:
                raise self.broken
        self._started = True

    def _attend(self, place: int) -> None:
        handle = self.handles[place]
        self._places[handle.fileno()] = place
        self._epoll.register(handle, select.EPOLLIN | (select.EPOLLOUT if handle.unsent else 0))

    def _hear(self, place: int, event: int) -> None:
        """Send on what waits for an instance, and take what it says."""
        handle = self.handles[place]
        if event & select.EPOLLOUT:
            handle.flush()
            self._epoll.modify(handle, select.EPOLLIN | (select.EPOLLOUT if handle.unsent else 0))
        messages = handle.receive()
        if messages is None:
            self._replace(place)
            return
        for kind, body in messages:
            if handle.facts is None and kind == "failed":
                self._break(error_from(*body))
            elif handle.facts is None:
                handle.facts = body
            else:
                self._answered(place, kind, body)

    def _answered(self, place: int, kind: str, body: Any) -> None:  # noqa: ANN401 -- what the job asked for
        self._deaths[place] = 0
        chunk = self._board.answered(place)
        job = chunk.job
        if job.over:
            return
        if kind == "failed":
            self._over(job, error_from(*body))
            return
        job.parts.append((chunk.indexes, body))
        job.left -= 1
        if not job.left:
            self._over(job, None)

    def _replace(self, place: int, *, hangs: bool = False) -> None:
        """End an instance that is dead or hangs; start another, unless that has been done too often.

        What one hung over is not tried again: it took long enough.
        """
        handle = self.handles[place]
        del self._places[handle.fileno()]
        self._epoll.unregister(handle)
        problem = self._problem(place, handle.end(0.0 if hangs else _DYING_S), hangs=hangs)
        suspect = self._board.lost(place)
        self._deaths[place] += 1
        if suspect and not suspect.job.over and (hangs or suspect.attempts >= ATTEMPTS):
            self._over(suspect.job, problem)
        if not self._started or self._deaths[place] >= ATTEMPTS:
            self._break(problem)
        if not self.broken:
            self._hire(place)

    def _hire(self, place: int) -> None:
        """Start another instance in the place of one that ended."""
        try:
            self.handles[place] = Handle(self._inner, self._placements[place])
        except MeasurementError as problem:
            self._break(problem)
            return
        self.replaced += 1
        self._attend(place)

    def _problem(self, place: int, ending: Ending, *, hangs: bool) -> MeasurementError:
        what = f"said nothing for {self._look_s * LOOKS:g} s" if hangs else f"ended with {ending.cause}"
        last = f"Its last words: {' | '.join(ending.words)}" if ending.words else "It left no last words."
        return MeasurementError(f"it {what}.", where=f"instance {place}", remedy=last)

    def _look(self) -> None:
        """Give up instances that were at work at every one of the last looks and said nothing."""
        now = self._clock()
        if now - self._looked < self._look_s:
            return
        self._looked = now
        for place, handle in enumerate(self.handles):
            working = handle.facts is None or self._board.seats[place].held
            handle.silent = handle.silent + 1 if working else 0
            if handle.silent > LOOKS and not handle.ending:
                self._replace(place, hangs=True)

    def _feed(self) -> None:
        """Hand out chunks while instances can take any."""
        ready = [place for place, handle in enumerate(self.handles) if handle.facts and not handle.ending]
        while not self.broken and (given := self._board.hand_out(ready)):
            place, chunk = given
            asked = [chunk.job.asked[index] for index in chunk.indexes]
            handle = self.handles[place]
            handle.send((chunk.job.do, flat(asked) if chunk.job.do == "predict" else asked))
            if handle.unsent:
                self._epoll.modify(handle, select.EPOLLIN | select.EPOLLOUT)

    def _break(self, problem: BenchError) -> None:
        self.broken = self.broken or problem
        for chunk in self._board.chunks():
            if not chunk.job.over:
                self._over(chunk.job, problem)

    def _over(self, job: Job, problem: BenchError | None) -> None:
        job.over = True
        self._told.append((job, problem))

    def _tell(self) -> None:
        """Tell jobs that are over; outside the lock, since they may ask for more."""
        while True:
            with self._lock:
                if not self._told:
                    return
                job, problem = self._told.popleft()
            try:
                job.done(problem or _outcome(job))
            except Exception as unexpected:  # noqa: BLE001 -- a caller's bug must not silence the others
                problem = MeasurementError(f"`done` failed: {type(unexpected).__name__}: {unexpected}.")
                with self._lock:
                    self._break(problem)


def _outcome(job: Job) -> Any:  # noqa: ANN401 -- requests or predictions, or what is wrong with them
    """Put a job's parts in order."""
    try:
        return gathered(job.asked, job.parts) if job.do == "predict" else _encoded(job)
    except BenchError as problem:
        return problem
    except Exception as problem:  # noqa: BLE001 -- whatever it is, who asked must hear of it
        return MeasurementError(f"the answers do not fit together: {type(problem).__name__}: {problem}.")


def _encoded(job: Job) -> list[Any]:
    encoded: list[Any] = [None] * len(job.asked)
    for indexes, requests in job.parts:
        for index, request in zip(indexes, whole(requests), strict=True):
            encoded[index] = request
    return encoded
