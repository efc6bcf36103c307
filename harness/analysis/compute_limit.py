"""What share of the cores' arithmetic limit a system reached: from its record alone.

    operations per token and pair of tokens (the engine's own account) x real lengths = operations per request
    operations per request / time per request / peak of int8 on as many threads        = share of the limit

The limit is arithmetic from registers at the lowest precision, on all cores that the system may use, measured
before and after the run. No library reaches it, since weights and activations have to come from somewhere: a
share compares engines on one machine, and says how much is left at most (Williams et al. 2009, "Roofline").
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.analysis.statistics.estimates import time_per_request
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record

LIMITING = "int8"
"""The precision whose peak is the limit of all."""


def share_of_limit(record: Record) -> Estimate | Unavailable:
    """Return the share of the int8 limit, in 0..1, with the interval of the time per request."""
    peak, operations, time = (
        compute_limit_of(record),
        operations_per_request(record),
        time_per_request(record.rounds),
    )
    if isinstance(peak, Unavailable):
        return peak
    if isinstance(operations, Unavailable):
        return operations
    if isinstance(time, Unavailable):
        return time
    least_ns = operations / peak * 1e9
    return replace(time, value=least_ns / time.value, low=least_ns / time.high, high=least_ns / time.low)


def compute_limit_of(record: Record) -> float | Unavailable:
    """Return int8 operations per second that the run's cores do at most: the higher of before and after."""
    limit = record.limit
    if limit is None:
        return Unavailable("the limit was not measured with this run (--roofline)")
    if limit.unavailable:
        return Unavailable(limit.unavailable)
    peak = limit.peaks.get(LIMITING)
    return peak.per_second if peak else Unavailable("there is no kernel for int8 on this processor")


def operations_per_request(record: Record) -> float | Unavailable:
    """Return the operations of the encoder's products per request: of its shape, at the lengths asked.

    Where requests stop early, of the layers that they went through; where a system counts its operations
    itself, since it drops tokens between layers, what it counted.
    """
    counted = record.spent.get("operations")
    if counted:
        return counted.mean
    work = encoder_work_of(record)
    if work is None:
        return Unavailable(f"{record.cell.variant} does not say how much arithmetic a token takes")
    requests = sum(item.requests for item in record.rounds)
    tokens = sum(item.tokens for item in record.rounds)
    squares = [item.token_squares for item in record.rounds]
    if not requests or any(each is None for each in squares):
        return Unavailable("the record does not hold the lengths that attention's work grows with")
    pairs = sum(each for each in squares if each is not None)
    return _share_of_layers(record) * (work["per_token"] * tokens + work["per_pair"] * pairs) / requests


def precision_of(record: Record) -> str:
    """Return the precision of a system's products, from what its engine said of itself."""
    said = record.placement.effective if record.placement else {}
    words = " ".join(str(said.get(name, "")) for name in ("weights", "autocast", "precision", "dtype"))
    if "int8" in words:
        return "int8"
    if "bf" in words:
        return "bf16"
    return "fp16" if "float16" in words else "fp32"


def encoder_work_of(record: Record) -> Mapping[str, int] | None:
    """Return operations per token and per pair of tokens, and the widths, as the engine says; or None."""
    said = record.placement.effective if record.placement else {}
    found = said.get("work")
    return found if isinstance(found, Mapping) else None


def missing_instructions(arithmetic: Mapping[str, Any]) -> list[str]:
    """Say what this processor lacks, in words, given the instruction of each precision that was measured."""
    instructions = {name: str(each["instruction"]) for name, each in arithmetic.items()}
    lines = []
    if "vpmaddubsw" in instructions.get("int8", ""):
        lines.append(
            "int8 without VNNI: nine instructions where VNNI has four, and sums of products in 16 bits, so "
            "numbers have to keep to 7 bits (docs/int8.md, docs/native.md)"
        )
    if "bf16" not in instructions:
        lines.append("bf16: no instruction for it, so the variants in bfloat16 are left out")
    if not any("512 bits" in words for words in instructions.values()):
        lines.append("AVX-512: an instruction works on 256 bits")
    return lines


def _share_of_layers(record: Record) -> float:
    """Return which share of its layers a request goes through, 1 where none stops early."""
    layers = record.placement.effective.get("layers") if record.placement else None
    spent = record.spent.get("layers")
    return spent.mean / layers if spent and layers else 1.0
