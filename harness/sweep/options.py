"""What the user asked for, checked: options become a plan before any clock starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from harness.catalog import COMMAND, DEFAULT_VARIANTS, Catalog
from harness.data import Data, Split
from harness.data.own import Found, Own, find
from harness.errors import UsageError, unknown_name
from harness.scenarios import get_scenario
from harness.study.ladder import Ladder
from harness.sweep.machine import Machine
from harness.sweep.narrator import Narrator
from harness.sweep.plan import PROFILES, DataPlan, ModelPlan, Plan, Profile
from harness.tasks import get_task

MAXIMUM_LENGTH = 8192
"""Longer than any encoder here reads; the checkpoint's own limit is checked when it loads."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of `bench run`; None means the profile's or the machine's own."""

    task: str
    data: Path | None = None
    own: Own = field(default_factory=Own)
    source: Data | None = None
    """Data that are neither the user's nor the embedded sample: of a study."""
    split: str = "val"
    model: str = "embedded"
    device: str = "cpu"
    variants: tuple[str, ...] | None = None
    scenarios: tuple[str, ...] = ()
    """None named: single-stream, but offline at boundary `process`."""
    boundary: Literal["encoded", "text", "process"] = "encoded"
    ladder: Ladder | None = None
    command: str = ""
    threads: int | None = None
    max_length: int = 256
    profile: str = "default"
    rounds: int | None = None
    sample: int | None = None
    seed: int = 0
    quality: Literal["full", "sample"] = "full"


def check(options: RunOptions, catalog: Catalog, machine: Machine, narrator: Narrator) -> RunOptions:
    """Raise for anything that can be known to be wrong before data and model are touched.

    Returns the options with the scenarios and variants that will be measured: those asked for, or the
    default ones, of variants those that can run here.
    """
    if options.ladder and options.boundary == "process":
        raise UsageError("a ladder is measured at boundary encoded or text.", remedy="Leave out --boundary.")
    options = replace(options, scenarios=_scenarios(options))
    for name in options.scenarios:
        get_scenario(name)
    if options.profile not in PROFILES:
        raise unknown_name("profile", options.profile, PROFILES)
    machine.check_device(options.device)
    _check_numbers(options, len(machine.cpus()))
    return replace(options, variants=_variants(options, catalog, machine, narrator))


def _scenarios(options: RunOptions) -> tuple[str, ...]:
    if options.boundary != "process":
        return options.scenarios or ("single-stream",)
    if set(options.scenarios) <= {"offline"}:
        return ("offline",)
    raise UsageError(
        "at boundary process a program is given all requests of a visit at once, which is scenario offline.",
        remedy="Leave out --scenario, or name offline alone.",
    )


def _check_command(options: RunOptions) -> None:
    """Refuse a program from outside where it cannot be asked."""
    if options.boundary == "encoded":
        raise UsageError(
            "a program from outside reads text, so it is compared at boundary text or process only.",
            remedy="Add --boundary text: then tokenisation is inside the clock for all variants.",
        )
    if options.boundary == "process":
        from harness.sweep.spawn import outside

        outside(options.command)


def _variants(options: RunOptions, catalog: Catalog, machine: Machine, narrator: Narrator) -> tuple[str, ...]:
    if options.ladder:
        return _rungs(options.ladder, catalog, options.threads or len(machine.cpus()))
    asked = options.variants or DEFAULT_VARIANTS
    if options.command and COMMAND not in asked:
        asked = (*asked, COMMAND)
    if COMMAND in asked:
        _check_command(options)
    if len(set(asked)) < len(asked):
        raise UsageError("a variant is named twice.", remedy="Name each variant once.")
    why = {name: catalog.variant(name).unavailable() for name in asked}
    for name, reason in why.items():
        if reason and (options.variants or name == COMMAND):
            raise UsageError(f"{name} cannot run here: {reason}", remedy="`bench list` shows what can.")
        if reason:
            narrator.warn(f"{name} is left out: {reason}")
    return tuple(name for name in asked if not why[name])


def _rungs(ladder: Ladder, catalog: Catalog, cores: int) -> tuple[str, ...]:
    """Return the ladder's rungs, each made once to see that its recipes and engine are there."""
    for rung in ladder.rungs:
        if rung.count(cores) > cores:
            raise UsageError(
                f"rung {rung.name!r} asks for {rung.instances} instances on {cores} threads.",
                remedy="Give each instance a thread at least: lower `instances`, or say `cores`.",
            )
        if reason := catalog.rung(rung.words()).unavailable():
            raise UsageError(
                f"rung {rung.name!r} cannot run here: {reason}", remedy="Leave it out with --rungs."
            )
    return tuple(rung.name for rung in ladder.rungs)


def _check_numbers(options: RunOptions, cores: int) -> None:
    for name, value, high in (
        ("--threads", options.threads, cores),
        ("--rounds", options.rounds, 10_000),
        ("--limit", options.sample, 10_000_000),
        ("--max-length", options.max_length, MAXIMUM_LENGTH),
    ):
        if value is not None and not 1 <= value <= high:
            limit = f"this process may use {cores} CPUs" if name == "--threads" else f"at most {high:,}"
            raise UsageError(f"{name} {value} is out of range.", remedy=f"It is at least 1; {limit}.")


def found_of(options: RunOptions, cache: Path, *, labelled: bool = True) -> Found:
    """Return the task and where its examples come from; without `labelled` the user's own may lack labels."""
    if options.source:
        return Found(get_task(options.task), options.source)
    return find(options.task, options.data, options.own, cache, split=options.split, labelled=labelled)


def profile_of(options: RunOptions) -> Profile:
    """Return the profile with what the user changed of it."""
    asked = {"rounds": options.rounds, "sample": options.sample}
    changed = {name: value for name, value in asked.items() if value is not None}
    return PROFILES[options.profile].model_copy(update=changed)


def make_plan(
    options: RunOptions, found: Found, split: Split, checkpoint: Mapping[str, Any], machine: Machine
) -> Plan:
    """Write down everything that is decided."""
    now = machine.now()
    cpus = tuple(machine.cpus())
    threads = options.threads or len(cpus)
    from harness.meters.choose import spec_of

    meter = machine.choose_meter(options.device).meter
    return Plan(
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
        variants=options.variants or (),
        scenarios=options.scenarios,
        boundary=options.boundary,
        ladder=options.ladder,
        command=options.command,
        device=options.device,
        cpus=cpus[:threads],
        threads=threads,
        max_length=options.max_length,
        profile=profile_of(options),
        seed=options.seed,
        quality=options.quality,
        meter=spec_of(meter) if meter else None,
        host_fingerprint=machine.host().fingerprint,
        configuration=_configuration(options, found, checkpoint["name"], threads),
    )


def _data_name(options: RunOptions) -> str:
    if options.source:
        return options.source.folder.name
    return options.data.name if options.data else "embedded"


def _configuration(options: RunOptions, found: Found, model: str, threads: int) -> dict[str, Any]:
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
        **({"ladder": options.ladder.facts()} if options.ladder else {}),
        "boundary": options.boundary,
        "threads": threads,
        "max_length": options.max_length,
        "profile": options.profile,
        "rounds": options.rounds,
        "limit": options.sample,
        "seed": options.seed,
        "quality": options.quality,
    }
