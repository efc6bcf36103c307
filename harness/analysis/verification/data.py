"""What only the data themselves can tell: whether these were asked, and how the answers score on them."""

from typing import TYPE_CHECKING

import numpy as np

from harness.analysis.statistics.adaptive_cost import adaptive_cost_of
from harness.analysis.verification.base import SealedRecord, VerificationCheck
from harness.analysis.verification.raw_samples import FIRST, RawSamples

if TYPE_CHECKING:
    from harness.workload.data import Split


def check_data(check: VerificationCheck, one: SealedRecord, raw: RawSamples, split: "Split") -> None:
    """Compare what a record says of its data with the data, and score its answers again."""
    said, name = one.record.data, one.name
    check.same(name, "data.fingerprint", said.fingerprint, split.fingerprint)
    if said.fingerprint != split.fingerprint:
        return  # whatever else differs follows from that
    check.same(name, "data.name", said.name, split.task.folder)
    check.same(name, "data.split", said.split, split.name)
    check.same(name, "data.tier", said.tier, split.tier)
    check.same(name, "data.official", said.official, split.official)
    check.same(name, "data.examples", said.examples, len(split.examples))
    check.same(name, "data.majority", said.majority, split.majority)
    check.same(name, "data.note", said.note, split.note)
    _check_sequences(check, one, raw, split)
    _check_counts(check, one, raw, split)
    _check_spent(check, one, raw, split)


def _check_sequences(check: VerificationCheck, one: SealedRecord, raw: RawSamples, split: "Split") -> None:
    for item in one.record.rounds:
        asked = raw.examples_of(item.index)
        sequences = sum(len(split.examples[example].inputs) for example in asked)
        check.same(f"{one.name}, round {item.index}", "sequences", item.sequences, sequences * item.passes)


def _check_spent(check: VerificationCheck, one: SealedRecord, raw: RawSamples, split: "Split") -> None:
    """Score the answers at each value of a cost again, where the record has a quality of them."""
    for name, said in one.record.spent.items():
        if said.quality and name in raw.costs:
            found = adaptive_cost_of(split.task, split.examples, raw.first_costs(name), raw.first_answers())
            check.same(one.name, f"spent.{name}.quality", said.quality, found.quality)


def _check_counts(check: VerificationCheck, one: SealedRecord, raw: RawSamples, split: "Split") -> None:
    scored = [index for index in sorted(raw.answers) if split.examples[index].gold]
    if not scored:
        check.same(one.name, "counts", len(raw.counts), 0)
        return
    examples, answers = [split.examples[at] for at in scored], [raw.answers[at] for at in scored]
    found, said = split.task.scoring.by_cluster(examples, answers), raw.counts
    if one.record.schema_version == FIRST:  # it kept right and wrong, and nothing of the labels
        found, said = found[:, :2], said[:, :2]
    same = said.shape == found.shape and bool(np.allclose(said, found, rtol=1e-9, atol=1e-12))
    check.holds(one.name, "counts: on these data the answers score otherwise", so=same)
