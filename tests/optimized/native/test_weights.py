"""Weights of the compiled encoder, quantised and packed: by hand."""

import numpy as np

from optimized.native.layout import Layout
from optimized.native.weights import pack, quantise

SIXTEEN_BITS = Layout(vector_bytes=32, vectors=2, groups=4, activation_max=127, weight_max=64)


def test_weights_lie_as_panels_steps_vectors_groups_lanes() -> None:
    """By hand: two lanes of outputs, one vector a panel, two groups of four inputs a step."""
    layout = Layout(vector_bytes=8, vectors=1, groups=2, activation_max=127, weight_max=64)
    weight = np.arange(3 * 9).reshape(3, 9)
    first, second = (
        [0, 1, 2, 3, 9, 10, 11, 12, 4, 5, 6, 7, 13, 14, 15, 16],
        [8, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    )
    third = [18, 19, 20, 21, 0, 0, 0, 0, 22, 23, 24, 25, 0, 0, 0, 0, 26, *[0] * 15]
    assert pack(weight.astype(np.float32), layout).tolist() == [*first, *second, *third]


def test_each_output_has_its_own_scale_and_one_of_zeros_is_not_divided_by_zero() -> None:
    """By hand: the largest of a row becomes the largest byte."""
    integers, scales = quantise(np.array([[1, -2], [0, 0]], np.float32), SIXTEEN_BITS)
    assert integers.tolist() == [[32, -64], [0, 0]]
    assert scales.tolist() == [2 / 64, 1]


def test_weights_whose_sums_would_leave_16_bits_are_made_smaller() -> None:
    """Eight of 64 in one lane make 127 * 512 = 65,024, twice what fits; four, or other signs, are fine."""
    lane = [0, 1, 4, 5, 8, 9, 12, 13]
    rows = np.zeros((3, 16), np.float32)
    rows[0, lane], rows[1, lane[:4]], rows[2, lane] = 1, 1, [1, -1] * 4
    integers, scales = quantise(rows, SIXTEEN_BITS)
    assert integers[0, 0] == 32
    assert 127 * integers[0, lane].sum() <= 32767
    assert [integers[1, 0], integers[2, 0]] == [64, 64]
    assert np.allclose(integers * scales[:, None], rows, atol=0.02)


def test_eight_inputs_of_an_output_lie_side_by_side_for_matrix_instructions() -> None:
    """By hand: two lanes of outputs, a step of eight inputs; nothing is left for the third output's lane."""
    layout = Layout(vector_bytes=8, vectors=1, groups=1, activation_max=255, weight_max=127, lane_inputs=8)
    weight = np.arange(3 * 9).reshape(3, 9)
    first, second = [*range(8), *range(9, 17)], [8, *[0] * 7, 17, *[0] * 7]
    third = [*range(18, 26), *[0] * 8, 26, *[0] * 15]
    assert pack(weight.astype(np.float32), layout).tolist() == [*first, *second, *third]
