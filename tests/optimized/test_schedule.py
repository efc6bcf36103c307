from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from optimized.schedule import MOST_WEIGHT, Board, Chunk, Job, chunks_of

WEIGHTS = st.lists(st.integers(min_value=0, max_value=2000), max_size=60)


def job_of(count: int) -> Job:
    return Job("predict", range(count), lambda _: None)


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


def test_idle_instances_take_turns_until_warm_and_then_the_last_one_goes_on() -> None:
    """A warm cache answers sooner, and the other cores may sleep."""
    board, taken = Board(3), []
    for _ in range(16):
        board.add([Chunk(job_of(1), [0])])
        given = board.hand_out([0, 1, 2])
        assert given
        taken.append(given[0])
        board.answered(given[0])
    assert sorted(taken[:12]) == [0] * 4 + [1] * 4 + [2] * 4
    assert set(taken[12:]) == {taken[11]}


def test_a_second_chunk_waits_at_an_instance_only_while_there_are_plenty() -> None:
    """The last ones go to whoever is free first."""
    board, job = Board(2), job_of(6)
    board.add([Chunk(job, [index]) for index in range(6)])
    held = []
    while given := board.hand_out([0, 1]):
        held.append(given[0])
    assert sorted(held) == [0, 0, 1, 1]
    assert len(board.waiting) == 2
    board.answered(0)
    assert board.hand_out([0, 1]) is None  # 0 is at work on its second, and 1 has two
    board.answered(0)
    assert board.hand_out([0, 1]) is not None


def test_a_chunk_waits_behind_no_other_job() -> None:
    """Which may be long: a short one asked later overtakes it at another instance."""
    board = Board(1)
    board.add([Chunk(job_of(1), [0]) for _ in range(5)])
    assert board.hand_out([0])
    assert board.hand_out([0]) is None


def test_what_a_dead_instance_held_comes_first_and_in_order() -> None:
    """Only the chunk it was at work on is suspected."""
    board, job = Board(1), job_of(4)
    chunks = [Chunk(job, [index]) for index in range(4)]
    board.add(chunks)
    assert board.hand_out([0]) == (0, chunks[0])
    assert board.hand_out([0]) == (0, chunks[1])
    assert board.lost(0) is chunks[0]
    assert list(board.waiting) == chunks
    assert [chunk.attempts for chunk in chunks] == [1, 0, 0, 0]


@given(
    jobs=st.lists(WEIGHTS, min_size=1, max_size=5),
    instances=st.integers(1, 5),
    data=st.data(),
)
def test_every_request_is_answered_once_whatever_ends_first_and_whoever_dies(
    jobs: list[list[int]], instances: int, data: Any
) -> None:
    """Every round somebody answers or dies; none starves, and none is handed to two that both answer."""
    board = Board(instances)
    answered: list[tuple[int, int]] = []
    asked = [job_of(len(weights)) for weights in jobs]
    for job, weights in zip(asked, jobs, strict=True):
        board.add([Chunk(job, chunk) for chunk in chunks_of(weights, instances)])
    deaths = 0
    places = list(range(instances))
    while list(board.chunks()):
        while board.hand_out(places):
            pass
        busy = [place for place in places if board.seats[place].held]
        assert busy, "chunks wait, and nobody works"
        place = data.draw(st.sampled_from(busy))
        if deaths < 10 and data.draw(st.booleans()):
            deaths += 1
            board.lost(place)
            continue
        chunk = board.answered(place)
        answered += [(asked.index(chunk.job), index) for index in chunk.indexes]
    assert sorted(answered) == [
        (number, index) for number, weights in enumerate(jobs) for index in range(len(weights))
    ]


def test_chunks_of_a_job_that_is_over_are_not_handed_out() -> None:
    """Nobody waits for them."""
    board, over, wanted = Board(1), job_of(2), job_of(1)
    board.add([Chunk(over, [0]), Chunk(over, [1]), Chunk(wanted, [0])])
    over.over = True
    given = board.hand_out([0])
    assert given
    assert given[1].job is wanted
