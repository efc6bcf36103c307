"""The command that exports the variant of a record, with the task, model and data of its run.

A record holds base names and no paths. Right after a run its paths are known; later `PATH/TO/` stands for
what the reader must fill in.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.common.json_types import JsonValue
from harness.records.estimate import Unavailable
from harness.records.record import Record
from harness.workload.tasks.custom import CUSTOM

EXPORTED_ENGINES = ("onnxruntime", "native", "openvino", "ctranslate2")
"""Engines of which the serving script runs what was prepared."""

DEFAULT_LENGTH = 256
_UNKNOWN_FOLDER = "PATH/TO/"
_ADAPTIVE = ("exits", "kept_percent", "stages")
"""Facts of systems that decide anew for each request, which the serving script does not."""


@dataclass(frozen=True, slots=True)
class ExportPaths:
    """The paths of a run as its command named them; empty where the run had none."""

    data: str = ""
    model: str = ""
    ladder: str = ""
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)


NO_PATHS = ExportPaths()


def export_command(record: Record, paths: ExportPaths = NO_PATHS) -> str | Unavailable:
    """Return the command as a shell takes it, or why this variant cannot be exported."""
    if reason := _obstacle(record):
        return Unavailable(reason)
    command = ["bench", "export", record.cell.variant, *_arguments(record, paths)]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{record.cell.task}-{record.cell.variant}")
    return shlex.join([*command, "--output", f"served/{name}"])


def _obstacle(record: Record) -> str:
    effective = record.placement.effective if record.placement else {}
    engine = str(effective.get("engine", "unknown"))
    if record.cell.device != "cpu":
        return "bench export serves on CPUs"
    if engine == "model server":
        return "it is a model server already"
    if record.cell.command or record.cell.variant == "command":
        return "it is a program of your own"
    if any(name in effective for name in _ADAPTIVE):
        return "the rule by which it decides how much to compute for a request runs in this project's code"
    if engine == "pytorch":
        return "it runs in PyTorch with this project's code"
    return "" if engine in EXPORTED_ENGINES else f"its engine is {engine}, which the serving script lacks"


def _arguments(record: Record, paths: ExportPaths) -> Iterator[str]:
    options = record.configuration
    yield from ("--task", record.cell.task)
    if record.data.tier != "embedded":
        yield from ("--data", _path(paths.data, options.get("data") or record.data.name))
    if record.cell.task == CUSTOM:
        yield from _columns(options.get("custom") or {})
    yield from ("--split", record.data.split)
    if record.model.tier != "embedded":
        yield from ("--model", _model(record, paths))
    if record.cell.max_length != DEFAULT_LENGTH:
        yield from ("--max-length", str(record.cell.max_length))
    if ladder := options.get("ladder"):
        yield from ("--ladder", paths.ladder or str(ladder["name"]))
        parameters = paths.parameters or ladder.get("parameters") or {}
        for name, value in parameters.items():
            yield from ("--set", f"{name}={value}")


def _model(record: Record, paths: ExportPaths) -> str:
    if record.model.tier == "online":
        return paths.model or record.model.name
    return _path(paths.model, record.model.name)


def _path(given: str, base: JsonValue) -> str:
    return given or f"{_UNKNOWN_FOLDER}{base}"


def _columns(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the options that describe a user's own file."""
    for option in ("text", "label"):
        if value := facts.get(option):
            yield from (f"--{option}", value if isinstance(value, str) else ",".join(map(str, value)))
    if labels := facts.get("labels"):
        yield from ("--labels", ",".join(map(str, labels)))
    if metric := facts.get("metric"):
        yield from ("--metric", str(metric).replace("_", "-"))
    if facts.get("held_out") is not None:
        yield from ("--held-out", f"{facts['held_out']:g}")
    if facts.get("truncate"):
        yield from ("--truncate", str(facts["truncate"]))
    if facts.get("multi_label"):
        yield from ("--threshold", f"{facts['threshold']}")
