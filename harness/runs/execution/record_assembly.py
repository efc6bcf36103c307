"""A cell's journal becomes its record and its samples: pure functions, so a resumed run yields the same.

CellJournal --seal_cell--> Record    one `Round` for each visit, then what all rounds together show
                       --> Arrays    raw samples
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from harness.analysis.statistics import estimates
from harness.analysis.statistics.adaptive_cost import adaptive_cost_of
from harness.analysis.statistics.latency_percentiles import TimedPass, call_medians, percentiles
from harness.common.json_types import JsonObject
from harness.measurement.energy.check import widen_resolution
from harness.records.cell import Cell
from harness.records.journal import CellJournal
from harness.records.journal_entries import RoundEntry, VisitEntry
from harness.records.plan import Plan
from harness.records.record import (
    AdaptiveCost,
    ArtifactFacts,
    DataFacts,
    EnergyFacts,
    Failure,
    HarnessOverhead,
    IdleEnergy,
    Memory,
    ModelFacts,
    OperatorProfile,
    Percentile,
    PlacementFacts,
    Quality,
    Record,
    Round,
    Startup,
    StopReason,
)
from harness.runs.execution.surroundings import RunConditions
from harness.runs.planning.offered_load import offered_load
from harness.systems.server import METER_FACTS
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example

NOT_READ_IDLE = "the server's machine was not read while it was idle"

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class SharedFacts:
    """What all records of a run share."""

    plan: Plan
    examples: Sequence[Example]
    data: DataFacts
    conditions: RunConditions
    software: dict[str, str]
    energy: EnergyFacts
    artifacts: Mapping[str, ArtifactFacts]


def seal_cell(shared: SharedFacts, cell: Cell, journal: CellJournal) -> tuple[Record, Arrays]:
    """Return the record of a cell, still without the name of its samples, and the samples."""
    plan, side = shared.plan, shared.plan.side(cell.variant)
    energy = _energy(shared.energy, journal)
    task = plan.asked
    planned = journal.stopped.rounds if journal.stopped else plan.profile.all_rounds
    answers = {**journal.untimed_answers, **journal.timed_answers}
    record = Record(
        run=plan.run,
        created=plan.created,
        status=_status(journal, planned),
        failure=_failure(journal, planned),
        profile=plan.profile.name,
        seed=plan.seed,
        launches=len({entry.launch for entry, _ in journal.visits}),
        rounds_planned=planned,
        cell=cell.facts(),
        data=shared.data,
        model=ModelFacts(**plan.model_of(cell.variant).model_dump(exclude={"folder"})),
        artifact=shared.artifacts.get(cell.variant),
        placement=_placement(plan, journal),
        host=shared.conditions.host,
        host_changes=shared.conditions.host_changes,
        conditions=shared.conditions.conditions,
        software=side.software if side and side.software else shared.software,
        revision=side.revision if side else plan.revision,
        energy=energy,
        start=_start(journal),
        stop=_stop(plan, journal),
        rounds=tuple(_round(cell, entry, visit, energy.check) for entry, visit in journal.visits),
        latency=_latency(cell, journal),
        load=offered_load(cell, journal, plan.seed),
        idle=_idle(journal),
        limit=shared.conditions.limit if plan.device == "cpu" else None,
        operators=_operators(journal),
        memory=_memory(journal),
        quality=_quality(task, shared, cell, journal, answers),
        spent=_spent(task, shared, cell, journal),
        observer=_observer(journal, shared.conditions),
        configuration=plan.configuration | ({"model": plan.model_of(cell.variant).name} if side else {}),
    )
    return record, _samples(task, shared.examples, journal, answers)


def _stop(plan: Plan, journal: CellJournal) -> StopReason | None:
    if plan.precision is None or journal.stopped is None:
        return None
    stopped = journal.stopped
    return StopReason(asked=plan.precision, reason=stopped.reason, half_width=stopped.half_width)


def _status(journal: CellJournal, planned: int) -> Literal["complete", "partial", "failed"]:
    if not journal.visits:
        return "failed"
    return "complete" if len(journal.visits) >= planned and not journal.failed else "partial"


def _failure(journal: CellJournal, planned: int) -> Failure | None:
    if journal.failed:
        failure = journal.failed.failure
        where = f"{failure.where}: " if failure.where else ""
        return Failure(kind=failure.kind, message=f"{where}{failure.message}", remedy=failure.remedy)
    if len(journal.visits) >= planned:
        return None
    message = f"the run was stopped after {len(journal.visits)} of {planned} rounds."
    return Failure(kind="InterruptedRun", message=message, remedy="Continue with `bench run --resume`.")


def _placement(plan: Plan, journal: CellJournal) -> PlacementFacts | None:
    if journal.opened is None:
        return None
    return PlacementFacts(
        cpus=plan.cpus,
        threads_requested=plan.threads,
        effective=journal.opened.effective,
        counters=journal.opened.counters,
        board=plan.board,
    )


def _start(journal: CellJournal) -> Startup | None:
    opened = journal.opened
    if opened is None or opened.load_ns is None or opened.first_request_ns is None:
        return None  # a program that is started for each visit loads inside the clock
    return Startup(
        load_ns=opened.load_ns,
        first_request_ns=opened.first_request_ns,
        warmup_requests=opened.warmup_requests,
        loaded_per_visit=opened.loaded_per_visit,
        steady=opened.steady,
        lengths=opened.lengths,
        first_length_ns=opened.first_length_ns,
        repeat_length_ns=opened.repeat_length_ns,
    )


def _observer(journal: CellJournal, conditions: RunConditions) -> HarnessOverhead | None:
    used, ray = conditions.usage, conditions.ray
    if journal.opened is None:
        return None
    if used is None:
        return HarnessOverhead(loop_ns_per_request=journal.opened.loop_ns_per_request)
    return HarnessOverhead(
        loop_ns_per_request=journal.opened.loop_ns_per_request,
        sweep_wall_ns=used.wall_ns,
        parent_cpu_ns=used.parent_ns,
        workers_cpu_ns=used.workers_ns,
        pollers=used.pollers,
        ray_cpu_ns=ray.cpu_ns if ray else None,
        ray_processes=ray.processes if ray else (),
    )


def _meter_elsewhere(journal: CellJournal) -> JsonObject | None:
    """Return the facts of the meter on a server's machine, if one was read."""
    return journal.opened.effective.get(METER_FACTS) if journal.opened else None


