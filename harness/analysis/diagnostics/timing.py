"""Warnings about timing and about answers that change: warm-up, offered load, repeats, scenarios."""

from collections.abc import Sequence
from operator import attrgetter

from harness.analysis.diagnostics.base import GroupRule, ResultWarning, Rule, is_null, name_of, run_of
from harness.records.record import OfferedLoad, Record

LONGER_SHARE = 0.25
"""Limit of the difference between the percentile in steady state and the measured one, as its share."""

LATE_SHARE = 0.05
"""Limit of the share of the median latency that late wake-ups of the harness add."""

CLIENT_SHARE = 0.8
"""Limit of the share of one CPU that the client of a model server uses; its threads share one interpreter."""


def _unsteady(record: Record) -> ResultWarning | None:
    if record.start is None or record.start.steady is not False:
        return None
    requests = record.start.warmup_requests
    sentence = f"{name_of(record)}: its times had not settled after {requests} requests of warm-up."
    step = "Stop other work on the machine and measure again"
    more = "; --profile default warms up for longer." if record.profile == "quick" else "."
    return ResultWarning("unsteady", sentence, f"{step}{more}")


def _overloaded(record: Record) -> ResultWarning | None:
    load = record.load
    if load is None or not load.overloaded:
        return None
    sentence = (
        f"{name_of(record)}: it answered {load.achieved:.3g} of {load.rate:.3g} requests per second, and its "
        "queue grew: its latencies depend on the length of the windows."
    )
    if load.highest_rate:
        step = f"Offer it at most {load.highest_rate:.3g} requests per second (--rate)."
    else:
        step = f"Lower --rate below {load.achieved:.2g}, or let --slo p99=... search for the highest rate."
    return ResultWarning("overloaded", sentence, step)


def _steady_state(record: Record) -> ResultWarning | None:
    """Compare the measured percentile with that of the same service times in steady state."""
    load = record.load
    steady = load.steady if load else None
    if load is None or load.overloaded or steady is None or not steady.measured_ns:
        return None
    measured = f"{name_of(record)}: its windows show p{steady.percentile:g} = {_ms(steady.measured_ns)}"
    step = "Plan by the longer one (`bench plan`); a lower --rate or longer windows (--window) lie closer."
    if steady.value_ns is None:
        if steady.utilisation is None:
            return None
        sentence = f"{measured}, and {steady.unavailable}: its latencies depend on the length of the windows."
        return ResultWarning("steady-state", sentence, "Lower --rate: no latency lasts at this load.")
    if abs(steady.value_ns / steady.measured_ns - 1) <= LONGER_SHARE:
        return None
    sentence = (
        f"{measured}, and the same service times give {_ms(steady.value_ns)} in steady state (computed, at "
        f"{100 * (steady.utilisation or 0):.0f} % load): a window begins with an empty queue and ends soon."
    )
    return ResultWarning("steady-state", sentence, step)


def _ms(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e6:.3g} ms"


def _slo(record: Record) -> ResultWarning | None:
    load = record.load
    if load is None or not load.trials:
        return None
    if load.highest_rate is None:
        lowest = min(trial.rate for trial in load.trials)
        sentence = (
            f"{name_of(record)}: it does not keep {load.promise} even at {lowest:.3g} requests per second."
        )
        return ResultWarning("promise-broken", sentence, "Allow a longer latency, or use a faster variant.")
    return _few_in_trials(record, load)


def _few_in_trials(record: Record, load: OfferedLoad) -> ResultWarning | None:
    needed, have = load.trials[0].needed, load.trials[0].have
    if have >= needed:
        return None
    sentence = (
        f"{run_of(record)}: {load.promise} was judged over {have} distinct requests, and its percentile "
        f"needs {needed}: the highest rates are only indications."
    )
    step = f"Time at least {needed} examples: --limit {needed}."
    if record.data.examples < needed:
        split = f"the split has {record.data.examples}"
        step = f"Give at least {needed} examples, or name a lower percentile: {split}."
    return ResultWarning("promise-few-requests", sentence, step)


