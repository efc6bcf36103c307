"""Several tasks side by side: quality, speed-up and energy reduction by task, their averages below.

The average of quality is SuperGLUE's: over its eight tasks, a task with two metrics averaged first (Wang
et al. 2019). Ratios are averaged as their geometric mean, so that a task twice as fast and one half as
fast make no gain.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from harness.analysis.statistics.ratios import BASELINE, Ratio
from harness.records.estimate import Estimate
from harness.records.record import Record
from harness.workload.tasks import SUPERGLUE, TASKS
from harness.workload.tasks.metrics import mean_score
from reports.layout.number_format import with_interval
from reports.layout.table_model import Column, Notes, Table, TableCell
from reports.values.figures import Absent, Figures, all_figures
from reports.values.multiple_testing import in_one_family

MakeCell = Callable[[Figures, Notes], TableCell]
ByTask = Mapping[str, Mapping[str, Figures]]
"""Figures by task and variant."""


def overview(records: Sequence[Record]) -> list[Table]:
    """Return the tables over all tasks; none unless two tasks or more were measured alike, each once."""
    return overview_of(in_one_family(all_figures(records)))


def overview_of(found: Sequence[Sequence[Figures]]) -> list[Table]:
    """Return the same of figures that are worked out."""
    tasks = [group[0].record.cell.task for group in found]
    settings = {_settings(group[0].record) for group in found}
    if len(found) < 2 or len(set(tasks)) < len(tasks) or len(settings) > 1:  # noqa: PLR2004 -- two to compare
        return []
    names = sorted(tasks, key=list(TASKS).index) if set(tasks) <= set(TASKS) else tasks
    by_task = {name: {item.record.cell.variant: item for item in found[tasks.index(name)]} for name in names}
    return [_quality(by_task), *_ratios(by_task)]


def _settings(record: Record) -> tuple[object, ...]:
    """Return what must be alike for tasks to stand in one table."""
    cell = record.cell
    return (
        *(cell.device, cell.scenario, cell.boundary, cell.threads, cell.instances, cell.batch),
        *(cell.max_length, record.profile, record.data.tier, record.host.fingerprint),
    )


def _quality(by_task: ByTask) -> Table:
    notes = Notes()
    variants = _variants(by_task)
    rows = [_row(task, variants, found, _quality_cell, notes) for task, found in by_task.items()]
    averages = tuple(_average(variant, by_task, notes) for variant in variants)
    return Table(
        title=f"{_title(by_task)}: quality by task",
        columns=_columns(variants),
        rows=(*rows, (TableCell("average"), *averages)),
        notes=tuple(notes.texts),
        remarks=(_what_it_is(by_task),),
    )


def _ratios(by_task: ByTask) -> list[Table]:
    every = [item for found in by_task.values() for item in found.values()]
    modelled = any(getattr(item.energy, "grade", "") == "modelled" for item in every)
    speed = _ratio_table(by_task, f"speed-up over {BASELINE}", lambda item: item.speedup[BASELINE])
    energy = _ratio_table(
        by_task,
        f"{'modelled ' if modelled else ''}energy reduction over {BASELINE}",
        lambda item: item.energy_reduction[BASELINE],
    )
    return [speed, energy]


def _ratio_table(by_task: ByTask, what: str, ratio: Callable[[Figures], Ratio | Absent]) -> Table:
    notes = Notes()
    variants = [name for name in _variants(by_task) if name != BASELINE]

    def cell(item: Figures, notes: Notes) -> TableCell:
        found = ratio(item)
        if not isinstance(found, Ratio):
            return TableCell("n/a", note=notes.number(f"because {found.reason.rstrip('. ')}."))
        value, interval = with_interval(found.value, found.low, found.high)
        return TableCell(f"{value}x", interval)

    rows = [_row(task, variants, found, cell, notes) for task, found in by_task.items()]
    means = tuple(_geometric([ratio(of[name]) for of in by_task.values() if name in of]) for name in variants)
    return Table(
        title=f"{_title(by_task)}: {what}, by task",
        columns=_columns(variants),
        rows=(*rows, (TableCell("geometric mean"), *means)),
        notes=tuple(notes.texts),
    )


def _row(
    task: str, variants: Sequence[str], found: Mapping[str, Figures], make: MakeCell, notes: Notes
) -> tuple[TableCell, ...]:
    missing = (
        TableCell("n/a", note=notes.number("because it was not measured."))
        if set(variants) - set(found)
        else TableCell("")
    )
    return (TableCell(task), *(make(found[name], notes) if name in found else missing for name in variants))


def _quality_cell(item: Figures, notes: Notes) -> TableCell:
    """Show one metric with its interval, or two by a stroke, in the order of the task's own table."""
    absent = [each for each in item.quality.values() if not isinstance(each, Estimate)]
    if absent or not item.quality:
        reason = absent[0].reason if absent else "its answers were not scored"
        return TableCell("n/a", note=notes.number(f"because {reason.rstrip('. ')}."))
    known = [each for each in item.quality.values() if isinstance(each, Estimate)]
    if len(known) > 1:
        return TableCell(" / ".join(f"{100 * each.value:.1f}" for each in known))
    value, interval = with_interval(
        *(100 * number for number in (known[0].value, known[0].low, known[0].high))
    )
    return TableCell(value, interval)