def _energy(of_run: EnergyFacts, journal: CellJournal) -> EnergyFacts:
    facts = _meter_elsewhere(journal)
    return of_run if facts is None else EnergyFacts(meter=facts["meter"], describe=facts, skipped=())


def _idle(journal: CellJournal) -> IdleEnergy | None:
    before, after = journal.idle_before, journal.idle_after
    if before is None:
        return None
    if _meter_elsewhere(journal):  # what was read is the idle power of the client's machine
        return IdleEnergy(before=(), after=(), unavailable=NOT_READ_IDLE)
    return IdleEnergy(
        before=tuple(before.readings),
        after=tuple(after.readings) if after else (),
        unavailable=before.unavailable,
    )


def _operators(journal: CellJournal) -> OperatorProfile | None:
    times = journal.operators
    if times is None:
        return None
    return OperatorProfile(
        seconds=dict(times.seconds), requests=times.requests, unavailable=times.unavailable
    )


def _memory(journal: CellJournal) -> Memory | None:
    memory = journal.memory
    if memory is None or memory.peak_bytes is None or memory.counted_as is None:
        return None
    return Memory(peak_bytes=memory.peak_bytes, counted_as=memory.counted_as)


def _round(cell: Cell, entry: RoundEntry, visit: VisitEntry, check: JsonObject | None) -> Round:
    return Round(
        index=entry.index,
        slice=entry.slice,
        position=visit.position,
        launch=entry.launch,
        requests=visit.requests,
        sequences=visit.sequences,
        tokens=visit.tokens,
        wall_ns=visit.wall_ns,
        cpu_ns=visit.cpu_ns,
        # the larger of the resolution that the meter states and of what its check showed
        readings=tuple(widen_resolution(reading, check) for reading in visit.readings),
        watched_ns=visit.watched_ns,
        foreign_cpu_ns=visit.foreign_cpu_ns,
        elsewhere_cpu_ns=visit.elsewhere_cpu_ns,
        steal_ns=visit.steal_ns,
        parent_cpu_ns=visit.parent_cpu_ns,
        exchange_ns=visit.exchange_ns,
        passes=visit.passes,
        asked_ns=call_medians(cell.scenario, visit.passes, visit.call_ns),
        token_squares=visit.token_squares,
        offered_ns=visit.offered_ns,
        late_ns=visit.late_ns,
        cycles=visit.cycles,
        instructions=visit.instructions,
        traffic=visit.traffic,
    )


