from hypothesis import given
from hypothesis import strategies as st

from harness.records.cell import round_order
from harness.runs.planning.sampling import cut_slices, draw_sample, slice_count

LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=200)


@given(LENGTHS, st.integers(1, 250), st.integers(0, 5))
def test_a_sample_holds_distinct_examples_and_no_more_than_there_are(
    lengths: list[int], size: int, seed: int
) -> None:
    """Whatever the split and the size asked for."""
    sample = draw_sample(lengths, size, seed)
    assert len(sample) == len(set(sample)) == min(size, len(lengths))


@given(LENGTHS, st.integers(1, 9), st.integers(0, 5))
def test_slices_hold_the_sample_exactly_once(lengths: list[int], count: int, seed: int) -> None:
    """The slices of a run together cover its sample once."""
    sample = draw_sample(lengths, 100, seed)
    slices = cut_slices(lengths, sample, count, seed)
    assert len(slices) == count
    assert sorted(index for part in slices for index in part) == sorted(sample)


def test_every_slice_sees_short_and_long_examples_alike() -> None:
    """300 lengths 0..299 in three slices: each has one of every three neighbours, so sums differ little."""
    slices = cut_slices(range(300), range(300), 3, seed=1)
    totals = [sum(part) for part in slices]
    # each stretch of three contributes at most 2 more to one slice than to another: 100 stretches, 200 tokens
    assert max(totals) - min(totals) <= 200


def test_a_sample_takes_one_example_from_every_stretch_of_lengths() -> None:
    """Ten of 100: one from each tenth of the split sorted by length."""
    sample = draw_sample(range(100), 10, seed=3)
    assert sorted(index // 10 for index in sample) == list(range(10))


def test_the_seed_decides_and_nothing_else() -> None:
    """The same seed, the same sample, slices and order; another seed, another order."""
    assert draw_sample(range(100), 10, 1) == draw_sample(range(100), 10, 1)
    assert cut_slices(range(9), range(9), 3, 1) == cut_slices(range(9), range(9), 3, 1)
    orders = {tuple(round_order(["a", "b", "c", "d"], index, 0)) for index in range(10)}
    assert len(orders) > 1
    assert round_order(["a", "b"], 3, 7) == round_order(["a", "b"], 3, 7)


def test_a_small_sample_is_one_slice_that_every_round_repeats() -> None:
    """56 examples make no seven slices of 32; 336 make seven of 48."""
    assert slice_count(56, 7, 32) == 1
    assert slice_count(336, 7, 32) == 7
