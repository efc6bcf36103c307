"""Warnings about the answers: data, model, preparation, quality."""

from collections.abc import Callable, Sequence
from typing import Any

from harness.analysis.diagnostics.base import ResultWarning, name_of, of_manifest, primary_of, run_of, stop
from harness.analysis.statistics.ratios import BASELINE
from harness.records.record import Record
from harness.workload.tasks.custom import CUSTOM

BATCH_TOLERANCE = 1e-3
"""Of a logit: answering requests together moves it by 1e-6 in float32, and by 0.1 with scales for a call."""


def _embedded_data(record: Record) -> ResultWarning | None:
    if record.data.tier != "embedded":
        return None
    sentence = (
        f"{run_of(record)} asked examples that this package generates: no quality here is a SuperGLUE score."
    )
    return ResultWarning("embedded-data", sentence, "Name the official files with --data DIR.")


def _data_note(record: Record) -> ResultWarning | None:
    if record.data.note is None:
        return None
    split = f"{record.data.name}/{record.data.split}"
    sentence = f"{run_of(record)}, {split}: {stop(record.data.note)}"
    step = f"Use the official {split} for a score that others can compare with."
    if record.cell.task == CUSTOM:
        step = "Compare it with scores on these rows only, and of models that were not trained on them."
    return ResultWarning("data-note", sentence, step)


def _untrained_model(record: Record) -> ResultWarning | None:
    if record.model.trained:
        return None
    sentence = f"{run_of(record)}: the model {record.model.name} is untrained, so its answers mean nothing."
    step = "Read speed and energy only, or name a fine-tuned checkpoint with --model."
    return ResultWarning("untrained-model", sentence, step)


def _seen_in_training(record: Record) -> ResultWarning | None:
    if not record.model.trained_on or record.model.trained_on != record.data.fingerprint:
        return None
    sentence = f"{run_of(record)}: {record.model.name} was trained on these very examples."
    step = "Score a split that was held out, or cut one: `bench data folds`."
    return ResultWarning("seen-in-training", sentence, step)


def _calibrated_on_reported(record: Record) -> ResultWarning | None:
    used = of_manifest(record, "calibration").get("data_sha256")
    if not used or used != record.data.fingerprint:
        return None
    sentence = f"{name_of(record)}: its int8 scales were calibrated on these very examples."
    return ResultWarning("seen-in-calibration", sentence, "Report a split that nothing was prepared on.")


def _batch_dependent(record: Record) -> ResultWarning | None:
    found = of_manifest(record, "batch_dependence")
    moved, batch = found.get("max_logit_difference", 0.0), _answered_together(record)
    if moved <= BATCH_TOLERANCE or batch == 1:
        return None
    stayed = 100 * found.get("equal_answers", 0.0)
    sentence = (
        f"{name_of(record)}: an answer depends on what it is batched with: in batches of "
        f"{found.get('batch')} logits moved by up to {moved:.2g}, and {stayed:.0f} % of answers stayed."
    )
    fixed = "" if "static" in record.cell.variant else ", or use fixed scales (onnx-int8-static)"
    step = f"Answer requests one at a time{fixed}."
    return ResultWarning("batch-dependent", sentence, step)


def _near_majority(record: Record) -> ResultWarning | None:
    found, share = primary_of(record), record.data.majority
    if record.quality is None or found is None or share is None or found.low > share:
        return None
    metric = record.quality.primary.replace("_", "-")
    sentence = (
        f"{name_of(record)}: its {metric}, {100 * found.value:.1f} %, is not surely above the "
        f"{100 * share:.1f} % that one constant answer gets."
    )
    scored = record.quality.timed + record.quality.untimed
    more = ", or score more examples" if scored < record.data.examples else ""
    step = f"Train longer (`bench train`), or name a better checkpoint with --model{more}."
    return ResultWarning("near-majority", sentence, step)


def _other_answers(record: Record, peers: Sequence[Record]) -> ResultWarning | None:
    first = _first_rung(record) or BASELINE
    reference = next((peer for peer in peers if peer.cell.variant == first), record)
    mine, theirs = primary_of(record), primary_of(reference)
    if mine is None or theirs is None or (mine.low <= theirs.high and theirs.low <= mine.high):
        return None
    points = 100 * (mine.value - theirs.value)
    sentence = f"{name_of(record)}: quality {points:+.1f} points from {first}'s, beyond both intervals."
    worse = "; try a gentler recipe, or distil with more data" if points < 0 else ": it is another model"
    step = f"Quote its speed-up only with this{worse}."
    return ResultWarning("answers-differ", sentence, step)


def _first_rung(record: Record) -> str | None:
    """Return the name of the rung that the others of a ladder are compared with."""
    ladder = record.configuration.get("ladder") or {}
    return next((str(rung["name"]) for rung in ladder.get("rungs", ())), None)


def _answered_together(record: Record) -> Any:  # noqa: ANN401 -- engines name numbers or rules
    """Return how many requests the system says it answers together, or else how many it was asked to."""
    effective = record.placement.effective if record.placement else {}
    return effective.get("batch", record.cell.batch)


RULES: tuple[Callable[[Record], ResultWarning | None], ...] = (
    _embedded_data,
    _data_note,
    _untrained_model,
    _seen_in_training,
    _calibrated_on_reported,
    _batch_dependent,
    _near_majority,
)

GROUP_RULES: tuple[Callable[[Record, Sequence[Record]], ResultWarning | None], ...] = (_other_answers,)
"""Rules that look at the other records of the group too."""
