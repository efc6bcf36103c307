import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.statistics.multiple_testing import (
    holm,
    holm_corrected,
    note_on,
    verdicts,
    why_too_noisy,
)
from harness.analysis.statistics.ratios import Ratio
from harness.analysis.statistics.variance.model import Location, Part


def a_ratio(p: float | None, value: float = 1.5, low: float = 1.4, high: float = 1.6) -> Ratio:
    return Ratio(value, low, high, 0.95, "by hand", 11, over="pytorch-fixed", quantity="speed-up", p=p)


def test_holm_by_hand() -> None:
    """0.01, 0.04, 0.03, 0.005: in order 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1, none below the one before.

    So 0.02, 0.03, 0.06, and 0.04 becomes 0.06.
    """
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=30))
def test_a_corrected_p_is_no_smaller_and_keeps_the_order(p_values: list[float]) -> None:
    """Between the p-value itself and Bonferroni's, for any family."""
    corrected = holm(p_values)
    assert all(p <= q <= min(1, len(p_values) * p + 1e-12) for p, q in zip(p_values, corrected, strict=True))
    pairs = sorted(zip(p_values, corrected, strict=True))
    assert [q for _, q in pairs] == sorted(corrected)


def test_a_difference_alone_may_be_too_noisy_among_twenty() -> None:
    """0.004 is below 1 %; of twenty it counts 0.08, unless nineteen others are beyond warning."""
    alone, noise, sure = a_ratio(0.004), a_ratio(0.5, 1.0, 0.9, 1.1), a_ratio(1e-9)
    assert verdicts([alone])[0].verdict == "faster"
    assert verdicts([alone, *[noise] * 19])[0].verdict == "too noisy"
    assert verdicts([alone, *[sure] * 19])[0].verdict == "faster"
    assert verdicts([alone, *[noise] * 19], family_level=0.1)[0].verdict == "faster"


def test_both_other_conditions_apply_for_any_p() -> None:
    """A change within the tolerance is "no change", and an interval that includes 1 is too noisy."""
    small, wide = a_ratio(1e-9, 1.01, 1.005, 1.015), a_ratio(1e-9, 1.5, 0.9, 2.0)
    assert [p_values.verdict for p_values in verdicts([small, wide])] == ["no change", "too noisy"]
    assert verdicts([a_ratio(1e-9, 1.05, 1.04, 1.06)], tolerance=0.1)[0].verdict == "no change"


def test_ratios_without_a_p_value_are_not_in_the_family() -> None:
    """They neither count nor are corrected."""
    corrected = holm_corrected([a_ratio(0.001), a_ratio(None), a_ratio(0.002)])
    assert [ratio.p for ratio in corrected] == [0.002, None, 0.002]
    assert [ratio.family for ratio in corrected] == [2, 1, 2]


def test_a_note_says_what_stood_in_the_way() -> None:
    """The family, the tolerance, or an interval that includes 1; a plain difference has no note."""
    located = replace(a_ratio(0.04, 1.05, 1.01, 1.09), location=Location(0.05, Part(4e-4, 20), (), 22, 1))
    crowd = note_on(replace(located, family=20, p=0.8)) or ""
    assert (
        "the interval excludes 1, but among 20 comparisons chance gives such a difference too often" in crowd
    )
    assert "(p = 0.8, at most 0.01 is needed)" in crowd
    assert "at this level chance gives" in (note_on(located) or "")
    assert note_on(a_ratio(1e-9, 1.01, 1.005, 1.015)) == (
        "no change: the interval excludes 1, but the ratio is within 2 % of it."
    )
    wide = note_on(a_ratio(0.5, 1.0, 0.9, 1.1)) or ""
    assert wide.startswith(
        "too noisy to say: the interval includes both no change and a change of more than 2 %; "
    )
    assert note_on(a_ratio(1e-9)) is None
    assert why_too_noisy(a_ratio(None, math.nan, math.nan, math.nan)).startswith("too noisy to say")


def test_a_ratio_of_the_typical_request_says_so() -> None:
    """With the ratio of totals beside it."""
    ratio = replace(a_ratio(1e-9, 1.05, 1.04, 1.06), totals=(1.07, 0.9, 1.2))
    assert note_on(ratio) == "the typical request, paired by request; of totals 1.07x [0.9, 1.2]."
