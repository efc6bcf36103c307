"""`bench store`: runs of other stores are merged into one, and the index is made again."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.groups import add_command, option_app
from harness.cli.options.output import Json, Quiet, StoreFolder
from harness.cli.options.units import plural
from harness.common.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.common.json_types import JsonObject
    from harness.records.store import Store
    from harness.records.store.merge import MergedRun

_OUTCOME_TEXTS = {
    "copied": "copied",
    "present": "there already",
    "unfinished": "not finished, left out",
    "conflict": "not copied",
    "refused": "refused",
}
"""The outcomes of a run as people read them, in order."""


def merge(
    context: CliContext,
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Stores, or folders of runs.")],
    store: StoreFolder = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Copy sealed runs of other stores here, each checked. Exits with 7 if one was changed since its seal."""
    from harness.cli.output.terminal import print_json, print_lines

    into = context.open_store(store)
    merged = _merge(into, folders, quiet=quiet)
    if json:
        print_json([_facts(run) for run in merged])
    else:
        print_lines(_lines(merged, into))
    raise typer.Exit(_exit_code(merged))


def index(context: CliContext, store: StoreFolder = None, quiet: Quiet = False) -> None:
    """Make the index of the store again from its sealed files."""
    from harness.api import index_figures
    from harness.cli.output.progress import progress_reporter
    from harness.cli.output.store_index import index_of, report_skipped
    from harness.records.store.index.refresh import FILE, rebuild

    opened = context.open_store(store)
    if not opened.runs():
        raise UsageError(
            "the store holds no runs.", where=str(opened.root), remedy="Measure one with `bench run`."
        )
    with progress_reporter(quiet=quiet) as progress:
        rebuild(opened, index_figures, progress)
    with index_of(opened) as connection:
        runs, cells = connection.execute("select count(*), sum(cells) from runs").fetchone()
        skipped = report_skipped(connection)
    size = (opened.root / FILE).stat().st_size
    typer.echo(f"{opened.root / FILE}: {plural(runs, 'run')}, {plural(cells, 'cell')}, {size / 1e6:.1f} MB")
    if skipped:
        raise typer.Exit(ExitCode.PARTIAL)


store_app = option_app("Merge stores, and make the index of one again.")
add_command(store_app, "merge", merge)
add_command(store_app, "index", index)


def _merge(into: "Store", folders: "Sequence[Path]", *, quiet: bool) -> "list[MergedRun]":
    from harness.analysis.verification.sealed_files import check_sealed_files
    from harness.api import update_index
    from harness.cli.output.progress import progress_reporter
    from harness.records.store.merge import merge_runs, runs_below

    for folder in folders:
        if folder.resolve() == into.root.resolve():
            raise UsageError("a store cannot be merged into itself.", where=str(folder))
    runs = [run for folder in folders for run in runs_below(folder)]
    merged = []
    with progress_reporter(quiet=quiet) as progress:
        progress.stage("merge", len(runs))
        for run in merge_runs(runs, into, check_sealed_files):
            merged.append(run)
            progress.step()
        update_index(into, None, progress)
    return merged


def _exit_code(merged: "Sequence[MergedRun]") -> ExitCode:
    outcomes = {run.outcome for run in merged}
    if "refused" in outcomes:
        return ExitCode.MISMATCH
    return ExitCode.PARTIAL if outcomes & {"conflict", "unfinished"} else ExitCode.DONE


def _facts(run: "MergedRun") -> "JsonObject":
    return {"run": run.name, "outcome": run.outcome, "records": run.records, "reasons": list(run.reasons)}


def _lines(merged: "Sequence[MergedRun]", into: "Store") -> list[str]:
    """Return a line on each run that was not copied or not checked in full, and the totals."""
    lines = [
        f"{run.name}: {_OUTCOME_TEXTS[run.outcome]}: {reason}"
        for run in merged
        if run.outcome != "copied"
        for reason in run.reasons
    ]
    unchecked = Counter(reason for run in merged if run.outcome == "copied" for reason in run.reasons)
    lines += [f"not checked in {plural(count, 'run')}: {reason}" for reason, count in unchecked.items()]
    totals = Counter(str(run.outcome) for run in merged)
    records = sum(run.records for run in merged if run.outcome == "copied")
    parts = [f"{plural(totals[name], 'run')} {text}" for name, text in _OUTCOME_TEXTS.items() if totals[name]]
    return [*lines, f"{into.root}: {', '.join(parts) or 'no runs'}; {plural(records, 'record')} copied"]
