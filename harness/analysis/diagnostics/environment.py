"""Warnings about the machine while it measured: what changed, who else worked, what was held back."""

import math
import statistics
from collections.abc import Callable, Iterator

from harness.analysis.diagnostics.base import ResultWarning, name_of, run_of
from harness.analysis.idle_power import IdlePower, idle_power
from harness.analysis.statistics.estimates import energy_windows
from harness.records.estimate import Unavailable
from harness.records.reading import sum_readings, sum_with_processor
from harness.records.record import Conditions, GpuSnapshot, MachineSnapshot, Record

LARGE_FOREIGN = 0.05
"""Share of our CPUs that others may use. Below, ticks of 10 ms are most of what is seen."""

LARGE_STEAL = 0.01
"""Share of our CPUs that a hypervisor may take: it takes from whoever runs then, which no pairing undoes."""

UNLIKE_TRIPS = 2.0
"""Slow over fast round trips (90th and 10th percentile) from which on CPUs were moved: clocks change less."""

FEWEST_TRIPS = 5

LARGE_WHEN_APART = 0.1
"""Share by which requests take longer where CPUs are apart: fewer rounds and unlike slices hide less."""

FEWEST_APART = 2
"""Rounds of either kind that tell by how much."""

LARGE_WAIT = 0.01
"""Share of the time for which a quota, or memory that is short, may hold us back."""

LARGE_DRIFT = 0.10
"""Share by which idle power or a clock may change between before and after."""

HOTTER_C = 25
"""Degrees by which a processor or board may warm up; a cold start is 20 or so."""

LARGE_OBSERVER = 0.01
"""Share of one CPU that the harness's parent process may use over a sweep."""


def _host_changed(record: Record) -> ResultWarning | None:
    if not record.host_changes:
        return None
    sentence = f"{run_of(record)}: the machine changed meanwhile ({'; '.join(record.host_changes)})."
    return ResultWarning("host-changed", sentence, "Find out what changed it, and measure again.")


def _virtual_machine(record: Record) -> ResultWarning | None:
    machine = str(record.host.facts.get("virtualisation", ""))
    if not machine.startswith("virtual machine"):
        return None
    sentence = (
        f"{run_of(record)} was measured in a {machine}, where neighbours may share the processor unseen."
    )
    step = "Trust ratios more than absolute times; measure on bare metal what you publish."
    return ResultWarning("virtual-machine", sentence, step)


def _foreign_load(record: Record) -> ResultWarning | None:
    share = foreign_share(record)
    if share is None or share <= LARGE_FOREIGN:
        return None
    sentence = f"{name_of(record)}: others used {100 * share:.0f} % of its CPUs in the median of its rounds."
    return ResultWarning("foreign-load", sentence, _stop_others(record, "Stop what else runs on these CPUs"))


def _load_elsewhere(record: Record) -> ResultWarning | None:
    """Work on other CPUs is in the joules of a package, a board or a system, and in no share of a process."""
    share = _share(record, "elsewhere_cpu_ns")
    if share is None or share <= LARGE_FOREIGN:
        return None
    both = any(sum_with_processor(item.readings) for item in record.rounds)
    energy = energy_windows(record.rounds, sum_with_processor if both else sum_readings)
    if (
        isinstance(energy, Unavailable)
        or energy.grade != "measured"
        or energy.scope in ("process share", "board", "shared board")
    ):
        return None
    sentence = (
        f"{name_of(record)}: its joules are those of the {energy.scope}, and CPUs that it did not use worked "
        f"{100 * share:.0f} % as much as its own could."
    )
    return ResultWarning(
        "load-elsewhere", sentence, _stop_others(record, "Stop what else runs on the machine")
    )


def _stop_others(record: Record, otherwise: str) -> str:
    busiest = record.conditions.busiest if record.conditions else None
    what = f"Stop what else runs (most of all {busiest})" if busiest else otherwise
    return f"{what}, and measure again."


def _steal(record: Record) -> ResultWarning | None:
    share = steal_share(record)
    if share is None or share <= LARGE_STEAL:
        return None
    sentence = (
        f"{name_of(record)}: the hypervisor took {100 * share:.1f} % of its CPUs in the median of its rounds."
    )
    step = "Measure at another hour, on a machine of your own, or with more rounds (--rounds)."
    return ResultWarning("steal", sentence, step)


