"""Eight bits for weights or seven, where sums of two products can overflow: decided by the answers.

AVX2 adds two products of 8-bit numbers in 16 bits and stops at the end of that range (vpmaddubsw). Seven
bits for weights cannot get there; eight do only if an engine uses that instruction on numbers large enough.
So both are made here and held against float32. Seven is kept unless eight is clearly closer: what did not
overflow on a few examples still can on others.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from optimized.graphs.candidates import CandidateTimer, Opener
from optimized.graphs.transforms import needs_seven_bits

EXAMPLES = 16
_CLEARLY = 0.9  # of the other's mean difference: less is the luck of a few examples


def choose_range(
    bench: CandidateTimer, exact: Opener, rounded: Callable[[bool], Opener]
) -> tuple[bool, dict[str, Any]]:
    """Return whether weights keep to 7 bits, and what that rests on, for the manifest.

    `rounded` makes what opens the model with 7 bits (True) or 8. It is not called where sums have 32 bits,
    nor without trial examples, where 7 bits are the safe choice.
    """
    if not needs_seven_bits():
        return False, {"reduce_range": False}
    if not bench.trial:
        return True, {"reduce_range": True}
    bench.workshop.progress("comparing weights of 7 and of 8 bits with fp32")
    reference = _logits(bench, exact)
    seven, eight = (
        float(np.mean(np.abs(_logits(bench, rounded(reduced)) - reference))) for reduced in (True, False)
    )
    reduced = not eight < _CLEARLY * seven
    means = {"7 bits": seven, "8 bits": eight}
    return reduced, {"reduce_range": reduced, "range_trial": {"mean_logit_difference": means}}


def _logits(bench: CandidateTimer, opener: Opener) -> Any:  # noqa: ANN401 -- Logits
    system = opener(bench.settings)
    try:
        return system.predict(system.encode(bench.trial[:EXAMPLES])).logits
    finally:
        system.close()
