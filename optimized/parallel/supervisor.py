"""Wakes instances when work arrives, collects their answers, and replaces those that die.

The supervisor has no thread of its own: a caller calls `poll` repeatedly, which sleeps in `epoll` until an
instance writes or ends. Other threads may `submit` meanwhile; idle instances are then woken at once.
Chunks, answers and who took which are in slots of shared memory (optimized/parallel/shared_call.py), which
instances work through by themselves.
"""

import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from harness.common.errors import BenchError, MeasurementError
from harness.common.json_types import JsonValue
from harness.systems.interface import Placement
from optimized.parallel.framing import restore_error
from optimized.parallel.instance_process import InstanceConfig, InstanceProcess, ProcessExit
from optimized.parallel.scheduler import AnyCall, CallQueue
from optimized.parallel.shared_call import SharedCall

ATTEMPTS = 3
"""How many instances may die over one chunk, and how often in a row one may die without an answer."""

HEALTH_CHECKS = 10
"""An instance that this many health checks in a row find at the same work has timed out; a process group that
was stopped and continued misses one."""

_EXIT_TIMEOUT_S = 2.0  # from the end of an instance's pipe to the end of its process
_CLOSE_TIMEOUT_S = 5.0  # for an idle instance to close its system


class Supervisor:
    """The instances of these placements; raises what one of them raises while loading."""

    def __init__(
        self,
        config: InstanceConfig,
        placements: Sequence[Placement],
        timeout_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._config, self._placements, self._clock = config, placements, clock
        self._check_interval_s, self._last_check = timeout_s / HEALTH_CHECKS, clock()
        self._lock = threading.Lock()
        self._slots = [SharedCall.new() for _ in placements]
        self._queue = CallQueue(self._slots)
        self._deaths = [0] * len(placements)
        self._undelivered: deque[tuple[AnyCall, BenchError | None]] = deque()
        self._epoll, self._wake_event = select.epoll(), os.eventfd(0)
        self._epoll.register(self._wake_event, select.EPOLLIN)
        self._index_of: dict[int, int] = {}
        self.instances: list[InstanceProcess] = []
        self.replaced = 0
        self.failure: BenchError | None = None
        self._started = False
        try:
            self._start_all()
        except BaseException:
            self.close()
            raise

    def submit(self, call: AnyCall) -> None:
        """Queue a call and wake idle instances for it; raise the pool's failure, if it has failed."""
        with self._lock:
            if self.failure:
                raise self.failure
            self._queue.add(call)
            self._dispatch()

    def cancel(self, call: AnyCall) -> None:
        """Let no instance take another chunk of a call whose caller has gone."""
        with self._lock:
            call.finished = True
            if call.slot:
                call.slot.stop()

    def poll(self) -> None:
        """Wait for an event, handle it, and deliver the results of finished calls."""
        events = self._epoll.poll(self._check_interval_s)
        with self._lock:
            for descriptor, _ in events:
                if descriptor in self._index_of:
                    self._handle_event(descriptor)
            self._check_health()
            self._dispatch()
        self._deliver()

    def fail(self, problem: BenchError) -> None:
        """Take no more calls, wake a thread that waits in `poll`, and fail all calls with this error."""
        with self._lock:
            self._fail_all(problem)
        os.eventfd_write(self._wake_event, 1)
        self._deliver()

    def close(self) -> None:
        """End all instances; idle ones get time to close their systems. No thread may be in `poll`."""
        states = self._queue.instances
        idle = [instance for instance, state in zip(self.instances, states, strict=False) if not state.call]
        for instance in idle:
            instance.close_input()
        for instance in self.instances:
            instance.end(_CLOSE_TIMEOUT_S if instance in idle and instance.facts else 0.0)
        for slot in self._slots:
            slot.close()
        self._epoll.close()
        os.close(self._wake_event)

    def _start_all(self) -> None:
        """Start all instances at once, and wait until each is ready."""
        for index in range(len(self._placements)):
            self.instances.append(self._new_instance(index))
            self._register(index)
        while not all(instance.facts for instance in self.instances):
            self.poll()
            if self.failure:
                raise self.failure
        self._started = True

    def _new_instance(self, index: int) -> InstanceProcess:
        slots = [slot.descriptor for slot in self._slots]
        return InstanceProcess(self._config, self._placements[index], index, slots)

    def _register(self, index: int) -> None:
        readable, *writable = self.instances[index].descriptors
        self._index_of[readable] = index
        self._epoll.register(readable, select.EPOLLIN)
        for descriptor in writable:
            self._index_of[descriptor] = index
            self._epoll.register(descriptor, select.EPOLLOUT)

    def _unregister(self, descriptor: int) -> None:
        del self._index_of[descriptor]
        self._epoll.unregister(descriptor)

    def _handle_event(self, descriptor: int) -> None:
        """Receive an instance's messages, or send on the bytes that its pipe had no room for."""
        index = self._index_of[descriptor]
        instance = self.instances[index]
        if descriptor == instance.descriptors[0]:
            self._receive(index)
            return
        instance.flush()
        if len(instance.descriptors) == 1:
            self._unregister(descriptor)

    def _receive(self, index: int) -> None:
        instance = self.instances[index]
        messages = instance.receive()
        if messages is None:
            self._replace(index)
            return
        for message in messages:
            if isinstance(message, int):
                self._handle_idle(index)
            elif instance.facts is None:
                self._handle_load(instance, *message)
            else:
                self._handle_answer(index, *message)

    def _handle_load(self, instance: InstanceProcess, kind: str, body: JsonValue) -> None:
        if kind == "failed":
            self._fail_all(restore_error(*body))
        else:
            instance.facts = body

    def _handle_answer(self, index: int, kind: str, body: JsonValue) -> None:
        call = self._queue.instances[index].call
        if call is None or call.finished:
            return
        if kind == "failed":
            self._finish(call, restore_error(*body))
        else:
            chunk, answer = body
            call.spilled[chunk] = answer

    def _handle_idle(self, index: int) -> None:
        """Release an instance that found no chunk left to take."""
        self._deaths[index] = 0
        self._finish_if_complete(self._queue.instances[index].call)
        self._queue.release(index)

    def _finish_if_complete(self, call: AnyCall | None) -> None:
        if call and not call.finished and call.collect():
            self._finish(call, None)

    def _replace(self, index: int, *, timed_out: bool = False) -> None:
        """End an instance that died or timed out; start another, unless that happened too often.

        A chunk over which an instance timed out is not tried again: it took long enough.
        """
        for descriptor in [key for key, owner in self._index_of.items() if owner == index]:
            self._unregister(descriptor)
        process_exit = self.instances[index].end(0.0 if timed_out else _EXIT_TIMEOUT_S)
        problem = self._death_error(index, process_exit, timed_out=timed_out)
        self._requeue(index, problem, timed_out=timed_out)
        self._deaths[index] += 1
        if not self._started or self._deaths[index] >= ATTEMPTS:
            self._fail_all(problem)
        if not self.failure:
            self._restart(index)

    def _requeue(self, index: int, problem: BenchError, *, timed_out: bool) -> None:
        """Free the chunk of a dead instance for the others, unless too many died over it."""
        call = self._queue.instances[index].call
        if call and call.slot:
            if call.slot.has_answer_of(index):
                self._deaths[index] = 0
            chunk = call.slot.reclaim(index)
            if chunk is not None:
                call.deaths[chunk] += 1
                if not call.finished and (timed_out or call.deaths[chunk] >= ATTEMPTS):
                    call.slot.stop()
                    self._finish(call, problem)
            self._finish_if_complete(call)
        self._queue.reset(index)

    def _restart(self, index: int) -> None:
        try:
            self.instances[index] = self._new_instance(index)
        except MeasurementError as problem:
            self._fail_all(problem)
            return
        self.replaced += 1
        self._register(index)

    def _death_error(self, index: int, process_exit: ProcessExit, *, timed_out: bool) -> MeasurementError:
        timeout_s = self._check_interval_s * HEALTH_CHECKS
        what = f"made no progress for {timeout_s:g} s" if timed_out else f"ended with {process_exit.cause}"
        lines = " | ".join(process_exit.last_lines)
        output = f"Its last output: {lines}" if lines else "It wrote nothing to stdout or stderr."
        return MeasurementError(f"it {what}.", where=f"instance {index}", remedy=output)

    def _check_health(self) -> None:
        """Replace instances that every one of the last health checks found at the same work."""
        now = self._clock()
        if now - self._last_check < self._check_interval_s:
            return
        self._last_check = now
        for index, instance in enumerate(self.instances):
            call = self._queue.instances[index].call
            work = (call, call.slot.chunk_of(index)) if call and call.slot else None
            busy = instance.facts is None or work is not None
            instance.unchanged_checks = instance.unchanged_checks + 1 if busy and work == instance.work else 0
            instance.work = work
            if instance.unchanged_checks >= HEALTH_CHECKS and not instance.exit:
                self._replace(index, timed_out=True)

    def _dispatch(self) -> None:
        """Wake idle instances while calls need them."""
        if self.failure:
            return
        ready = [
            index for index, instance in enumerate(self.instances) if instance.facts and not instance.exit
        ]
        while assignment := self._queue.assign(ready):
            index, slot = assignment
            self.instances[index].send(self._slots.index(slot))

    def _fail_all(self, problem: BenchError) -> None:
        self.failure = self.failure or problem
        for call in self._queue.calls():
            if not call.finished:
                self._finish(call, problem)

    def _finish(self, call: AnyCall, problem: BenchError | None) -> None:
        call.finished = True
        self._undelivered.append((call, problem))

    def _deliver(self) -> None:
        """Deliver the results of finished calls; outside the lock, since `on_done` may submit more."""
        while self._undelivered:
            with self._lock:
                if not self._undelivered:
                    return
                call, problem = self._undelivered.popleft()
            try:
                call.on_done(problem or _result(call))
            except Exception as unexpected:  # noqa: BLE001 -- a caller's bug must not block the others
                problem = MeasurementError(f"`done` failed: {type(unexpected).__name__}: {unexpected}.")
                with self._lock:
                    self._fail_all(problem)


def _result(call: AnyCall) -> object:
    """Return a call's answers in order, or the error that assembling them raised."""
    try:
        result: Any = call.assemble(call)
    except BenchError as problem:
        return problem
    except Exception as problem:  # noqa: BLE001 -- every failure is reported to the caller
        return MeasurementError(
            f"the instances' answers do not match the requests: {type(problem).__name__}: {problem}."
        )
    return result
