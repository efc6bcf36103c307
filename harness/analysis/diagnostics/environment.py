"""Warnings about the machine during the run: changes, other work, and limits that slowed it."""

import math
import statistics
from collections.abc import Iterator

from harness.analysis.diagnostics.base import ResultWarning, Rule, name_of, run_of
from harness.analysis.energy.idle_power import IdlePower, idle_power
from harness.analysis.statistics.estimates import energy_windows
from harness.records.estimate import Unavailable
from harness.records.reading import sum_readings, sum_with_processor
from harness.records.record import Conditions, GpuSnapshot, MachineSnapshot, Record

LARGE_FOREIGN = 0.05
"""Limit of the share of the run's CPUs that other processes use; smaller shares are mostly ticks of 10 ms."""

LARGE_STEAL = 0.01
"""Limit of the share of the run's CPUs that a hypervisor takes: pairing does not correct for it, because it
slows whichever system runs at that moment."""

UNLIKE_TRIPS = 2.0
"""Ratio of slow to fast round trips (90th and 10th percentile) that shows moved CPUs: clocks vary by less."""

FEWEST_TRIPS = 5
"""Rounds with a measured round trip that the percentiles need."""

LARGE_WHEN_APART = 0.1
"""Least slow-down of requests with slow round trips: few rounds and unlike slices vary by less."""

FEWEST_APART = 2
"""Rounds with slow and with fast round trips that the comparison needs."""

LARGE_WAIT = 0.01
"""Limit of the share of the time for which a quota, or a lack of memory, stops the run."""

LARGE_DRIFT = 0.10
"""Limit of the share by which idle power or a clock changes between before and after."""

HOTTER_C = 25
"""Limit of the degrees by which a processor or board warms up; a cold start is about 20."""

LARGE_OBSERVER = 0.01
"""Limit of the share of one CPU that the parent process uses over a sweep."""


def _host_changed(record: Record) -> ResultWarning | None:
    if not record.host_changes:
        return None
    sentence = f"{run_of(record)}: the machine changed during the run ({'; '.join(record.host_changes)})."
    return ResultWarning("host-changed", sentence, "Find out what changed it, and measure again.")


def _virtual_machine(record: Record) -> ResultWarning | None:
    machine = str(record.host.facts.get("virtualisation", ""))
    if not machine.startswith("virtual machine"):
        return None
    sentence = (
        f"{run_of(record)} was measured in a {machine}, where other tenants may use the same processor "
        "unnoticed."
    )
    step = "Rely on ratios rather than on absolute times; measure on bare metal for publication."
    return ResultWarning("virtual-machine", sentence, step)


def _foreign_load(record: Record) -> ResultWarning | None:
    share = foreign_share(record)
    if share is None or share <= LARGE_FOREIGN:
        return None
    sentence = (
        f"{name_of(record)}: other processes used {100 * share:.0f} % of its CPUs in the median round "
        f"(limit {100 * LARGE_FOREIGN:.0f} %)."
    )
    return ResultWarning("foreign-load", sentence, _stop_others(record, "Stop other work on these CPUs"))


def _load_elsewhere(record: Record) -> ResultWarning | None:
    """Warn of work on other CPUs, which the joules of a package or a system include."""
    share = _share(record, "elsewhere_cpu_ns")
    if share is None or share <= LARGE_FOREIGN:
        return None
    has_both = any(sum_with_processor(item.readings) for item in record.rounds)
    energy = energy_windows(record.rounds, sum_with_processor if has_both else sum_readings)
    if (
        isinstance(energy, Unavailable)
        or energy.grade != "measured"
        or energy.scope in ("process share", "board", "shared board")
    ):
        return None
    sentence = (
        f"{name_of(record)}: its joules are those of the whole {energy.scope}, and CPU time on the other "
        f"CPUs was {100 * share:.0f} % of the capacity of its own (limit {100 * LARGE_FOREIGN:.0f} %)."
    )
    return ResultWarning("load-elsewhere", sentence, _stop_others(record, "Stop other work on the machine"))


def _stop_others(record: Record, default: str) -> str:
    busiest = record.conditions.busiest if record.conditions else None
    action = f"Stop other work (most of all {busiest})" if busiest else default
    return f"{action}, and measure again."


def _steal(record: Record) -> ResultWarning | None:
    share = steal_share(record)
    if share is None or share <= LARGE_STEAL:
        return None
    sentence = (
        f"{name_of(record)}: the hypervisor took {100 * share:.1f} % of its CPUs in the median round "
        f"(limit {100 * LARGE_STEAL:.0f} %)."
    )
    step = "Measure at another time, on a machine of your own, or with more rounds (--rounds)."
    return ResultWarning("steal", sentence, step)


