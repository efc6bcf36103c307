"""Reasons to distrust a record, each with the next step that fits it.

A doubt is no error: the number stands, and its reader is told what it is not. Doubts about a whole run say
the same sentence for each of its records, so that a report shows them once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.compare import BASELINE
from harness.estimate import (
    Estimate,
    Unavailable,
    Windows,
    energy_windows,
    robust_spread,
    time_per_request,
)
from harness.record import Record
from harness.tasks.custom import CUSTOM

ENOUGH_ROUNDS = 7
"""From 7 rounds on the interval of a median covers it as often as it says (see `harness.estimate`)."""

WIDE_SPREAD = 0.10
"""pyperf warns at the same share of the mean."""

SHORT_WINDOW = 20
"""A window of 20 times the meter's resolution is known to 5 %."""

LARGE_SHARE = 0.05
"""Share of a request's time that the timed loop itself may take."""

BATCH_TOLERANCE = 1e-3
"""Of a logit: answering requests together moves it by 1e-6 in float32, and by 0.1 with scales for a call."""

SHOWN_PERCENTILES = ("p50", "p90")


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason to distrust: `sentence` says which record and why, `next_step` what to do about it."""

    code: str
    sentence: str
    next_step: str


def doubts(record: Record, peers: Sequence[Record] = ()) -> tuple[Doubt, ...]:
    """Return every doubt about a record; `peers` are the records of its group, with or without itself."""
    found = [rule(record) for rule in _RULES]
    return tuple(doubt for doubt in (*found, _other_answers(record, peers)) if doubt is not None)


def harness_share(record: Record) -> float | None:
    """Return the share of the time per request that the timed loop itself takes, or None if not known."""
    time = time_per_request(record.rounds)
    if record.observer is None or isinstance(time, Unavailable):
        return None
    return record.observer.loop_ns_per_request / time.value


def is_null(record: Record) -> bool:
    """Say whether this is a system that does not read its input: it measures the harness, and is no model."""
    effective = record.placement.effective if record.placement else {}
    return record.cell.variant == "null" or effective.get("reads_input") is False


def _unfinished_cell(record: Record) -> Doubt | None:
    if record.status == "complete" or record.failure is None:
        return None
    kept = f"has {len(record.rounds)} of {record.rounds_planned} rounds"
    what = "failed" if record.status == "failed" else kept
    step = record.failure.remedy or "Run it alone with --debug to see where it stopped."
    return Doubt(f"cell-{record.status}", f"{_name(record)} {what}: {_stop(record.failure.message)}", step)


def _null_system(record: Record) -> Doubt | None:
    if not is_null(record):
        return None
    sentence = f"{_name(record)} does not read its input: it shows what the harness costs, and is no model."
    return Doubt("null-system", sentence, "Leave it out of any comparison between models.")


def _quick_profile(record: Record) -> Doubt | None:
    if record.profile != "quick":
        return None
    rounds = f"{record.rounds_planned} rounds"
    sentence = (
        f"{_run(record)} used the quick profile ({rounds}): it shows that things work, and little more."
    )
    return Doubt("quick-profile", sentence, "Measure with --profile default before believing a ratio.")


def _few_rounds(record: Record) -> Doubt | None:
    rounds = len(record.rounds)
    if record.profile == "quick" or not 0 < rounds < ENOUGH_ROUNDS:
        return None
    sentence = f"{_name(record)} rests on {rounds} rounds: below {ENOUGH_ROUNDS}, intervals say too much."
    return Doubt("few-rounds", sentence, f"Measure at least {ENOUGH_ROUNDS} rounds (--profile default).")


def _spread(record: Record) -> Doubt | None:
    if isinstance(time_per_request(record.rounds), Unavailable):
        return None
    spread = robust_spread([item.wall_ns / item.requests for item in record.rounds])
    if spread < WIDE_SPREAD:
        return None
    sentence = f"{_name(record)}: its time per request spreads by {100 * spread:.0f} % over rounds."
    step = "Stop other work on the machine, fix its clock frequency if you can, and measure again."
    return Doubt("spread", sentence, step)


def _host_changed(record: Record) -> Doubt | None:
    if not record.host_changes:
        return None
    sentence = f"{_run(record)}: the machine changed meanwhile ({'; '.join(record.host_changes)})."
    return Doubt("host-changed", sentence, "Find out what changed it, and measure again.")


def _virtual_machine(record: Record) -> Doubt | None:
    machine = str(record.host.facts.get("virtualisation", ""))
    if not machine.startswith("virtual machine"):
        return None
    sentence = f"{_run(record)} was measured in a {machine}, where neighbours may share the processor unseen."
    step = "Trust ratios more than absolute times; measure on bare metal what you publish."
    return Doubt("virtual-machine", sentence, step)


def _threads(record: Record) -> Doubt | None:
    if record.placement is None:
        return None
    effective, asked = record.placement.effective, record.placement.threads_requested
    each, instances = effective.get("threads"), effective.get("instances", record.cell.instances)
    if not isinstance(each, int) or not isinstance(instances, int) or each * instances == asked:
        return None
    sentence = f"{_name(record)} was asked to use {asked} threads, and its engine reports {each * instances}."
    step = "Compare it only with systems on as many; `bench doctor` shows which CPUs may be used."
    return Doubt("threads", sentence, step)


def _large_harness_share(record: Record) -> Doubt | None:
    share = harness_share(record)
    if share is None or share <= LARGE_SHARE or is_null(record):
        return None
    sentence = f"{_name(record)}: the timed loop itself takes {100 * share:.0f} % of its time per request."
    step = "Its speed-up is understated; the offline scenario asks many requests in one call."
    return Doubt("harness-share", sentence, step)


def _percentiles(record: Record) -> Doubt | None:
    shown = {name: record.latency[name] for name in SHOWN_PERCENTILES if name in record.latency}
    short = [f"{name} needs {facts.needed}" for name, facts in shown.items() if facts.value_ns is None]
    if not short:
        return None
    have = min(facts.have for facts in shown.values())
    sentence = f"{_run(record)} asked {have} distinct requests, too few: {', '.join(short)}."
    return Doubt("percentile", sentence, "Time more examples: raise --limit, or name more data with --data.")


def _energy_unavailable(record: Record) -> Doubt | None:
    energy = energy_windows(record.rounds)
    if record.status == "failed" or isinstance(energy, Windows):
        return None
    sentence = f"{_name(record)}: energy is unavailable, because {_stop(energy.reason)}"
    return Doubt("energy-unavailable", sentence, _meter_remedy(record))


def _energy_modelled(record: Record) -> Doubt | None:
    energy = energy_windows(record.rounds)
    if isinstance(energy, Unavailable) or energy.grade != "modelled":
        return None
    why = "; ".join(f"{meter}: {reason.rstrip('.')}" for meter, reason, _ in record.energy.skipped)
    skipped = f" Not used: {why}." if why else ""
    sentence = f"{_run(record)}: joules are modelled, not measured: CPU time in other units.{skipped}"
    return Doubt("energy-modelled", sentence, _meter_remedy(record))


def _energy_window(record: Record) -> Doubt | None:
    windows = energy_windows(record.rounds)
    if isinstance(windows, Unavailable) or not windows.resolution_uj.any():
        return None
    least = float((windows.microjoules / windows.resolution_uj.clip(min=1e-9)).min())
    if least >= SHORT_WINDOW:
        return None
    sentence = (
        f"{_name(record)}: its shortest window holds {least:.1f} times the meter's resolution, "
        f"and {SHORT_WINDOW} are wanted."
    )
    return Doubt(
        "energy-window", sentence, "Make rounds longer: raise --limit, so that each asks more requests."
    )


def _embedded_data(record: Record) -> Doubt | None:
    if record.data.tier != "embedded":
        return None
    sentence = (
        f"{_run(record)} asked examples that this package generates: no quality here is a SuperGLUE score."
    )
    return Doubt("embedded-data", sentence, "Name the official files with --data DIR.")


def _data_note(record: Record) -> Doubt | None:
    if record.data.note is None:
        return None
    split = f"{record.data.name}/{record.data.split}"
    sentence = f"{_run(record)}, {split}: {_stop(record.data.note)}"
    step = f"Use the official {split} for a score that others can compare with."
    if record.cell.task == CUSTOM:
        step = "Compare it with scores on these rows only, and of models that were not trained on them."
    return Doubt("data-note", sentence, step)


def _untrained_model(record: Record) -> Doubt | None:
    if record.model.trained:
        return None
    sentence = f"{_run(record)}: the model {record.model.name} is untrained, so its answers mean nothing."
    step = "Read speed and energy only, or name a fine-tuned checkpoint with --model."
    return Doubt("untrained-model", sentence, step)


def _seen_in_training(record: Record) -> Doubt | None:
    if not record.model.trained_on or record.model.trained_on != record.data.fingerprint:
        return None
    sentence = f"{_run(record)}: {record.model.name} was trained on these very examples."
    step = "Score a split that was held out, or cut one: `bench data folds`."
    return Doubt("seen-in-training", sentence, step)


def _calibrated_on_reported(record: Record) -> Doubt | None:
    used = _of_manifest(record, "calibration").get("data_sha256")
    if not used or used != record.data.fingerprint:
        return None
    sentence = f"{_name(record)}: its int8 scales were calibrated on these very examples."
    return Doubt("seen-in-calibration", sentence, "Report a split that nothing was prepared on.")


def _batch_dependent(record: Record) -> Doubt | None:
    found = _of_manifest(record, "batch_dependence")
    moved, batch = found.get("max_logit_difference", 0.0), _answered_together(record)
    if moved <= BATCH_TOLERANCE or batch == 1:
        return None
    stayed = 100 * found.get("equal_answers", 0.0)
    sentence = (
        f"{_name(record)}: an answer depends on what it is batched with: in batches of {found.get('batch')} "
        f"logits moved by up to {moved:.2g}, and {stayed:.0f} % of answers stayed."
    )
    step = "Answer requests one at a time, or use fixed scales (onnx-int8-static)."
    return Doubt("batch-dependent", sentence, step)


def _near_majority(record: Record) -> Doubt | None:
    found, share = _primary(record), record.data.majority
    if record.quality is None or found is None or share is None or found.low > share:
        return None
    metric = record.quality.primary.replace("_", "-")
    sentence = (
        f"{_name(record)}: its {metric}, {100 * found.value:.1f} %, is not surely above the "
        f"{100 * share:.1f} % that one constant answer gets."
    )
    step = "Train longer (`bench train`), name a better checkpoint with --model, or score more examples."
    return Doubt("near-majority", sentence, step)


def _first_rung(record: Record) -> str | None:
    """Return the name of the rung that the others of a ladder are compared with."""
    ladder = record.configuration.get("ladder") or {}
    return next((str(rung["name"]) for rung in ladder.get("rungs", ())), None)


def _other_answers(record: Record, peers: Sequence[Record]) -> Doubt | None:
    first = _first_rung(record) or BASELINE
    reference = next((peer for peer in peers if peer.cell.variant == first), record)
    mine, theirs = _primary(record), _primary(reference)
    if mine is None or theirs is None or (mine.low <= theirs.high and theirs.low <= mine.high):
        return None
    points = 100 * (mine.value - theirs.value)
    sentence = f"{_name(record)}: quality {points:+.1f} points from {first}'s, beyond both intervals."
    step = "Quote its speed-up only with this; try a gentler recipe, or distil with more data."
    return Doubt("answers-differ", sentence, step)


_RULES: tuple[Callable[[Record], Doubt | None], ...] = (
    _unfinished_cell,
    _null_system,
    _quick_profile,
    _few_rounds,
    _spread,
    _host_changed,
    _virtual_machine,
    _threads,
    _large_harness_share,
    _percentiles,
    _energy_unavailable,
    _energy_modelled,
    _energy_window,
    _embedded_data,
    _data_note,
    _untrained_model,
    _seen_in_training,
    _calibrated_on_reported,
    _batch_dependent,
    _near_majority,
)


def _name(record: Record) -> str:
    return record.cell.variant


def _run(record: Record) -> str:
    return f"Run {record.run}"


def _stop(text: str) -> str:
    """End a clause or sentence with exactly one full stop."""
    return f"{text.rstrip('. ')}."


def _of_manifest(record: Record, name: str) -> Mapping[str, Any]:
    """Return a part of the artifact's manifest, empty where there is none or it was not measured."""
    found = record.artifact.manifest.get(name) if record.artifact else None
    return found if isinstance(found, Mapping) else {}


def _answered_together(record: Record) -> Any:  # noqa: ANN401 -- engines name numbers or rules
    """Return how many requests the system says it answers together, or else how many it was asked to."""
    effective = record.placement.effective if record.placement else {}
    return effective.get("batch", record.cell.batch)


def _primary(record: Record) -> Estimate | None:
    return record.quality.metrics.get(record.quality.primary) if record.quality else None


def _meter_remedy(record: Record) -> str:
    remedies = dict.fromkeys(_stop(remedy) for _, _, remedy in record.energy.skipped if remedy)
    return " ".join(remedies) or "`bench doctor` lists the meters and what each would need."
