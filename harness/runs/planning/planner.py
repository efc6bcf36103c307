"""From checked options to the plan that is written to disk and never changes afterwards."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.catalog import Catalog
from harness.common.progress import ProgressReporter
from harness.measurement.machine.devices import one_device
from harness.records.plan import PROFILES, DataPlan, DevicePlan, ModelPlan, Plan, Profile
from harness.runs.planning.meter_selection import select_meter
from harness.runs.planning.offered_load import asked_load
from harness.runs.planning.options import ALL, RunOptions, check_each
from harness.runs.services import Machine
from harness.workload.data import Split, load_split
from harness.workload.data.user_files import TaskData, find_task_data
from harness.workload.tasks import TaskReference, get_task


def find_data(options: RunOptions, cache: Path, *, labelled: bool = True) -> TaskData:
    """Return the task and where its examples come from; without `labelled` the user's own may lack labels."""
    if options.source:
        return TaskData(get_task(options.task), options.source)
    return find_task_data(
        options.task, options.data, options.own, cache, split=options.split, labelled=labelled
    )


def profile_of(options: RunOptions, machine: Machine) -> Profile:
    """Return the profile with what the user changed of it, and windows as long as this machine needs them."""
    asked = {"rounds": options.rounds, "launches": options.launches, "sample": options.sample}
    changed = {name: value for name, value in asked.items() if value is not None}
    known = PROFILES[options.profile]
    if options.protocol:  # whole programs over whole splits: every start is asked all that is timed
        changed = {**({} if known.name == "quick" else {"sample": ALL}), **changed, "slice_at_least": ALL}
    window_ms = machine.window_ms(known.window_ms) if options.window_ms is None else options.window_ms
    return known.model_copy(update={**changed, "window_ms": window_ms})


def make_plan(
    each: Sequence[RunOptions], found: TaskData, split: Split, checkpoint: Mapping[str, Any], machine: Machine
) -> Plan:
    """Write down everything that is decided; `each` holds the checked options of every device."""
    options, now = each[0], machine.now()
    cpus = tuple(machine.cpus())
    threads = options.threads or len(cpus)
    first, *others = (device_plan(one, machine) for one in each)
    return Plan(
        **dict(first),
        others=tuple(others),
        run=f"{now:%Y%m%d-%H%M%S}-{options.task}-{machine.suffix()}",
        created=now.isoformat(timespec="seconds"),
        task=options.task,
        custom=found.definition,
        data=DataPlan(
            tier=found.data.tier,
            folder=str(found.data.folder.resolve()),
            split=split.name,
            fingerprint=split.fingerprint,
        ),
        model=ModelPlan(**checkpoint),
        scenarios=options.scenarios,
        batches=options.batches,
        rates=options.rates,
        slo=options.slo,
        boundary=options.boundary,
        roofline=options.roofline or bool(options.ladder and options.ladder.roofline),
        null_test=bool(options.null_test),
        precision=options.precision,
        time_budget_s=options.time_budget_s,
        instances_each=options.instances,
        command=options.command,
        cpus=cpus[:threads],
        threads=threads,
        max_length=options.max_length,
        seed=options.seed,
        quality=options.quality,
        meter_asked=options.meter,
        host_fingerprint=machine.host().fingerprint,
        revision=machine.revision(),
        configuration=_configuration(options, found, checkpoint["name"], threads),
    )


def device_plan(options: RunOptions, machine: Machine) -> DevicePlan:
    """Return what is one device's own: its meter, found and tried now, and windows as long as that needs."""
    meter = select_meter(machine, options.device, options.meter)
    profile = profile_of(options, machine)
    return DevicePlan(
        device=options.device,
        board=machine.board(options.device),
        variants=options.variants or (),
        ladder=options.ladder,
        profile=meter.lengthened(profile) if options.window_ms is None else profile,
        meter=meter.spec(),
        energy=meter.facts(),
    )


def _data_name(options: RunOptions) -> str:
    if options.source:
        return options.source.folder.name
    return options.data.name if options.data else "embedded"


def _configuration(options: RunOptions, found: TaskData, model: str, threads: int) -> dict[str, Any]:
    """Return the effective configuration, with base names in place of paths."""
    return {
        "task": options.task,
        "data": _data_name(options),
        **({"custom": dict(found.facts)} if found.facts else {}),
        "split": options.split,
        "model": model,
        "device": options.device,
        "variants": list(options.variants or ()),
        "scenarios": list(options.scenarios),
        **asked_load(options.batches, options.rates, options.slo, options.window_ms),
        **({"ladder": options.ladder.facts()} if options.ladder else {}),
        "boundary": options.boundary,
        **({"protocol": dict(options.protocol)} if options.protocol else {}),
        "threads": threads,
        **({"instances": options.instances} if options.instances > 1 else {}),
        "max_length": options.max_length,
        "profile": options.profile,
        "rounds": options.rounds,
        **_more_rounds(options),
        "limit": options.sample,
        "seed": options.seed,
        "quality": options.quality,
        **_asked_meter(options.meter),
    }


def _asked_meter(meter: str) -> dict[str, Any]:
    """Return which meter was asked for, if any was; the folders and words of its argument stay here."""
    from harness.measurement.energy.selection import displayed_name

    return {"meter": displayed_name(meter)} if meter else {}


def _more_rounds(options: RunOptions) -> dict[str, Any]:
    """Return what was asked of launches and precision, as far as anything was."""
    asked = {
        "launches": options.launches,
        "roofline": options.roofline or None,
        "precision": options.precision,
        "time_budget_s": options.time_budget_s,
        "null_test": options.null_test or None,
        "condition": options.condition or None,
    }
    return {name: value for name, value in asked.items() if value is not None}


def plan_run(
    wanted: RunOptions,
    catalog: Catalog,
    cache: Path,
    machine: Machine,
    narrator: ProgressReporter,
    *,
    before_work: Callable[[], None] = lambda: None,
    labelled: bool = True,
    several: bool = False,
) -> Plan:
    """Check options and data, then find the checkpoint; `before_work` may still refuse in between.

    Without `labelled`, a user's own rows may lack their labels; without `several`, UsageError for more than
    one device.
    """
    if not several:
        one_device(wanted.device)
    each = check_each(wanted, catalog, machine, narrator)
    wanted = each[0]
    found = find_data(wanted, cache, labelled=labelled)
    split = load_split(found.task, found.data, wanted.split)
    before_work()
    checkpoint = find_checkpoint(wanted.model, found.words, cache, machine)
    return make_plan(each, found, split, checkpoint, machine)


def find_checkpoint(model: str, task: TaskReference, cache: Path, machine: Machine) -> dict[str, Any]:
    """Return the checkpoint that a model's name means for a task, as a plan holds it."""
    worker = machine.launch(tuple(machine.cpus()), 1)
    try:
        return worker.ask("resolve", task=task, model=model, cache=str(cache))
    finally:
        worker.end()
