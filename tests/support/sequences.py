"""Random encoded sequences, for tests of how systems put them together."""

import numpy as np
import tiny

from harness.systems.interface import EncodedSequence


def sequence(length: int, seed: int, *, spans: bool = False) -> EncodedSequence:
    """Return random tokens that are not special, in two segments; `spans` adds two spans, not empty."""
    random = np.random.default_rng(seed)
    ids = random.integers(len(tiny.SPECIAL), len(tiny.vocabulary()), length)
    middle = length // 2
    segments = (np.arange(length) > middle).astype(np.int64)
    return EncodedSequence(ids, segments, ((0, middle), (middle, length)) if spans else ())
