"""The acceptance of a machine: finds its counters, records them idle and under load, and makes a short run.

find_counters --> RecordingMeter --rapid reads, phases--> CounterTrace --examine--> findings
short_run --> records of the untrained shapes of `paper`
"""

import copy
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from harness.catalog import Catalog
from harness.common import procfs
from harness.common.errors import BenchError
from harness.common.files import base_names
from harness.common.progress import ProgressReporter
from harness.measurement.energy.check import check_meter, load
from harness.measurement.energy.counters.meter import CounterMeter
from harness.measurement.energy.trial import power_of
from harness.measurement.machine.devices import device_kind
from harness.records.ladder import parse_ladder
from harness.records.store import RunFolder, Store
from harness.runs.execution.run import execute, start
from harness.runs.planning.options import RunOptions
from harness.runs.services import Machine
from harness.studies.acceptance.findings import ALL_CPUS, IDLE, MATRIX, ONE_CPU, examine
from harness.studies.acceptance.load import Load, busy_cpus, matrix_product
from harness.studies.acceptance.machine_files import machine_files
from harness.studies.acceptance.model import (
    Acceptance,
    CounterTrace,
    CounterZone,
    MissingMeter,
    Phase,
    PhaseRows,
)
from harness.studies.acceptance.recording import RecordingMeter
from harness.studies.untrained_shapes import STUDIES, of_shapes

METERS = (("rapl", "cpu"), ("perf", "cpu"), ("hwmon", "cpu"), ("nvml", "cuda"))
"""The meters that read energy counters, each with the device that it covers."""

PHASE_S, SETTLE_S, EVERY_S = 6.0, 1.5, 0.1
"""Seconds of a phase, of its load before it, and between two rows; a sensor of a board lags by a second."""

ROUNDS, REQUESTS = 2, 32

RUNGS = {"cpu": ("paper", ("4L-312", "8h-600 native")), "cuda": ("paper-gpu", ("fixed", "8h-600-graphs"))}
"""The study of the short run and its rungs: on a CPU, the paper's largest shapes alone take many minutes."""

MakeLoad = Callable[[], AbstractContextManager[Load]]
BusyCpus = Callable[[int], AbstractContextManager[Load]]
Multiply = Callable[[str], AbstractContextManager[Load]]

Found = list[tuple[CounterMeter, str]]
"""Meters with a counter, each with its device."""


def accept(
    machine: Machine,
    device: str,
    progress: ProgressReporter,
    *,
    version: str,
    root: Path = procfs.ROOT,
    busy: BusyCpus = busy_cpus,
    multiply: Multiply = matrix_product,
    work: Callable[[], object] = load,
) -> Acceptance:
    """Record every counter of the machine, and return what they show, and why each other meter has none.

    Without any counter nothing is recorded and no load is run. `busy` keeps CPUs busy and `multiply` a board,
    each during a phase; `work` loads the machine between two rapid reads.
    """
    meters, missing = find_counters(machine, device)
    if meters:
        progress.stage("Counters", len(meters))
    checks = [_rapid_reads(meter, work, progress) for meter, _ in meters]
    loads = list(_loads(machine, device, meters, busy, multiply)) if meters else []
    if loads:
        progress.stage("Loads", len(loads))
    phases, recorders = [], []
    for phase, make_load in loads:
        measured, recorded = _measure_phase(phase, make_load, meters, machine)
        phases.append(measured)
        recorders.append(recorded)
        progress.step()
    progress.finish()
    counters = tuple(
        _trace(
            check,
            [
                (phase.name, recorded[place])
                for phase, recorded in zip(phases, recorders, strict=True)
                if recorded
            ],
        )
        for place, check in enumerate(checks)
    )
    return Acceptance(
        version=version,
        device=device,
        host=machine.host().facts,
        software=machine.software(),
        files=machine_files(root),
        counters=counters,
        missing=missing,
        phases=tuple(phases),
        findings=examine(counters, phases),
    )


def find_counters(machine: Machine, device: str) -> tuple[Found, tuple[MissingMeter, ...]]:
    """Return the meters whose counters can be read, and why each other one cannot."""
    meters: Found = []
    missing: list[MissingMeter] = []
    board = device if device_kind(device) == "cuda" else "cuda"
    for name, kind in METERS:
        place = board if kind == "cuda" else "cpu"
        choice = machine.choose_meter(place, name)
        if isinstance(choice.meter, CounterMeter):
            meters.append((choice.meter, place))
        else:
            skipped = {row[0]: row[1:] for row in choice.skipped}
            reason, remedy = skipped.get(name, ("this machine shows no such counter", "Nothing to do."))
            missing.append(MissingMeter(meter=name, reason=reason, remedy=remedy))
    return meters, tuple(missing)


