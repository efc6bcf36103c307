"""The figures of one record, made again from its raw samples."""

import hashlib
import json
import math
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.analysis.statistics import estimates
from harness.analysis.statistics.latency_percentiles import TimedPass, call_medians, percentiles
from harness.analysis.verification.base import SealedRecord, VerificationCheck
from harness.analysis.verification.raw_samples import RawSamples
from harness.workload.scenarios import SCENARIOS

if TYPE_CHECKING:
    from harness.records.record import Record, Round
    from harness.workload.tasks.base import Task

SLACK_NS, SLACK_SHARE = 50_000_000, 0.02
"""What may lie between the calls of a window: looks at the clock, and interruptions by the scheduler."""

MEASURED_BY_CALLS = ("single-stream", "batch", "offline")
"""Scenarios in which one call follows the other, so that their durations fill the window."""


def check_rounds(check: VerificationCheck, one: SealedRecord, raw: RawSamples) -> None:
    """Compare each round with the calls and the answers that were made in it."""
    record = one.record
    indexes = [item.index for item in record.rounds]
    check.same(one.name, "rounds", indexes, sorted(set(raw.timed_round.tolist())))
    check.same(one.name, "launches", record.launches, len({item.launch for item in record.rounds}))
    for item in record.rounds:
        _check_round(check, f"{one.name}, round {item.index}", record, item, raw)
    _check_slices(check, one.name, record, raw)
    for index, count in Counter(indexes).items():
        check.holds(one.name, f"round {index} is there {count} times", so=count == 1)


def _check_round(
    check: VerificationCheck, where: str, record: "Record", item: "Round", raw: RawSamples
) -> None:
    asked = len(raw.examples_of(item.index))
    calls = raw.call_ns[raw.call_round == item.index]
    check.same(where, "requests", item.requests, asked * item.passes)
    check.holds(where, "sequences: fewer than requests", so=item.sequences >= item.requests)
    check.holds(where, "tokens: fewer than sequences", so=item.tokens >= item.sequences)
    _check_calls(check, where, record, item, len(calls))
    if item.asked_ns:
        asked_ns = call_medians(record.cell.scenario, item.passes, calls.tolist())
        check.same(where, "asked_ns", item.asked_ns, asked_ns)
    _check_readings(check, where, record, item)
    if record.cell.scenario in MEASURED_BY_CALLS:
        busy, most = int(calls.sum()), SLACK_NS + int(SLACK_SHARE * item.wall_ns)
        check.holds(
            where,
            f"wall_ns: the record says {item.wall_ns}, and its calls took {busy}",
            so=busy <= item.wall_ns <= busy + most,
        )


def _check_calls(check: VerificationCheck, where: str, record: "Record", item: "Round", calls: int) -> None:
    if record.cell.scenario in ("single-stream", "server"):
        check.same(where, "calls", item.requests, calls)
    elif record.cell.scenario == "offline":
        check.same(where, "calls", item.passes, calls)


def _check_readings(check: VerificationCheck, where: str, record: "Record", item: "Round") -> None:
    """Hold that the meter was read around the window, and the same meter in all rounds."""
    first = [(one.zone, one.scope) for one in record.rounds[0].readings]
    check.same(where, "readings", [(one.zone, one.scope) for one in item.readings], first)
    for reading in item.readings:
        check.holds(
            where, f"{reading.zone}: span_ns is less than wall_ns", so=reading.span_ns >= item.wall_ns
        )


def _check_slices(check: VerificationCheck, name: str, record: "Record", raw: RawSamples) -> None:
    """Hold that the rounds of one slice asked the same, and those of different slices nothing in common."""
    asked: dict[int, list[int]] = {}
    for item in record.rounds:
        examples = raw.examples_of(item.index)
        before = asked.setdefault(item.slice, examples)
        check.holds(name, f"slice {item.slice}: its rounds asked different examples", so=before == examples)
    every = [example for examples in asked.values() for example in examples]
    check.holds(name, "slice: two slices share an example", so=len(every) == len(set(every)))


def check_latency(check: VerificationCheck, one: SealedRecord, raw: RawSamples) -> None:
    """Compare every percentile with that of the calls."""
    record = one.record
    if record.cell.scenario not in SCENARIOS:
        check.skip(f"this version knows no scenario {record.cell.scenario}")
        return
    windows = [
        TimedPass(raw.examples_of(item.index), raw.call_ns[raw.call_round == item.index].tolist())
        for item in record.rounds
    ]
    found = percentiles(record.cell.scenario, record.cell.batch, windows) if windows else {}
    check.same(one.name, "latency", sorted(record.latency), sorted(found))
    for name in sorted(set(found) & set(record.latency)):
        for field, value in found[name].items():
            check.same(one.name, f"latency.{name}.{field}", getattr(record.latency[name], field), value)


