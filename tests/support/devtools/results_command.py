"""The command that repeats a run, put together from the settings that its records hold.

Options at their defaults are left out. Records hold base names in place of paths, so `DIR` stands for a
folder and `FILE` for a ladder that does not ship.
"""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from harness.catalog import NULL_SERVER
from harness.records.record import Record
from harness.studies.untrained_shapes import STUDIES
from optimized.ladders import LADDERS

_DEFAULTS = {
    "split": "val",
    "device": "cpu",
    "boundary": "encoded",
    "max_length": 256,
    "profile": "default",
    "rounds": None,
    "launches": None,
    "limit": None,
    "seed": 0,
    "quality": "full",
}
"""The options whose value a record holds as the command line takes it, with their defaults."""

_CHOSEN = frozenset(
    {
        *("task", "data", "model", "ladder", "variants", "scenarios", "threads", "roofline"),
        *("rates", "window_ms", "servers"),
    }
)
"""The other settings that are part of a command."""

_WIDTH = 110
"""Columns of a line, unless an option alone is longer."""

_SET_BY_STUDY = frozenset({"max_length", "quality"})


def command_of(record: Record) -> str:
    """Return the command of the run that a record is from, on several lines where it is long.

    Raises ValueError for a setting that has no place in the command.
    """
    config = record.configuration
    unplaced = sorted(set(config) - set(_DEFAULTS) - _CHOSEN)
    if unplaced:
        raise ValueError(f"{record.run}: settings without an option in the command: {', '.join(unplaced)}")
    study = _study(config)
    arguments = [
        *(_ladder(config, study) if "ladder" in config else ["bench", "run"]),
        *([] if study else _task_and_model(record)),
        *([] if "ladder" in config else _variants(config)),
        "--threads",
        str(config["threads"]),
        *_options(config, left_out=_SET_BY_STUDY if study else frozenset()),
    ]
    return wrapped(shlex.join(arguments))


def _study(config: Mapping[str, Any]) -> str:
    """Return the value of `--shapes` that the run was made with, or an empty string."""
    if not config["data"].startswith("lengths-"):
        return ""
    made_from = (config["ladder"]["name"], config["model"], config["task"])
    return next(
        name for name, study in STUDIES.items() if (study.ladder, study.model, study.task) == made_from
    )


def _ladder(config: Mapping[str, Any], study: str) -> Iterator[str]:
    """Yield the arguments that choose ladder, rungs and parameters."""
    ladder = config["ladder"]
    rungs = [rung["name"] for rung in ladder["rungs"]]
    shipped = LADDERS.get(ladder["name"], {})
    all_rungs = [rung["name"] for rung in shipped.get("rungs", ())]
    ships = set(rungs) <= set(all_rungs)
    yield from ("bench", "ladder")
    yield from ("--shapes", study) if study else ("--ladder", ladder["name"] if ships else "FILE")
    if ships and rungs != all_rungs:
        yield from ("--rungs", ",".join(rungs))
    defaults = shipped.get("parameters", {}) if ships else {}
    for name, value in ladder["parameters"].items():
        if defaults.get(name) != value:
            yield from ("--set", f"{name}={value}")


def _task_and_model(record: Record) -> Iterator[str]:
    yield from ("--task", record.cell.task)
    if record.data.tier == "local":
        yield from ("--data", "DIR")
    model = record.configuration["model"]
    if model != "embedded":
        yield from ("--model", f"DIR/{model}" if record.model.tier == "local" else model)


def _variants(config: Mapping[str, Any]) -> Iterator[str]:
    urls = set(config.get("servers", {})) - {NULL_SERVER}
    yield from ("--variants", ",".join(name for name in config["variants"] if name not in urls))
    if config["scenarios"] != ["single-stream"]:
        yield from ("--scenario", ",".join(config["scenarios"]))


def _options(config: Mapping[str, Any], left_out: frozenset[str]) -> Iterator[str]:
    for name, default in _DEFAULTS.items():
        value = config.get(name, default)
        if name not in left_out and value != default:
            yield from (f"--{name.replace('_', '-')}", str(value))
    if rates := config.get("rates"):
        yield from ("--rate", ",".join(f"{rate:g}" for rate in rates))
    if window_ms := config.get("window_ms"):
        yield from ("--window", f"{window_ms}ms")
    if config.get("roofline"):
        yield "--roofline"
    yield from _servers(config.get("servers", {}))


def _servers(servers: Mapping[str, Any]) -> Iterator[str]:
    """Yield the options of model servers; records hold neither their addresses nor their commands."""
    for name, settings in servers.items():
        if name == NULL_SERVER:
            continue
        yield from ("--system-url", f"{name}=URL", "--system-server", f"{name}:COMMAND")
        if settings["protocol"] == "json":
            yield from ("--system-template", f"{name}:FILE")
        if "separator" in settings:
            yield from ("--system-separator", f"{name}:{settings['separator']}")


def wrapped(command: str) -> str:
    """Break a command before the options that do not fit on the line."""
    first, *options = command.split(" --")
    lines = [first]
    for option in options:
        if len(lines[-1]) + len(f" --{option} \\") > _WIDTH:
            lines.append(f"    --{option}")
        else:
            lines[-1] += f" --{option}"
    return " \\\n".join(lines)
