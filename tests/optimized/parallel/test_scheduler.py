from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimized.parallel.scheduler import MAX_WEIGHT, CallQueue, PoolCall, chunks_of
from optimized.parallel.shared_call import SharedCall

WEIGHTS = st.lists(st.integers(min_value=0, max_value=2000), max_size=60)
Slots = Callable[[int], list[SharedCall]]


@pytest.fixture
def slots() -> Iterator[Slots]:
    """Make slots, and close them in the end."""
    opened: list[SharedCall] = []

    def make(count: int) -> list[SharedCall]:
        opened.extend(new := [SharedCall.new() for _ in range(count)])
        return new

    yield make
    for slot in opened:
        slot.close()


def call_of(count: int) -> PoolCall:
    """Return a call of so many chunks, with capacity for the answers of these tests."""
    chunks = [[index] for index in range(count)]
    return PoolCall(0, range(count), chunks, [b"payload"] * count, [16] * count, lambda call: call.answers)


def take(slot: SharedCall, index: int) -> int | None:
    """Take and answer a chunk."""
    chunk = slot.take(index)
    if chunk is not None:
        slot.finish(chunk, index)
    return chunk


def finish_if_complete(call: PoolCall) -> None:
    """Collect the answers as the supervisor does when an instance finds no chunk left."""
    call.finished = call.finished or call.collect()


def answer_all(queue: CallQueue, index: int) -> None:
    """Let an instance answer all remaining chunks, and release it."""
    call = queue.instances[index].call
    assert call
    assert call.slot
    while take(call.slot, index) is not None:
        pass
    finish_if_complete(call)
    queue.release(index)


@given(weights=WEIGHTS, instances=st.integers(1, 9), batch=st.integers(1, 5))
def test_chunks_hold_every_position_once_heaviest_first(
    weights: list[int], instances: int, batch: int
) -> None:
    """Each but the last is a whole number of batches, at most half an equal share unless it is one batch."""
    chunks = chunks_of(weights, instances, batch)
    order = [index for chunk in chunks for index in chunk]
    assert sorted(order) == list(range(len(weights)))
    assert all(weights[a] >= weights[b] for a, b in pairwise(order))
    assert all(len(chunk) % batch == 0 for chunk in chunks[:-1])
    limit = min(MAX_WEIGHT, sum(weights) / (2 * instances))
    sizes = [sum(weights[index] for index in chunk) for chunk in chunks]
    assert all(size <= limit or len(chunk) <= batch for chunk, size in zip(chunks, sizes, strict=True))


def test_a_chunk_is_half_of_an_equal_share_of_the_remaining_weight() -> None:
    """Chunks are large at first, and one request each in the end."""
    # two instances, 16 requests of 10: 160 // 4 = 40 -> 4; 120 // 4 = 30 -> 3; 90 // 4 = 22 -> 2;
    # 70 // 4 = 17 -> 1, and one each of the other six
    assert [len(chunk) for chunk in chunks_of([10] * 16, 2)] == [4, 3, 2, 1, 1, 1, 1, 1, 1, 1]


def test_an_empty_call_is_one_empty_chunk() -> None:
    """An instance answers it, so that the result has the right shape."""
    assert chunks_of([], 4) == [[]]


def test_idle_instances_take_turns_until_warm_and_then_the_last_used_is_first(slots: Slots) -> None:
    """Warm caches answer sooner, and the other cores may sleep."""
    queue, assigned = CallQueue(slots(3)), []
    for _ in range(16):
        queue.add(call_of(1))
        assignment = queue.assign([0, 1, 2])
        assert assignment
        assigned.append(assignment[0])
        answer_all(queue, assignment[0])
    assert sorted(assigned[:12]) == [0] * 4 + [1] * 4 + [2] * 4
    assert set(assigned[12:]) == {assigned[11]}


def test_no_more_instances_are_woken_than_there_are_chunks(slots: Slots) -> None:
    """One chunk wakes one instance, and the next call goes to another, in a slot of its own."""
    queue = CallQueue(slots(3))
    queue.add(call_of(1))
    queue.add(call_of(2))
    assignments = [queue.assign(range(3)) for _ in range(4)]
    assert [assignment is not None for assignment in assignments] == [True, True, True, False]
    first, second, third = (queue.instances[assignment[0]].call for assignment in assignments if assignment)
    assert first is not second
    assert second is third


