"""`bench doctor`: what can be measured on this machine, and how to enable the rest."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.environment.acceptance import AcceptFile, accept_machine
from harness.cli.environment.meter_check import check_lines
from harness.cli.options.execution import Busy, MeterName
from harness.cli.options.output import Json, StoreFolder
from harness.cli.options.panels import plain_option
from harness.cli.options.selection import DeviceName
from harness.cli.output.terminal import hanging, print_json, terminal_columns
from harness.common.errors import UsageError

if TYPE_CHECKING:
    from harness.common.json_types import JsonObject
    from harness.measurement.energy.meter import MeterChoice
    from harness.runs.services import Machine


READY = "ready"

NEEDS_A_GPU = (
    "It needs NVIDIA's driver, nvidia-ml-py, and a PyTorch that is built for CUDA (docs/howto/gpu.md)"
)


def doctor(
    context: CliContext,
    device: DeviceName = "cpu",
    meter: MeterName = "",
    check: Annotated[
        bool, plain_option("--check", "Test the meter: whether it moves, how often, in what steps.")
    ] = False,
    accept: AcceptFile = None,
    busy: Busy = "wait",
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Show what can be measured here, and how to enable the rest."""
    from harness.measurement.machine.devices import one_device

    device = one_device(device)
    if accept:
        if check or meter or store:
            remedy = "Leave out --check, --meter and --store."
            raise UsageError("--accept tries every counter by itself.", where="--accept", remedy=remedy)
        raise typer.Exit(accept_machine(context, device, accept, busy, json=json))
    choice, meter_check = _choose_meter(context.machine(), device, meter, check=check)
    facts = _examine(context, device, choice, store)
    if check:
        facts["check"] = meter_check
    if json:
        print_json(facts)
    else:
        _print(facts)


def _choose_meter(
    machine: "Machine", device: str, name: str, *, check: bool
) -> "tuple[MeterChoice, JsonObject | None]":
    """Return the meter and its self-check; without a name, one that does not move is replaced by the next."""
    from harness.measurement.energy.selection import require_meter
    from harness.measurement.energy.trial import usable_part
    from harness.measurement.machine.devices import device_kind
    from harness.runs.planning.meter_selection import SelectedMeter, select_meter, with_processor_meter
    from harness.runs.services import chosen_meter

    if check and not name:
        selected = select_meter(machine, device)
        return selected.choice, selected.check.facts() if selected.check else None
    choice = require_meter(chosen_meter(machine, device, name), name)
    if not name and device_kind(device) != "cpu":
        choice = with_processor_meter(
            SelectedMeter(choice, None), SelectedMeter(machine.choose_meter("cpu"), None)
        ).choice
    if not check or not choice.meter:
        return choice, None
    used, meter_check = usable_part(choice.meter, machine.try_meter)
    return replace(choice, meter=used), meter_check.facts()


def _examine(context: CliContext, device: str, choice: "MeterChoice", store: Path | None) -> "JsonObject":
    machine, catalog = context.machine(), context.catalog()
    host, software, meter = machine.host(), machine.software(), choice.meter
    return {
        "device": device,
        "devices": _devices(machine, host.facts, software),
        "meter": meter.name if meter else None,
        "grade": meter.grade if meter else "unavailable",
        "meter_facts": meter.describe() if meter else {},
        "meters_skipped": [
            {"name": name, "because": reason, "to_allow_it": remedy}
            for name, reason, remedy in choice.skipped
        ],
        "variants": {name: catalog.why_not(name, device) or READY for name in catalog.variants},
        "cpus": list(machine.cpus()),
        "host": host.facts,
        "software": software,
        "cache": _folder(context.cache()),
        "store": _folder(context.store_folder(store)),
    }


def _devices(machine: "Machine", host: "JsonObject", software: dict[str, str]) -> dict[str, str]:
    """Return every device that `--device` accepts here; without a GPU, what is missing for one."""
    from harness.common.errors import BenchError

    devices, boards = {"cpu": "ready"}, host.get("gpus") or []
    built = f"; PyTorch {software['torch']} is built for CPUs" if "+cpu" in software.get("torch", "") else ""
    for index in range(max(1, len(boards))):
        name = f"cuda:{index}"
        try:
            machine.check_device(name)
        except BenchError as error:
            missing = f"unavailable, because {error.message.rstrip('.')}{built}. {NEEDS_A_GPU}"
            return devices if index else {**devices, "cuda": missing}
        number = machine.board(name)
        board = "a board"
        if number is not None and number < len(boards):
            board = f"{boards[number]['name']}, the driver's board {number}"
        devices[name] = board + built
    return devices


def _folder(path: Path) -> "JsonObject":
    """Return whether a folder, or the nearest existing one above it, is writable, and its free space."""
    existing = next(each for each in (path, *path.absolute().parents) if each.exists())
    status = os.statvfs(existing)
    return {
        "folder": str(path),
        "writable": existing.is_dir() and os.access(existing, os.W_OK),
        "free_gb": round(status.f_bavail * status.f_frsize / 1e9, 1),
    }


def _print(facts: "JsonObject") -> None:
    typer.echo("\n".join(_lines(facts, terminal_columns())))


def _lines(facts: "JsonObject", columns: int) -> Iterator[str]:
    """Yield one table for each kind of fact."""
    heading = {"measured": "measured", "modelled": "modelled, not measured", "unavailable": "unavailable"}
    device = facts["device"]
    yield f"Energy on {device}: {heading[facts['grade']]} (meter: {facts['meter'] or 'none'})"
    yield from hanging(((name, _format(fact)) for name, fact in facts["meter_facts"].items()), columns)
    if facts.get("check"):
        yield from check_lines(facts["check"])
    yield ""
    yield f"Meters not used on {device}"
    yield from hanging(map(_skipped_row, facts["meters_skipped"]), columns)
    yield from ("", "Devices")
    yield from hanging(facts["devices"].items(), columns)
    yield from ("", f"Variants on {device} (* is measured if none is named)")
    yield from hanging(_variant_rows(facts), columns)
    for kind in ("host", "software"):
        yield from ("", kind.capitalize())
        yield from hanging(((name, _format(fact)) for name, fact in facts[kind].items()), columns)
    yield from ("", "This process")
    yield from hanging(_process_rows(facts), columns)


def _skipped_row(row: "JsonObject") -> tuple[str, str]:
    return row["name"], f"{row['because']}. To allow it: {row['to_allow_it']}"


def _variant_rows(facts: "JsonObject") -> Iterator[tuple[str, str]]:
    """Yield each variant with its state: those that are ready first."""
    from harness.catalog import default_variants

    default = default_variants(facts["device"])
    states: dict[str, str] = facts["variants"]
    for name in sorted(states, key=lambda name: states[name] != READY):
        yield name + (" *" if name in default else ""), states[name]


def _process_rows(facts: "JsonObject") -> Iterator[tuple[str, str]]:
    yield "CPUs", _format(facts["cpus"])
    for kind in ("cache", "store"):
        folder = facts[kind]
        state = "writable" if folder["writable"] else "NOT writable"
        yield kind, f"{folder['folder']} ({state}, {folder['free_gb']} GB free)"


def _format(fact: object) -> str:
    if isinstance(fact, dict):
        return ", ".join(f"{name} {_format(value)}" for name, value in fact.items()) or "none"
    if isinstance(fact, list | tuple):
        separator = "; " if any(isinstance(each, dict) for each in fact) else ", "
        return separator.join(map(_format, fact)) or "none"
    return f"{fact:.4g}" if isinstance(fact, float) else str(fact)
