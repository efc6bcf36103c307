from collections.abc import Sequence
from typing import Any

import pytest
from records import ROUNDS_MS, a_failure, a_quality, a_record, an_accuracy

from harness.analysis.statistics.quality_change import quality_change
from harness.analysis.statistics.ratios import speedup
from harness.analysis.verdict import Candidate, Group, GroupVerdict, choose, references_of
from harness.analysis.verdict.model import QualityLoss
from harness.records.record import ModelFacts, Record

SAME = "9" * 64


def a_variant(name: str, times: float, quality: Any = None, **changes: Any) -> Record:
    """Return a record that is so many times as fast as 5 ms a request, with noise of its own."""
    noise = [1 + 0.002 * ((7 * at + len(name)) % 5 - 2) for at in range(len(ROUNDS_MS))]
    wall = [value / times * factor for value, factor in zip(ROUNDS_MS, noise, strict=True)]
    return a_record(name, wall, quality=quality or a_quality(answers_sha256=SAME), **changes)


def scored(value: float, half: float) -> Any:
    return a_quality(metrics={"accuracy": an_accuracy(value, value - half, value + half, 100_000)})


def verdict_on(records: Sequence[Record], permitted: float = 1.0) -> GroupVerdict:
    references = references_of(records)
    names = {reference.name for reference in references}
    candidates = tuple(
        Candidate(
            record,
            tuple(speedup(record, reference.record) for reference in references),
            lambda record=record: quality_change(record, references[0].record),  # type: ignore[misc]
        )
        for record in records
        if record.cell.variant not in names and record.status != "failed"
    )
    failed = tuple(record.cell.variant for record in records if record.status == "failed")
    return choose(Group(records[0], references, candidates, failed), permitted)


PYTORCH = (a_variant("pytorch-fixed", 1), a_variant("pytorch-dynamic", 2))


def test_the_fastest_with_the_same_answers_is_chosen_with_its_factors_over_both_references() -> None:
    """8 over 2 is 4 times PyTorch without padding, and 8 times the padded baseline; energy alike."""
    verdict = verdict_on([*PYTORCH, a_variant("onnx-fp32", 4), a_variant("onnx-int8", 8)])
    assert (verdict.outcome, verdict.variant) == ("faster", "onnx-int8")
    assert [ratio.over for ratio in verdict.factors] == ["pytorch-dynamic", "pytorch-fixed"]
    assert [ratio.value for ratio in verdict.factors] == pytest.approx([4, 8], rel=0.01)
    assert all(ratio.confidence == pytest.approx(0.975) for ratio in verdict.factors)
    assert verdict.candidates == 2


def test_a_faster_variant_that_loses_too_much_is_passed_over_and_named() -> None:
    """88 to 80 percent of 100,000 examples is a loss of 8 points, beyond 1, and within 10."""
    lossless = a_variant("onnx-fp32", 4, scored(0.88, 0.002))
    lossy = a_variant("onnx-int8", 8, scored(0.80, 0.002))
    references = [a_variant(name, at, scored(0.88, 0.002)) for name, at in _TIMES]
    verdict = verdict_on([*references, lossless, lossy])
    assert (verdict.outcome, verdict.variant) == ("faster", "onnx-fp32")
    assert [(item.variant, item.loss.fit) for item in verdict.passed_over] == [("onnx-int8", "beyond")]
    assert verdict_on([*references, lossless, lossy], 10).variant == "onnx-int8"


_TIMES = (("pytorch-fixed", 1.0), ("pytorch-dynamic", 2.0))


def test_too_few_examples_cannot_show_that_the_loss_is_permitted() -> None:
    """Equal answers to 100 examples leave a loss of 4 points possible; to 1,000, one of 0.4."""
    few = a_quality(metrics={"accuracy": an_accuracy(count=100)}, answers_sha256=SAME, timed=100, untimed=0)
    records = [a_variant(name, at, few) for name, at in (*_TIMES, ("onnx-int8", 8.0))]
    verdict = verdict_on(records)
    assert (verdict.outcome, verdict.variant) == ("quality uncertain", "onnx-int8")
    assert isinstance(verdict.loss, QualityLoss)
    assert verdict.loss.needed == 385
    assert verdict_on(records, 5).outcome == "faster"


