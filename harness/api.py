"""What the commands do, as functions: the Python API, which `import harness` offers and loads when used.

    from harness import read, report, run

A function returns what a command prints: records, or values with figures in them. What goes wrong is raised,
as `harness.common.errors` draws it; nothing is printed. Some names end in `_runs`, because
`harness.analysis.statistics.ratios` and `harness.analysis.gate.gate` are modules.
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
    quality: Literal["full", "sample"] = "full",
    seed: int = 0,
    store: Folder | None = None,
    cache: Folder | None = None,
    narrator: "ProgressReporter | None" = None,
    machine: "Machine | None" = None,
    catalog: "Catalog | None" = None,
) -> "list[Record]":
    """Measure variants of one task, interleaved, as `bench run` does, and return the sealed records.

    A cell that fails is a record with its failure. Guard the call with `if __name__ == "__main__":` in a
    script. `narrator` is told how far it is; `machine` and `catalog` are for other worlds, such as tests.
    """
    from harness.catalog import load_catalog
    from harness.common.progress import NoProgress
    from harness.runs.execution.run import execute
    from harness.runs.multi_run import options_per_task, start_all
    from harness.runs.planning.options import RunOptions
    from harness.runs.services import LocalMachine
    from harness.systems.artifact_cache import default_cache

    told = narrator or NoProgress()
    wanted = RunOptions(
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
    place = default_cache() if cache is None else Path(cache)
    asked = options_per_task(wanted, (task,), None, told)
    ready = start_all(asked, catalog or load_catalog(), _store(store), place, machine or LocalMachine(), told)
    return [record for each in ready for record in execute(each)]


def read(*runs: str, store: Folder | None = None) -> "list[Record]":
    """Return the records of these runs: ids, `latest` (where none is named), `all`, folders or files.

    Records that cannot be read are left out where others of the same run can be; `bench report` names them.
    """
    from harness.analysis.loading import find_records

    place = _store(store)
    if runs == ("all",):
        return place.records(place.runs())[0]
    return [record for name in runs or ("latest",) for record in find_records(name, place).records]


def report(
    records: "Sequence[Record]",
    format: str = "text",  # noqa: A002 -- the option's own name
    *,
    tables: Sequence[str] = (),
    width: int = 120,
) -> str:
    """Return the report on these records in a format that is a text: `text`, `markdown`, `html`, `junit`, ...

    `tables` are those of `bench report --tables`; `width`, in columns, is of `text`.
    """
    from reports import CostFactors, Style, build_report, write_report

    return write_report(build_report(records, CostFactors()), format, Style(tuple(tables), width))


def compare_runs(before: str, after: str, *, store: Folder | None = None) -> "RunComparison":
    """Return what changed from one run to another, cell by cell, as `bench compare` does."""
    from harness.analysis.comparison import compare_runs as compared
    from harness.analysis.loading import find_records, sample_access_of

    found = [find_records(name, _store(store)) for name in (before, after)]
    return compared(found[0].records, found[1].records, sample_access_of(found))


def gate_runs(
    before: str, after: str, *, rules: Folder | None = None, store: Folder | None = None
) -> "GateOutcome":
    """Hold one run against another under the rules of a file (`bench.yaml` where none is named).

    The outcome has a `status` and the `exit_code` that `bench gate` would end with. Cells that `before` has
    and `after` lacks could not be measured.
    """
    from harness.analysis.comparison import key_of, match_cells
    from harness.analysis.gate.gate import GatedCell, check_gate
    from harness.analysis.gate.rules import read_rules
    from harness.analysis.loading import find_records, sample_access_of

    found = [find_records(name, _store(store)) for name in (before, after)]
    matched = match_cells(found[0].records, found[1].records)
    absent = [(key_of(record), f"{after} does not have it") for record in matched.only_before]
    pairings = [GatedCell(one, other) for one, other in matched.pairs]
    held = read_rules(None if rules is None else Path(rules))
    return check_gate(pairings, held, raw=sample_access_of(found), absent=absent)


def track_runs(quantity: str = "throughput", *, store: Folder | None = None) -> "list[Series]":
    """Return each cell's history of a quantity over the runs of the store, with its change points."""
    from harness.analysis.history import build_history

    return build_history(read("all", store=store), quantity)


def _store(folder: Folder | None) -> "Store":
    from harness.records.store import Store

    return Store(Path(folder or os.environ.get("BENCH_STORE") or "results"))
