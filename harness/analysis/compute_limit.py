"""The share of the cores' compute limit that a system reached, from its record alone.

    operations per token and pair of tokens (reported by the engine) x real lengths = operations per request
    operations per request / time per request / peak of int8 on as many threads      = share of the limit

The limit is the rate of arithmetic from registers at the lowest precision, on all cores that the system may
use, measured before and after the run. No library reaches it, because weights and activations must be loaded
from memory: a share compares engines on one machine, and is an upper bound of what is left (Williams et al.
2009, "Roofline").
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.analysis.statistics.estimates import time_per_request
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record

LIMITING = "int8"
"""The precision whose peak is the limit for all systems."""


def share_of_limit(record: Record) -> Estimate | Unavailable:
    """Return the share of the int8 limit, in 0..1, with the interval of the time per request."""
    peak, operations = compute_limit_of(record), operations_per_request(record)
    time = time_per_request(record.rounds)
    if isinstance(peak, Unavailable):
        return peak
    if isinstance(operations, Unavailable):
        return operations
    if isinstance(time, Unavailable):
        return time
    lower_bound_ns = operations / peak * 1e9
    value, low, high = (lower_bound_ns / end for end in (time.value, time.high, time.low))
    return replace(time, value=value, low=low, high=high)


def compute_limit_of(record: Record) -> float | Unavailable:
    """Return the peak int8 operations per second of the run's cores: the higher of before and after."""
    limit = record.limit
    if limit is None:
        return Unavailable("the limit was not measured with this run (--roofline)")
    if limit.unavailable:
        return Unavailable(limit.unavailable)
    peak = limit.peaks.get(LIMITING)
    return peak.per_second if peak else Unavailable("no kernel for int8 exists for this processor")


def operations_per_request(record: Record) -> float | Unavailable:
    """Return the operations of the encoder's products per request, from its shape and the timed lengths.

    With early exit only the layers count that requests went through. A system that drops tokens between
    layers counts its operations itself.
    """
    counted = record.spent.get("operations")
    if counted:
        return counted.mean
    work = encoder_work_of(record)
    if work is None:
        return Unavailable(f"{record.cell.variant} does not report its operations per token")
    requests = sum(item.requests for item in record.rounds)
    tokens = sum(item.tokens for item in record.rounds)
    squares = [item.token_squares for item in record.rounds if item.token_squares is not None]
    if not requests or len(squares) < len(record.rounds):
        return Unavailable(
            "the record does not hold the squared lengths that the work of attention depends on"
        )
    pairs = sum(squares)
    return _share_of_layers(record) * (work["per_token"] * tokens + work["per_pair"] * pairs) / requests


def precision_of(record: Record) -> str:
    """Return the precision of a system's products, from what its engine reports."""
    effective = record.placement.effective if record.placement else {}
    types = " ".join(str(effective.get(name, "")) for name in ("weights", "autocast", "precision", "dtype"))
    if "int8" in types:
        return "int8"
    if "bf" in types:
        return "bf16"
    return "fp16" if "float16" in types else "fp32"


def encoder_work_of(record: Record) -> Mapping[str, int] | None:
    """Return operations per token and per pair of tokens, and the widths, as the engine reports; or None."""
    effective = record.placement.effective if record.placement else {}
    work = effective.get("work")
    return work if isinstance(work, Mapping) else None


def missing_instructions(arithmetic: Mapping[str, Any]) -> list[str]:
    """Return a text for each instruction that this processor lacks, given the measured peaks by precision."""
    instructions = {name: str(peak["instruction"]) for name, peak in arithmetic.items()}
    lines = []
    if "vpmaddubsw" in instructions.get("int8", ""):
        lines.append(
            "int8 without VNNI: nine instructions where VNNI needs four, and sums of products in 16 bits, so "
            "that numbers are limited to 7 bits (docs/int8.md, docs/native.md)"
        )
    if "bf16" not in instructions:
        lines.append(
            "bf16: the processor has no instruction for it, so the variants in bfloat16 are left out"
        )
    if not any("512 bits" in instruction for instruction in instructions.values()):
        lines.append("AVX-512: instructions work on 256 bits")
    return lines


def _share_of_layers(record: Record) -> float:
    """Return the share of its layers that a request goes through, 1 without early exit."""
    layers = record.placement.effective.get("layers") if record.placement else None
    spent = record.spent.get("layers")
    return spent.mean / layers if spent and layers else 1.0
