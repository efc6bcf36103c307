"""The tables of a ladder: several narrow ones, each with its own notes and remarks.

definition of the rungs | speed | energy | quality | memory and size | latency and cost | preparation
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.analysis.statistics.ratios import TOLERANCE
from harness.records.estimate import Estimate, Unavailable
from reports.layout.cell_factory import energy_column, energy_model, grades_of, memory_column, share_column
from reports.layout.metric_names import metric_name
from reports.layout.number_format import TIMES, shown, unit_for
from reports.layout.table_model import Table, WarningLine, build_table
from reports.provenance.measured import facts_of
from reports.tables.adaptive_curves import curve_tables
from reports.tables.compute_limit import limit_remark, rungs_limit_columns
from reports.tables.cost import PRICE_APPLIES
from reports.tables.ladder_columns import (
    PAIRED,
    RungColumn,
    break_even,
    estimates,
    gains,
    kept_gain,
    name,
    paper,
    preparation_joules,
    preparation_seconds,
    quality_change,
    text,
)
from reports.tables.speed import INTERVALS, merged_warnings, ratio_method
from reports.values.figures import name_of
from reports.values.ladder_model import PERCENTILES, LadderReport, PaperFigures, RungFigures
from reports.values.multiple_testing import family_remark
from reports.values.prices import AZURE_F16S_V2, usd

_PAPER = (
    "paper: Table 3 of the FastFormers paper as printed (BoolQ validation one by one, Azure F16s_v2); "
    "not measured here."
)
_BATCH = "batch: how many requests the system processes at a time when all are available, by its own report."
_BREAK_EVEN = (
    "break-even: requests = cost of preparation / saving per request over the first rung, offline; in "
    "joules, and in machine time at one price. A single preparation has no interval. never: nothing is saved."
)
_READ = f"{INTERVALS} step: over the rung named in `over`; cumulative: over the first."


def ladder_tables(ladder: LadderReport) -> list[Table]:
    """Return the tables of a ladder; warnings and facts are below the last one."""
    parts = (_rungs, _speed, _energy, _quality, _memory, _cost, _preparation)
    *tables, last = [part(ladder) for part in parts]
    group = ladder.offline or ladder.single_stream
    facts = facts_of(group) if group else ()
    return [*tables, *curve_tables(ladder), replace(last, warnings=_warnings(ladder), facts=facts)]


def ladder_summary(ladder: LadderReport) -> Table:
    """Return one table of what matters most: time, speed-up, quality, latency and energy of each rung."""
    energies = [rung.energy for rung in ladder.rungs]
    return _table(
        f"Ladder {ladder.name} at a glance{_settings(ladder)}",
        ladder,
        estimates(ladder, "{}/request, offline", lambda rung: rung.time, TIMES),
        gains("", "speed-up over the first", lambda rung: rung.speedup)[1],
        share_column(metric_name(ladder.metric), lambda rung: rung.quality),
        quality_change(ladder),
        estimates(ladder, "p50 {}, single requests", _percentile("p50"), TIMES),
        energy_column("{}/request", lambda rung: rung.energy, energies),
        remarks=[INTERVALS],
    )


def _rungs(ladder: LadderReport) -> Table:
    return _table(
        f"Ladder {ladder.name}{_settings(ladder)}",
        ladder,
        text("what it is", lambda rung: rung.definition.about, folds=True),
        text("over", lambda rung: rung.definition.over),
        text("instances x threads", lambda rung: rung.placement),
        text("batch", lambda rung: rung.batch, folds=True),
        *_environment(ladder),
        remarks=[_BATCH],
    )


def _environment(ladder: LadderReport) -> list[RungColumn]:
    """Return the column of environment variables, where any rung sets one."""
    if not any(rung.definition.environment for rung in ladder.rungs):
        return []

    def read(rung: RungFigures) -> str:
        return " ".join(f"{key}={value}" for key, value in rung.definition.environment.items())

    return [text("environment", read, folds=True)]


def _speed(ladder: LadderReport) -> Table:
    times = [rung.time for rung in ladder.rungs]
    unit = unit_for([time.value for time in times if isinstance(time, Estimate)], TIMES)

    def paper_time(row: PaperFigures) -> str | None:
        return None if row.ns_per_request is None else shown(row.ns_per_request / unit.size)

    return _table(
        "Speed, offline",
        ladder,
        estimates(ladder, "{}/request", lambda rung: rung.time, TIMES),
        *gains("speed-up, step", "speed-up, cumulative", lambda rung: rung.speedup),
        *rungs_limit_columns(ladder.offline),
        *paper(ladder, f"paper, {unit.name}/request", paper_time),
        *paper(ladder, "paper, cumulative", _paper_factor),
        remarks=[*_how_to_read(ladder), *limit_remark(ladder.offline)],
    )


def _energy(ladder: LadderReport) -> Table:
    energies = [rung.energy for rung in ladder.rungs]
    modelled = "modelled" in grades_of(energies)
    reduction = f"{'modelled ' if modelled else ''}energy reduction"
    return _table(
        f"Energy, offline{', modelled' if modelled else ''}",
        ladder,
        energy_column("{}/request", lambda rung: rung.energy, energies),
        *gains(f"{reduction}, step", f"{reduction}, cumulative", lambda rung: rung.energy_reduction),
        remarks=[energy_model(energies)] if modelled else [],
    )


def _quality(ladder: LadderReport) -> Table:
    metric = metric_name(ladder.metric)
    paired = any(getattr(rung.quality_change, "note", "") == PAIRED for rung in ladder.rungs)
    how = f", {PAIRED}" if paired else ""
    return _table(
        "Quality",
        ladder,
        share_column(metric, lambda rung: rung.quality),
        quality_change(ladder),
        kept_gain(ladder),
        *paper(ladder, "paper, accuracy", _paper_quality),
        remarks=[
            f"change: points of {metric} above or below the first rung{how}.",
            f"kept of the gain: the part kept of the first rung's gain in {metric} over a constant answer.",
        ],
    )


def _memory(ladder: LadderReport) -> Table:
    return _table(
        "Memory and size",
        ladder,
        memory_column("peak {}", lambda rung: rung.peak_bytes, ladder.rungs),
        memory_column("disk {}", lambda rung: rung.disk_bytes, ladder.rungs),
        remarks=["peak: all processes of the rung together; disk: the files that the rung loads."],
    )


def _cost(ladder: LadderReport) -> Table:
    price = ladder.price
    return _table(
        f"Latency of single requests; USD per 100 million requests at {price.usd_per_hour:g} USD an hour "
        f"({price.source})",
        ladder,
        *(estimates(ladder, f"{which} {{}}", _percentile(which), TIMES) for which in PERCENTILES),
        *rungs_limit_columns(ladder.single_stream),
        estimates(ladder, "USD/100M", lambda rung: rung.usd),
        *paper(ladder, "paper, USD/100M", _paper_usd),
        remarks=_cost_remarks(ladder),
    )


def _percentile(which: str) -> Callable[[RungFigures], Estimate | Unavailable]:
    return lambda rung: rung.latency[which]


def _preparation(ladder: LadderReport) -> Table:
    return _table(
        "Preparation, and the requests after which it has paid for itself",
        ladder,
        preparation_seconds(),
        preparation_joules(ladder),
        break_even(ladder, "break-even, energy", lambda rung: rung.break_even_energy),
        break_even(ladder, "break-even, money", lambda rung: rung.break_even_money),
        remarks=[_BREAK_EVEN],
    )


def _table(title: str, ladder: LadderReport, *columns: RungColumn, remarks: Sequence[str]) -> Table:
    records = [_record_name(rung, ladder) for rung in ladder.rungs]
    return build_table(title, ladder.rungs, (name(), *columns), remarks=remarks, records=records)


def _record_name(rung: RungFigures, ladder: LadderReport) -> str:
    """Return the name of a rung's record: the offline one, else the single-stream one."""
    records = [figures.record for figures in (*ladder.offline, *ladder.single_stream)]
    return next((name_of(record) for record in records if record.cell.variant == rung.definition.name), "")