def _cpus_moved(record: Record) -> ResultWarning | None:
    ends = exchange_ends(record)
    if ends is None or ends[1] < UNLIKE_TRIPS * ends[0]:
        return None
    low, high = ends
    slower = _slowdown_when_apart(record, math.sqrt(low * high))
    if slower is None or slower < 1 + LARGE_WHEN_APART:
        return None
    sentence = (
        f"{name_of(record)}: a round trip between its CPUs took {low:.0f} ns before some visits and "
        f"{high:.0f} ns before others, as when a hypervisor moves them, and requests then took {slower:.2g} "
        "times as long."
    )
    step = "Pin the virtual CPUs on their host, or compare with --threads 1 or --instances of one thread."
    return ResultWarning("cpus-moved", sentence, step)


def _slowdown_when_apart(record: Record, threshold_ns: float) -> float | None:
    """Return the ratio of a request's time after slow and after fast round trips between CPUs, or None."""
    times: dict[bool, list[float]] = {True: [], False: []}
    for item in record.rounds:
        if item.exchange_ns is not None:
            times[item.exchange_ns > threshold_ns].append(item.wall_ns / item.requests)
    if min(map(len, times.values())) < FEWEST_APART:
        return None
    return statistics.median(times[True]) / statistics.median(times[False])


def _foreign_on_gpu(record: Record) -> ResultWarning | None:
    boards = [board for snapshot in _snapshots(record) for board in _own_boards(record, snapshot)]
    count = max((board.foreign or 0 for board in boards), default=0)
    if not count:
        return None
    processes = "1 process" if count == 1 else f"{count} processes"
    sentence = (
        f"{run_of(record)}: {processes} of other users computed on its GPU, and the joules of the board "
        "include theirs."
    )
    step = "Stop them (nvidia-smi lists them), or choose another board, and measure again."
    return ResultWarning("foreign-gpu", sentence, step)


def _held_back(record: Record) -> ResultWarning | None:
    conditions = record.conditions
    reasons = [] if conditions is None else [*_limits(conditions), *_limits_of_boards(record, conditions)]
    if not reasons:
        return None
    sentence = f"{run_of(record)}: the machine slowed the run down ({'; '.join(reasons)})."
    step = "Let the machine cool down, raise the quota, or free memory, as the cause is, and measure again."
    return ResultWarning("held-back", sentence, step)


def _limits(conditions: Conditions) -> Iterator[str]:
    before, after, span_us = conditions.before, conditions.after, conditions.span_ns / 1e3
    heat = _increase(before.thermal_throttles, after.thermal_throttles)
    if heat > 0:
        yield f"heat throttled its CPUs {heat:,.0f} times"
    quota = _increase(before.quota_throttled_us, after.quota_throttled_us)
    if quota > LARGE_WAIT * span_us:
        yield f"a CPU quota stopped it for {100 * quota / span_us:.0f} % of the time"
    memory = _increase(before.pressure_us.get("memory"), after.pressure_us.get("memory"))
    if memory > LARGE_WAIT * span_us:
        yield f"processes waited for memory for {100 * memory / span_us:.0f} % of the time"
    swapped = _increase(before.swapped_pages, after.swapped_pages)
    if swapped > 0:
        yield f"{swapped:,.0f} pages were swapped"


def _limits_of_boards(record: Record, conditions: Conditions) -> Iterator[str]:
    for old, new in _pairs_of_boards(record, conditions):
        for kind, held_ns in new.held_back_ns.items():
            increase_ns = held_ns - old.held_back_ns.get(kind, held_ns)
            if increase_ns > 0:
                yield f"the {kind} limit of {new.name} slowed it for {increase_ns / 1e9:.1f} s"


def _conditions_changed(record: Record) -> ResultWarning | None:
    conditions = record.conditions
    governor = str(record.host.facts.get("governor"))
    if conditions is None:
        return None
    changes = [*_changes(conditions.before, conditions.after, governor), *_hotter_boards(record, conditions)]
    if not changes:
        return None
    sentence = f"{run_of(record)}: conditions changed from before to after ({'; '.join(changes)})."
    step = (
        "Ratios are paired within rounds and stay valid; for absolute times, warm the machine up with "
        "another run first."
    )
    return ResultWarning("conditions-changed", sentence, step)


