"""Slices: seeded, length-stratified parts of a split, so every round has short and long requests alike.

the split, by length   | | | | | | | | | | | |     one drawn from each stretch --> the sample
the sample, by length  1 2 3 | 2 3 1 | 3 1 2       each stretch of S dealt to the S slices
"""

import random
from collections.abc import Sequence
from itertools import pairwise


def draw_sample(lengths: Sequence[int], size: int, seed: int) -> list[int]:
    """Draw `size` distinct indexes, one from each of `size` equal stretches of the split sorted by length."""
    by_length = sorted(range(len(lengths)), key=lambda index: (lengths[index], index))
    if size >= len(by_length):
        return by_length
    draw = random.Random(f"sample {seed}")  # noqa: S311 -- a seeded draw, not a secret
    edges = [round(turn * len(by_length) / size) for turn in range(size + 1)]
    return [draw.choice(by_length[low:high]) for low, high in pairwise(edges)]


def cut_slices(lengths: Sequence[int], sample: Sequence[int], count: int, seed: int) -> list[list[int]]:
    """Deal the sample into `count` slices of equal length profile; together they hold each example once."""
    by_length = sorted(sample, key=lambda index: (lengths[index], index))
    deal = random.Random(f"slices {seed}")  # noqa: S311 -- a seeded draw, not a secret
    slices: list[list[int]] = [[] for _ in range(count)]
    for start in range(0, len(by_length), count):
        turns = deal.sample(range(count), count)
        for turn, index in zip(turns, by_length[start : start + count], strict=False):
            slices[turn].append(index)
    for part in slices:
        deal.shuffle(part)
    return slices


def units_of(clusters: Sequence[str], *, together: bool) -> list[list[int]]:
    """Return the indexes that are drawn together: each alone, or with `together` those of one cluster.

    A program that reads files gets whole rows, and a row of MultiRC or ReCoRD is a cluster of examples.
    """
    units: dict[str, list[int]] = {}
    for index, cluster in enumerate(clusters):
        name = f"cluster {cluster}" if together and cluster else f"example {index}"
        units.setdefault(name, []).append(index)
    return list(units.values())


def slice_count(sample: int, rounds: int, at_least: int) -> int:
    """Return the number of slices: one for each round, but of at least `at_least` requests each."""
    return max(1, min(rounds, sample // at_least))
