"""Chooses the fastest variant of a group that is surely faster, and surely loses no more than is permitted.

candidates, the fastest first --surely faster--> --loss within what is permitted--> GroupVerdict

"Surely" means by intervals that hold for all candidates together (`intervals`), and by the table's own
verdict, which is corrected for all comparisons of the report.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.analysis.statistics.multiple_testing import why_too_noisy
from harness.analysis.statistics.pairing import NotComparable
from harness.analysis.statistics.quality_change import QualityChange
from harness.analysis.statistics.ratios import Ratio, energy_reduction, judge, speedup
from harness.analysis.verdict.intervals import simultaneous_level, widened_change, widened_ratio
from harness.analysis.verdict.model import Absent, GroupVerdict, Outcome, PassedOver, QualityLoss, Reference
from harness.records.estimate import Unavailable
from harness.records.record import Record

UNTRAINED = "the weights are untrained: their answers say nothing about quality"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A variant that may be chosen, with its ratios over the references but itself, in their order.

    The p-values of the ratios are corrected for the family of the report. `quality` computes the change of
    quality over the first reference, which may need the samples of both.
    """

    record: Record
    factors: tuple[Ratio | Absent, ...]
    quality: Callable[[], QualityChange | Absent]

    @property
    def name(self) -> str:
        """The variant."""
        return self.record.cell.variant


@dataclass(frozen=True, slots=True)
class Group:
    """What a verdict is about: the references, the candidates, and the variants that failed."""

    record: Record
    references: tuple[Reference, ...]
    candidates: tuple[Candidate, ...]
    failed: tuple[str, ...] = ()


def choose(group: Group, permitted: float) -> GroupVerdict:
    """Return the verdict on a group; `permitted` is the loss of quality in points that it may choose."""
    verdict = GroupVerdict("no reference", group.record, permitted, group.references, failed=group.failed)
    compared = [candidate for candidate in group.candidates if isinstance(_first(candidate), Ratio)]
    if not group.references:
        nothing = not group.candidates
        return replace(verdict, outcome="nothing measured" if nothing else "no reference")
    if not compared:
        absent = next(map(_first, group.candidates), None)
        reason = absent.reason if isinstance(absent, Unavailable | NotComparable) else ""
        return replace(_of_references(verdict), reason=reason)
    ordered = sorted(compared, key=lambda candidate: -_factor(candidate).value)
    verdict = replace(verdict, candidates=len(ordered))
    faster = [candidate for candidate in ordered if _is_faster(candidate, len(ordered))]
    if not faster:
        return _none_faster(verdict, ordered[0])
    if not group.record.model.trained:
        unknown = replace(verdict, outcome="quality unknown", loss=Unavailable(UNTRAINED))
        return _chosen(unknown, faster[0])
    return _by_quality(verdict, faster)


def _of_references(verdict: GroupVerdict) -> GroupVerdict:
    """Return the verdict where PyTorch alone was measured: how much faster it is without padding."""
    unpadded, *others = verdict.references
    ratios = [speedup(unpadded.record, other.record) for other in others]
    factors = tuple(ratio for ratio in ratios if isinstance(ratio, Ratio))
    return replace(verdict, outcome="only references", variant=unpadded.name, factors=factors)


def _first(candidate: Candidate) -> Ratio | Absent:
    return candidate.factors[0] if candidate.factors else Unavailable("no reference was measured")


def _factor(candidate: Candidate) -> Ratio:
    factor = _first(candidate)
    assert isinstance(factor, Ratio)
    return factor


def _is_faster(candidate: Candidate, candidates: int) -> bool:
    factor = _factor(candidate)
    return judge(factor).verdict == "faster" and widened_ratio(factor, candidates).low > 1


def _none_faster(verdict: GroupVerdict, fastest: Candidate) -> GroupVerdict:
    """Return that no variant is surely faster: either none is, or the rounds do not tell."""
    factor = widened_ratio(_factor(fastest), verdict.candidates)
    settled = judge(_factor(fastest)).verdict in ("slower", "no change") or factor.high <= 1
    outcome: Outcome = "not faster" if settled else "speed uncertain"
    reason = "" if settled else why_too_noisy(_factor(fastest))
    return replace(
        verdict,
        outcome=outcome,
        variant=fastest.name,
        chosen=fastest.record,
        factors=(factor,),
        reason=reason,
    )


def _by_quality(verdict: GroupVerdict, faster: Sequence[Candidate]) -> GroupVerdict:
    passed: list[PassedOver] = []
    unknown: list[tuple[Candidate, Absent]] = []
    for at, candidate in enumerate(faster):
        loss = _loss(candidate, verdict)
        if not isinstance(loss, QualityLoss):
            unknown.append((candidate, loss))
        elif loss.fit == "within":
            tied = tuple(_tied(candidate, faster[at + 1 :], verdict))
            chosen = replace(verdict, outcome="faster", loss=loss, tied=tied, passed_over=tuple(passed))
            return _chosen(chosen, candidate)
        else:
            factor = widened_ratio(_factor(candidate), verdict.candidates)
            passed.append(PassedOver(candidate.name, factor, loss))
    return _none_within(verdict, faster, passed, unknown)


def _none_within(
    verdict: GroupVerdict,
    faster: Sequence[Candidate],
    passed: Sequence[PassedOver],
    unknown: Sequence[tuple[Candidate, Absent]],
) -> GroupVerdict:
    """Return why no faster variant is surely within the permitted loss; the first named is the best hope."""
    uncertain = [item for item in passed if item.loss.fit == "uncertain"]
    if not uncertain and unknown:
        candidate, reason = unknown[0]
        unscored = replace(verdict, outcome="quality unknown", loss=reason, passed_over=tuple(passed))
        return _chosen(unscored, candidate)
    named = (uncertain or passed)[0]
    candidate = next(item for item in faster if item.name == named.variant)
    outcome: Outcome = "quality uncertain" if uncertain else "quality lost"
    others = tuple(item for item in passed if item is not named)
    return _chosen(replace(verdict, outcome=outcome, loss=named.loss, passed_over=others), candidate)


def _loss(candidate: Candidate, verdict: GroupVerdict) -> QualityLoss | Absent:
    change = candidate.quality()
    if not isinstance(change, QualityChange):
        return change
    return QualityLoss(widened_change(change, verdict.candidates), verdict.permitted)


def _tied(chosen: Candidate, others: Sequence[Candidate], verdict: GroupVerdict) -> Iterator[str]:
    """Yield variants within the permitted loss that the chosen one is not surely faster than."""
    level = simultaneous_level(len(others))
    for other in others:
        ratio = speedup(chosen.record, other.record, confidence=level)
        if isinstance(ratio, Ratio) and ratio.low <= 1:
            loss = _loss(other, verdict)
            if isinstance(loss, QualityLoss) and loss.fit == "within":
                yield other.name


def _chosen(verdict: GroupVerdict, candidate: Candidate) -> GroupVerdict:
    """Return the verdict with the variant that it names, its factors and its energy."""
    factors = tuple(
        widened_ratio(factor, verdict.candidates) for factor in candidate.factors if isinstance(factor, Ratio)
    )
    energy = energy_reduction(
        candidate.record,
        verdict.references[0].record,
        confidence=simultaneous_level(verdict.candidates),
    )
    return replace(verdict, variant=candidate.name, chosen=candidate.record, factors=factors, energy=energy)
