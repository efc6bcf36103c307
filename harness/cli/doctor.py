"""`bench doctor`: what can be measured on this machine, and how to allow the rest."""

import os
from pathlib import Path
from typing import Any

import typer

from harness.cli.options import DeviceName, Json, StoreFolder
from harness.cli.toolbox import Toolbox


def doctor(
    context: typer.Context,
    device: DeviceName = "cpu",
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Say what can be measured here, what cannot and why, and what would allow it."""
    found = _examined(context.obj, device, store)
    if json:
        import json as encoder

        typer.echo(encoder.dumps(found, indent=1))
    else:
        _print(found)


def _examined(toolbox: Toolbox, device: str, store: Path | None) -> dict[str, Any]:
    machine = toolbox.machine()
    choice = machine.choose_meter(device)
    host = machine.host()
    return {
        "device": device,
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
        "software": machine.software(),
        "cache": _folder(toolbox.cache()),
        "store": _folder(toolbox.store(store)),
    }


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
    for row in found["meters_skipped"]:
        typer.echo(f"  {row['name']} is not used: {row['because']}")
        typer.echo(f"    to allow it: {row['to_allow_it']}")
    for kind in ("variants", "host", "software"):
        typer.echo(kind.capitalize())
        for name, fact in found[kind].items():
            typer.echo(f"  {name}: {_words(fact)}")
    typer.echo(f"CPUs of this process: {_words(found['cpus'])}")
    for kind in ("cache", "store"):
        place = found[kind]
        state = "writable" if place["writable"] else "NOT writable"
        typer.echo(f"{kind.capitalize()}: {place['folder']} ({state}, {place['free_gb']} GB free)")


def _words(fact: object) -> str:
    return ", ".join(map(str, fact)) if isinstance(fact, list | tuple) else str(fact)
