"""Scheduling for the pool: a call's requests become chunks, heaviest first, and idle instances join calls.

    weights --chunks_of--> chunks --CallQueue--> a slot, from which instances take them

Chunks shrink towards the end (guided self-scheduling, Polychronopoulos and Kuck 1987), so that the instances
finish together although the time of a request is unknown. This module uses neither processes nor clocks.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from harness.common.errors import BenchError
from optimized.parallel.shared_call import SharedCall

Input = TypeVar("Input")
Result = TypeVar("Result")

MAX_WEIGHT = 8192
"""Tokens of one chunk at most: sixteen sequences of 512, so long that taking one costs nothing in
comparison, and still short against the pool's time-out."""

WARM_CALLS = 4
"""Calls after which an instance counts as warm; until all are, idle ones take turns."""


def chunks_of(weights: Sequence[int], instances: int, batch: int = 1) -> list[list[int]]:
    """Split positions into chunks, heaviest first: each is half of an equal share of the remaining weight.

    Chunks but the last are whole multiples of `batch`, the number of requests a system answers together.
    Without weights the result is one empty chunk, so that an instance still answers the empty call.
    """
    if len(weights) == 1:
        return [[0]]
    order = sorted(range(len(weights)), key=lambda index: -weights[index])
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    remaining = sum(weights)
    chunks: list[list[int]] = [[]]
    chunk_weight, limit = 0, _weight_limit(remaining, instances)
    for positions in batches:
        weight = sum(weights[index] for index in positions)
        if chunks[-1] and chunk_weight + weight > limit:
            remaining -= chunk_weight
            chunk_weight, limit = 0, _weight_limit(remaining, instances)
            chunks.append([])
        chunks[-1] += positions
        chunk_weight += weight
    return chunks


def _weight_limit(remaining: int, instances: int) -> int:
    return min(MAX_WEIGHT, remaining // (2 * instances))


@dataclass(slots=True, eq=False)
class PoolCall(Generic[Input, Result]):
    """One call of a pool: its inputs, in chunks by position, and its progress.

    `payloads` are the chunks' bytes, `capacities` the bytes reserved for each answer. `assemble` puts the
    answers in order; `on_done` gets the result, or the error, once, and then the call is `finished`. `active`
    counts the instances at work on it, `deaths` those that died over each chunk; `spilled` holds answers that
    came through the pipe.
    """

    kind: int
    inputs: Sequence[Input]
    chunks: Sequence[Sequence[int]]
    payloads: Sequence[bytes]
    capacities: Sequence[int]
    assemble: Callable[["PoolCall[Input, Result]"], Result]
    on_done: Callable[[Result | BenchError], None] = lambda _: None
    slot: SharedCall | None = None
    active: int = 0
    deaths: Counter[int] = field(default_factory=Counter)
    spilled: dict[int, bytes] = field(default_factory=dict)
    answers: Sequence[bytes] = ()
    finished: bool = False

    @property
    def needs_instance(self) -> bool:
        """Whether another instance would get a chunk: fewer are at work than chunks are unanswered."""
        return not self.finished and (self.slot is None or self.slot.unanswered > self.active)

    def collect(self) -> bool:
        """Copy the answers out of the slot, which another call reuses; False until all have arrived.

        An answer that comes through the pipe may still be in flight when its chunk is marked as answered.
        """
        if self.slot is None or self.slot.unanswered:
            return False
        answers = [self.slot.answer(chunk) for chunk in range(len(self.chunks))]
        if any(answer is None and chunk not in self.spilled for chunk, answer in enumerate(answers)):
            return False
        self.answers = [
            self.spilled[chunk] if answer is None else answer for chunk, answer in enumerate(answers)
        ]
        return True


AnyCall: TypeAlias = PoolCall[Any, Any]


@dataclass(slots=True)
class InstanceState:
    """What the scheduler holds for one instance: its call, how many it has completed, and its last turn."""

    call: AnyCall | None = None
    completed: int = 0
    last_turn: int = 0

    @property
    def priority(self) -> tuple[int, int]:
        """Sort key of idle instances: cold ones first, then the last used, whose caches are warm."""
        return min(self.completed, WARM_CALLS), -self.last_turn


class CallQueue:
    """The work queue: calls that wait, and calls in slots, from which instances take chunks.

    Calls start in the order they came, so none starves. There are as many slots as instances. A call gets a
    slot only when an instance is idle, so every call in a slot has an instance at work on it or needs one.
    """

    def __init__(self, slots: Sequence[SharedCall]) -> None:
        self.instances = [InstanceState() for _ in slots]
        self._waiting: deque[AnyCall] = deque()
        self._running: list[AnyCall] = []
        self._free_slots = list(slots)
        self._turn = 0

    def add(self, call: AnyCall) -> None:
        """Append a call to the queue."""
        self._waiting.append(call)

    def assign(self, ready: Iterable[int]) -> tuple[int, SharedCall] | None:
        """Assign one of the ready instances to a call that needs one; None if there is no such pair."""
        if not self._waiting and not self._running:
            return None
        idle = [index for index in ready if self.instances[index].call is None]
        call = self._next_call() if idle else None
        if call is None:
            return None
        index = min(idle, key=lambda candidate: self.instances[candidate].priority)
        if call.slot is None:
            call.slot = self._free_slots.pop()
            call.slot.write_call(call.kind, call.payloads, call.capacities)
        self.instances[index].call = call
        call.active += 1
        return index, call.slot

    def release(self, index: int) -> None:
        """Take an instance off a call that has no chunk left to take."""
        state = self.instances[index]
        self._turn += 1
        state.last_turn = self._turn
        state.completed += 1
        self._leave(state)

    def reset(self, index: int) -> None:
        """Take a dead instance off its call; its replacement is cold."""
        self._leave(self.instances[index])
        self.instances[index] = InstanceState()

    def calls(self) -> list[AnyCall]:
        """Return all calls, running and waiting."""
        return [*self._running, *self._waiting]

    def _next_call(self) -> AnyCall | None:
        """Return the oldest call that needs an instance, and drop those that are finished."""
        for call in list(self._running):
            if call.needs_instance:
                return call
            self._free(call)
        while self._waiting:
            call = self._waiting.popleft()
            if not call.finished:
                self._running.append(call)
                return call
        return None

    def _leave(self, state: InstanceState) -> None:
        call, state.call = state.call, None
        if call is not None:
            call.active -= 1
            self._free(call)

    def _free(self, call: AnyCall) -> None:
        """Free the slot of a finished call once no instance is at work on it."""
        if call.finished and not call.active and call.slot is not None:
            call.slot.trim()
            self._free_slots.append(call.slot)
            self._running.remove(call)
            call.slot = None
