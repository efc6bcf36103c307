"""The options of a run, checked before data and model are touched.

RunOptions --check_each--> RunOptions of each device --> plan (`harness.runs.planning.planner`)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from harness.catalog import COMMAND, NULL_SERVER, Catalog, default_variants
from harness.common.errors import UsageError, unknown_name
from harness.common.json_types import JsonValue
from harness.common.progress import ProgressReporter
from harness.measurement.machine.devices import device_kind, devices_of
from harness.records.ladder import Ladder
from harness.records.plan import PROFILES
from harness.runs.planning.offered_load import check_load
from harness.runs.planning.servers import with_client_cpus, with_null_server
from harness.runs.planning.variant_words import expand_words, single_variant
from harness.runs.services import Machine, chosen_meter
from harness.runs.worker.environment import check as check_variables
from harness.systems.server import ServerDefinition
from harness.workload.data import Data
from harness.workload.data.user.task_files import UserData
from harness.workload.scenarios import get_scenario

ALL = 10_000_000
"""More examples than any split holds."""

MAXIMUM_LENGTH = 8192
"""Longer than any encoder here reads; the checkpoint's own limit is checked when it loads."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of `bench run`; None means the profile's or the machine's own."""

    task: str
    data: Path | None = None
    own: UserData = field(default_factory=UserData)
    source: Data | None = None
    """The data of a study: neither the user's nor the embedded sample."""
    split: str = "val"
    model: str = "embedded"
    device: str = "cpu"
    variants: tuple[str, ...] | None = None
    left_out: Mapping[str, str] | None = None
    """Of the default variants those that are not measured, and why; None where variants were named."""
    scenarios: tuple[str, ...] = ()
    """Empty: single-stream, but offline at boundary `process`."""
    batches: tuple[int, ...] = ()
    rates: tuple[float, ...] = ()
    slo: str = ""
    window_ms: int | None = None
    boundary: Literal["encoded", "text", "process"] = "encoded"
    protocol: Mapping[str, JsonValue] | None = None
    """The protocol of others that the run is also reported by (`harness.analysis.sustainlp.asked`)."""
    ladder: Ladder | None = None
    command: str = ""
    servers: tuple[ServerDefinition, ...] = ()
    """Model servers that are measured beside the variants."""
    connections: int | None = None
    """Requests to a model server that may be in flight at once."""
    threads: int | None = None
    instances: int = 1
    """Copies of each variant that share the threads."""
    max_length: int = 256
    profile: str = "default"
    rounds: int | None = None
    launches: int | None = None
    precision: float | None = None
    """Half-width of the speed-ups' intervals, as a share, until which rounds are added."""
    time_budget_s: float | None = None
    """Seconds of measuring after which no round is added; needs `precision`."""
    roofline: bool = False
    """Whether to measure the cores' arithmetic limit; a ladder may request it too."""
    null_test: str = ""
    """The variant that is measured against itself."""
    null_copies: int | None = None
    """Of a null test: how many workers of the variant are measured side by side (default 2)."""
    condition: str = ""
    """Of a null test: a description of what else the machine does meanwhile."""
    sample: int | None = None
    slice_at_least: int | None = None
    """The fewest requests of a slice; `ALL` puts the whole sample into each round."""
    seed: int = 0
    quality: Literal["full", "sample"] | None = None
    """None: the full split, but the sample with profile `quick`."""
    max_quality_loss: float | None = None
    """Points of quality that the variant of the verdict may lose; it changes no measurement."""
    meter: str = ""
    """The meter that is used instead of the first that works, as `NAME` or `NAME:ARGUMENT`."""