def _latency(cell: Cell, journal: CellJournal) -> dict[str, Percentile]:
    windows = [TimedPass(entry.indexes, visit.call_ns) for entry, visit in journal.visits]
    by_name = percentiles(cell.scenario, cell.batch, windows)
    return {name: Percentile(**facts) for name, facts in by_name.items()}


def _quality(
    task: Task, shared: SharedFacts, cell: Cell, journal: CellJournal, answers: Mapping[int, str]
) -> Quality | None:
    if not answers:
        return None
    order = sorted(answers)
    in_order = [answers[index] for index in order]
    examples = [shared.examples[index] for index in order]
    unavailable = _why_no_quality(shared, cell, journal, [example.gold for example in examples])
    metrics = {} if unavailable else estimates.quality(task, examples, in_order)
    return Quality(
        metrics=metrics,
        primary=task.scoring.metrics[0],
        timed=len(journal.timed_answers),
        untimed=len(order) - len(journal.timed_answers),
        answers_sha256=_sha256(in_order),
        truncated=journal.completed.truncated if journal.completed else 0,
        losses=tuple(journal.completed.losses) if journal.completed else (),
        unavailable=unavailable,
        unstable=journal.unstable,
        timed_sha256=_sha256([answers[index] for index in sorted(journal.timed_answers)]),
    )


def _spent(task: Task, shared: SharedFacts, cell: Cell, journal: CellJournal) -> dict[str, AdaptiveCost]:
    answers = journal.timed_answers
    labels = [shared.examples[index].gold for index in answers]
    scored = None if _why_no_quality(shared, cell, journal, labels) else answers
    return {
        name: adaptive_cost_of(task, shared.examples, costs, scored)
        for name, costs in journal.timed_costs.items()
    }


def _sha256(answers: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(answers).encode()).hexdigest()


def _why_no_quality(
    shared: SharedFacts, cell: Cell, journal: CellJournal, gold: Sequence[tuple[str, ...]]
) -> str | None:
    if journal.opened and journal.opened.effective.get("reads_input") is False:
        return f"{cell.variant} does not read its input"
    if not shared.plan.model.trained:
        return "the model is untrained"
    if not all(gold):
        return f"the {shared.plan.data.split} split hides its labels"
    return None


def _samples(
    task: Task, examples: Sequence[Example], journal: CellJournal, answers: Mapping[int, str]
) -> Arrays:
    """Return the raw samples; results/README.md describes each array."""
    visits = journal.visits
    # a worker of an earlier version does not report them
    has_gaps = all(len(visit.gap_ns) == len(visit.call_ns) for _, visit in visits)
    gaps = {"gap_ns": _joined([visit.gap_ns for _, visit in visits], np.int64)} if has_gaps else {}
    return {
        "call_ns": _joined([visit.call_ns for _, visit in visits], np.int64),
        "call_round": _joined([[entry.index] * len(visit.call_ns) for entry, visit in visits], np.int32),
        **gaps,
        "timed_example": _joined([entry.indexes for entry, _ in visits], np.int32),
        "timed_round": _joined([[entry.index] * len(entry.indexes) for entry, _ in visits], np.int32),
        "timed_answer": np.array([answer for _, visit in visits for answer in visit.answers], dtype=np.str_),
        "answer": np.array([answers.get(index, "") for index in range(len(examples))], dtype=np.str_),
        "answered": np.array([index in answers for index in range(len(examples))]),
        "counts": _counts(task, examples, answers),
        **{
            f"cost_{name}": _joined([visit.costs[name] for _, visit in visits], np.float64)
            for name in journal.cost_names
        },
    }


def _counts(task: Task, examples: Sequence[Example], answers: Mapping[int, str]) -> npt.NDArray[Any]:
    """Return the counts that scores are computed from, float64 [clusters, counts].

    They cover the examples that were answered and have a label.
    """
    scored = [index for index in sorted(answers) if examples[index].gold]
    if not scored:
        return np.zeros((0, 0))
    return task.scoring.by_cluster([examples[at] for at in scored], [answers[at] for at in scored])


def _joined(parts: Sequence[Sequence[float]], kind: type) -> npt.NDArray[Any]:
    return np.array([value for part in parts for value in part], dtype=kind)
