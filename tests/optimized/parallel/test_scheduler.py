from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimized.parallel.scheduler import MOST_WEIGHT, CallQueue, PoolCall, chunks_of
from optimized.parallel.shared_call import SharedCall

WEIGHTS = st.lists(st.integers(min_value=0, max_value=2000), max_size=60)
Sheets = Callable[[int], list[SharedCall]]


@pytest.fixture
def sheets() -> Iterator[Sheets]:
    """Make sheets, and close them in the end."""
    made: list[SharedCall] = []

    def make(count: int) -> list[SharedCall]:
        made.extend(new := [SharedCall.new() for _ in range(count)])
        return new

    yield make
    for sheet in made:
        sheet.close()


def job_of(count: int) -> PoolCall:
    """Return a job of so many chunks, with room for what is answered here."""
    chunks = [[index] for index in range(count)]
    return PoolCall(0, range(count), chunks, [b"ask"] * count, [16] * count, lambda job: job.answers)


def take(sheet: SharedCall, place: int) -> int | None:
    """Take and answer a chunk."""
    chunk = sheet.take(place)
    if chunk is not None:
        sheet.finish(chunk, place)
    return chunk


def end(job: PoolCall) -> None:
    """Do what the foreman does when an instance leaves."""
    job.over = job.over or job.collect()


def answer_all(board: CallQueue, place: int) -> None:
    """Let an instance take all that is left, and leave."""
    job = board.seats[place].job
    assert job
    assert job.sheet
    while take(job.sheet, place) is not None:
        pass
    end(job)
    board.left(place)


@given(weights=WEIGHTS, instances=st.integers(1, 9), batch=st.integers(1, 5))
def test_chunks_hold_every_position_once_heaviest_first(
    weights: list[int], instances: int, batch: int
) -> None:
    """And each but the last is a whole number of batches, at most half a share unless it is one batch."""
    chunks = chunks_of(weights, instances, batch)
    order = [index for chunk in chunks for index in chunk]
    assert sorted(order) == list(range(len(weights)))
    assert all(weights[a] >= weights[b] for a, b in pairwise(order))
    assert all(len(chunk) % batch == 0 for chunk in chunks[:-1])
    most = min(MOST_WEIGHT, sum(weights) / (2 * instances))
    sizes = [sum(weights[index] for index in chunk) for chunk in chunks]
    assert all(size <= most or len(chunk) <= batch for chunk, size in zip(chunks, sizes, strict=True))


def test_chunks_are_half_of_an_equal_share_of_what_is_left() -> None:
    """So that they are large at first, and one request each in the end."""
    # two instances, 16 requests of 10: 160 // 4 = 40 -> 4; 120 // 4 = 30 -> 3; 90 // 4 = 22 -> 2;
    # 70 // 4 = 17 -> 1, and one each of the other six
    assert [len(chunk) for chunk in chunks_of([10] * 16, 2)] == [4, 3, 2, 1, 1, 1, 1, 1, 1, 1]


def test_nothing_to_ask_is_one_empty_chunk() -> None:
    """Somebody answers nothing, in the right shape."""
    assert chunks_of([], 4) == [[]]


def test_idle_instances_take_turns_until_warm_and_then_the_last_one_goes_on(sheets: Sheets) -> None:
    """A warm cache answers sooner, and the other cores may sleep."""
    board, taken = CallQueue(sheets(3)), []
    for _ in range(16):
        board.add(job_of(1))
        given = board.hand_out([0, 1, 2])
        assert given
        taken.append(given[0])
        answer_all(board, given[0])
    assert sorted(taken[:12]) == [0] * 4 + [1] * 4 + [2] * 4
    assert set(taken[12:]) == {taken[11]}


def test_no_more_instances_are_rung_than_there_are_chunks(sheets: Sheets) -> None:
    """One chunk wakes one instance, and the next job goes to another, on a sheet of its own."""
    board = CallQueue(sheets(3))
    board.add(job_of(1))
    board.add(job_of(2))
    seated = [board.hand_out(range(3)) for _ in range(4)]
    assert [given is not None for given in seated] == [True, True, True, False]
    first, second, third = (board.seats[given[0]].job for given in seated if given)
    assert first is not second
    assert second is third


