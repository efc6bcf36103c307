"""Checks against the data: whether the record is of these data, and how its answers score on them."""

from typing import TYPE_CHECKING

import numpy as np

from harness.analysis.statistics.adaptive_cost import adaptive_cost_of
from harness.analysis.verification.base import SealedRecord, VerificationCheck
from harness.analysis.verification.raw_samples import FIRST, RawSamples

if TYPE_CHECKING:
    from harness.workload.data import Split


def check_data(check: VerificationCheck, sealed: SealedRecord, raw: RawSamples, split: "Split") -> None:
    """Compare the data fields of a record with the data, and score its answers again."""
    recorded, name = sealed.record.data, sealed.name
    check.same(name, "data.fingerprint", recorded.fingerprint, split.fingerprint)
    if recorded.fingerprint != split.fingerprint:
        return  # every other difference would follow from this one
    check.same(name, "data.name", recorded.name, split.task.folder)
    check.same(name, "data.split", recorded.split, split.name)
    check.same(name, "data.tier", recorded.tier, split.tier)
    check.same(name, "data.official", recorded.official, split.official)
    check.same(name, "data.examples", recorded.examples, len(split.examples))
    check.same(name, "data.majority", recorded.majority, split.majority)
    check.same(name, "data.note", recorded.note, split.note)
    _check_sequences(check, sealed, raw, split)
    _check_counts(check, sealed, raw, split)
    _check_quality_by_cost(check, sealed, raw, split)


def _check_sequences(check: VerificationCheck, sealed: SealedRecord, raw: RawSamples, split: "Split") -> None:
    for item in sealed.record.rounds:
        sequences = sum(len(split.examples[example].inputs) for example in raw.examples_of(item.index))
        where = f"{sealed.name}, round {item.index}"
        check.same(where, "sequences", item.sequences, sequences * item.passes)


def _check_quality_by_cost(
    check: VerificationCheck, sealed: SealedRecord, raw: RawSamples, split: "Split"
) -> None:
    """Score the answers at each value of a cost again, if the record has this quality."""
    for name, recorded in sealed.record.spent.items():
        if recorded.quality and name in raw.costs:
            cost = adaptive_cost_of(split.task, split.examples, raw.first_costs(name), raw.first_answers())
            check.same(sealed.name, f"spent.{name}.quality", recorded.quality, cost.quality)


def _check_counts(check: VerificationCheck, sealed: SealedRecord, raw: RawSamples, split: "Split") -> None:
    scored = [index for index in sorted(raw.answers) if split.examples[index].gold]
    if not scored:
        check.same(sealed.name, "counts", len(raw.counts), 0)
        return
    examples, answers = [split.examples[at] for at in scored], [raw.answers[at] for at in scored]
    computed, recorded = split.task.scoring.by_cluster(examples, answers), raw.counts
    if sealed.record.schema_version == FIRST:  # it holds right and wrong, without counts of labels
        computed, recorded = computed[:, :2], recorded[:, :2]
    same = recorded.shape == computed.shape and bool(np.allclose(recorded, computed, rtol=1e-9, atol=1e-12))
    check.holds(sealed.name, "counts: on these data the answers have other scores", so=same)
