"""Warnings about the answers: data, model, preparation, quality."""

from collections.abc import Mapping, Sequence

from harness.analysis.diagnostics.base import (
    GroupRule,
    ResultWarning,
    Rule,
    manifest_part,
    name_of,
    primary_of,
    run_of,
    stop,
)
from harness.analysis.statistics.ratios import BASELINE, UNPADDED
from harness.common.json_types import JsonValue
from harness.records.record import Record
from harness.workload.tasks.custom import CUSTOM

BATCH_TOLERANCE = 1e-3
"""Limit of the change of a logit: batching changes it by 1e-6 in float32, by 0.1 with scales per call."""


def _embedded_data(record: Record) -> ResultWarning | None:
    if record.data.tier != "embedded":
        return None
    sentence = (
        f"{run_of(record)} used examples that this package generates: its quality is not a SuperGLUE score."
    )
    return ResultWarning("embedded-data", sentence, "Give the official files with --data DIR.")


def _data_note(record: Record) -> ResultWarning | None:
    if record.data.note is None:
        return None
    split = f"{record.data.name}/{record.data.split}"
    sentence = f"{run_of(record)}, {split}: {stop(record.data.note)}"
    step = f"Use the official {split} for a score that is comparable with published ones."
    if record.cell.task == CUSTOM:
        step = "Compare it only with scores on these rows, of models that were not trained on them."
    return ResultWarning("data-note", sentence, step)


def _untrained_model(record: Record) -> ResultWarning | None:
    if record.model.trained:
        return None
    sentence = (
        f"{run_of(record)}: the model {record.model.name} is untrained, so its answers are meaningless."
    )
    step = "Use its speed and energy only, or give a fine-tuned checkpoint with --model."
    return ResultWarning("untrained-model", sentence, step)


def _seen_in_training(record: Record) -> ResultWarning | None:
    if not record.model.trained_on or record.model.trained_on != record.data.fingerprint:
        return None
    sentence = f"{run_of(record)}: {record.model.name} was trained on the examples that it is scored on."
    step = "Score a held-out split, or make one: `bench data folds`."
    return ResultWarning("seen-in-training", sentence, step)


def _calibrated_on_reported(record: Record) -> ResultWarning | None:
    used = manifest_part(record, "calibration").get("data_sha256")
    if not used or used != record.data.fingerprint:
        return None
    sentence = f"{name_of(record)}: its int8 scales were calibrated on the examples that it is scored on."
    return ResultWarning("seen-in-calibration", sentence, "Report a split that no preparation step used.")


def _batch_dependent(record: Record) -> ResultWarning | None:
    dependence = manifest_part(record, "batch_dependence")
    change, batch = dependence.get("max_logit_difference", 0.0), _effective_batch(record)
    if change <= BATCH_TOLERANCE or batch == 1:
        return None
    unchanged = 100 * dependence.get("equal_answers", 0.0)
    sentence = (
        f"{name_of(record)}: its answers depend on the other requests of a batch: in batches of "
        f"{dependence.get('batch')}, logits changed by up to {change:.2g} (limit {BATCH_TOLERANCE:g}), and "
        f"{unchanged:.0f} % of the answers stayed the same."
    )
    fixed = "" if "static" in record.cell.variant else ", or use fixed scales (onnx-int8-static)"
    step = f"Answer requests one at a time{fixed}."
    return ResultWarning("batch-dependent", sentence, step)


def _padding_changes_answers(record: Record) -> ResultWarning | None:
    check = manifest_part(record, "check")
    padding, limit = check.get("padding") or {}, check.get("limit", 0.0)
    change = padding.get("max_logit_difference", 0.0)
    if change <= limit:
        return None
    sentence = (
        f"{run_of(record)}: padding changes the answers of {record.model.name} by its nature: logits changed "
        f"by up to {change:.2g} (limit {limit:.1g}) on training texts, as when transformers pads them."
    )
    step = f"Compare systems only with the same padding; quote the quality of {UNPADDED} in single-stream."
    return ResultWarning("padding-dependent", sentence, step)


