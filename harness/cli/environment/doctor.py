"""`bench doctor`: what can be measured on this machine, and how to allow the rest."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.context import CliContext
from harness.cli.options.common import DeviceName, Json, MeterName, StoreFolder

if TYPE_CHECKING:
    from harness.measurement.energy.meter import MeterChoice
    from harness.runs.services import Machine


NEEDS_A_GPU = "It needs NVIDIA's driver, nvidia-ml-py, and a PyTorch that is built for CUDA (docs/gpu.md)"


def doctor(
    context: typer.Context,
    device: DeviceName = "cpu",
    meter: MeterName = "",
    check: Annotated[
        bool, typer.Option("--check", help="Try the meter: does it move, how often, in what steps?")
    ] = False,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Say what can be measured here, what cannot and why, and what would allow it."""
    from harness.measurement.machine.devices import one_device

    device = one_device(device)
    choice, checked = _metered(context.obj.machine(), device, meter, check=check)
    found = {**_examined(context.obj, device, choice, store), **({"check": checked} if check else {})}
    if json:
        import json as encoder

        typer.echo(encoder.dumps(found, indent=1))
    else:
        _print(found)


def _metered(
    machine: "Machine", device: str, wanted: str, *, check: bool
) -> tuple["MeterChoice", dict[str, Any] | None]:
    """Return the meter and what its check shows; one that does not move gives way, unless it was named."""
    from harness.measurement.energy.selection import require_meter
    from harness.measurement.machine.devices import device_kind
    from harness.runs.planning.meter_selection import SelectedMeter, select_meter, with_processor_meter
    from harness.runs.services import chosen_meter

    if check and not wanted:
        found = select_meter(machine, device)
        return found.choice, found.check.facts() if found.check else None
    choice = require_meter(chosen_meter(machine, device, wanted), wanted)
    if not wanted and device_kind(device) != "cpu":
        choice = with_processor_meter(
            SelectedMeter(choice, None), SelectedMeter(machine.choose_meter("cpu"), None)
        ).choice
    return choice, machine.try_meter(choice.meter).facts() if check and choice.meter else None


def _examined(toolbox: CliContext, device: str, choice: "MeterChoice", store: Path | None) -> dict[str, Any]:
    machine = toolbox.machine()
    host = machine.host()
    software = machine.software()
    return {
        "device": device,
        "devices": _devices(machine, host.facts, software),
        "meter": choice.meter.name if choice.meter else None,
        "grade": choice.meter.grade if choice.meter else "unavailable",
        "meter_facts": choice.meter.describe() if choice.meter else {},
        "meters_skipped": [
            {"name": name, "because": why, "to_allow_it": remedy} for name, why, remedy in choice.skipped
        ],
        "variants": {
            name: variant.unavailable() or "ready" for name, variant in toolbox.catalog().variants.items()
        },
        "cpus": list(machine.cpus()),
        "host": host.facts,
        "software": software,
        "cache": _folder(toolbox.cache()),
        "store": _folder(toolbox.store(store)),
    }


def _devices(machine: "Machine", facts: dict[str, Any], software: dict[str, str]) -> dict[str, str]:
    """Return every device that `--device` takes here, and where there is no GPU what is missing."""
    from harness.common.errors import BenchError

    found, boards = {"cpu": "ready"}, facts.get("gpus") or []
    built = f"; PyTorch {software['torch']} is built for CPUs" if "+cpu" in software.get("torch", "") else ""
    for index in range(max(1, len(boards))):
        name = f"cuda:{index}"
        try:
            machine.check_device(name)
        except BenchError as problem:
            missing = f"unavailable, because {problem.message.rstrip('.')}{built}. {NEEDS_A_GPU}"
            return found if index else {**found, "cuda": missing}
        number = machine.board(name)
        told = boards[number : number + 1] if number is not None else []
        found[name] = "".join(f"{each['name']}, the driver's board {number}" for each in told) or "a board"
        found[name] += built
    return found


def _folder(path: Path) -> dict[str, Any]:
    """Say whether a folder, or the nearest one above it that exists, can be written, and its free space."""
    existing = next(place for place in (path, *path.absolute().parents) if place.exists())
    status = os.statvfs(existing)
    return {
        "folder": str(path),
        "writable": os.access(existing, os.W_OK),
        "free_gb": round(status.f_bavail * status.f_frsize / 1e9, 1),
    }


def _print(found: dict[str, Any]) -> None:
    heading = {"measured": "measured", "modelled": "modelled, not measured", "unavailable": "unavailable"}
    typer.echo(f"Energy on {found['device']}: {heading[found['grade']]} (meter: {found['meter'] or 'none'})")
    for name, fact in found["meter_facts"].items():
        typer.echo(f"  {name}: {fact}")
    if found.get("check"):
        typer.echo("\n".join(check_lines(found["check"])))
    for row in found["meters_skipped"]:
        typer.echo(f"  {row['name']} is not used: {row['because']}")
        typer.echo(f"    to allow it: {row['to_allow_it']}")
    for kind in ("devices", "variants", "host", "software"):
        typer.echo(kind.capitalize())
        for name, fact in found[kind].items():
            typer.echo(f"  {name}: {_words(fact)}")
    typer.echo(f"CPUs of this process: {_words(found['cpus'])}")
    for kind in ("cache", "store"):
        place = found[kind]
        state = "writable" if place["writable"] else "NOT writable"
        typer.echo(f"{kind.capitalize()}: {place['folder']} ({state}, {place['free_gb']} GB free)")


def check_lines(check: dict[str, Any]) -> list[str]:
    """Return what a meter's check showed, in words."""
    if check["moved"] is None:
        return [f"Self-check of {check['meter']}: not made, because {check['reason']}"]
    if not check["moved"]:
        return [f"Self-check of {check['meter']}: it cannot be used, because {check['reason']}"]
    lines = [f"Self-check of {check['meter']}: {check['reads']} reads in {check['span_ns'] / 1e9:.2f} s"]
    lines += [f"  {zone['zone']}: {_zone_words(zone)}" for zone in check["zones"]]
    agreement = f"unavailable, because {check['agreement_reason']}"
    if check["agreement"] is not None:
        agreement = f"its power is {check['agreement']:.2f} times that of the power sensor"
    least_s, error = check["least_window_ms"] / 1e3, 100 * check["error"]
    window = f"{least_s:g} s or more are sure to {error:g} %; a run makes its visits as long, up to 30 s"
    return [*lines, f"  agreement: {agreement}", f"  windows: {window}"]


def _zone_words(zone: dict[str, Any]) -> str:
    wraps = zone["wraps_after_s"]
    return (
        f"steps every {zone['update_ns'] / 1e6:.3g} ms, quantum at most {zone['quantum_uj']} uJ, "
        f"{zone['watts']:.1f} W now, differences sure to {zone['uncertainty_uj'] / 1e6:.3g} J, "
        + (f"wraps after {wraps / 3600:.3g} h" if wraps else "range unknown")
    )


def _words(fact: object) -> str:
    if isinstance(fact, dict):
        return ", ".join(f"{name} {value}" for name, value in fact.items()) or "none"
    if isinstance(fact, list | tuple):
        between = "; " if any(isinstance(each, dict) for each in fact) else ", "
        return between.join(map(_words, fact)) or "none"
    return str(fact)
