"""Tables by position and by distance between tokens, made for a maximum length when a model is opened.

    frequencies of rotations   -----------> angles [tokens, head size]: cosines, then sines
    a bias for each bucket     --buckets--> bias [heads, distances]
    vectors of each bucket     --buckets--> int16 pairs [components / 2, distances], and a scale for each

Distances are those of key j from query i, j - i, in columns around `centre`: kernels/attention.h reads
neighbouring columns for neighbouring keys. Both ends have a margin, because C computes entire tiles.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optimized.native.layout import Arrays, Buckets, Floats, ModelFields

_MARGIN = 64
_LINE = 16  # numbers of 32 bits in a cache line

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of tables by distance: `count` of them, distance 0 in column `centre`."""

    count: int
    centre: int

    @classmethod
    def for_length(cls, longest: int) -> "Columns":
        """Return the columns for sequences of up to `longest` tokens.

        Rows are an odd number of cache lines, so that the lines of a column are spread over the cache.
        """
        lines = -(-2 * (longest + _MARGIN) // _LINE)
        return cls((lines | 1) * _LINE, longest + _MARGIN)

    @property
    def distances(self) -> Integers:
        """The distance j - i of each column."""
        return np.arange(self.count) - self.centre


def position_tables(fields: ModelFields, arrays: Arrays, longest: int) -> Arrays:
    """Return the arrays with their tables in place of what the tables are made from."""
    columns = Columns.for_length(longest)
    made: Arrays = {}
    for name, array in arrays.items():
        if name.endswith(".frequencies"):
            made[name.replace("frequencies", "angles")] = angles(array, longest)
        elif name == "score_bias":
            rows = buckets_of(fields.buckets, columns.distances)
            made[name] = np.ascontiguousarray(array[rows].T)
        elif name.endswith((".distance_keys", ".distance_queries")):
            rows = buckets_of(fields.buckets, columns.distances)
            made[f"{name}.pairs"], made[f"{name}.scales"] = _pairs(array, rows, fields.head_size)
        else:
            made[name] = array
    return made


def rotation_frequencies(base: float, head_size: int) -> Floats:
    """Return the angles between neighbouring positions [head size / 2], in float32 as transformers does."""
    exponents = np.arange(0, head_size, 2, dtype=np.float32) / np.float32(head_size)
    return (np.float32(1) / np.float32(base) ** exponents).astype(np.float32)


def angles(frequencies: Floats, longest: int) -> Floats:
    """Return cosines and sines [longest, head size] of each position's angles."""
    phases = np.arange(longest, dtype=np.float32)[:, None] * frequencies
    return np.concatenate([np.cos(phases), np.sin(phases)], axis=1).astype(np.float32)


def buckets_of(buckets: Buckets | None, distances: Integers) -> Integers:
    """Return the row of a table for each distance j - i of a key from its query."""
    assert buckets is not None
    if buckets.kind == "relative-bias":
        return _relative_bias_rows(buckets, distances)
    return _disentangled_rows(buckets, -distances)


def _relative_bias_rows(buckets: Buckets, distances: Integers) -> Integers:
    """T5's buckets for both directions (Raffel et al. 2020, arXiv 1910.10683, section 2.1).

    Half of the buckets are for keys behind the query; half of those are for one distance each, and the
    others grow logarithmically.
    """
    half = buckets.count // 2
    exact, far = half // 2, np.abs(distances)
    # in float32, as transformers computes them: a distance on a bucket's edge is where it puts it
    growth = np.log(np.maximum(far, 1).astype(np.float32) / np.float32(exact))
    growth = growth / np.float32(np.log(buckets.max_distance / exact)) * np.float32(half - exact)
    large = np.minimum(exact + growth.astype(np.int64), half - 1)
    return np.where(distances > 0, half, 0) + np.where(far < exact, far, large)


def _disentangled_rows(buckets: Buckets, distances: Integers) -> Integers:
    """DeBERTa's rows for the distances i - j: 0 is in the middle (He et al. 2021, arXiv 2006.03654, 3.1).

    With buckets, distances beyond half of them grow logarithmically up to `max_distance`.
    """
    span = buckets.count or buckets.max_distance
    if buckets.count:
        middle, far = buckets.count // 2, np.abs(distances)
        growth = np.log(np.maximum(far, middle).astype(np.float32) / np.float32(middle))
        growth = growth / np.log(np.float32((buckets.max_distance - 1) / middle)) * np.float32(middle - 1)
        large = (np.ceil(growth) + middle) * np.sign(distances)
        distances = np.where(far <= middle, distances, large).astype(np.int64)
    return np.clip(distances + span, 0, 2 * span - 1)


def _pairs(vectors: Floats, rows: Integers, head_size: int) -> tuple[npt.NDArray[np.int32], Floats]:
    """Return vectors [rows, components] as pairs of int16 [components / 2, columns], and scales [columns].

    The largest integer is kernels/pairs.h's: products with queries or keys fit into 32 bits.
    """
    limit = np.floor(min(32767.0, np.sqrt(2147483647.0 / head_size) * 0.9999))
    scales = (np.abs(vectors).max(axis=1) / limit).astype(np.float32)
    integers = np.rint(vectors / np.where(scales > 0, scales, 1)[:, None]).astype(np.int16)
    pairs = np.ascontiguousarray(integers).view(np.int32)
    return np.ascontiguousarray(pairs[rows].T), scales[rows]
