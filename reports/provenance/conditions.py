"""The conditions of a measurement: idle power, other load on the machine, the harness's own use of it."""

from collections.abc import Iterator, Sequence

from harness.analysis.diagnostics import exchange_ends, foreign_share, observer_share, steal_share
from harness.analysis.energy.idle_power import IdlePower, idle_power
from harness.records.record import HarnessOverhead, Record
from reports.layout.number_format import shown
from reports.layout.table_model import FactLine
from reports.values.figures import Figures, first_timed


def condition_lines(group: Sequence[Figures]) -> list[FactLine]:
    """Return the lines on idle power and conditions, for records that hold them."""
    lines = (("idle", _idle(first_timed(group))), ("conditions", _conditions(group)))
    return [FactLine(label, text) for label, text in lines if text]


def parent_line(record: Record) -> str:
    """Return what the harness's parent process used over the sweep; empty where that was not measured."""
    share = observer_share(record)
    if share is None or record.observer is None:
        return ""
    energy, ray = _parent_energy(record.observer), _ray(record.observer)
    return f"; its parent process used {_percent(share)} of a CPU over the sweep{energy}{ray}"


def _parent_energy(overhead: HarnessOverhead) -> str:
    """Return the parent's share of all CPU time, which is its modelled share of the energy."""
    parent, workers = overhead.parent_cpu_ns or 0, overhead.workers_cpu_ns or 0
    share = (
        f", {_percent(parent / (parent + workers))} of the energy (modelled by CPU time)" if workers else ""
    )
    pollers = overhead.pollers or 0
    return f"{share}, with {pollers} {'poller' if pollers == 1 else 'pollers'}"


def _ray(overhead: HarnessOverhead) -> str:
    """Return what Ray's processes used on this host beside it; empty where Ray has not started the run."""
    if overhead.ray_cpu_ns is None or not overhead.sweep_wall_ns:
        return ""
    share = _percent(overhead.ray_cpu_ns / overhead.sweep_wall_ns)
    return f"; Ray's processes ({', '.join(overhead.ray_processes)}) used {share} of a CPU beside it"


def _idle(record: Record) -> str:
    if record.idle is None:
        return ""
    power = idle_power(record.idle)
    if not isinstance(power, IdlePower):
        return f"unavailable, because {power.reason}"
    after = "not measured" if power.after is None else f"{shown(power.after)} W"
    return (
        f"{shown(power.before)} W before the rounds, {after} after: all that the meter covers, with the "
        "workers loaded and idle"
    )


def _conditions(group: Sequence[Figures]) -> str:
    records = [figures.record for figures in group]
    return "; ".join([*_shares(records), *_exchange_times(records), *_changes(records[0])])


def _shares(records: Sequence[Record]) -> Iterator[str]:
    for user, share_of in (("other processes", foreign_share), ("the hypervisor", steal_share)):
        shares = [share for record in records if (share := share_of(record)) is not None]
        if shares:
            yield f"{user} used at most {_percent(max(shares))} of the CPUs (medians over rounds)"


def _exchange_times(records: Sequence[Record]) -> Iterator[str]:
    ends = [ends for record in records if (ends := exchange_ends(record))]
    if ends:
        low, high = min(low for low, _ in ends), max(high for _, high in ends)
        yield f"an exchange between CPUs took {low:.0f} to {high:.0f} ns (10th and 90th percentile)"


def _changes(record: Record) -> Iterator[str]:
    conditions = record.conditions
    if conditions is None:
        return
    start, end = conditions.before, conditions.after
    values = (
        ("load average", start.load_average, end.load_average, ""),
        ("processor", _celsius(start.temperature_mc), _celsius(end.temperature_mc), " C"),
    )
    for name, before, after, unit in values:
        if before is not None and after is not None:
            yield f"{name} {before:.3g}, then {after:.3g}{unit}"


def _celsius(thousandths: int | None) -> float | None:
    return None if thousandths is None else thousandths / 1000


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