def _cpus_moved(record: Record) -> ResultWarning | None:
    ends = exchange_ends(record)
    if ends is None or ends[1] < UNLIKE_TRIPS * ends[0]:
        return None
    low, high = ends
    slower = _when_apart(record, math.sqrt(low * high))
    if slower is None or slower < 1 + LARGE_WHEN_APART:
        return None
    sentence = (
        f"{name_of(record)}: its CPUs answered each other in {low:.0f} ns before some visits and {high:.0f} "
        f"before others, as where a hypervisor moves them, and requests took {slower:.2g} times as long."
    )
    step = "Pin the virtual CPUs on their host, or compare with --threads 1 or --instances of one thread."
    return ResultWarning("cpus-moved", sentence, step)


def _when_apart(record: Record, between_ns: float) -> float | None:
    """Return a request's time in rounds before which CPUs answered more slowly, over that in the others."""
    times: dict[bool, list[float]] = {True: [], False: []}
    for turn in record.rounds:
        if turn.exchange_ns is not None:
            times[turn.exchange_ns > between_ns].append(turn.wall_ns / turn.requests)
    if min(map(len, times.values())) < FEWEST_APART:
        return None
    return statistics.median(times[True]) / statistics.median(times[False])


def _foreign_on_gpu(record: Record) -> ResultWarning | None:
    boards = [board for moment in _moments(record) for board in _own_boards(record, moment)]
    count = max((board.foreign or 0 for board in boards), default=0)
    if not count:
        return None
    processes = "1 process" if count == 1 else f"{count} processes"
    sentence = (
        f"{run_of(record)}: {processes} of others computed on its GPU, and a board's joules hold theirs too."
    )
    return ResultWarning(
        "foreign-gpu",
        sentence,
        "Stop them (nvidia-smi lists them), or name another board, and measure again.",
    )


def _held_back(record: Record) -> ResultWarning | None:
    found = record.conditions
    reasons = [] if found is None else [*_reasons(found), *_reasons_of_boards(record, found)]
    if not reasons:
        return None
    sentence = f"{run_of(record)}: the machine held it back ({'; '.join(reasons)})."
    step = "Let it cool down, raise the quota, or free memory, whichever it was, and measure again."
    return ResultWarning("held-back", sentence, step)


def _reasons(found: Conditions) -> Iterator[str]:
    before, after, span_us = found.before, found.after, found.span_ns / 1e3
    heat = _more(before.thermal_throttles, after.thermal_throttles)
    if heat > 0:
        yield f"heat slowed its CPUs down {heat:,.0f} times"
    quota = _more(before.quota_throttled_us, after.quota_throttled_us)
    if quota > LARGE_WAIT * span_us:
        yield f"a CPU quota for {100 * quota / span_us:.0f} % of the time"
    memory = _more(before.pressure_us.get("memory"), after.pressure_us.get("memory"))
    if memory > LARGE_WAIT * span_us:
        yield f"processes waited for memory for {100 * memory / span_us:.0f} % of the time"
    swapped = _more(before.swapped_pages, after.swapped_pages)
    if swapped > 0:
        yield f"{swapped:,.0f} pages were swapped"


def _reasons_of_boards(record: Record, found: Conditions) -> Iterator[str]:
    for old, new in _pairs_of_boards(record, found):
        for kind, held_ns in new.held_back_ns.items():
            more = held_ns - old.held_back_ns.get(kind, held_ns)
            if more > 0:
                yield f"{new.name}: its {kind} limit for {more / 1e9:.1f} s"


def _conditions_changed(record: Record) -> ResultWarning | None:
    found = record.conditions
    governor = str(record.host.facts.get("governor"))
    changes = (
        [] if found is None else [*_changes(found.before, found.after, governor), *_hotter(record, found)]
    )
    if not changes:
        return None
    sentence = f"{run_of(record)}: conditions changed from before to after ({'; '.join(changes)})."
    step = (
        "Ratios are paired within rounds and stand; run once before to warm up what absolute times rest on."
    )
    return ResultWarning("conditions-changed", sentence, step)


def _changes(before: MachineSnapshot, after: MachineSnapshot, governor: str) -> Iterator[str]:
    # under any other governor the clock of an idle processor says nothing about a busy one
    if before.frequency_khz and after.frequency_khz and governor == "performance":
        old, new = before.frequency_khz / 1e6, after.frequency_khz / 1e6
        if abs(new - old) > LARGE_DRIFT * old:
            yield f"clock {old:.2f}, then {new:.2f} GHz"
    hotter = _more(before.temperature_mc, after.temperature_mc) / 1000
    if hotter > HOTTER_C:
        yield f"the processor is {hotter:.0f} degrees hotter"