def _unchecked_inputs(record: Record) -> ResultWarning | None:
    check = record.artifact.manifest.get("check") if record.artifact else None
    library = check.get("library") if isinstance(check, Mapping) else check
    if not isinstance(library, str):
        return None
    sentence = f"{run_of(record)}: the comparison with the tokenizer of transformers is {stop(library)}"
    step = "Save the tokenizer with transformers (save_pretrained), or compare some answers yourself."
    return ResultWarning("unchecked-inputs", sentence, step)


def _near_majority(record: Record) -> ResultWarning | None:
    score, majority = primary_of(record), record.data.majority
    if record.quality is None or score is None or majority is None or score.low > majority:
        return None
    metric = record.quality.primary.replace("_", "-")
    sentence = (
        f"{name_of(record)}: its {metric}, {100 * score.value:.1f} %, is not significantly above "
        f"{100 * majority:.1f} %, the score of the best constant answer."
    )
    scored = record.quality.timed + record.quality.untimed
    more = ", or score more examples" if scored < record.data.examples else ""
    step = f"Train longer (`bench train`), or give a better checkpoint with --model{more}."
    return ResultWarning("near-majority", sentence, step)


def _other_answers(record: Record, peers: Sequence[Record]) -> ResultWarning | None:
    baseline = _first_rung(record) or BASELINE
    reference = next((peer for peer in peers if peer.cell.variant == baseline), record)
    score, expected = primary_of(record), primary_of(reference)
    if score is None or expected is None or (score.low <= expected.high and expected.low <= score.high):
        return None
    points = 100 * (score.value - expected.value)
    sentence = (
        f"{name_of(record)}: its quality differs by {points:+.1f} points from that of {baseline}; the "
        "intervals do not overlap."
    )
    if points < 0:
        step = "State this with its speed-up; try a gentler recipe, or distil with more data."
    else:
        step = "State this with its speed-up: it is a different model."
    return ResultWarning("answers-differ", sentence, step)


def _references_disagree(record: Record, peers: Sequence[Record]) -> ResultWarning | None:
    """Compare PyTorch without padding with the padded baseline: the same model must give the same answers."""
    if record.cell.variant != UNPADDED or record.quality is None:
        return None
    padded = next((peer for peer in peers if peer.cell.variant == BASELINE and peer.quality), None)
    if padded is None or padded.quality is None or record.quality.timed_sha256 is None:
        return None
    unpadded_quality, padded_quality = record.quality, padded.quality
    if unpadded_quality.timed != padded_quality.timed:
        return None
    if padded_quality.timed_sha256 in (None, unpadded_quality.timed_sha256):
        return None
    sentence = (
        f"{run_of(record)}: {BASELINE} and {UNPADDED} run the same model, and answer some of the "
        f"{unpadded_quality.timed} timed examples differently{_both_scores(padded, record)}."
    )
    step = (
        f"Padding should change no answer but a tie: quote the quality of {UNPADDED}, and check the model "
        "with transformers alone."
    )
    return ResultWarning("references-disagree", sentence, step)


def _both_scores(first: Record, second: Record) -> str:
    scores = [primary_of(record) for record in (first, second)]
    if None in scores or second.quality is None:
        return ""
    metric = second.quality.primary.replace("_", "-")
    shown = " and ".join(f"{100 * score.value:.1f} %" for score in scores if score)
    return f" ({metric} {shown})"


def _first_rung(record: Record) -> str | None:
    """Return the name of the rung that the others of a ladder are compared with."""
    ladder = record.configuration.get("ladder") or {}
    return next((str(rung["name"]) for rung in ladder.get("rungs", ())), None)


def _effective_batch(record: Record) -> JsonValue:
    """Return the batch size that the system reports (a number or a rule), or else the requested one."""
    effective = record.placement.effective if record.placement else {}
    return effective.get("batch", record.cell.batch)


RULES: tuple[Rule, ...] = (
    _embedded_data,
    _data_note,
    _untrained_model,
    _seen_in_training,
    _calibrated_on_reported,
    _padding_changes_answers,
    _unchecked_inputs,
    _batch_dependent,
    _near_majority,
)

GROUP_RULES: tuple[GroupRule, ...] = (_references_disagree, _other_answers)
"""Rules that compare the record with the other records of its group."""
