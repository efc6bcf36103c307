from collections.abc import Iterator

import pytest

from harness.measurement.timing.warmup import agree, first_length_costs, warm_up


def windows(*window_ns: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return iter(window_ns)


def test_warming_up_ends_when_two_windows_in_a_row_take_as_long() -> None:
    """200 and 120 do not agree, 120 and 121 do (0.8 %): three windows."""
    remaining = windows((200, 200), (120, 120), (121, 121), (1, 1))
    result = warm_up(lambda: next(remaining), 8)
    assert result.window_ns == ((200, 200), (120, 120), (121, 121))
    assert result.steady is True


def test_warming_up_ends_at_its_limit_and_is_not_steady() -> None:
    """Each window is a tenth faster than the previous one: never within 3 %."""
    remaining = windows((1000,), (900,), (810,), (729,))
    result = warm_up(lambda: next(remaining), 3)
    assert len(result.window_ns) == 3
    assert result.steady is False


def test_a_fixed_number_of_windows_runs_whatever_their_times() -> None:
    """So a fast system gets as many windows as the slowest one."""
    remaining = windows((100,), (100,), (100,))
    result = warm_up(lambda: next(remaining), 3, exactly=True)
    assert (len(result.window_ns), result.steady) == (3, None)


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


def test_a_new_length_is_distinguished_from_its_repetition() -> None:
    """Lengths 7, 9, 7, 12: the second and the fourth are new (the first paid for more than its length).

    The first time they took 50 and 90, 70 in the median; repeated 20 and 40, 30 in the median.
    """
    costs = first_length_costs([(7,), (9,), (7,), (12,)], [(500, 50, 10, 90), (10, 20, 10, 40)])
    assert costs == {"lengths": 2, "first_length_ns": 70, "repeat_length_ns": 30}


def test_without_a_second_length_or_a_repeat_there_are_no_costs_of_lengths() -> None:
    """The shape of a request of two sequences is both lengths."""
    assert first_length_costs([(7,), (7,)], [(1, 1), (1, 1)]) == {}
    assert first_length_costs([(7,), (9,)], [(1, 1)]) == {}
    assert first_length_costs([(7, 3), (7, 4)], [(9, 8), (9, 4)])["lengths"] == 1
