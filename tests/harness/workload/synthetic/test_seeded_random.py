"""Properties of the seeded random generator."""

from hypothesis import given
from hypothesis import strategies as st

from harness.workload.synthetic.seeded_random import SeededRandom


@given(st.lists(st.integers(), max_size=30), st.text(max_size=5))
def test_shuffled_keeps_every_item(items: list[int], seed: str) -> None:
    """A shuffle is a permutation, whatever the seed."""
    assert sorted(SeededRandom(seed).shuffled(items)) == sorted(items)


@given(st.integers(1, 1000), st.integers())
def test_below_stays_below(bound: int, seed: int) -> None:
    """A drawn integer is at least 0 and less than its bound."""
    assert 0 <= SeededRandom(seed).below(bound) < bound
