"""What stood beside the measurements, in words: idle power, who else worked, what the harness itself used."""

from collections.abc import Iterator, Sequence

from harness.analysis.diagnostics import exchange_ends, foreign_share, observer_share, steal_share
from harness.analysis.idle_power import IdlePower, idle_power
from harness.records.record import HarnessOverhead, Record
from reports.layout.number_format import shown
from reports.values.figures import Figures


def beside_lines(group: Sequence[Figures]) -> list[tuple[str, str]]:
    """Return the lines that records of this group have: idle, conditions; none for records that lack them."""
    record = next((item.record for item in group if item.record.rounds), group[0].record)
    lines = (("idle", _idle(record)), ("conditions", _conditions(group)))
    return [(label, text) for label, text in lines if text]


def parent_line(record: Record) -> str:
    """Say what the harness's own process used over the sweep, or nothing where that was not measured."""
    share = observer_share(record)
    if share is None or record.observer is None:
        return ""
    return f"; its parent process used {_percent(share)} of a CPU over the sweep{_modelled(record.observer)}"


def _modelled(observer: HarnessOverhead) -> str:
    """Add the parent's part of the CPU time of all, which is its part of the energy as a model has it."""
    ours, workers = observer.parent_cpu_ns or 0, observer.workers_cpu_ns or 0
    energy = f", {_percent(ours / (ours + workers))} of the energy (modelled by CPU time)" if workers else ""
    pollers = observer.pollers or 0
    return f"{energy}, with {pollers} {'poller' if pollers == 1 else 'pollers'}"


def _idle(record: Record) -> str:
    power = idle_power(record.idle)
    if record.idle is None:
        return ""
    if not isinstance(power, IdlePower):
        return f"unavailable, because {power.reason}"
    after = "not measured" if power.after is None else f"{shown(power.after)} W"
    return (
        f"{shown(power.before)} W before the rounds, {after} after: of the machine as the meter sees it, "
        "with all workers loaded and none at work"
    )


def _conditions(group: Sequence[Figures]) -> str:
    records = [item.record for item in group]
    return "; ".join([*_shares(records), *_exchanged(records), *_moved(records[0])])


def _shares(records: Sequence[Record]) -> Iterator[str]:
    for what, share_of in (("others used", foreign_share), ("a hypervisor took", steal_share)):
        known = [share for record in records if (share := share_of(record)) is not None]
        if known:
            yield f"{what} at most {_percent(max(known))} of the CPUs (medians over rounds)"


def _exchanged(records: Sequence[Record]) -> Iterator[str]:
    ends = [found for record in records if (found := exchange_ends(record))]
    if ends:
        low, high = min(low for low, _ in ends), max(high for _, high in ends)
        yield f"the CPUs answered each other in {low:.0f} to {high:.0f} ns (10th and 90th percentile)"


def _moved(record: Record) -> Iterator[str]:
    found = record.conditions
    if found is None:
        return
    pairs = (
        ("load average", found.before.load_average, found.after.load_average, ""),
        ("processor", _celsius(found.before.temperature_mc), _celsius(found.after.temperature_mc), " C"),
    )
    for what, before, after, unit in pairs:
        if before is not None and after is not None:
            yield f"{what} {before:.3g}, then {after:.3g}{unit}"


def _celsius(thousandths: int | None) -> float | None:
    return None if thousandths is None else thousandths / 1000


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