def _changes(before: MachineSnapshot, after: MachineSnapshot, governor: str) -> Iterator[str]:
    # with any other governor the clock of an idle processor differs from that of a busy one
    if before.frequency_khz and after.frequency_khz and governor == "performance":
        old, new = before.frequency_khz / 1e6, after.frequency_khz / 1e6
        if abs(new - old) > LARGE_DRIFT * old:
            yield f"clock {old:.2f}, then {new:.2f} GHz"
    increase = _increase(before.temperature_mc, after.temperature_mc) / 1000
    if increase > HOTTER_C:
        yield f"the processor is {increase:.0f} degrees hotter"


def _hotter_boards(record: Record, conditions: Conditions) -> Iterator[str]:
    for old, new in _pairs_of_boards(record, conditions):
        increase = _increase(old.temperature_c, new.temperature_c)
        if increase > HOTTER_C:
            yield f"{new.name} is {increase:.0f} degrees hotter"


def _idle_drift(record: Record) -> ResultWarning | None:
    power = idle_power(record.idle)
    if not isinstance(power, IdlePower) or abs(power.drift) <= LARGE_DRIFT:
        return None
    sentence = (
        f"{run_of(record)}: idle power was {power.before:.3g} W before its rounds and {power.after:.3g} W "
        f"after, a change of {100 * abs(power.drift):.0f} % (limit {100 * LARGE_DRIFT:.0f} %)."
    )
    step = "Net energy is uncertain: let the machine settle for some minutes, and measure again."
    return ResultWarning("idle-drift", sentence, step)


def _observer(record: Record) -> ResultWarning | None:
    share = observer_share(record)
    if share is None or share <= LARGE_OBSERVER:
        return None
    sentence = (
        f"{run_of(record)}: the parent process of the harness used {100 * share:.1f} % of a CPU over the "
        f"sweep (limit {100 * LARGE_OBSERVER:.0f} %)."
    )
    return ResultWarning("observer-cost", sentence, _less_observing(record))


def _less_observing(record: Record) -> str:
    if record.profile == "quick":
        return "Measure with --profile default: its windows are longer, at the same cost of observing each."
    return (
        "Answer more requests in each visit (fewer --rounds, a larger --limit): the cost of observing a "
        "visit stays the same."
    )


def foreign_share(record: Record) -> float | None:
    """Return the share of the run's CPUs that other processes used: the median over rounds, or None."""
    return _share(record, "foreign_cpu_ns")


def steal_share(record: Record) -> float | None:
    """Return the share of the run's CPUs that a hypervisor took: the median over rounds, or None."""
    return _share(record, "steal_ns")


def exchange_ends(record: Record) -> tuple[float, float] | None:
    """Return the 10th and 90th percentile of round trips between the run's CPUs in nanoseconds, or None."""
    trips = [item.exchange_ns for item in record.rounds if item.exchange_ns is not None]
    if len(trips) < FEWEST_TRIPS:
        return None
    deciles = statistics.quantiles(trips, n=10, method="inclusive")
    return deciles[0], deciles[-1]


def observer_share(record: Record) -> float | None:
    """Return the CPU time of the parent process as a share of the length of the sweep, or None."""
    observer = record.observer
    if observer is None or observer.parent_cpu_ns is None or not observer.sweep_wall_ns:
        return None
    return observer.parent_cpu_ns / observer.sweep_wall_ns


def _share(record: Record, name: str) -> float | None:
    cpus = len(record.placement.cpus) if record.placement else 0
    shares = [
        getattr(item, name) / (item.watched_ns * cpus)
        for item in record.rounds
        if cpus and item.watched_ns and getattr(item, name) is not None
    ]
    return statistics.median(shares) if shares else None


def _snapshots(record: Record) -> tuple[MachineSnapshot, ...]:
    return (record.conditions.before, record.conditions.after) if record.conditions else ()


def _own_boards(record: Record, snapshot: MachineSnapshot) -> tuple[GpuSnapshot, ...]:
    """Return the board that the cell ran on; all boards if the record does not name it; none for a CPU."""
    if record.cell.device == "cpu":
        return ()
    own = record.placement.board if record.placement else None
    return tuple(board for board in snapshot.gpus if own is None or board.index in (own, None))


def _pairs_of_boards(record: Record, conditions: Conditions) -> Iterator[tuple[GpuSnapshot, GpuSnapshot]]:
    """Return pairs of the cell's boards, before and after."""
    return zip(_own_boards(record, conditions.before), _own_boards(record, conditions.after), strict=False)


def _increase(before: float | None, after: float | None) -> float:
    """Return after minus before; 0 if either is unknown."""
    return 0.0 if before is None or after is None else after - before


RULES: tuple[Rule, ...] = (
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
