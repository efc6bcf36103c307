"""`bench doctor --accept FILE`: try every energy counter here, and keep what it did in one archive."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

from harness.cli.context import CliContext
from harness.cli.environment.meter_check import check_lines
from harness.cli.options.panels import plain_option
from harness.cli.output.terminal import print_json, print_lines
from harness.common.errors import DeviceError, ExitCode, UsageError

if TYPE_CHECKING:
    from harness.common.json_types import JsonObject
    from harness.measurement.machine.host_lock import OnBusy
    from harness.studies.acceptance import Acceptance

AcceptFile = Annotated[
    Path | None,
    plain_option(
        "--accept FILE.zip", "Try every energy counter, in minutes, and keep the result in an archive."
    ),
]


def accept_machine(context: CliContext, device: str, path: Path, busy: "OnBusy", *, json: bool) -> ExitCode:
    """Record the counters and a short run, write the archive, and print what was found; return the exit code.

    NOTHING_MEASURED without a counter, PARTIAL where the run failed or the counters have a problem.
    """
    from contextlib import suppress
    from importlib.metadata import version

    from harness.cli.output.progress import notices, progress_reporter
    from harness.records.store import Store
    from harness.studies.acceptance import accept, short_run, write_archive

    _check_target(path)
    machine, cache = context.machine(), context.cache()
    with suppress(DeviceError):  # the archive says why a device is missing; a name that is none is refused
        machine.check_device(device)
    with (
        TemporaryDirectory() as scratch,
        progress_reporter(quiet=json) as progress,
        machine.hold_cpus(busy, notices(progress, quiet=json)),
    ):
        acceptance = accept(machine, device, progress, version=version("fastformers-bench"))
        catalog, store = context.catalog(), Store(Path(scratch))
        acceptance, folder = short_run(acceptance, catalog, store, cache, machine, progress)
        write_archive(path, acceptance, folder)
    if json:
        print_json(_facts(acceptance, path))
    else:
        print_lines(_lines(acceptance, path))
    if not acceptance.counters:
        return ExitCode.NOTHING_MEASURED
    sound = acceptance.run is not None and not acceptance.findings["problems"]
    return ExitCode.DONE if sound else ExitCode.PARTIAL


def _check_target(path: Path) -> None:
    """Refuse a name that is taken, or lies in no folder, before anything is measured."""
    if path.exists() or path.is_symlink():  # a link that leads nowhere takes the name as well
        raise UsageError("the file exists already.", where=str(path), remedy="Name a new file.")
    if not path.parent.is_dir():
        raise UsageError("there is no such folder.", where=str(path.parent), remedy="Create it first.")
    if not os.access(path.parent, os.W_OK):
        raise UsageError("the folder is not writable.", where=str(path.parent), remedy="Name another folder.")


def _facts(acceptance: "Acceptance", path: Path) -> "JsonObject":
    return {
        "archive": str(path),
        "findings": acceptance.findings,
        "missing": [item.model_dump() for item in acceptance.missing],
        "run": acceptance.run,
        "run_reason": acceptance.run_reason,
    }


def _lines(acceptance: "Acceptance", path: Path) -> Iterator[str]:
    """Yield each meter's check and watts, what disagrees, what is missing, and where the archive is."""
    findings = acceptance.findings
    if not acceptance.counters:
        yield "No energy counter can be read here, so nothing was measured."
    for counter in findings["counters"]:
        yield from check_lines(counter["check"])
        for phase, watts in counter["watts"].items():
            shown = (f"{zone} {_format_watts(value)}" for zone, value in watts.items())
            yield f"  {phase}: {', '.join(shown)}"
    for item in findings["agreements"]:
        names = f"{item['first']} over {item['second']}"
        yield f"{names}, {item['zone']}, {item['phase']}: {item['ratio']:.3f}"
    for missing in acceptance.missing:
        yield f"{missing.meter}: unavailable, because {missing.reason}. To allow it: {missing.remedy}"
    yield from (f"Problem: {problem}" for problem in findings["problems"])
    if acceptance.run_reason and acceptance.counters:
        yield f"The short run is unavailable, because {acceptance.run_reason}"
    yield f"Archive: {path}. `bench verify {path}` checks it; docs/howto/acceptance.md asks for it."


def _format_watts(value: object) -> str:
    return f"{value:.1f} W" if isinstance(value, int | float) else f"unavailable, because {value}"