def _late(record: Record) -> ResultWarning | None:
    late = sorted(item.late_ns for item in record.rounds if item.late_ns is not None)
    median = record.latency["p50"].value_ns if "p50" in record.latency else None
    if not late or not median or late[len(late) // 2] <= LATE_SHARE * median:
        return None
    share = 100 * late[len(late) // 2] / median
    sentence = (
        f"{name_of(record)}: late wake-ups of the harness are {share:.0f} % of its median latency "
        f"(limit {100 * LATE_SHARE:.0f} %)."
    )
    step = "Stop other work on the machine, and measure again; scenario single-stream has no wake-ups."
    return ResultWarning("late-wake-up", sentence, step)


def _client(record: Record) -> ResultWarning | None:
    """Warn where the client of a model server is busy all the time, so that the server may wait for it."""
    windows = [
        (item.traffic.client_cpu_ns, item.wall_ns) for item in record.rounds if item.traffic is not None
    ]
    if not windows or is_null(record):
        return None
    busy = sum(client_ns for client_ns, _ in windows) / sum(wall_ns for _, wall_ns in windows)
    if busy <= CLIENT_SHARE:
        return None
    sentence = (
        f"{name_of(record)}: its client used {100 * busy:.0f} % of a CPU (limit {100 * CLIENT_SHARE:.0f} %), "
        "so it may have limited the server."
    )
    step = "Take its throughput as a lower bound; the variant null-server shows what the client can do."
    return ResultWarning("client-limit", sentence, step)


def _unstable(record: Record) -> ResultWarning | None:
    quality = record.quality
    if quality is None or not quality.unstable:
        return None
    sentence = (
        f"{name_of(record)}: {quality.unstable} of {quality.timed} examples were answered differently when "
        "they were timed again."
    )
    step = "Find the cause (dropout, sampling, a race between threads) before you quote its quality."
    return ResultWarning("unstable-answers", sentence, step)


def _by_scenario(record: Record, others: Sequence[Record]) -> ResultWarning | None:
    """Compare with the first record of the same system over the same examples in another scenario."""
    first = next((other for other in others if _same_system(record, other)), record)
    if record.quality is None or first.quality is None or record.quality.timed_sha256 is None:
        return None
    timed, others_timed = record.quality.timed, first.quality.timed
    if timed != others_timed or record.quality.timed_sha256 == first.quality.timed_sha256:
        return None
    sentence = (
        f"{name_of(record)}: its answers to the same examples differ between {_scenario(record)} and "
        f"{_scenario(first)}."
    )
    step = "Quote quality and speed from the same scenario; fixed scales keep the answers equal."
    return ResultWarning("scenario-answers", sentence, step)


def _same_system(record: Record, other: Record) -> bool:
    if other.cell.variant != record.cell.variant:  # first: most of a run differs in it
        return False
    has_answers = other.quality is not None and other.quality.timed_sha256 is not None
    return has_answers and _system(other) == _system(record)


_system = attrgetter(
    "run",
    *(f"cell.{name}" for name in ("task", "variant", "device", "boundary", "max_length", "twin")),
    *("data.fingerprint", "model.fingerprint", "cell.command", "cell.definition", "cell.rung"),
)


def _scenario(record: Record) -> str:
    cell = record.cell
    if cell.scenario == "server":
        return f"server at {cell.rate:g} requests per second" if cell.rate else "server"
    return f"{cell.scenario} of {cell.batch}" if cell.batch > 1 else cell.scenario


RULES: tuple[Rule, ...] = (
    _unsteady,
    _overloaded,
    _steady_state,
    _slo,
    _late,
    _client,
    _unstable,
)

RUN_RULES: tuple[GroupRule, ...] = (_by_scenario,)
"""Rules that compare the record with all others: other groups hold the same systems in other scenarios."""