def _rapid_reads(
    meter: CounterMeter, work: Callable[[], object], progress: ProgressReporter
) -> RecordingMeter:
    """Record the check that a meter gets before a run."""
    recorder = RecordingMeter(meter)
    check_meter(recorder, recorder.clock, work, power=recorder.recorded(power_of(meter)))
    recorder.keep()
    progress.step()
    return recorder


def _loads(
    machine: Machine, device: str, meters: Found, busy: BusyCpus, multiply: Multiply
) -> Iterator[tuple[Phase, MakeLoad]]:
    """Yield the phases: idle, one busy CPU, all busy, and the matrix product where a board is read."""
    cpus = len(machine.cpus())
    yield Phase(name=IDLE, about="nothing of bench's runs"), lambda: nullcontext(Load())
    yield Phase(name=ONE_CPU, about="one busy loop", processes=1), partial(busy, 1)
    about = "a busy loop for each physical core"
    yield Phase(name=ALL_CPUS, about=about, processes=cpus), partial(busy, cpus)
    if any(place != "cpu" for _, place in meters):
        board = device if device_kind(device) == "cuda" else "cuda:0"
        yield (
            Phase(name=MATRIX, about=f"4096 x 4096 in float16 on {board}", processes=1),
            partial(multiply, board),
        )


def _measure_phase(
    phase: Phase, make_load: MakeLoad, meters: Found, machine: Machine
) -> tuple[Phase, list[RecordingMeter]]:
    """Record all counters while a load runs; nothing is recorded if it cannot start."""
    recorders: list[RecordingMeter] = []
    with make_load() as running:
        if running.reason is None:
            machine.sleep(SETTLE_S)
            recorders = [RecordingMeter(meter, every_row=True) for meter, _ in meters]
            marks = [recorder.start() for recorder in recorders]
            for _ in range(round(PHASE_S / EVERY_S)):
                machine.sleep(EVERY_S)
                for recorder, mark in zip(recorders, marks, strict=True):
                    recorder.read(mark)
    return phase.model_copy(update={"cpu_s": running.cpu_s, "reason": running.reason}), recorders


def _trace(check: RecordingMeter, phases: Sequence[tuple[str, RecordingMeter]]) -> CounterTrace:
    facts = check.describe()
    zones = tuple(
        CounterZone(
            name=zone.name,
            scope=zone.scope,
            range_uj=zone.range_uj,
            source=traits.source,
            update_ns=traits.update_ns,
            quantum_uj=traits.quantum_uj,
            ceiling_watts=traits.ceiling_watts,
        )
        for zone, traits in zip(check.zones(), check.traits(), strict=True)
    )
    reasons = {zone: reason for _, phase in phases for zone, reason in phase.reasons.items()}
    return CounterTrace(
        meter=check.name,
        facts=facts,
        update_period_ns=int(facts.get("update_period_ns") or 0),
        zones=zones,
        check=tuple(check.rows),
        power=tuple(check.power) or None,
        phases=tuple(PhaseRows(phase=name, rows=tuple(recorder.rows)) for name, recorder in phases),
        reasons={**reasons, **check.reasons},
    )


def short_run(
    acceptance: Acceptance,
    catalog: Catalog,
    store: Store,
    cache: Path,
    machine: Machine,
    progress: ProgressReporter,
) -> tuple[Acceptance, RunFolder | None]:
    """Measure two rungs of `paper` or `paper-gpu`, and name the run, or why there is none.

    A machine without a counter needs no run: its joules would be modelled.
    """
    if not acceptance.counters:
        return acceptance.model_copy(update={"run_reason": "no energy counter can be read here"}), None
    name, rungs = RUNGS[device_kind(acceptance.device)]
    study = STUDIES[name]
    ladder = parse_ladder(catalog.ladders[study.ladder], study.ladder, {})
    options = RunOptions(
        task="",
        device=acceptance.device,
        scenarios=("offline",),
        profile="quick",
        rounds=ROUNDS,
        sample=REQUESTS,
        command="bench doctor --accept",
    )
    try:
        options = of_shapes(study, options, ladder.only(rungs), cache)
        run = start(options, catalog, store, cache, unnamed(machine), progress)
        records = execute(run)
    except BenchError as error:
        reason = base_names(error.message)
        return acceptance.model_copy(update={"run_reason": reason}), None
    if not any(record.rounds for record in records):
        return acceptance.model_copy(update={"run_reason": "nothing was measured"}), None
    return acceptance.model_copy(update={"run": run.folder.name}), run.folder


def unnamed(machine: Machine) -> Machine:
    """Return a machine whose records hold no hash of its name, and no commit of the working folder."""
    copied = copy.copy(machine)
    host = machine.host().model_copy(update={"name_sha256": hashlib.sha256(b"").hexdigest()})
    methods: dict[str, Callable[[], object]] = {"host": lambda: host, "revision": lambda: None}
    for name, method in methods.items():
        setattr(copied, name, method)
    return copied
