"""`bench verify` of a run: every figure of its records made again from raw samples, every hash compared.

    record + samples [+ data] --checks--> agree, or who says what and what it is

Pure but for `reading`: printing is the command's. What no raw sample tells, such as how long loading took, is
held by the hash that the record has of itself; results/README.md lists it, and a test holds it to the checks.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from harness.analysis.verification.base import SealedRecord, VerificationCheck
from harness.analysis.verification.completeness import check_whole
from harness.analysis.verification.data import check_data
from harness.analysis.verification.figures import (
    check_latency,
    check_quality,
    check_rounds,
    check_spent,
    check_status,
)
from harness.analysis.verification.raw_samples import FIRST, RawSamples, raw_of, task_of_record
from harness.analysis.verification.seals import check_content, check_names, check_samples

if TYPE_CHECKING:
    from harness.workload.data import Split

__all__ = ["SealedRecord", "VerificationCheck", "verify_run"]

SplitOf = Callable[[SealedRecord], "Split | str"]
"""Finds the data that a record was measured on, or says why it is not at hand."""


def verify_run(run: str, sealed: Sequence[SealedRecord], split_of: SplitOf) -> list[VerificationCheck]:
    """Return what was found of the records of one run, group of checks by group of checks."""
    content = VerificationCheck("content", "each record is the one that was sealed, by its hash")
    samples = VerificationCheck("samples", "each file of samples is the one that was sealed, by its hash")
    names = VerificationCheck("names", "runs, files and ids name what is in them")
    rounds = VerificationCheck("rounds", "totals of each round are those of its calls and answers")
    latency = VerificationCheck("latency", "percentiles are those of the calls")
    quality = VerificationCheck(
        "quality", "metrics, their intervals and the answers' hash are those of the answers"
    )
    data = VerificationCheck("data", "the data are those that were measured, and score the answers the same")
    status = VerificationCheck("status", "status, failure, rounds, options and host agree with one another")
    whole = VerificationCheck("run", "the records of the run agree with one another")
    for one in sealed:
        check_content(content, one)
        check_samples(samples, one)
        check_names(names, one, run)
        raw = _raw(samples, one)
        check_status(status, one, raw)
        if raw is None:
            continue
        check_rounds(rounds, one, raw)
        check_latency(latency, one, raw)
        check_quality(quality, one, raw, task_of_record(one.record))
        check_spent(quality, one, raw)
        split = split_of(one)
        if isinstance(split, str):
            data.skip(split)
        else:
            check_data(data, one, raw, split)
    if not latency.figures:
        latency.skip("no scenario of the run times single requests")
    check_whole(whole, sealed)
    return [content, samples, names, rounds, latency, quality, data, status, whole]


def _raw(check: VerificationCheck, one: SealedRecord) -> RawSamples | None:
    if one.arrays is None:
        return None
    task = task_of_record(one.record)
    if task is None and one.record.schema_version == FIRST:
        check.skip("this version does not know the task's labels")
        return None
    try:
        return raw_of(one.record, one.arrays, task)
    except (KeyError, IndexError, ValueError, TypeError) as problem:
        check.holds(one.name, f"the arrays of the samples do not fit together ({problem})", so=False)
        return None
