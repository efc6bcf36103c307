"""Checks of latency, quality, costs and status of one record, computed again from its raw samples."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.analysis.statistics import estimates
from harness.analysis.statistics.latency_percentiles import TimedPass, percentiles
from harness.analysis.verification.base import SealedRecord, VerificationCheck
from harness.analysis.verification.raw_samples import FIRST, RawSamples
from harness.records.side import SIDE_MARK
from harness.workload.scenarios import SCENARIOS

if TYPE_CHECKING:
    from harness.records.record import Record
    from harness.workload.tasks.base import Task


def check_latency(check: VerificationCheck, sealed: SealedRecord, raw: RawSamples) -> None:
    """Compare every percentile with that of the calls."""
    record, name = sealed.record, sealed.name
    if record.cell.scenario not in SCENARIOS:
        check.skip(f"this version has no scenario {record.cell.scenario}")
        return
    windows = [
        TimedPass(raw.examples_of(item.index), raw.calls_of(item.index).tolist()) for item in record.rounds
    ]
    computed = percentiles(record.cell.scenario, record.cell.batch, windows) if windows else {}
    check.same(name, "latency", sorted(record.latency), sorted(computed))
    for p in sorted(set(computed) & set(record.latency)):
        for field, value in computed[p].items():
            check.same(name, f"latency.{p}.{field}", getattr(record.latency[p], field), value)


def check_quality(
    check: VerificationCheck, sealed: SealedRecord, raw: RawSamples, task: "Task | None"
) -> None:
    """Compare hashes and counts with the answers, and the metrics with the counts of the samples."""
    quality, name = sealed.record.quality, sealed.name
    if quality is None:
        check.same(name, "quality", bool(raw.answers), False)
        return
    order = sorted(raw.answers)
    check.same(name, "answers_sha256", quality.answers_sha256, _hash(raw.answers[index] for index in order))
    check.same(name, "timed", quality.timed, raw.timed)
    check.same(name, "untimed", quality.untimed, len(order) - raw.timed)
    first = raw.first_answers()
    if quality.timed_sha256 is not None:
        timed = _hash(raw.answers.get(index, "") for index in sorted(first))
        check.same(name, "timed_sha256", quality.timed_sha256, timed)
    _check_unstable(check, sealed, raw)
    _check_answered(check, sealed, raw, task)
    check.same(name, "answers", first, {index: raw.answers.get(index) for index in first})
    check.holds(name, "truncated: more than the split has", so=0 <= quality.truncated <= raw.examples)
    has_one = bool(quality.metrics) != bool(quality.unavailable)
    check.holds(name, "unavailable: expected either metrics or the reason why there are none", so=has_one)
    _check_metrics(check, sealed, raw, task)


def _hash(answers: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(answers).encode()).hexdigest()


def _check_unstable(check: VerificationCheck, sealed: SealedRecord, raw: RawSamples) -> None:
    """Count the answers that changed between rounds; samples do not hold changes within a round."""
    quality = sealed.record.quality
    if quality is None or quality.unstable is None:
        return
    changed = raw.changed()
    has_repeats = any(item.passes > 1 for item in sealed.record.rounds)
    check.holds(
        sealed.name,
        f"unstable: the record has {quality.unstable}, and {changed} answers changed between rounds",
        so=changed <= quality.unstable <= raw.timed if has_repeats else changed == quality.unstable,
    )


def _check_answered(
    check: VerificationCheck, sealed: SealedRecord, raw: RawSamples, task: "Task | None"
) -> None:
    """Compare how often the counts have each label as an answer with the answers, where one label answers.

    The first version does not count them, and examples without a label are not counted.
    """
    labels = task.labels if task else ()
    columns = raw.counts.shape[1] if raw.counts.ndim > 1 else 0
    first_answered, answered = 2 + len(labels), Counter(raw.answers.values())
    if sealed.record.schema_version == FIRST or not labels or columns < 2 + 3 * len(labels):
        return
    if int(raw.counts[:, 0].sum()) != len(raw.answers) or not answered.keys() <= set(labels):
        return
    counted = raw.counts[:, first_answered : first_answered + len(labels)].sum(axis=0).astype(int).tolist()
    check.same(sealed.name, "counts of answers", counted, [answered[label] for label in labels])


def _check_metrics(
    check: VerificationCheck, sealed: SealedRecord, raw: RawSamples, task: "Task | None"
) -> None:
    quality, name = sealed.record.quality, sealed.name
    if quality is None or not quality.metrics:
        return
    if task is None:
        check.skip("this version does not have the metrics of the task")
        return
    check.same(name, "primary", quality.primary, task.scoring.metrics[0])
    computed = (
        estimates.quality_of_counts(task.scoring, raw.counts, len(raw.answers)) if len(raw.counts) else {}
    )
    check.same(name, "metrics", sorted(quality.metrics), sorted(computed))
    for metric, estimate in computed.items():
        if metric in quality.metrics:
            recorded = asdict(quality.metrics[metric])
            for field, value in asdict(estimate).items():
                check.same(name, f"{metric}.{field}", recorded[field], value)


def check_spent(check: VerificationCheck, sealed: SealedRecord, raw: RawSamples) -> None:
    """Compare mean and histogram of each cost with the samples; quality by cost needs the data."""
    spent, name = sealed.record.spent, sealed.name
    check.same(name, "spent", sorted(spent), sorted(raw.costs))
    for cost in sorted(set(spent) & set(raw.costs)):
        values, recorded = raw.first_costs(cost).values(), spent[cost]
        check.same(name, f"spent.{cost}.mean", recorded.mean, math.fsum(values) / len(values))
        if recorded.histogram:
            histogram = dict(Counter(f"{value:g}" for value in values))
            check.same(name, f"spent.{cost}.histogram", recorded.histogram, histogram)
        has_values = set(recorded.quality) <= set(recorded.histogram)
        check.holds(name, f"spent.{cost}.quality: of a value that no request has", so=has_values)


def check_status(check: VerificationCheck, sealed: SealedRecord, raw: RawSamples | None) -> None:
    """Check that status, failure, rounds and configuration agree with one another."""
    record, name = sealed.record, sealed.name
    have, planned = len(record.rounds), record.rounds_planned
    expected = "failed" if not have else "complete" if have >= planned and not record.failure else "partial"
    check.same(name, "status", record.status, expected)
    has_failure = bool(record.failure) != (expected == "complete")
    check.holds(
        name, "failure: expected for every cell that is not complete, and for no other", so=has_failure
    )
    problem = f"rounds_planned: {planned} are planned, and the record has {have}"
    check.holds(name, problem, so=planned > 0 and have <= planned)
    _check_settings(check, name, record)
    _check_artifact(check, name, record)
    host = json.dumps(record.host.facts, sort_keys=True).encode()
    check.same(name, "host.fingerprint", record.host.fingerprint, hashlib.sha256(host).hexdigest())
    if raw is not None:
        check.same(name, "data.examples", record.data.examples, raw.examples)
        all_slices = expected == "complete" and have > max(item.slice for item in record.rounds)
        check.holds(
            name,
            f"data.sample: the record has {record.data.sample}, and {raw.timed} examples were timed",
            so=record.data.sample == raw.timed if all_slices else record.data.sample >= raw.timed,
        )


def _check_settings(check: VerificationCheck, name: str, record: "Record") -> None:
    """Compare the settings of the record with the options of the command that it holds."""
    options, cell = record.configuration, record.cell
    settings = {
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
    for option, value in settings.items():
        if option in options and value is not None:
            check.same(name, f"configuration.{option}", options[option], value)
    for option, value in (("variants", cell.variant), ("scenarios", cell.scenario)):
        if option in options:
            check.holds(name, f"configuration.{option}: it lacks {value}", so=value in options[option])
    if record.placement:
        requested = record.placement.threads_requested
        check.same(name, "placement.cpus", len(record.placement.cpus), requested)
        check.holds(name, "threads: more than requested", so=cell.threads * cell.instances <= requested)


def _check_artifact(check: VerificationCheck, name: str, record: "Record") -> None:
    """Compare the artifact's key and libraries with its manifest and with the software of the run."""
    if record.artifact is None:
        return
    manifest = record.artifact.manifest
    check.same(name, "artifact.key", record.artifact.key, manifest.get("key", record.artifact.key))
    _check_size(check, name, record)
    if SIDE_MARK in record.cell.variant:
        return  # a side may have been prepared by another version
    for library, version in (manifest.get("libraries") or {}).items():
        if library in record.software:  # without a build such as +cpu, which not everybody writes down
            versions = (str(text).partition("+")[0] for text in (record.software[library], version))
            check.same(name, f"software.{library}", *versions)


def _check_size(check: VerificationCheck, name: str, record: "Record") -> None:
    """Check that an artifact is no smaller than its graph, where manifest and engine name one size of it."""
    if record.artifact is None or record.placement is None:
        return
    graph, size = record.artifact.manifest.get("bytes"), record.artifact.size_bytes
    if isinstance(graph, int) and graph == record.placement.effective.get("graph_bytes"):
        problem = f"artifact.size_bytes: {size} bytes, and its graph alone has {graph}"
        check.holds(name, problem, so=size >= graph)