def test_an_instance_that_is_free_helps_with_the_oldest_job_that_has_something_left(sheets: Sheets) -> None:
    """Before a job that came later is begun."""
    board = CallQueue(sheets(2))
    short, long, late = job_of(1), job_of(5), job_of(1)
    for job in (short, long, late):
        board.add(job)
    assert board.hand_out([0, 1])
    assert board.hand_out([0, 1])
    assert late.sheet is None
    place = next(place for place, seat in enumerate(board.seats) if seat.job is short)
    answer_all(board, place)
    assert board.hand_out([0, 1]) == (place, long.sheet)


def test_what_a_dead_instance_had_is_taken_next(sheets: Sheets) -> None:
    """By whoever comes first; what it had answered stays answered."""
    board, job = CallQueue(sheets(2)), job_of(4)
    board.add(job)
    given = board.hand_out([0])
    assert given
    place, sheet = given
    assert [take(sheet, place) for _ in range(1)] == [0]
    sheet.finish(0, place)
    assert sheet.take(place) == 1
    assert sheet.take_back(place) == 1
    board.lost(place)
    assert board.hand_out([1]) == (1, sheet)
    assert [take(sheet, 1) for _ in range(3)] == [1, 2, 3]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(jobs=st.lists(st.integers(1, 6), min_size=1, max_size=5), instances=st.integers(1, 4), data=st.data())
def test_every_chunk_is_answered_once_whatever_ends_first_and_whoever_dies(
    sheets: Sheets, jobs: list[int], instances: int, data: Any
) -> None:
    """Each step an instance takes, answers, leaves or dies, or the pool rings somebody; none starves."""
    board, asked, deaths = CallQueue(sheets(instances)), [job_of(count) for count in jobs], 0
    held: dict[int, int] = {}
    for job in asked:
        board.add(job)
    while not all(job.over for job in asked):
        while board.hand_out(range(instances)):
            pass
        busy = [place for place, seat in enumerate(board.seats) if seat.job]
        assert busy, "jobs wait, and nobody works"
        place = data.draw(st.sampled_from(busy))
        job = board.seats[place].job
        assert job
        sheet = job.sheet
        assert sheet
        if deaths < 8 and data.draw(st.integers(0, 4)) == 0:
            deaths += 1
            assert sheet.take_back(place) == held.pop(place, None)
            end(job)
            board.lost(place)
        elif place in held:
            sheet.write(held[place], b"%d by %d" % (held[place], place))
            sheet.finish(held.pop(place), place)
        elif (chunk := sheet.take(place)) is not None:
            held[place] = chunk
        else:
            end(job)
            board.left(place)
    for job, count in zip(asked, jobs, strict=True):
        assert [int(said.split()[0]) for said in job.answers] == list(range(count))


def test_a_job_that_is_over_is_not_handed_out(sheets: Sheets) -> None:
    """Nobody waits for it, whether it lies out or not; its sheet is for the next one."""
    board = CallQueue(sheets(1))
    begun, over, wanted = job_of(2), job_of(2), job_of(1)
    for job in (begun, over, wanted):
        board.add(job)
    assert board.hand_out([0])
    begun.over = over.over = True
    board.lost(0)
    assert board.hand_out([0])
    assert board.seats[0].job is wanted


def test_an_answer_that_is_still_on_its_way_is_waited_for(sheets: Sheets) -> None:
    """Its chunk is finished before the pipe is read, when another instance leaves first."""
    board, job = CallQueue(sheets(2)), job_of(1)
    board.add(job)
    given = board.hand_out([0])
    assert given
    place, sheet = given
    assert sheet.take(place) == 0
    assert not sheet.write(0, b"longer than its place")
    sheet.finish(0, place)
    assert not job.collect()
    job.spilled[0] = b"longer than its place"
    assert job.collect()
    assert job.answers == [b"longer than its place"]