def _average(variant: str, by_task: ByTask, notes: Notes) -> TableCell:
    scores = {task: _score(found[variant]) for task, found in by_task.items() if variant in found}
    missing = [task.name for task in SUPERGLUE if scores.get(task.name) is None]
    if missing:
        return TableCell(
            "n/a",
            note=notes.number(f"because it needs all eight tasks; without a score: {', '.join(missing)}."),
        )
    eight = [scores[task.name] or 0.0 for task in SUPERGLUE]
    return TableCell(f"{100 * sum(eight) / len(eight):.1f}")


def _score(item: Figures) -> float | None:
    known = {name: each.value for name, each in item.quality.items() if isinstance(each, Estimate)}
    return mean_score(known) if known and len(known) == len(item.quality) else None


def _geometric(found: Sequence[Ratio | Absent]) -> TableCell:
    """Return the geometric mean with its interval: half-widths of independent logarithms add in squares."""
    ratios = [each for each in found if isinstance(each, Ratio)]
    if not ratios or len(ratios) < len(found):
        return TableCell("n/a")
    count = len(ratios)
    middle = sum(math.log(each.value) for each in ratios) / count
    below = math.hypot(*(math.log(each.value / each.low) for each in ratios)) / count
    above = math.hypot(*(math.log(each.high / each.value) for each in ratios)) / count
    value, interval = with_interval(*map(math.exp, (middle, middle - below, middle + above)))
    return TableCell(f"{value}x", interval)


def _variants(by_task: ByTask) -> list[str]:
    return list(dict.fromkeys(name for found in by_task.values() for name in found))


def _columns(variants: Sequence[str]) -> tuple[Column, ...]:
    return (Column("task", "left", "name"), *(Column(name, "right", "speed") for name in variants))


def _title(by_task: ByTask) -> str:
    cell = next(iter(next(iter(by_task.values())).values())).record.cell
    how = f"{cell.scenario}, {cell.boundary}, {cell.threads} threads, at most {cell.max_length} tokens"
    return f"{len(by_task)} tasks on {cell.device}, {how}"


def _what_it_is(by_task: ByTask) -> str:
    data = [item.record.data for found in by_task.values() for item in found.values()]
    if any(each.tier == "embedded" for each in data):
        return "In hundredths, on the embedded sample: the average is no SuperGLUE score."
    if all(each.official and each.split == "val" for each in data):
        return "In hundredths, on the official validation files; the average is over SuperGLUE's eight tasks."
    return "In hundredths; not every split is an official one, so the average is no SuperGLUE score."
