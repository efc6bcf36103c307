"""Verification of a run: every figure of its records computed again from raw samples, every hash compared.

    record + samples [+ data] --checks--> the figures that agree, and those that do not with both values
                              --trust---> the raw values that nothing in the run confirms
    files of the run --signature--------> who vouches for them

Everything but `reading` and `signature` is pure: the command prints the result. A run whose figures and
hashes agree is self-consistent. It is not thereby authentic: who can write its files can make other figures
and hashes that agree.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from harness.analysis.loading import task_of_record
from harness.analysis.verification.base import SealedRecord, VerificationCheck
from harness.analysis.verification.completeness import check_whole
from harness.analysis.verification.data import check_data
from harness.analysis.verification.energy import check_energy
from harness.analysis.verification.figures import check_latency, check_quality, check_spent, check_status
from harness.analysis.verification.raw_samples import FIRST, RawSamples, raw_of
from harness.analysis.verification.seals import check_content, check_names, check_samples
from harness.analysis.verification.trust import Trusted, trusted_in
from harness.analysis.verification.windows import check_rounds

if TYPE_CHECKING:
    from harness.workload.data import Split

__all__ = ["SealedRecord", "Trusted", "VerificationCheck", "trusted_in", "verify_run"]

SplitOf = Callable[[SealedRecord], "Split | str"]
"""Returns the data that a record was measured on, or the reason why they are not available."""


def verify_run(run: str, sealed: Sequence[SealedRecord], split_of: SplitOf) -> list[VerificationCheck]:
    """Return the results of all groups of checks over the records of one run."""
    content = VerificationCheck("content", "each record has the hash that it was sealed with")
    samples = VerificationCheck("samples", "each samples file has the hash that its record holds")
    names = VerificationCheck("names", "runs, files and ids agree with their content")
    rounds = VerificationCheck("rounds", "totals of each round agree with its calls and answers")
    latency = VerificationCheck("latency", "percentiles agree with the calls")
    energy = VerificationCheck(
        "energy", "readings are of the record's meter, and a model's joules of its CPU time"
    )
    quality = VerificationCheck("quality", "metrics, their intervals and hashes agree with the answers")
    data = VerificationCheck("data", "the data are those of the record, and score its answers the same")
    status = VerificationCheck("status", "status, failure, rounds, options and host agree with one another")
    whole = VerificationCheck("run", "the records of the run agree with one another")
    for record in sealed:
        check_content(content, record)
        check_samples(samples, record)
        check_names(names, record, run)
        raw = _raw(samples, record)
        check_status(status, record, raw)
        check_energy(energy, record)
        if raw is None:
            continue
        check_rounds(rounds, record, raw)
        check_latency(latency, record, raw)
        check_quality(quality, record, raw, task_of_record(record.record))
        check_spent(quality, record, raw)
        split = split_of(record)
        if isinstance(split, str):
            data.skip(split)
        else:
            check_data(data, record, raw, split)
    if not latency.figures:
        latency.skip("no scenario of the run times single requests")
    check_whole(whole, sealed)
    return [content, samples, names, rounds, latency, energy, quality, data, status, whole]


def _raw(check: VerificationCheck, sealed: SealedRecord) -> RawSamples | None:
    if sealed.arrays is None:
        return None
    task = task_of_record(sealed.record)
    if task is None and sealed.record.schema_version == FIRST:
        check.skip("this version does not have the labels of the task")
        return None
    try:
        return raw_of(sealed.record, sealed.arrays, task)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        check.holds(sealed.name, f"the arrays of the samples do not fit together ({error})", so=False)
        return None
