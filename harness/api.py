"""The Python API: the commands as functions, which `import harness` offers and loads when they are used.

    from harness import read, report, run

Functions return what the commands print: records, or values with figures. Nothing is printed, and errors are
raised (`harness.common.errors`). Some names end in `_runs`, because `harness.analysis.statistics.ratios` and
`harness.analysis.gate.gate` are modules.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from harness.analysis.comparison import RunComparison
    from harness.analysis.gate.gate import GateOutcome
    from harness.analysis.history import Series
    from harness.catalog import Catalog
    from harness.common.progress import ProgressReporter
    from harness.records.record import Record
    from harness.records.store import Store
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
) -> "list[Record]":
    """Measure variants of one task, interleaved, as `bench run` does, and return the sealed records.

    A cell that fails is a record with its failure. Guard the call with `if __name__ == "__main__":` in a
    script: workers are processes. `progress` receives stages and steps; `machine` and `catalog` can be fakes.
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
    return _execute(options, store, cache, progress, machine, catalog)


def _execute(
    options: "RunOptions",
    store: Folder | None,
    cache: Folder | None,
    progress: "ProgressReporter | None",
    machine: "Machine | None",
    catalog: "Catalog | None",
) -> "list[Record]":
    from harness.catalog import load_catalog
    from harness.common.progress import NoProgress
    from harness.runs.execution.run import execute
    from harness.runs.multi_run import options_per_task, start_all
    from harness.runs.services import LocalMachine
    from harness.systems.artifact_cache import default_cache

    reporter = progress or NoProgress()
    return [
        record
        for started in start_all(
            options_per_task(options, (options.task,), None, reporter),
            catalog or load_catalog(),
            _store(store),
            default_cache() if cache is None else Path(cache),
            machine or LocalMachine(),
            reporter,
        )
        for record in execute(started)
    ]


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


def _store(folder: Folder | None) -> "Store":
    from harness.records.store import Store

    return Store(Path(folder or os.environ.get("BENCH_STORE") or "results"))
