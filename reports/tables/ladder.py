"""The tables of a ladder: several narrow ones instead of a wide one, each with its own notes and remarks.

what the rungs are | speed | energy | quality | memory and size | latency and cost | preparation
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.ratios import TOLERANCE
from harness.records.estimate import Estimate, Unavailable
from reports.layout.cell_factory import how_modelled
from reports.layout.number_format import TIMES, shown
from reports.layout.table_model import Notes, Table, WarningLine
from reports.provenance.measured import facts_of
from reports.tables.adaptive_curves import curve_tables
from reports.tables.compute_limit import limit_remark, rungs_limit_column
from reports.tables.ladder_columns import (
    PAIRED,
    Maker,
    energy,
    estimates,
    gains,
    joules,
    kept_gain,
    name,
    papers,
    pays,
    quality,
    quality_change,
    seconds,
    size,
    unit_of,
    words,
)
from reports.tables.speed import merged_warnings
from reports.tables.speed_columns import metric_name
from reports.values.figures import name_of
from reports.values.ladder_model import PERCENTILES, LadderReport, PaperFigures, RungFigures
from reports.values.multiple_testing import remark
from reports.values.prices import AZURE_F16S_V2, usd

_PAPER = (
    "paper: Table 3 of the FastFormers paper as printed (BoolQ validation one by one, Azure F16s_v2); "
    "not measured here."
)


_BATCH = "batch: how many requests the system takes at a time where all are there at once, as it says itself."
_PAYS = (
    "break-even: requests = what preparation took / what a request saves over the first rung, offline; in "
    "joules, and in machine time at one price. Of one preparation, so without an interval; never: nothing is "
    "saved."
)
_ON_WHAT = (
    "one after another on the whole machine: the price has to be that of a machine like the one measured "
    "(--price-per-hour)."
)
_READ = (
    "[low, high] is the 95 % interval; n/a says why in its note. step: over the rung named in `over`; "
    "cumulative: over the first."
)


def ladder_tables(ladder: LadderReport) -> list[Table]:
    """Return the tables of a ladder; warnings and facts stand below the last."""
    parts = (_rungs, _speed, _energy, _quality, _memory, _cost, _spent)
    made = [part(ladder) for part in parts]
    group = ladder.offline or ladder.single
    facts = facts_of(group) if group else ()
    return [*made[:-1], *curve_tables(ladder), replace(made[-1], warnings=_warnings(ladder), facts=facts)]


def _rungs(ladder: LadderReport) -> Table:
    """Say what each rung is and how it was run."""
    return _table(
        f"Ladder {ladder.name}{_where(ladder)}",
        ladder,
        words("what it is", lambda rung: rung.words.about, folds=True),
        words("over", lambda rung: rung.words.over),
        words("instances x threads", lambda rung: rung.placement),
        words("batch", lambda rung: rung.batch, folds=True),
        *_environment(ladder),
        remarks=[_BATCH],
    )


def _environment(ladder: LadderReport) -> list[Maker]:
    """Return the variables that rungs are started with, where any is."""
    said = {rung.words.name: rung.words.environment for rung in ladder.rungs}
    if not any(said.values()):
        return []
    shown = {name: " ".join(f"{key}={value}" for key, value in each.items()) for name, each in said.items()}
    return [words("environment", lambda rung: shown[rung.words.name], folds=True)]


def _speed(ladder: LadderReport) -> Table:
    unit = unit_of(ladder, lambda rung: rung.time, TIMES)

    def papers_time(row: PaperFigures) -> str | None:
        return None if row.ns_per_request is None else shown(row.ns_per_request / unit.size)

    return _table(
        "Speed, offline",
        ladder,
        estimates(ladder, "{}/request", lambda rung: rung.time, TIMES),
        *gains("speed-up, step", "speed-up, cumulative", lambda rung: rung.speedup),
        *rungs_limit_column(ladder.offline),
        *papers(ladder, f"paper, {unit.name}/request", papers_time),
        *papers(ladder, "paper, cumulative", _papers_factor),
        remarks=[*_how_to_read(ladder), *limit_remark(ladder.offline)],
    )


def _energy(ladder: LadderReport) -> Table:
    grades = {rung.energy.grade for rung in ladder.rungs if isinstance(rung.energy, EnergyEstimate)}
    modelled = "modelled " if "modelled" in grades else ""
    return _table(
        f"Energy, offline{', modelled' if modelled else ''}",
        ladder,
        energy(ladder),
        *gains(
            f"{modelled}energy reduction, step",
            f"{modelled}energy reduction, cumulative",
            lambda rung: rung.energy_reduction,
        ),
        remarks=[how_modelled(rung.energy for rung in ladder.rungs)] if modelled else [],
    )


def _quality(ladder: LadderReport) -> Table:
    metric = metric_name(ladder.metric)
    paired = any(getattr(rung.quality_change, "note", "") == PAIRED for rung in ladder.rungs)
    how = ", paired by example" if paired else ""
    return _table(
        "Quality",
        ladder,
        quality(metric),
        quality_change(ladder),
        kept_gain(ladder),
        *papers(ladder, "paper, accuracy", _papers_quality),
        remarks=[
            f"change: points of {metric} more or less than the first rung{how}.",
            f"kept of the gain: what is left of the first rung's {metric} above the best constant answer's.",
        ],
    )


def _memory(ladder: LadderReport) -> Table:
    return _table(
        "Memory and size",
        ladder,
        size(ladder, "peak {}", lambda rung: rung.peak_bytes),
        size(ladder, "disk {}", lambda rung: rung.disk_bytes),
        remarks=["peak: of all processes of the rung together; disk: what it loads."],
    )


def _cost(ladder: LadderReport) -> Table:
    price = ladder.price
    return _table(
        f"Latency of single requests; USD per 100 million requests at {price.usd_per_hour:g} USD an hour "
        f"({price.source})",
        ladder,
        *(estimates(ladder, f"{each} {{}}", _percentile(each), TIMES) for each in PERCENTILES),
        *rungs_limit_column(ladder.single),
        estimates(ladder, "USD/100M", lambda rung: rung.usd),
        *papers(ladder, "paper, USD/100M", _papers_usd),
        remarks=_what_is_paid(ladder),
    )


def _percentile(which: str) -> Callable[[RungFigures], Estimate | Unavailable]:
    return lambda rung: rung.latency[which]


def _spent(ladder: LadderReport) -> Table:
    return _table(
        "Preparation, and the requests after which it has paid for itself",
        ladder,
        seconds(),
        joules(ladder),
        pays(ladder, "break-even, energy", lambda rung: rung.pays_energy),
        pays(ladder, "break-even, money", lambda rung: rung.pays_money),
        remarks=[_PAYS],
    )


def _table(title: str, ladder: LadderReport, *makers: Maker, remarks: Sequence[str]) -> Table:
    notes = Notes()
    whole = (name(), *makers)
    return Table(
        title=title,
        columns=tuple(column for column, _ in whole),
        rows=tuple(tuple(make(rung, notes) for _, make in whole) for rung in ladder.rungs),
        notes=tuple(notes.texts),
        remarks=tuple(remarks),
        records=tuple(_record_of(rung, ladder) for rung in ladder.rungs),
    )


def _record_of(rung: RungFigures, ladder: LadderReport) -> str:
    """Name the record of a rung: the offline one, or else the one asked one request at a time."""
    every = [item.record for item in (*ladder.offline, *ladder.single)]
    return next((name_of(record) for record in every if record.cell.variant == rung.words.name), "")


def _where(ladder: LadderReport) -> str:
    known = [*ladder.offline, *ladder.single]
    if not known:
        return ""
    cell = known[0].record.cell
    return f": {cell.task} on {cell.device}, {cell.boundary}, at most {cell.max_length} tokens"


def _how_to_read(ladder: LadderReport) -> list[str]:
    lines = [_READ]
    timed = [rung.time.method for rung in ladder.rungs if isinstance(rung.time, Estimate)]
    if timed:
        over, tolerance = timed[0].partition(", ")[2], f"{100 * TOLERANCE:.0f} %"
        lines.append(
            f"Ratios are medians of paired rounds, {over}; differences within {tolerance} count as none."
        )
        gains = [gain for rung in ladder.rungs for gain in (rung.speedup, rung.energy_reduction)]
        lines += remark(ratio for gain in gains for ratio in (gain.step, gain.cumulative))
    return [*lines, _PAPER] if _has_paper(ladder) else lines


def _what_is_paid(ladder: LadderReport) -> list[str]:
    factor = f"{ladder.price.usd_per_hour:g}"
    line = f"USD = seconds per request offline x 100 million / 3,600 x {factor}, for requests {_ON_WHAT}"
    papers_own = f"paper: its times at its own {AZURE_F16S_V2.usd_per_hour:g} USD an hour."
    return [line, papers_own] if _has_paper(ladder) else [line]


def _has_paper(ladder: LadderReport) -> bool:
    return any(rung.words.reference for rung in ladder.rungs)


def _warnings(ladder: LadderReport) -> tuple[WarningLine, ...]:
    """Return the warnings of both scenarios by kind; what only single-stream gives rise to says so."""
    known = {warning.sentence for item in ladder.offline for warning in item.warnings}
    single = [
        replace(
            item,
            warnings=tuple(
                warning
                if warning.sentence in known
                else replace(warning, sentence=f"In single-stream: {warning.sentence}")
                for warning in item.warnings
            ),
        )
        for item in ladder.single
    ]
    return merged_warnings([*ladder.offline, *single])


def _papers_factor(row: PaperFigures) -> str | None:
    return None if row.cumulative is None else f"{row.cumulative:,.2f}x"


def _papers_quality(row: PaperFigures) -> str | None:
    return None if row.quality is None else f"{row.quality:.2f} %"


def _papers_usd(row: PaperFigures) -> str | None:
    return None if row.ns_per_request is None else f"{usd(row.ns_per_request, AZURE_F16S_V2):,.0f}"
