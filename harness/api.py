"""The Python API: the commands as functions, which `import harness` offers and loads when they are used.

    from harness import read, report, run

Functions return what the commands print: records, or values with figures. Nothing is printed, and errors are
raised (`harness.common.errors`). Some names end in `_runs`, because `harness.analysis.statistics.ratios` and
`harness.analysis.gate.gate` are modules.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from harness.analysis.comparison import RunComparison
    from harness.analysis.gate.gate import GateOutcome
    from harness.analysis.history import Series
    from harness.catalog import Catalog
    from harness.common.progress import ProgressReporter
    from harness.measurement.machine.host_lock import OnBusy
    from harness.records.record import Record
    from harness.records.store import RunFolder, Store
    from harness.records.store.index.query import SqlValue
    from harness.records.store.index.rows import CellFigures
    from harness.records.store.merge import MergedRun
    from harness.runs.planning.options import RunOptions
    from harness.runs.services import Machine

Folder = str | os.PathLike[str]


def run(
    task: str = "boolq",
    *,
    data: Folder | None = None,
    model: str = "embedded",
    device: str = "cpu",
    meter: str = "",
    variants: Sequence[str] | None = None,
    scenarios: Sequence[str] = (),
    boundary: Literal["encoded", "text", "process"] = "encoded",
    threads: int | None = None,
    max_length: int = 256,
    profile: str = "default",
    rounds: int | None = None,
    limit: int | None = None,
    quality: Literal["full", "sample"] | None = None,
    seed: int = 0,
    store: Folder | None = None,
    cache: Folder | None = None,
    progress: "ProgressReporter | None" = None,
    machine: "Machine | None" = None,
    catalog: "Catalog | None" = None,
    busy: "OnBusy" = "wait",
) -> "list[Record]":
    """Measure variants of one task, interleaved, as `bench run` does, and return the sealed records.

    A cell that fails is a record with its failure. Guard the call with `if __name__ == "__main__":` in a
    script: workers are processes. `progress` receives stages and steps; `machine` and `catalog` can be fakes.
    `busy` is what to do while another bench measures on these CPUs: wait, refuse (MeasurementError) or share.
    """
    from harness.runs.planning.options import RunOptions

    options = RunOptions(
        task=task,
        data=None if data is None else Path(data),
        model=model,
        device=device,
        meter=meter,
        variants=None if variants is None else tuple(variants),
        scenarios=tuple(scenarios),
        boundary=boundary,
        threads=threads,
        max_length=max_length,
        profile=profile,
        rounds=rounds,
        sample=limit,
        quality=quality,
        seed=seed,
    )
    return _execute(options, store, cache, progress, machine, catalog, busy)


def _execute(
    options: "RunOptions",
    store: Folder | None,
    cache: Folder | None,
    progress: "ProgressReporter | None",
    machine: "Machine | None",
    catalog: "Catalog | None",
    busy: "OnBusy",
) -> "list[Record]":
    from harness.catalog import load_catalog
    from harness.common.progress import NoProgress
    from harness.runs.execution.exclusive import cpus_held
    from harness.runs.execution.multi_run import options_per_task, start_all
    from harness.runs.execution.run import execute
    from harness.runs.services import LocalMachine
    from harness.systems.artifact_cache import default_cache

    reporter, own_machine = progress or NoProgress(), machine or LocalMachine()
    opened, catalog = _store(store), catalog or load_catalog()
    own_cache = default_cache() if cache is None else Path(cache)
    planned = options_per_task(options, (options.task,), None, reporter)
    with cpus_held(own_machine, busy, reporter.warn) as hold_cpus:
        runs = start_all(planned, catalog, opened, own_cache, own_machine, reporter, hold_cpus)
        records = [record for started in runs for record in execute(started)]
    update_index(opened, [started.folder for started in runs], reporter)
    return records


def read(*runs: str, store: Folder | None = None) -> "list[Record]":
    """Return the records of these runs: ids, `latest` (the default), `all`, folders or files.

    Unreadable records are left out unless a run has no others; `bench report` names them.
    """
    from harness.analysis.loading import find_records

    opened = _store(store)
    if runs == ("all",):
        return opened.records(opened.runs())[0]
    return [record for name in runs or ("latest",) for record in find_records(name, opened).records]


def report(
    records: "Sequence[Record]",
    format: str = "text",  # noqa: A002 -- the option's own name
    *,
    tables: Sequence[str] = (),
    width: int = 120,
) -> str:
    """Return the report on these records in a text format: `text`, `markdown`, `html`, `junit`, ...

    `tables` are those of `bench report --tables`; `width`, in columns, applies to `text`.
    """
    from reports import CostFactors, Style, build_report, write_report

    return write_report(build_report(records, CostFactors()), format, Style(tuple(tables), width))


def compare_runs(before: str, after: str, *, store: Folder | None = None) -> "RunComparison":
    """Return what changed from one run to another, cell by cell, as `bench compare` does."""
    from harness.analysis import comparison
    from harness.analysis.loading import find_records, sample_access_of

    loaded = [find_records(name, _store(store)) for name in (before, after)]
    return comparison.compare_runs(loaded[0].records, loaded[1].records, sample_access_of(loaded))


def gate_runs(
    before: str, after: str, *, rules: Folder | None = None, store: Folder | None = None
) -> "GateOutcome":
    """Compare one run with another under the rules of a file (default: `bench.yaml`).

    The outcome has a `status` and the `exit_code` of `bench gate`. Cells that only `before` has count as not
    measured.
    """
    from harness.analysis.comparison import key_of, match_cells
    from harness.analysis.gate.gate import GatedCell, check_gate
    from harness.analysis.gate.rules import read_rules
    from harness.analysis.loading import find_records, sample_access_of

    loaded = [find_records(name, _store(store)) for name in (before, after)]
    matched = match_cells(loaded[0].records, loaded[1].records)
    absent = [(key_of(record), f"{after} does not have it") for record in matched.only_before]
    pairs = [GatedCell(base, head) for base, head in matched.pairs]
    gate_rules = read_rules(None if rules is None else Path(rules))
    return check_gate(pairs, gate_rules, raw=sample_access_of(loaded), absent=absent)


def track_runs(quantity: str = "throughput", *, store: Folder | None = None) -> "list[Series]":
    """Return each cell's history of a quantity over the runs of the store, with its change points."""
    from harness.analysis.history import build_history

    return build_history(read("all", store=store), quantity)