def check_quality(check: VerificationCheck, one: SealedRecord, raw: RawSamples, task: "Task | None") -> None:
    """Compare what is said of the answers with the answers, and the metrics with what they are made of."""
    quality, name = one.record.quality, one.name
    if quality is None:
        check.same(name, "quality", bool(raw.answers), False)
        return
    order = sorted(raw.answers)
    text = "\n".join(raw.answers[index] for index in order)
    check.same(name, "answers_sha256", quality.answers_sha256, hashlib.sha256(text.encode()).hexdigest())
    check.same(name, "timed", quality.timed, raw.timed)
    check.same(name, "untimed", quality.untimed, len(order) - raw.timed)
    first = raw.first_answers()
    if quality.timed_sha256 is not None:
        timed = "\n".join(raw.answers.get(index, "") for index in sorted(first))
        check.same(name, "timed_sha256", quality.timed_sha256, hashlib.sha256(timed.encode()).hexdigest())
    _check_unstable(check, one, raw)
    check.same(name, "answers", first, {index: raw.answers.get(index) for index in first})
    check.holds(name, "truncated: more than there are", so=0 <= quality.truncated <= raw.examples)
    check.holds(
        name,
        "unavailable: either there are metrics, or why not",
        so=bool(quality.metrics) != bool(quality.unavailable),
    )
    _check_metrics(check, one, raw, task)


def _check_unstable(check: VerificationCheck, one: SealedRecord, raw: RawSamples) -> None:
    """Count the answers that changed from round to round; those that changed within one are in no sample."""
    quality = one.record.quality
    if quality is None or quality.unstable is None:
        return
    changed = raw.changed()
    within = any(item.passes > 1 for item in one.record.rounds)
    check.holds(
        one.name,
        f"unstable: the record says {quality.unstable}, and {changed} changed from round to round",
        so=changed <= quality.unstable <= raw.timed if within else changed == quality.unstable,
    )


def _check_metrics(check: VerificationCheck, one: SealedRecord, raw: RawSamples, task: "Task | None") -> None:
    quality, name = one.record.quality, one.name
    if quality is None or not quality.metrics:
        return
    if task is None:
        check.skip("this version does not know the task's metrics")
        return
    check.same(name, "primary", quality.primary, task.scoring.metrics[0])
    found = estimates.quality_of_counts(task.scoring, raw.counts, len(raw.answers)) if len(raw.counts) else {}
    check.same(name, "metrics", sorted(quality.metrics), sorted(found))
    for metric, value in found.items():
        if metric in quality.metrics:
            said = asdict(quality.metrics[metric])
            for field, number in asdict(value).items():
                check.same(name, f"{metric}.{field}", said[field], number)


def check_spent(check: VerificationCheck, one: SealedRecord, raw: RawSamples) -> None:
    """Compare what is said of each request's cost with the costs; quality by cost needs the data."""
    spent, name = one.record.spent, one.name
    check.same(name, "spent", sorted(spent), sorted(raw.costs))
    for cost in sorted(set(spent) & set(raw.costs)):
        found, said = raw.first_costs(cost), spent[cost]
        check.same(name, f"spent.{cost}.mean", said.mean, math.fsum(found.values()) / len(found))
        counts = Counter(f"{value:g}" for value in found.values())
        if said.histogram:
            check.same(name, f"spent.{cost}.histogram", said.histogram, dict(counts))
        fine = set(said.quality) <= set(said.histogram)
        check.holds(name, f"spent.{cost}.quality: of a value that no request has", so=fine)


def check_status(check: VerificationCheck, one: SealedRecord, raw: RawSamples | None) -> None:
    """Hold that status, failure, rounds and configuration tell the same story."""
    record, name = one.record, one.name
    have, planned = len(record.rounds), record.rounds_planned
    expected = "failed" if not have else "complete" if have >= planned and not record.failure else "partial"
    check.same(name, "status", record.status, expected)
    check.holds(
        name,
        "failure: there is one, or the cell is complete",
        so=bool(record.failure) != (expected == "complete"),
    )
    check.holds(
        name, f"rounds_planned: {planned} are planned, {have} are there", so=planned > 0 and have <= planned
    )
    _check_settings(check, name, record)
    host = json.dumps(record.host.facts, sort_keys=True).encode()
    check.same(name, "host.fingerprint", record.host.fingerprint, hashlib.sha256(host).hexdigest())
    if raw is not None:
        check.same(name, "data.examples", record.data.examples, raw.examples)
        enough = expected == "complete" and have > max(item.slice for item in record.rounds)
        check.holds(
            name,
            f"data.sample: the record says {record.data.sample}, and {raw.timed} examples were timed",
            so=record.data.sample == raw.timed if enough else record.data.sample >= raw.timed,
        )


def _check_settings(check: VerificationCheck, name: str, record: "Record") -> None:
    """Compare what stands in the record with the command's options, as far as these were kept."""
    asked, cell = record.configuration, record.cell
    stands = {
        "task": cell.task,
        "device": cell.device,
        "boundary": cell.boundary,
        "max_length": cell.max_length,
        "split": record.data.split,
        "model": record.model.name,
        "profile": record.profile,
        "seed": record.seed,
        "threads": record.placement.threads_requested if record.placement else None,
    }
    for option, value in stands.items():
        if option in asked and value is not None:
            check.same(name, f"configuration.{option}", asked[option], value)
    for option, value in (("variants", cell.variant), ("scenarios", cell.scenario)):
        if option in asked:
            check.holds(name, f"configuration.{option}: {value} is not in it", so=value in asked[option])
    if record.placement:
        check.same(name, "placement.cpus", len(record.placement.cpus), record.placement.threads_requested)
        least = cell.threads * cell.instances
        check.holds(name, "threads: more than were asked for", so=least <= record.placement.threads_requested)
