"""Which tokens truncation removes: of the text that an example names, or of the longer one.

The sizes are those of the tokenizers library's strategies `only_first`, `only_second` and `longest_first`.
"""

from typing import Literal

from harness.workload.tasks.example import Truncation

Strategy = Literal["only_first", "only_second", "longest_first"]


def strategy(first: int, second: int, cut: int, order: Truncation) -> Strategy:
    """Return the library's strategy that removes `cut` tokens of texts of these sizes.

    It is `longest_first` where the text that `order` names would lose all its tokens.
    """
    if order == "first" and first > cut:
        return "only_first"
    if order == "second" and second > cut:
        return "only_second"
    return "longest_first"


def kept_sizes(first: int, second: int, room: int, order: Truncation) -> tuple[int, int]:
    """Return how many tokens of each text are kept where `room` tokens fit."""
    cut = first + second - room
    if cut <= 0:
        return first, second
    how = strategy(first, second, cut, order)
    if how == "only_first":
        return first - cut, second
    if how == "only_second":
        return first, second - cut
    return _longest_first(first, second, room)


def _longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Cut the longer text to what the shorter one leaves, or both to one half; the second gets an odd token.

    Where the first text is the longer one, it gets the odd token.
    """
    shorter = min(first, second)
    half = room // 2
    longer, shorter = (room - shorter, shorter) if shorter <= half else (room - half, half)
    return (longer, shorter) if first > second else (shorter, longer)


def losses(first: int, second: int, kept: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return for each text its tokens before truncation, then those that it lost."""
    return first, first - kept[0], second, second - kept[1]