def check(options: RunOptions, catalog: Catalog, machine: Machine, narrator: ProgressReporter) -> RunOptions:
    """Raise UsageError for anything that is wrong without looking at data or model.

    Returns the options with the scenarios and variants that will be measured: those requested, or the
    default ones, of variants those that can run here.
    """
    if options.ladder and options.servers:
        raise UsageError(
            "a ladder holds variants of one model, and no servers.",
            where="--system-url",
            remedy="Measure the winner beside the server: `bench run --variants`.",
        )
    if options.ladder and options.boundary == "process":
        raise UsageError("a ladder is measured at boundary encoded or text.", remedy="Leave out --boundary.")
    options = replace(options, scenarios=_scenarios(options))
    if options.ladder:
        options = replace(options, ladder=able(options.ladder, catalog, narrator))
    if options.null_test:
        options = _null_test(options)
    elif options.null_copies is not None:
        raise UsageError(
            "--null-copies is of a null test.", where="--null-copies", remedy="Add --null-test VARIANT."
        )
    for name in options.scenarios:
        get_scenario(name)
    check_load(options.scenarios, options.batches, options.rates, options.slo)
    if options.profile not in PROFILES:
        raise unknown_name("profile", options.profile, PROFILES)
    _check_device(options, machine)
    _check_numbers(options, len(machine.cpus()))
    _check_instances(options)
    quality = options.quality or ("sample" if options.profile == "quick" else "full")
    names, left_out = _variants(options, catalog, machine, narrator)
    return replace(
        options,
        quality=quality,
        variants=names,
        left_out=left_out,
        servers=_servers(options, names, catalog, machine),
    )


def check_each(
    options: RunOptions, catalog: Catalog, machine: Machine, narrator: ProgressReporter
) -> tuple[RunOptions, ...]:
    """Return the checked options of each device by itself; what a kind of device lacks is reported once."""
    checked: list[RunOptions] = []
    for device in devices_of(options.device):
        alike = [other for other in checked if device_kind(other.device) == device_kind(device)]
        if alike:
            checked.append(replace(alike[0], device=device))
            _check_device(checked[-1], machine)
        else:
            # the first device's ladder is without the rungs that are left out already
            ladder = checked[0].ladder if checked else options.ladder
            checked.append(check(replace(options, device=device, ladder=ladder), catalog, machine, narrator))
    return tuple(checked)


def _check_device(options: RunOptions, machine: Machine) -> None:
    """Raise unless the device is there, and the named meter works on it."""
    machine.check_device(options.device)
    if options.meter:
        from harness.measurement.energy.selection import require_meter

        require_meter(chosen_meter(machine, options.device, options.meter), options.meter)


def _scenarios(options: RunOptions) -> tuple[str, ...]:
    if options.boundary != "process":
        return options.scenarios or ("single-stream",)
    if set(options.scenarios) <= {"offline"}:
        return ("offline",)
    raise UsageError(
        "at boundary process a program gets all requests of a visit at once, which is scenario offline.",
        remedy="Leave out --scenario, or name offline alone.",
    )


def _check_instances(options: RunOptions) -> None:
    """Refuse copies of rungs, which have their own number, and of programs."""
    others = options.ladder or options.command or options.servers
    if options.instances > 1 and (others or options.boundary == "process"):
        raise UsageError(
            "copies are made of our own variants, at boundary encoded or text.",
            where="--instances",
            remedy="Leave it out; a rung of a ladder has its own `instances`.",
        )


def _null_test(options: RunOptions) -> RunOptions:
    """Return the options of a null test: one variant, and no untimed pass for quality."""
    if options.variants or options.ladder or options.command or options.servers:
        raise UsageError(
            "a null test measures one variant against itself.",
            where="--null-test",
            remedy="Leave out --variants, --system-command, --system-url and the ladder.",
        )
    if options.null_copies is not None and options.null_copies < 2:  # noqa: PLR2004
        raise UsageError(
            f"--null-copies must be 2 or more, got {options.null_copies}.",
            where="--null-copies",
            remedy="The first copy is the reference of all others.",
        )
    return replace(options, variants=single_variant(options.null_test), quality="sample")


def _check_command(options: RunOptions) -> None:
    """Refuse an external program where it cannot be measured."""
    if options.boundary == "encoded":
        raise UsageError(
            "an external program reads text, so it is compared at boundary text or process only.",
            remedy="Add --boundary text: then tokenisation is inside the clock for all variants.",
        )
    if options.boundary == "process":
        from harness.runs.worker.process_command import split_command

        split_command(options.command)


def _check_servers(options: RunOptions, names: Sequence[str], catalog: Catalog) -> None:
    """Refuse model servers where they cannot be measured, and the name of one that a variant has."""
    if (options.servers or NULL_SERVER in names) and options.boundary != "text":
        raise UsageError(
            "a model server reads text, so it is compared at boundary text only.",
            remedy="Add --boundary text: then tokenisation is inside the clock for all variants.",
        )
    for server in options.servers:
        if server.name in catalog.variants and server.reads_input:
            raise UsageError(
                f"{server.name} is the name of a variant.",
                where="--system-url",
                remedy="Give the server another name.",
            )
        if reason := catalog.variant(server.name, server.to_json()).unavailable():
            raise UsageError(
                f"{server.name} cannot be measured here: its client {reason}.", where="--system-url"
            )