def _hotter(record: Record, found: Conditions) -> Iterator[str]:
    for old_board, new_board in _pairs_of_boards(record, found):
        hotter = _more(old_board.temperature_c, new_board.temperature_c)
        if hotter > HOTTER_C:
            yield f"{new_board.name} is {hotter:.0f} degrees hotter"


def _idle_drift(record: Record) -> ResultWarning | None:
    power = idle_power(record.idle)
    if not isinstance(power, IdlePower) or abs(power.drift) <= LARGE_DRIFT:
        return None
    sentence = (
        f"{run_of(record)}: idle took {power.before:.3g} W before its rounds and {power.after:.3g} W after."
    )
    step = "Read net energy with care; let the machine settle for some minutes before measuring again."
    return ResultWarning("idle-drift", sentence, step)


def _observer(record: Record) -> ResultWarning | None:
    share = observer_share(record)
    if share is None or share <= LARGE_OBSERVER:
        return None
    sentence = (
        f"{run_of(record)}: the harness's own process used {100 * share:.1f} % of a CPU over the sweep."
    )
    return ResultWarning("observer-cost", sentence, _less_observing(record))


def _less_observing(record: Record) -> str:
    if record.profile == "quick":
        return "Measure with --profile default: its windows are longer, and looking costs the same."
    return "Ask more requests of each visit (fewer --rounds, a larger --limit): looking costs the same."


def foreign_share(record: Record) -> float | None:
    """Return the share of the run's CPUs that others used, the median over rounds; None where hidden."""
    return _share(record, "foreign_cpu_ns")


def steal_share(record: Record) -> float | None:
    """Return the share of the run's CPUs that a hypervisor took, as `foreign_share` does."""
    return _share(record, "steal_ns")


def exchange_ends(record: Record) -> tuple[float, float] | None:
    """Return in how many ns the run's CPUs answered each other, 10th and 90th percentile, or None."""
    trips = [turn.exchange_ns for turn in record.rounds if turn.exchange_ns is not None]
    if len(trips) < FEWEST_TRIPS:
        return None
    tenths = statistics.quantiles(trips, n=10, method="inclusive")
    return tenths[0], tenths[-1]


def observer_share(record: Record) -> float | None:
    """Return the CPU time of the harness's parent process as a share of the sweep's length, or None."""
    observer = record.observer
    if observer is None or observer.parent_cpu_ns is None or not observer.sweep_wall_ns:
        return None
    return observer.parent_cpu_ns / observer.sweep_wall_ns


def _share(record: Record, name: str) -> float | None:
    cpus = len(record.placement.cpus) if record.placement else 0
    shares = [
        getattr(turn, name) / (turn.watched_ns * cpus)
        for turn in record.rounds
        if cpus and turn.watched_ns and getattr(turn, name) is not None
    ]
    return statistics.median(shares) if shares else None


def _moments(record: Record) -> tuple[MachineSnapshot, ...]:
    return (record.conditions.before, record.conditions.after) if record.conditions else ()


def _own_boards(record: Record, moment: MachineSnapshot) -> tuple[GpuSnapshot, ...]:
    """Return the board that the cell ran on, all where the record does not tell which, or none for a CPU."""
    if record.cell.device == "cpu":
        return ()
    own = record.placement.board if record.placement else None
    return tuple(board for board in moment.gpus if own is None or board.index in (own, None))


def _pairs_of_boards(record: Record, found: Conditions) -> Iterator[tuple[GpuSnapshot, GpuSnapshot]]:
    """Yield the cell's boards as they were before and after."""
    return zip(_own_boards(record, found.before), _own_boards(record, found.after), strict=False)


def _more(before: float | None, after: float | None) -> float:
    """Return how much more it is after; 0 where either is not known."""
    return 0.0 if before is None or after is None else after - before


RULES: tuple[Callable[[Record], ResultWarning | None], ...] = (
    _host_changed,
    _virtual_machine,
    _foreign_load,
    _load_elsewhere,
    _steal,
    _cpus_moved,
    _foreign_on_gpu,
    _held_back,
    _conditions_changed,
    _idle_drift,
    _observer,
)
