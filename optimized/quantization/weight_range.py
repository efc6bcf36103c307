"""Chooses 7 or 8 bits for weights where sums of two products can saturate, by comparing answers.

AVX2 adds two products of 8-bit numbers in 16 bits and saturates at the end of that range (vpmaddubsw). With
7-bit weights the sum cannot saturate; with 8 bits it does only if an engine uses this instruction on large
enough values. So both models are compared with float32. 7 bits are kept unless 8 are clearly closer: values
that did not saturate on a few examples can do so on others.
"""

from collections.abc import Callable

import numpy as np

from harness.common.json_types import JsonObject
from harness.workload.tasks.example import Logits
from optimized.graphs.candidates import CandidateTimer, Opener
from optimized.graphs.transforms import needs_seven_bits

EXAMPLES = 16
_CLEARLY = 0.9  # ratio of mean differences: a smaller gain may be chance, with so few examples


def choose_range(
    timer: CandidateTimer, exact: Opener, rounded: Callable[[bool], Opener]
) -> tuple[bool, JsonObject]:
    """Return whether weights use 7 bits, and the facts of that choice for the manifest.

    `rounded` makes the model with 7 bits (True) or 8 and returns its opener. It is not called where sums have
    32 bits, nor without trial examples, where 7 bits are the safe choice.
    """
    if not needs_seven_bits():
        return False, {"reduce_range": False}
    if not timer.trial:
        return True, {"reduce_range": True}
    timer.context.progress("comparing weights of 7 and of 8 bits with fp32")
    reference = _logits(timer, exact)
    seven, eight = (
        float(np.mean(np.abs(_logits(timer, rounded(reduced)) - reference))) for reduced in (True, False)
    )
    reduced = not eight < _CLEARLY * seven
    means = {"7 bits": seven, "8 bits": eight}
    return reduced, {"reduce_range": reduced, "range_trial": {"mean_logit_difference": means}}


def _logits(timer: CandidateTimer, opener: Opener) -> Logits:
    system = opener(timer.settings)
    try:
        return system.predict(system.encode(timer.trial[:EXAMPLES])).logits
    finally:
        system.close()