def _settings(ladder: LadderReport) -> str:
    measured = [*ladder.offline, *ladder.single_stream]
    if not measured:
        return ""
    cell = measured[0].record.cell
    return f": {cell.task} on {cell.device}, {cell.boundary}, at most {cell.max_length} tokens"


def _how_to_read(ladder: LadderReport) -> list[str]:
    lines = [_READ]
    times = [rung.time for rung in ladder.rungs]
    if any(isinstance(time, Estimate) for time in times):
        lines.append(
            f"Ratios are trimmed means of paired rounds, {ratio_method(times)}; differences within "
            f"{100 * TOLERANCE:.0f} % count as no change."
        )
        gains = [gain for rung in ladder.rungs for gain in (rung.speedup, rung.energy_reduction)]
        lines += family_remark(ratio for gain in gains for ratio in (gain.step, gain.cumulative))
    return [*lines, _PAPER] if _has_paper(ladder) else lines


def _cost_remarks(ladder: LadderReport) -> list[str]:
    price = f"{ladder.price.usd_per_hour:g}"
    usd = f"USD = seconds per request offline x 100 million / 3,600 x {price}, for {PRICE_APPLIES}"
    remark = f"{usd} (--price-per-hour)."
    if not _has_paper(ladder):
        return [remark]
    return [remark, f"paper: its own times at {AZURE_F16S_V2.usd_per_hour:g} USD an hour."]


def _has_paper(ladder: LadderReport) -> bool:
    return any(rung.definition.reference for rung in ladder.rungs)


def _warnings(ladder: LadderReport) -> tuple[WarningLine, ...]:
    """Return the warnings of both scenarios by code; those of single-stream alone start with its name."""
    offline = [warning for figures in ladder.offline for warning in figures.warnings]
    sentences = {warning.sentence for warning in offline}
    single_stream = [
        warning
        if warning.sentence in sentences
        else replace(warning, sentence=f"In single-stream: {warning.sentence}")
        for figures in ladder.single_stream
        for warning in figures.warnings
    ]
    return merged_warnings([*offline, *single_stream])


def _paper_factor(row: PaperFigures) -> str | None:
    return None if row.cumulative is None else f"{row.cumulative:,.2f}x"


def _paper_quality(row: PaperFigures) -> str | None:
    return None if row.quality is None else f"{row.quality:.2f} %"


def _paper_usd(row: PaperFigures) -> str | None:
    return None if row.ns_per_request is None else f"{usd(row.ns_per_request, AZURE_F16S_V2):,.0f}"
