"""Rings instances to what there is to do, hears when they are done, and replaces those that die.

Nothing happens here by itself: somebody calls `turn` again and again, which sleeps in `epoll` until an
instance says something or ends. `ask` may be called by others meanwhile, and rings at once whom it can.
Chunks, answers and who has which lie on sheets (optimized/parallel/shared_call.py), which instances work
through without us.
"""

import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from harness.common.errors import BenchError, MeasurementError
from harness.systems.interface import Placement
from optimized.parallel.framing import error_from
from optimized.parallel.instance_process import Ending, Inner, InstanceProcess
from optimized.parallel.scheduler import CallQueue, PoolCall
from optimized.parallel.shared_call import SharedCall

ATTEMPTS = 3
"""How often requests are asked over which instances die, and how often in a row one may die unheard."""

LOOKS = 10
"""Looks in a row at an instance that is still at the same work before it is given up; a group that was
stopped loses one."""

_DYING_S = 2.0  # from the end of an instance's pipe to the end of its process
_PARTING_S = 5.0  # for an idle system to close its files


class Supervisor:
    """The instances of these placements; raises what one of them raises at loading."""

    def __init__(
        self, inner: Inner, placements: Sequence[Placement], patience_s: float, clock: Callable[[], float]
    ) -> None:
        self._inner, self._placements, self._clock = inner, placements, clock
        self._look_s, self._looked = patience_s / LOOKS, clock()
        self._lock = threading.Lock()
        self._sheets = [SharedCall.new() for _ in placements]
        self._board = CallQueue(self._sheets)
        self._deaths = [0] * len(placements)
        self._told: deque[tuple[PoolCall, BenchError | None]] = deque()
        self._epoll, self._bell = select.epoll(), os.eventfd(0)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._places: dict[int, int] = {}
        self.handles: list[InstanceProcess] = []
        self.replaced = 0
        self.broken: BenchError | None = None
        self._started = False
        try:
            self._start()
        except BaseException:
            self.end()
            raise

    def ask(self, job: PoolCall) -> None:
        """Queue a job and ring idle instances to it; raise what broke the pool, if something did."""
        with self._lock:
            if self.broken:
                raise self.broken
            self._board.add(job)
            self._feed()

    def abandon(self, job: PoolCall) -> None:
        """Let nobody take any more of a job that nobody waits for."""
        with self._lock:
            job.over = True
            if job.sheet:
                job.sheet.stop()

    def turn(self) -> None:
        """Wait for something to happen, deal with it, and tell the jobs that are done."""
        events = self._epoll.poll(self._look_s)
        with self._lock:
            for descriptor, _ in events:
                if descriptor in self._places:
                    self._attend_to(descriptor)
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
        idle = [handle for handle, seat in zip(self.handles, self._board.seats, strict=False) if not seat.job]
        for handle in idle:
            handle.leave()
        for handle in self.handles:
            handle.end(_PARTING_S if handle in idle and handle.facts else 0.0)
        for sheet in self._sheets:
            sheet.close()
        self._epoll.close()
        os.close(self._bell)

    def _start(self) -> None:
        """Start all instances at once, and wait until each is ready."""
        for place in range(len(self._placements)):
            self.handles.append(self._hired(place))
            self._attend(place)
        while not all(handle.facts for handle in self.handles):
            self.turn()
            if self.broken:
                raise self.broken
        self._started = True

    def _hired(self, place: int) -> InstanceProcess:
        sheets = [sheet.descriptor for sheet in self._sheets]
        return InstanceProcess(self._inner, self._placements[place], place, sheets)

    def _attend(self, place: int) -> None:
        heard, *unsent = self.handles[place].descriptors
        self._places[heard] = place
        self._epoll.register(heard, select.EPOLLIN)
        for descriptor in unsent:
            self._places[descriptor] = place
            self._epoll.register(descriptor, select.EPOLLOUT)

    def _forget(self, place: int) -> None:
        for descriptor in [each for each, whose in self._places.items() if whose == place]:
            del self._places[descriptor]
            self._epoll.unregister(descriptor)

    def _attend_to(self, descriptor: int) -> None:
        """Send on what waits for an instance, or take what it says."""
        place = self._places[descriptor]
        handle = self.handles[place]
        if descriptor == handle.descriptors[0]:
            self._hear(place)
            return
        handle.flush()
        if len(handle.descriptors) == 1:
            del self._places[descriptor]
            self._epoll.unregister(descriptor)

    def _hear(self, place: int) -> None:
        handle = self.handles[place]
        messages = handle.receive()
        if messages is None:
            self._replace(place)
            return
        for message in messages:
            if isinstance(message, int):
                self._left(place)
            elif handle.facts is None:
                self._loaded(handle, *message)
            else:
                self._said(place, *message)

    def _loaded(self, handle: InstanceProcess, kind: str, body: Any) -> None:  # noqa: ANN401 -- facts or an error
        if kind == "failed":
            self._break(error_from(*body))
        else:
            handle.facts = body

    def _said(self, place: int, kind: str, body: Any) -> None:  # noqa: ANN401 -- an error or an answer
        job = self._board.seats[place].job
        if job is None or job.over:
            return
        if kind == "failed":
            self._over(job, error_from(*body))
        else:
            chunk, said = body
            job.spilled[chunk] = said

    def _left(self, place: int) -> None:
        """Hear that an instance found nothing more to take."""
        self._deaths[place] = 0
        self._finished(self._board.seats[place].job)
        self._board.left(place)

    def _finished(self, job: PoolCall | None) -> None:
        if job and not job.over and job.collect():
            self._over(job, None)

    def _replace(self, place: int, *, hangs: bool = False) -> None:
        """End an instance that is dead or hangs; start another, unless that has been done too often.

        What one hung over is not tried again: it took long enough.
        """
        handle = self.handles[place]
        self._forget(place)
        problem = self._problem(place, handle.end(0.0 if hangs else _DYING_S), hangs=hangs)
        self._bury(place, problem, hangs=hangs)
        self._deaths[place] += 1
        if not self._started or self._deaths[place] >= ATTEMPTS:
            self._break(problem)
        if not self.broken:
            self._hire(place)

    def _bury(self, place: int, problem: BenchError, *, hangs: bool) -> None:
        """Let others have what a dead instance had at hand, unless too many died over it."""
        job = self._board.seats[place].job
        if job and job.sheet:
            if job.sheet.answered_by(place):
                self._deaths[place] = 0
            chunk = job.sheet.take_back(place)
            if chunk is not None:
                job.deaths[chunk] += 1
                if not job.over and (hangs or job.deaths[chunk] >= ATTEMPTS):
                    job.sheet.stop()
                    self._over(job, problem)
            self._finished(job)
        self._board.lost(place)

    def _hire(self, place: int) -> None:
        """Start another instance in the place of one that ended."""
        try:
            self.handles[place] = self._hired(place)
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
        """Give up instances that every one of the last looks found at the same work."""
        now = self._clock()
        if now - self._looked < self._look_s:
            return
        self._looked = now
        for place, handle in enumerate(self.handles):
            job = self._board.seats[place].job
            at = (job, job.sheet.held_by(place)) if job and job.sheet else None
            working = handle.facts is None or at is not None
            handle.silent = handle.silent + 1 if working and at == handle.at else 0
            handle.at = at
            if handle.silent >= LOOKS and not handle.ending:
                self._replace(place, hangs=True)

    def _feed(self) -> None:
        """Ring idle instances while there is something for them."""
        if self.broken:
            return
        ready = [place for place, handle in enumerate(self.handles) if handle.facts and not handle.ending]
        while given := self._board.hand_out(ready):
            place, sheet = given
            self.handles[place].send(self._sheets.index(sheet))

    def _break(self, problem: BenchError) -> None:
        self.broken = self.broken or problem
        for job in self._board.jobs():
            if not job.over:
                self._over(job, problem)

    def _over(self, job: PoolCall, problem: BenchError | None) -> None:
        job.over = True
        self._told.append((job, problem))

    def _tell(self) -> None:
        """Tell jobs that are over; outside the lock, since they may ask for more."""
        while self._told:
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


def _outcome(job: PoolCall) -> Any:  # noqa: ANN401 -- requests or predictions, or what is wrong with them
    """Put a job's answers in order."""
    try:
        return job.whole(job)
    except BenchError as problem:
        return problem
    except Exception as problem:  # noqa: BLE001 -- whatever it is, who asked must hear of it
        return MeasurementError(f"the answers do not fit together: {type(problem).__name__}: {problem}.")
