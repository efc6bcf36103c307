"""From checked options to the plan that is written to disk and never changes afterwards.

options of each device --device_plan--> DevicePlan --make_plan--> Plan
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from harness.catalog import Catalog
from harness.common.errors import StoreError, as_bad_input
from harness.common.json_types import JsonObject
from harness.common.progress import ProgressReporter
from harness.measurement.machine.devices import one_device
from harness.records.plan import PROFILES, DataPlan, DevicePlan, ModelPlan, Plan, Profile
from harness.runs.planning.meter_selection import SelectedMeter, select_meter
from harness.runs.planning.offered_load import requested_load
from harness.runs.planning.options import ALL, RunOptions, check_each
from harness.runs.planning.servers import check_servers, server_facts
from harness.runs.planning.threshold import with_threshold
from harness.runs.planning.unsupported import without_unsupported
from harness.runs.services import Machine
from harness.runs.worker.messages import ResolveRequest
from harness.systems.artifact_cache import ArtifactCache
from harness.workload.data import Split, load_split
from harness.workload.data.user.task_files import TaskData, find_task_data
from harness.workload.tasks import TaskReference, get_task


def find_data(options: RunOptions, cache: Path, *, labelled: bool = True) -> TaskData:
    """Return the task and its data; without `labelled`, the user's own rows may lack labels."""
    if options.source:
        return TaskData(get_task(options.task), options.source)
    return find_task_data(
        options.task, options.data, options.own, cache, split=options.split, labelled=labelled
    )


def profile_of(options: RunOptions, machine: Machine) -> Profile:
    """Return the profile with the user's changes, and windows as long as this machine needs them."""
    given = {
        "rounds": options.rounds,
        "launches": options.launches,
        "sample": options.sample,
        "slice_at_least": options.slice_at_least,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    profile = PROFILES[options.profile]
    if options.protocol:  # whole programs over whole splits: every start answers all that is timed
        sample = {} if profile.name == "quick" else {"sample": ALL}
        changes = {**sample, **changes, "slice_at_least": ALL}
    window_ms = machine.window_ms(profile.window_ms) if options.window_ms is None else options.window_ms
    return profile.model_copy(update={**changes, "window_ms": window_ms})


def make_plan(
    options: RunOptions,
    devices: Sequence[DevicePlan],
    task_data: TaskData,
    split: Split,
    model: ModelPlan,
    machine: Machine,
) -> Plan:
    """Return the plan; `options` are the checked ones of the first device, `devices` the plans of all."""
    now, cpus = machine.now(), tuple(machine.cpus())
    threads = options.threads or len(cpus)
    first, *others = devices
    host = machine.host()
    return Plan(
        **dict(first),
        others=tuple(others),
        run=f"{now:%Y%m%d-%H%M%S}-{options.task}-{machine.suffix()}",
        created=now.isoformat(timespec="seconds"),
        task=options.task,
        custom=task_data.definition,
        data=DataPlan(
            tier=task_data.data.tier,
            folder=str(task_data.data.folder.resolve()),
            split=split.name,
            fingerprint=split.fingerprint,
        ),
        model=model,
        scenarios=options.scenarios,
        batches=options.batches,
        rates=options.rates,
        slo=options.slo,
        boundary=options.boundary,
        roofline=options.roofline or bool(options.ladder and options.ladder.roofline),
        null_test=bool(options.null_test),
        copies=options.null_copies or 2,
        precision=options.precision,
        time_budget_s=options.time_budget_s,
        instances_each=options.instances,
        command=options.command,
        servers=options.servers,
        cpus=cpus[:threads],
        threads=threads,
        max_length=options.max_length,
        seed=options.seed,
        quality=options.quality or "full",
        meter_asked=options.meter,
        host_fingerprint=host.fingerprint,
        host=host,
        software=machine.software(),
        revision=machine.revision(),
        configuration=_configuration(options, task_data, model.name, threads),
    )


def device_plan(options: RunOptions, machine: Machine, meter: SelectedMeter, board: int | None) -> DevicePlan:
    """Return the plan of one device, with windows as long as its meter needs."""
    profile = profile_of(options, machine)
    return DevicePlan(
        device=options.device,
        board=board,
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


def _configuration(options: RunOptions, task_data: TaskData, model: str, threads: int) -> JsonObject:
    """Return the effective configuration for the records, with base names in place of paths."""
    return {
        "task": options.task,
        "data": _data_name(options),
        **({"custom": dict(task_data.facts)} if task_data.facts else {}),
        "split": options.split,
        "model": model,
        "device": options.device,
        "variants": list(options.variants or ()),
        **({"left_out": dict(options.left_out)} if options.left_out else {}),
        "scenarios": list(options.scenarios),
        **requested_load(options.batches, options.rates, options.slo, options.window_ms),
        **({"ladder": options.ladder.facts()} if options.ladder else {}),
        "boundary": options.boundary,
        **({"servers": server_facts(options.servers)} if options.servers else {}),
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
        **_named_meter(options.meter),
    }


def _named_meter(meter: str) -> JsonObject:
    """Return the meter that was named, if any was; the paths in its argument stay on this machine."""
    from harness.measurement.energy.selection import displayed_name

    return {"meter": displayed_name(meter)} if meter else {}


def _more_rounds(options: RunOptions) -> JsonObject:
    """Return the options about launches, precision and the verdict that were given."""
    given = {
        "launches": options.launches,
        "roofline": options.roofline or None,
        "precision": options.precision,
        "time_budget_s": options.time_budget_s,
        "null_test": options.null_test or None,
        "null_copies": options.null_copies,
        "condition": options.condition or None,
        "max_quality_loss": options.max_quality_loss,
    }
    return {name: value for name, value in given.items() if value is not None}


def plan_run(
    options: RunOptions,
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
        one_device(options.device)
    by_device = check_each(options, catalog, machine, narrator)
    options = by_device[0]
    narrator.stage("check data and model", 1)
    ArtifactCache(cache).check_usable()
    try:
        task_data = find_data(options, cache, labelled=labelled)
    except StoreError as problem:  # generated data go into the cache
        raise as_bad_input(problem) from None
    split = load_split(task_data.task, task_data.data, options.split)
    check_servers(options.servers, task_data.task)
    before_work()
    model = find_checkpoint(options.model, task_data.words, cache, machine)
    by_device = tuple(
        without_unsupported(part, catalog, task_data.task, model, narrator) for part in by_device
    )
    options = by_device[0]
    narrator.finish()
    task_data = with_threshold(task_data, split, model, options, cache, machine, narrator)
    devices = [
        device_plan(part, machine, select_meter(machine, part.device, part.meter), machine.board(part.device))
        for part in by_device
    ]
    return make_plan(options, devices, task_data, split, model, machine)


def find_checkpoint(model: str, task: TaskReference, cache: Path, machine: Machine) -> ModelPlan:
    """Return the checkpoint that a model's name means for a task; a worker looks for it."""
    worker = machine.launch(tuple(machine.cpus()), 1)
    try:
        checkpoint = worker.send(ResolveRequest(task, model, str(cache)))
    except StoreError as problem:
        raise as_bad_input(problem) from None
    finally:
        worker.end()
    return ModelPlan.of(checkpoint)