def test_an_idle_instance_joins_the_oldest_call_that_has_a_chunk_left(slots: Slots) -> None:
    """Before a later call starts."""
    queue = CallQueue(slots(2))
    short, long, late = call_of(1), call_of(5), call_of(1)
    for call in (short, long, late):
        queue.add(call)
    assert queue.assign([0, 1])
    assert queue.assign([0, 1])
    assert late.slot is None
    index = next(index for index, state in enumerate(queue.instances) if state.call is short)
    answer_all(queue, index)
    assert queue.assign([0, 1]) == (index, long.slot)


def test_the_chunk_of_a_dead_instance_is_taken_next(slots: Slots) -> None:
    """By any instance; the chunks that it had answered stay answered."""
    queue, call = CallQueue(slots(2)), call_of(4)
    queue.add(call)
    assignment = queue.assign([0])
    assert assignment
    index, slot = assignment
    assert [take(slot, index) for _ in range(1)] == [0]
    slot.finish(0, index)
    assert slot.take(index) == 1
    assert slot.reclaim(index) == 1
    queue.reset(index)
    assert queue.assign([1]) == (1, slot)
    assert [take(slot, 1) for _ in range(3)] == [1, 2, 3]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    counts=st.lists(st.integers(1, 6), min_size=1, max_size=5), instances=st.integers(1, 4), data=st.data()
)
def test_every_chunk_is_answered_once_in_any_order_and_with_any_deaths(
    slots: Slots, counts: list[int], instances: int, data: Any
) -> None:
    """In each step an instance takes, answers, is released or dies, or one is woken; no call starves."""
    queue, calls, deaths = CallQueue(slots(instances)), [call_of(count) for count in counts], 0
    held: dict[int, int] = {}
    for call in calls:
        queue.add(call)
    while not all(call.finished for call in calls):
        while queue.assign(range(instances)):
            pass
        busy = [index for index, state in enumerate(queue.instances) if state.call]
        assert busy, "calls wait, and no instance is at work"
        index = data.draw(st.sampled_from(busy))
        call = queue.instances[index].call
        assert call
        slot = call.slot
        assert slot
        if deaths < 8 and data.draw(st.integers(0, 4)) == 0:
            deaths += 1
            assert slot.reclaim(index) == held.pop(index, None)
            finish_if_complete(call)
            queue.reset(index)
        elif index in held:
            slot.write_answer(held[index], b"%d by %d" % (held[index], index))
            slot.finish(held.pop(index), index)
        elif (chunk := slot.take(index)) is not None:
            held[index] = chunk
        else:
            finish_if_complete(call)
            queue.release(index)
    for call, count in zip(calls, counts, strict=True):
        assert [int(answer.split()[0]) for answer in call.answers] == list(range(count))


def test_a_finished_call_is_not_assigned(slots: Slots) -> None:
    """Whether it is in a slot or not; the next call gets its slot."""
    queue = CallQueue(slots(1))
    begun, dropped, wanted = call_of(2), call_of(2), call_of(1)
    for call in (begun, dropped, wanted):
        queue.add(call)
    assert queue.assign([0])
    begun.finished = dropped.finished = True
    queue.reset(0)
    assert queue.assign([0])
    assert queue.instances[0].call is wanted


def test_a_call_waits_for_an_answer_in_flight(slots: Slots) -> None:
    """Its chunk is finished before the pipe is read, if another instance reports first."""
    queue, call = CallQueue(slots(2)), call_of(1)
    queue.add(call)
    assignment = queue.assign([0])
    assert assignment
    index, slot = assignment
    assert slot.take(index) == 0
    assert not slot.write_answer(0, b"longer than its capacity")
    slot.finish(0, index)
    assert not call.collect()
    call.spilled[0] = b"longer than its capacity"
    assert call.collect()
    assert call.answers == [b"longer than its capacity"]