def test_all_faster_variants_that_lose_too_much_leave_none() -> None:
    """The fastest is named with what it loses."""
    references = [a_variant(name, at, scored(0.88, 0.002)) for name, at in _TIMES]
    verdict = verdict_on([*references, a_variant("onnx-int8", 8, scored(0.80, 0.002))])
    assert (verdict.outcome, verdict.variant) == ("quality lost", "onnx-int8")


def test_a_variant_of_the_same_speed_is_not_called_faster() -> None:
    """Within 2 % of PyTorch without padding: nothing is faster; far slower likewise."""
    assert verdict_on([*PYTORCH, a_variant("onnx-fp32", 2.0)]).outcome == "not faster"
    assert verdict_on([*PYTORCH, a_variant("onnx-fp32", 1.0)]).outcome == "not faster"


def test_noise_that_hides_a_gain_is_said_with_what_would_tell() -> None:
    """Rounds that differ by a factor of four show no difference of 20 %."""
    wild = a_record("onnx-int8", [200, 400, 100, 390, 95, 410, 205], quality=a_quality(answers_sha256=SAME))
    verdict = verdict_on([*PYTORCH, wild])
    assert verdict.outcome == "speed uncertain"
    assert verdict.reason.startswith("too noisy to say: ")


def test_variants_that_cannot_be_told_apart_are_tied() -> None:
    """Two whose rounds differ by less than their noise; a third is 20 % slower."""
    second = a_record(
        "openvino",
        [value / 8 * (1 + 0.03 * (-1) ** at) for at, value in enumerate(ROUNDS_MS)],
        quality=a_quality(answers_sha256=SAME),
    )
    verdict = verdict_on([*PYTORCH, a_variant("onnx-int8", 8), second, a_variant("native", 6.5)])
    assert {verdict.variant, *verdict.tied} == {"onnx-int8", "openvino"}


def test_untrained_weights_say_nothing_about_quality() -> None:
    """Speed still has a verdict."""
    untrained = ModelFacts(name="shape", tier="embedded", fingerprint="b" * 64, trained=False)
    records = [a_variant(name, at, model=untrained) for name, at in (*_TIMES, ("onnx-int8", 8.0))]
    verdict = verdict_on(records)
    assert (verdict.outcome, verdict.variant) == ("quality unknown", "onnx-int8")
    assert "untrained" in str(verdict.loss)


def test_without_references_or_other_variants_the_verdict_says_so() -> None:
    """Failures are named; PyTorch alone still has its factor without padding."""
    assert verdict_on([a_variant("onnx-int8", 8)]).outcome == "no reference"
    assert verdict_on([a_failure("pytorch-fixed")]).outcome == "nothing measured"
    alone = verdict_on([*PYTORCH, a_failure("onnx-int8")])
    assert (alone.outcome, alone.failed) == ("only references", ("onnx-int8",))
    assert alone.factors[0].value == pytest.approx(2, rel=0.01)


def test_records_that_differ_in_more_than_the_system_are_not_compared() -> None:
    """The reason is that of the table."""
    verdict = verdict_on([*PYTORCH, a_variant("onnx-int8", 8, cell={"max_length": 64})])
    assert verdict.outcome == "only references"
    assert "maximum length differs" in verdict.reason


def test_of_a_ladder_the_rung_of_the_same_weights_without_padding_is_the_first_reference() -> None:
    """A distilled student in PyTorch is none: its parent is another checkpoint."""
    ladder = {
        "ladder": {"name": "own", "rungs": [{"name": name} for name in ("fixed", "dynamic", "student")]}
    }

    def a_rung(name: str, recipe: str, parent: str) -> Record:
        manifest = {"recipe": recipe, "parents": [parent]}
        artifact = {"key": name, "size_bytes": 1, "cached": False, "manifest": manifest}
        return a_record(name, configuration=ladder, artifact=artifact)

    rungs = [
        a_rung("fixed", "pytorch-fixed", "p1"),
        a_rung("student", "pytorch-dynamic", "p2"),
        a_rung("compiled student", "pytorch-compiled", "p2"),
        a_rung("compiled", "pytorch-compiled", "p1"),
        a_rung("dynamic", "pytorch-dynamic", "p1"),
    ]
    assert [(item.name, item.kind) for item in references_of(rungs)] == [
        ("dynamic", "unpadded"),
        ("fixed", "padded"),
        ("compiled", "compiled"),
    ]
    assert [(item.name, item.kind) for item in references_of([a_rung("fixed", "onnx-fp32", "p1")])] == [
        ("fixed", "first rung")
    ]