def query_store(
    sql: str, *, store: Folder | None = None, time_limit_s: float = 10.0
) -> "list[dict[str, SqlValue]]":
    """Return the rows of a `select` on the index of the store, as `bench query` does.

    The index is brought up to date first. UsageError for a query that does more than read.
    """
    from harness.common.progress import NoProgress
    from harness.records.store.index.query import run_query
    from harness.records.store.index.refresh import open_index

    with open_index(_store(store), index_figures, NoProgress()) as connection:
        result = run_query(connection, sql, time_limit_s=time_limit_s)
    return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


def merge_stores(*folders: Folder, store: Folder | None = None) -> "list[MergedRun]":
    """Copy the sealed runs of other stores into the store, as `bench store merge` does.

    Each run is checked against its hashes, and nothing is overwritten; the outcome of each is returned.
    """
    from harness.analysis.verification.sealed_files import check_sealed_files
    from harness.common.progress import NoProgress
    from harness.records.store.merge import merge_runs, runs_below

    runs = [run for folder in folders for run in runs_below(Path(folder))]
    into = _store(store)
    merged = list(merge_runs(runs, into, check_sealed_files))
    update_index(into, None, NoProgress())
    return merged


def update_index(store: "Store", runs: "Sequence[RunFolder] | None", progress: "ProgressReporter") -> None:
    """Bring the index of a store up to date for these runs, or for all; a warning where that fails.

    Nothing is lost then: the next query reads what has changed.
    """
    from harness.common.errors import StoreError
    from harness.records.store.index.refresh import refresh

    try:
        refresh(store, index_figures, progress, only=runs, wait_s=5.0)
    except StoreError as error:
        progress.warn(f"{error.message.rstrip('.')}: the next `bench query` does it.")


def index_figures(folder: "RunFolder", records: "Sequence[Record]") -> "Iterator[CellFigures]":
    """Yield the figures of the records of one run, as the CSV of a report on it has them, without costs."""
    from harness.analysis.loading import samples_in
    from harness.records.store.index.rows import CellFigures, FigureRow
    from reports import CostFactors, build_report
    from reports.exports.tidy.index_rows import cell_rows

    samples = samples_in({record.run: folder.path for record in records})
    counts = lambda record: (samples(record) or {}).get("counts")  # noqa: E731 -- of one expression
    report = build_report(records, CostFactors(), counts, one_family=False)
    for cell, quantities, basis in cell_rows(report):
        yield CellFigures(cell, [FigureRow._make(quantity) for quantity in quantities], basis)


def _store(folder: Folder | None) -> "Store":
    from harness.records.store import Store

    return Store(Path(folder or os.environ.get("BENCH_STORE") or "results"))
