from collections.abc import Iterator

import pytest

from harness.measurement.timing.warmup import agree, first_length_costs, warm_up


def windows(*each: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return iter(each)


def test_warming_up_ends_when_two_windows_in_a_row_take_as_long() -> None:
    """200 to 120 is no agreement, 120 to 121 is (0.8 %): three windows."""
    seen = windows((200, 200), (120, 120), (121, 121), (1, 1))
    warmed = warm_up(lambda: next(seen), 8)
    assert warmed.window_ns == ((200, 200), (120, 120), (121, 121))
    assert warmed.steady is True


def test_warming_up_ends_at_its_cap_and_says_that_times_had_not_settled() -> None:
    """Each window is a tenth faster than the one before: never within 3 %."""
    seen = windows((1000,), (900,), (810,), (729,))
    warmed = warm_up(lambda: next(seen), 3)
    assert len(warmed.window_ns) == 3
    assert warmed.steady is False


def test_a_set_number_of_windows_is_asked_without_looking_at_their_times() -> None:
    """What brings a quick system up to the count of the slowest to settle."""
    seen = windows((100,), (100,), (100,))
    warmed = warm_up(lambda: next(seen), 3, exactly=True)
    assert (len(warmed.window_ns), warmed.steady) == (3, None)


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ((100, 100, 100), (103, 103, 103), True),
        ((100, 100, 100), (104, 104, 104), False),
        # one disturbed request of three leaves the median of the ratios, 1.01
        ((100, 100, 100), (101, 900, 101), True),
        # the sums agree, the requests do not: each is compared with itself
        ((100, 300, 100), (200, 100, 200), False),
        ((0, 0), (0, 0), False),
    ],
)
def test_each_request_is_compared_with_itself(
    before: tuple[int, ...], after: tuple[int, ...], *, same: bool
) -> None:
    """By the median of the ratios, in both directions."""
    assert agree(before, after) is same
    assert agree(after, before) is same


def test_a_length_seen_first_is_told_from_its_repeat() -> None:
    """Lengths 7, 9, 7, 12: the second and the fourth are new (the first paid for more than its length).

    First seen they took 50 and 90, 70 in the median; repeated 20 and 40, 30 in the median.
    """
    found = first_length_costs([(7,), (9,), (7,), (12,)], [(500, 50, 10, 90), (10, 20, 10, 40)])
    assert found == {"lengths": 2, "first_length_ns": 70, "repeat_length_ns": 30}


def test_without_a_second_length_or_a_repeat_nothing_is_said_of_lengths() -> None:
    """A request of two sequences is known by both lengths."""
    assert first_length_costs([(7,), (7,)], [(1, 1), (1, 1)]) == {}
    assert first_length_costs([(7,), (9,)], [(1, 1)]) == {}
    assert first_length_costs([(7, 3), (7, 4)], [(9, 8), (9, 4)])["lengths"] == 1
