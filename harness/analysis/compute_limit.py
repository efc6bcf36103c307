"""The share of the cores' compute limit that a system reached, from its record alone.

    operations per token and pair of tokens (of the model) x real lengths        = operations per request
    operations per request / time per request / peak of int8 on as many threads  = share of the limit
    operations that the system computes / operations per request                 = 1 - skipped

The work is that of the model, the same for every engine, also for one that skips a part of it: the part of
the last layer that no head reads, layers after an early exit, tokens that are dropped. What is skipped is a
figure of its own.

The limit is the rate of arithmetic from registers at the lowest precision, on all cores that the system may
use, measured before and after the run. No library reaches it, because weights and activations must be loaded
from memory: a share compares engines on one machine (Williams et al. 2009, "Roofline"). What a system
computes itself is its share without the skipped part, an upper bound of what is left.
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
    """Return the share of the int8 limit, in 0..1, with the interval of the time per request.

    A system that skips a part of the model's operations can have a share above 1.
    """
    peak, operations = compute_limit_of(record), operations_per_request(record)
    if isinstance(peak, Unavailable):
        return peak
    if isinstance(operations, Unavailable):
        return operations
    time = time_per_request(record.rounds)
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
    """Return the operations of the model's products per request, from its shape and the timed lengths.

    They are the same for every engine of one model, whatever it skips.
    """
    work = encoder_work_of(record)
    if work is None:
        return Unavailable(f"{record.cell.variant} does not report its operations per token")
    whole = _whole(record, work)
    return whole if isinstance(whole, Unavailable) else _per_request(record, *whole)


def skipped_share(record: Record) -> float | Unavailable:
    """Return the share of the model's operations that a system does not compute, in 0..1.

    With early exit, layers count that requests did not go through. A system that drops tokens between layers
    counts its operations itself.
    """
    operations, computed = operations_per_request(record), _computed_per_request(record)
    if isinstance(operations, Unavailable):
        return operations
    if isinstance(computed, Unavailable):
        return computed
    return 1 - computed / operations if operations else 0.0


def _computed_per_request(record: Record) -> float | Unavailable:
    counted, work = record.spent.get("operations"), encoder_work_of(record)
    if counted:
        return counted.mean
    if work is None:
        return Unavailable(f"{record.cell.variant} does not report its operations per token")
    computed = _per_request(record, work["per_token"], work["per_pair"])
    return computed if isinstance(computed, Unavailable) else _share_of_layers(record) * computed


def _per_request(record: Record, per_token: float, per_pair: float) -> float | Unavailable:
    """Return operations per request, given those of a token and of a pair of tokens."""
    requests = sum(item.requests for item in record.rounds)
    tokens = sum(item.tokens for item in record.rounds)
    squares = [item.token_squares for item in record.rounds if item.token_squares is not None]
    if not requests or len(squares) < len(record.rounds):
        return Unavailable(
            "the record does not hold the squared lengths that the work of attention depends on"
        )
    return (per_token * tokens + per_pair * sum(squares)) / requests


def _whole(record: Record, work: Mapping[str, int]) -> tuple[int, int] | Unavailable:
    """Return the operations per token and per pair of the whole model, also of a system that skips some.

    A system that computes less than its model reports the difference as `skipped`. Earlier versions did not;
    there it is the last layer's part that no head reads, and its sizes follow from the weights: twice its
    width times queries, output and both feed-forward maps are left out.
    """
    effective = record.placement.effective if record.placement else {}
    skipped = effective.get("skipped")
    if isinstance(skipped, Mapping):
        return work["per_token"] + skipped["per_token"], work["per_pair"] + skipped["per_pair"]
    weights = work.get("weights")
    if weights is None or work["per_token"] >= 2 * weights:  # more: relative positions, a convolution
        return work["per_token"], work["per_pair"]
    width = _last_width(record) or (2 * weights - work["per_token"]) // (4 * work["hidden"]) - work["ffn"]
    if width <= 0:
        return Unavailable("an earlier version wrote the record, without the operations that it skips")
    return 2 * weights, work["per_pair"] + 4 * width


def _last_width(record: Record) -> int | None:
    """Return the width of the last layer's attention by the artifact's manifest; None if that lacks it."""
    numbers = record.artifact.manifest.get("numbers") if record.artifact else None
    return int(numbers["heads"][-1]) * int(numbers["head_size"]) if isinstance(numbers, Mapping) else None


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
            "that numbers are limited to 7 bits (docs/explanation/int8.md, docs/explanation/native.md)"
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
