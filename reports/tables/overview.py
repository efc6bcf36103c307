"""The tables of several tasks side by side: quality, speed-up and energy reduction by task, with averages.

The average of quality is SuperGLUE's: over its eight tasks, where a task with two metrics is averaged first
(Wang et al. 2019). Ratios are averaged by their geometric mean, so that twice as fast on one task and half as
fast on another make no gain.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from harness.analysis.statistics.ratios import BASELINE, Ratio
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record
from harness.workload.tasks import SUPERGLUE, TASKS
from harness.workload.tasks.metrics import mean_score
from reports.layout.cell_factory import absent_cell, grades_of
from reports.layout.number_format import with_interval
from reports.layout.table_model import Column, Notes, Table, TableCell
from reports.values.figures import Absent, Figures

ByVariant = Mapping[str, Figures]
ByTask = Mapping[str, ByVariant]
MakeCell = Callable[[Figures, Notes], TableCell]

_NOT_MEASURED = Unavailable("it was not measured")


def overview_tables(groups: Sequence[Sequence[Figures]]) -> list[Table]:
    """Return the tables over all tasks; none unless several tasks were measured alike, each once."""
    tasks = [group[0].record.cell.task for group in groups]
    settings = {_settings(group[0].record) for group in groups}
    if len(tasks) == 1 or len(set(tasks)) < len(tasks) or len(settings) != 1:
        return []
    names = sorted(tasks, key=list(TASKS).index) if set(tasks) <= set(TASKS) else tasks
    by_task = {
        name: {figures.record.cell.variant: figures for figures in groups[tasks.index(name)]}
        for name in names
    }
    return [_quality_table(by_task), *_ratio_tables(by_task)]


def _settings(record: Record) -> tuple[object, ...]:
    """Return what must be equal for tasks to share a table."""
    cell = record.cell
    return (
        *(cell.device, cell.scenario, cell.boundary, cell.threads, cell.instances, cell.batch),
        *(cell.max_length, record.profile, record.data.tier, record.host.fingerprint),
    )


def _quality_table(by_task: ByTask) -> Table:
    title, remarks = f"{_title(by_task)}: quality by task", [_quality_remark(by_task)]

    def average(variant: str, notes: Notes) -> TableCell:
        return _average_score(variant, by_task, notes)

    return _table(title, by_task, _variants(by_task), _quality_cell, "average", average, remarks)


def _ratio_tables(by_task: ByTask) -> list[Table]:
    energies = [figures.energy for by_variant in by_task.values() for figures in by_variant.values()]
    modelled = "modelled " if "modelled" in grades_of(energies) else ""
    return [
        _ratio_table(by_task, "speed-up", lambda figures: figures.speedup[BASELINE]),
        _ratio_table(
            by_task, f"{modelled}energy reduction", lambda figures: figures.energy_reduction[BASELINE]
        ),
    ]


def _ratio_table(by_task: ByTask, quantity: str, read: Callable[[Figures], Ratio | Absent]) -> Table:
    def make_cell(figures: Figures, notes: Notes) -> TableCell:
        ratio = read(figures)
        if not isinstance(ratio, Ratio):
            return absent_cell(ratio, notes)
        value, interval = with_interval(ratio.value, ratio.low, ratio.high)
        return TableCell(f"{value}x", interval)

    def mean(variant: str, notes: Notes) -> TableCell:
        del notes
        return _geometric_mean([read(group[variant]) for group in by_task.values() if variant in group])

    title = f"{_title(by_task)}: {quantity} over {BASELINE}, by task"
    variants = [name for name in _variants(by_task) if name != BASELINE]
    return _table(title, by_task, variants, make_cell, "geometric mean", mean)


def _table(
    title: str,
    by_task: ByTask,
    variants: Sequence[str],
    make_cell: MakeCell,
    average: str,
    make_average: Callable[[str, Notes], TableCell],
    remarks: Sequence[str] = (),
) -> Table:
    """Return a table with one row per task and one column per variant, and a row of averages at the end."""
    notes = Notes()
    rows = [_row(task, variants, by_variant, make_cell, notes) for task, by_variant in by_task.items()]
    averages = tuple(make_average(variant, notes) for variant in variants)
    return Table(
        title=title,
        columns=(Column("task", "left", "name"), *(Column(name, "right", "speed") for name in variants)),
        rows=(*rows, (TableCell(average), *averages)),
        notes=tuple(notes.texts),
        remarks=tuple(remarks),
    )


def _row(
    task: str, variants: Sequence[str], by_variant: ByVariant, make_cell: MakeCell, notes: Notes
) -> tuple[TableCell, ...]:
    missing = absent_cell(_NOT_MEASURED, notes) if set(variants) - set(by_variant) else TableCell("")
    cells = (make_cell(by_variant[name], notes) if name in by_variant else missing for name in variants)
    return (TableCell(task), *cells)


def _quality_cell(figures: Figures, notes: Notes) -> TableCell:
    """Return one metric with its interval, or two with a slash between them, in the order of the task."""
    absent = [score for score in figures.quality.values() if not isinstance(score, Estimate)]
    if absent or not figures.quality:
        return absent_cell(absent[0] if absent else Unavailable("its answers were not scored"), notes)
    scores = [score for score in figures.quality.values() if isinstance(score, Estimate)]
    if len(scores) > 1:
        return TableCell(" / ".join(f"{100 * score.value:.1f}" for score in scores))
    (score,) = scores
    return TableCell(*with_interval(100 * score.value, 100 * score.low, 100 * score.high))


def _average_score(variant: str, by_task: ByTask, notes: Notes) -> TableCell:
    scores = {task: _score(group[variant]) for task, group in by_task.items() if variant in group}
    missing = [task.name for task in SUPERGLUE if scores.get(task.name) is None]
    if missing:
        reason = f"it needs all eight tasks, and these have no score: {', '.join(missing)}"
        return absent_cell(Unavailable(reason), notes)
    eight = [scores[task.name] or 0.0 for task in SUPERGLUE]
    return TableCell(f"{100 * sum(eight) / len(eight):.1f}")


def _score(figures: Figures) -> float | None:
    scores = {name: score.value for name, score in figures.quality.items() if isinstance(score, Estimate)}
    return mean_score(scores) if scores and len(scores) == len(figures.quality) else None


def _geometric_mean(ratios: Sequence[Ratio | Absent]) -> TableCell:
    """Return the geometric mean with its interval: half-widths of independent logarithms add in squares."""
    available = [ratio for ratio in ratios if isinstance(ratio, Ratio)]
    if not available or len(available) < len(ratios):
        return TableCell("n/a")
    count = len(available)
    mean = sum(math.log(ratio.value) for ratio in available) / count
    below = math.hypot(*(math.log(ratio.value / ratio.low) for ratio in available)) / count
    above = math.hypot(*(math.log(ratio.high / ratio.value) for ratio in available)) / count
    value, interval = with_interval(*map(math.exp, (mean, mean - below, mean + above)))
    return TableCell(f"{value}x", interval)


def _variants(by_task: ByTask) -> list[str]:
    return list(dict.fromkeys(variant for group in by_task.values() for variant in group))


def _title(by_task: ByTask) -> str:
    cell = next(iter(next(iter(by_task.values())).values())).record.cell
    threads = f"{cell.threads} thread{'' if cell.threads == 1 else 's'}"
    settings = f"{cell.scenario}, {cell.boundary}, {threads}, at most {cell.max_length} tokens"
    return f"{len(by_task)} tasks on {cell.device}, {settings}"


def _quality_remark(by_task: ByTask) -> str:
    data = [figures.record.data for group in by_task.values() for figures in group.values()]
    if any(part.tier == "embedded" for part in data):
        return "Scores in percent, on the embedded sample: the average is not a SuperGLUE score."
    if all(part.official and part.split == "val" for part in data):
        return "Scores in percent, on the official validation files; the average is over all eight tasks."
    return (
        "Scores in percent; some splits are not the official ones, so the average is not a SuperGLUE score."
    )