def _servers(
    options: RunOptions, names: Sequence[str], catalog: Catalog, machine: Machine
) -> tuple[ServerDefinition, ...]:
    """Return the servers, the one that answers at once included, with the CPUs of their clients."""
    servers = with_null_server(options.servers, names, catalog, options.connections)
    if not any(server.command for server in servers):
        return servers
    cpus = tuple(machine.cpus())
    return with_client_cpus(servers, machine.spare_cpus(cpus[: options.threads or len(cpus)]))


def _variants(
    options: RunOptions, catalog: Catalog, machine: Machine, narrator: ProgressReporter
) -> tuple[tuple[str, ...], Mapping[str, str] | None]:
    """Return the variants to measure, and those of the default ones that are left out, with the reasons."""
    if options.ladder:
        return _rungs(options.ladder, catalog, options.threads or len(machine.cpus())), None
    # a catalog need not have every default variant
    defaults = (name for name in default_variants(options.device) if name in catalog.variants)
    names = options.variants or tuple(defaults)
    names = expand_words(names, options.device, catalog, narrator.warn)
    if options.command and COMMAND not in names:
        names = (*names, COMMAND)
    names = (*names, *(server.name for server in options.servers if server.name not in names))
    if COMMAND in names:
        _check_command(options)
    _check_servers(options, names, catalog)
    if len(set(names)) < len(names):
        raise UsageError("a variant is named twice.", remedy="Name each variant once.")
    served = {server.name for server in options.servers}
    reasons = {name: catalog.why_not(name, options.device) for name in names if name not in served}
    for name, reason in reasons.items():
        if reason and (options.variants or name == COMMAND):
            raise UsageError(
                f"{name} cannot run here: {reason.rstrip('.')}.", remedy="`bench doctor` shows what can."
            )
        if reason:
            narrator.warn(f"{name} is left out: {reason}")
    left_out = {name: reason for name, reason in reasons.items() if reason}
    return tuple(name for name in names if name not in left_out), None if options.variants else left_out


def able(ladder: Ladder, catalog: Catalog, narrator: ProgressReporter) -> Ladder:
    """Return the ladder without the optional rungs that cannot run here; each is reported."""
    reasons = {
        rung.name: reason
        for rung in ladder.rungs
        if rung.optional and (reason := catalog.rung(rung.words()).unavailable())
    }
    for name, reason in reasons.items():
        narrator.warn(f"rung {name} is left out: {reason}")
    if not reasons:
        return ladder
    return ladder.only(tuple(rung.name for rung in ladder.rungs if rung.name not in reasons))


def _rungs(ladder: Ladder, catalog: Catalog, cores: int) -> tuple[str, ...]:
    """Return the names of the ladder's rungs; UsageError for one whose recipes or engine are missing."""
    for rung in ladder.rungs:
        check_variables(rung.environment, f"rung {rung.name!r}")
        if rung.count(cores) > cores:
            raise UsageError(
                f"rung {rung.name!r} has {rung.instances} instances on {cores} threads.",
                remedy="Give each instance a thread at least: lower `instances`, or write `cores`.",
            )
        if reason := catalog.rung(rung.words()).unavailable():
            raise UsageError(
                f"rung {rung.name!r} cannot run here: {reason.rstrip('.')}.",
                remedy="Leave it out with --rungs.",
            )
    return tuple(rung.name for rung in ladder.rungs)


def _check_numbers(options: RunOptions, cores: int) -> None:
    for name, value, high in (
        ("--threads", options.threads, cores),
        ("--instances", options.instances, options.threads or cores),
        ("--rounds", options.rounds, 10_000),
        ("--launches", options.launches, 1_000),
        ("--limit", options.sample, 10_000_000),
        ("--max-length", options.max_length, MAXIMUM_LENGTH),
    ):
        if value is not None and not 1 <= value <= high:
            limit = f"this process may use {cores} CPUs" if name == "--threads" else f"at most {high:,}"
            raise UsageError(f"{name} {value} is out of range.", remedy=f"It is at least 1; {limit}.")

    if options.time_budget_s is not None and options.precision is None:
        raise UsageError(
            "--time-budget limits the rounds that --precision adds, and --precision is missing.",
            remedy="Add --precision 2%, or set the number of rounds with --rounds.",
        )
