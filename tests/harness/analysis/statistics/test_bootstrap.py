import numpy as np
import pytest

from harness.analysis.statistics.bootstrap import RESAMPLES, quantiles_of_medians, resampled_medians


def test_launches_are_drawn_before_their_rounds() -> None:
    """Of two launches a resample draws the first twice, the second twice, or each once: 1, 9 or 5."""
    medians = resampled_medians([np.array([1.0, 1.0, 1.0]), np.array([9.0, 9.0, 9.0])], seed=0)
    shares = [np.count_nonzero(medians == value) / RESAMPLES for value in (1, 5, 9)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.02)


def test_a_longer_launch_has_the_same_weight() -> None:
    """Nine rounds of one launch weigh as much as three of the other."""
    medians = resampled_medians([np.ones(9), np.full(3, 9.0)], seed=0)
    assert np.mean(medians) == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize("count", [5, 6, 11])
def test_the_ends_are_quantiles_of_medians_of_resamples(count: int) -> None:
    """Drawn again here, value by value, with the same draws."""
    values = [float(at * at) for at in range(count)]
    places = np.random.default_rng(3).integers(count, size=(RESAMPLES, count))
    drawn = np.median(np.array(values)[places], axis=1)
    low, high = quantiles_of_medians(np.array([values]), 3, (0.025, 0.975))
    assert (*low, *high) == tuple(np.quantile(drawn, [0.025, 0.975]))


@pytest.mark.parametrize("count", [5, 6])
def test_rows_have_the_ends_that_each_has_alone(count: int) -> None:
    """More rows than are sorted at once, equal values among them."""
    rows = np.sort(np.random.default_rng(7).integers(1, 60, size=(2_500, count)) / 7, axis=1)
    together = quantiles_of_medians(rows, 0, (0.025, 0.975))
    alone = [quantiles_of_medians(row[None], 0, (0.025, 0.975)) for row in rows[::100]]
    for ends, each in zip(together, zip(*alone, strict=True), strict=True):
        assert ends[::100].tolist() == np.concatenate(each).tolist()
