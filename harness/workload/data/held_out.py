"""Splits one file into train and val by a hash of each row's texts.

    texts --sha256--> position in 0..1 --below the share--> val, else train

The split depends on the texts and the share alone, never on `--seed`: a model that was trained under another
seed must not be scored on its training rows.
"""

import hashlib
import json
from collections.abc import Sequence

DEFAULT_SHARE = 0.2
"""The share of one file that is val, unless `--held-out` is given."""

SEED = 0
"""Seed of the hash. It is fixed, so that training and measuring agree on the split."""

_MIN_DISTINCT = 2


def held_out(texts: Sequence[Sequence[str]], share: float) -> list[bool]:
    """Return for each row whether it is held out. Rows with equal texts are on the same side.

    Adding or removing rows moves no other row. A smaller share holds out a subset of a larger one's rows.
    Both sides have at least one row. Raises ValueError where all rows have equal texts.
    """
    positions = [_position(row) for row in texts]
    distinct = sorted(set(positions))
    if len(distinct) < _MIN_DISTINCT:
        raise ValueError("holding out rows needs at least two different texts")
    threshold = min(max(share, distinct[0]), distinct[-2])
    return [position <= threshold for position in positions]


def _position(texts: Sequence[str]) -> float:
    """Return a row's hash as a number in 0..1; kinds and numbers of blanks do not matter."""
    key = json.dumps([SEED, *(" ".join(text.split()) for text in texts)])
    return int(hashlib.sha256(key.encode()).hexdigest()[:13], 16) / 16**13
