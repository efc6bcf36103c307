"""Tables by position and distance: transformers' buckets, and rotations by hand."""

import numpy as np
import pytest

from optimized.native.distances import Columns, angles, buckets_of, position_tables, rotation_frequencies
from optimized.native.layout import Buckets, ModelFields

FAR = np.arange(-3000, 3001)


def test_buckets_of_a_relative_bias_are_those_of_transformers() -> None:
    """MPNet's own function, for distances beyond any sequence."""
    import torch
    from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

    expected = MPNetEncoder.relative_position_bucket(torch.from_numpy(FAR), num_buckets=32)
    assert buckets_of(Buckets("relative-bias", 32, 128), FAR).tolist() == expected.tolist()


@pytest.mark.parametrize(("count", "farthest"), [(256, 512), (16, 128), (320, 512), (64, 1024)])
def test_disentangled_buckets_are_those_of_transformers(count: int, farthest: int) -> None:
    """DeBERTa counts distances i - j, and adds half of its rows."""
    import torch
    from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

    rows = make_log_bucket_position(torch.from_numpy(-FAR), count, farthest).long() + count
    expected = rows.clamp(0, 2 * count - 1)
    assert buckets_of(Buckets("disentangled", count, farthest), FAR).tolist() == expected.tolist()


def test_without_buckets_each_distance_has_its_own_row_up_to_the_largest() -> None:
    """By hand: key 2 behind query 0 is -2 in rows of 4 and 4."""
    rows = buckets_of(Buckets("disentangled", 0, 4), np.array([-9, -3, 0, 2, 4, 9]))
    assert rows.tolist() == [7, 7, 4, 2, 0, 0]


def test_angles_are_cosines_and_sines_of_positions_times_frequencies() -> None:
    """By hand: base 100 and heads of 4 turn by 1 and by 1/10 a token."""
    frequencies = rotation_frequencies(100.0, 4)
    assert np.allclose(frequencies, [1, 0.1])
    assert np.allclose(angles(frequencies, 3)[2], [np.cos(2), np.cos(0.2), np.sin(2), np.sin(0.2)])


def test_columns_reach_beyond_both_ends_and_fill_an_odd_number_of_cache_lines() -> None:
    """C reads up to a tile and a vector beyond the farthest distance."""
    columns = Columns.for_length(100)
    assert columns.distances[columns.centre] == 0
    assert columns.distances[0] <= -100 - 32
    assert columns.distances[-1] >= 100 + 48
    assert columns.count % 32 == 16


def test_vectors_of_distances_become_pairs_with_a_scale_for_each_distance() -> None:
    """By hand: neighbouring components share 32 bits; the largest of a row is the largest integer."""
    vectors = np.array([[1, -1, 0.5, 0], [0, 0, 0, 0]] * 4, np.float32)
    fields = _fields(Buckets("disentangled", 0, 4))
    tables = position_tables(fields, {"layer.0.distance_keys": vectors, "words": vectors}, 10)
    pairs, scales = tables["layer.0.distance_keys.pairs"], tables["layer.0.distance_keys.scales"]
    columns = Columns.for_length(10)
    middle = pairs[:, columns.centre].copy().view(np.int16)
    assert pairs.shape == (2, columns.count)
    assert np.allclose(middle * scales[columns.centre], [1, -1, 0.5, 0], atol=1e-4)
    assert pairs[:, columns.centre + 1].tolist() == [0, 0]
    assert tables["words"] is vectors


def _fields(buckets: Buckets) -> ModelFields:
    return ModelFields(
        layers=1,
        hidden=4,
        embedding=4,
        labels=2,
        dense_outputs=0,
        dense_activation=0,
        pooling=0,
        spans=0,
        segments=1,
        epsilon=1e-12,
        activation=1,
        root_norm=False,
        pre_norm=False,
        gated=False,
        head_size=4,
        **dict.fromkeys(("heads", "ffn", "windows", "sources", "rotations"), (1,)),
        buckets=buckets,
    )
