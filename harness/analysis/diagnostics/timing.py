"""Warnings about timing and about answers that do not stay: warm-up, offered load, repeats, scenarios."""

from collections.abc import Callable, Sequence

from harness.analysis.diagnostics.base import ResultWarning, name_of
from harness.records.record import OfferedLoad, Record

LATE_SHARE = 0.05
"""Share of the median latency that the harness itself may add by waking up late."""


def _unsteady(record: Record) -> ResultWarning | None:
    if record.start is None or record.start.steady is not False:
        return None
    asked = record.start.warmup_requests
    sentence = f"{name_of(record)}: after {asked} requests of warm-up its times had still not settled."
    step = "Stop other work on the machine and measure again"
    more = "; --profile default warms up for longer." if record.profile == "quick" else "."
    return ResultWarning("unsteady", sentence, f"{step}{more}")


def _overloaded(record: Record) -> ResultWarning | None:
    load = record.load
    if load is None or not load.overloaded:
        return None
    sentence = (
        f"{name_of(record)}: of {load.rate:.3g} requests per second it answered {load.achieved:.3g}, and its "
        "queue grew: its latencies say how long the windows were, and no more."
    )
    if load.highest_rate:
        step = f"Offer it {load.highest_rate:.3g} a second or less (--rate)."
    else:
        step = f"Lower --rate below {load.achieved:.2g}, or let --slo p99=... find what it can bear."
    return ResultWarning("overloaded", sentence, step)


def _promise(record: Record) -> ResultWarning | None:
    load = record.load
    if load is None or not load.trials:
        return None
    if load.highest_rate is None:
        least = min(trial.rate for trial in load.trials)
        sentence = (
            f"{name_of(record)}: it does not keep {load.promise} even at {least:.3g} requests a second."
        )
        return ResultWarning("promise-broken", sentence, "Promise a longer time, or serve a faster variant.")
    return _few_in_trials(record, load)


def _few_in_trials(record: Record, load: OfferedLoad) -> ResultWarning | None:
    needed, have = load.trials[0].needed, load.trials[0].have
    if have >= needed:
        return None
    sentence = (
        f"Run {record.run}: {load.promise} was judged over {have} distinct requests, and such a percentile "
        f"needs {needed}: the highest rates are indications."
    )
    return ResultWarning(
        "promise-few-requests", sentence, f"Time at least {needed} examples: --limit {needed}."
    )


def _late(record: Record) -> ResultWarning | None:
    late = sorted(item.late_ns for item in record.rounds if item.late_ns is not None)
    median = record.latency["p50"].value_ns if "p50" in record.latency else None
    if not late or not median or late[len(late) // 2] <= LATE_SHARE * median:
        return None
    share = 100 * late[len(late) // 2] / median
    sentence = f"{name_of(record)}: {share:.0f} % of its median latency is the harness waking up late."
    step = "Stop other work on the machine, and measure again; single-stream shows its latency alone."
    return ResultWarning("late-wake-up", sentence, step)


def _unstable(record: Record) -> ResultWarning | None:
    quality = record.quality
    if quality is None or not quality.unstable:
        return None
    sentence = (
        f"{name_of(record)}: {quality.unstable} of {quality.timed} examples were answered differently when "
        "they were timed again."
    )
    step = "Look for chance in it (dropout, sampling, a race of threads) before you quote its quality."
    return ResultWarning("unstable-answers", sentence, step)


def _by_scenario(record: Record, others: Sequence[Record]) -> ResultWarning | None:
    """Compare with the first record of the same system over the same examples, asked otherwise."""
    first = next((other for other in others if _same_system(record, other)), record)
    if record.quality is None or first.quality is None or record.quality.timed_sha256 is None:
        return None
    mine, theirs = record.quality, first.quality
    if mine.timed != theirs.timed or mine.timed_sha256 == theirs.timed_sha256:
        return None
    sentence = (
        f"{name_of(record)}: its answers to the same examples in {_way(record)} are not all those in "
        f"{_way(first)}."
    )
    step = (
        "Quote quality and speed of one way of asking together; scales fixed beforehand keep answers equal."
    )
    return ResultWarning("scenario-answers", sentence, step)


def _same_system(record: Record, other: Record) -> bool:
    def of(each: Record) -> tuple[object, ...]:
        cell = each.cell
        return (
            *(each.run, cell.task, cell.variant, cell.device, cell.boundary, cell.max_length, cell.twin),
            *(each.data.fingerprint, each.model.fingerprint, cell.command, cell.definition, cell.rung),
        )

    return other.quality is not None and other.quality.timed_sha256 is not None and of(other) == of(record)


def _way(record: Record) -> str:
    cell = record.cell
    if cell.scenario == "server":
        return f"server at {cell.rate:g} a second" if cell.rate else "server"
    return f"{cell.scenario} of {cell.batch}" if cell.batch > 1 else cell.scenario


RULES: tuple[Callable[[Record], ResultWarning | None], ...] = (
    _unsteady,
    _overloaded,
    _promise,
    _late,
    _unstable,
)

RUN_RULES: tuple[Callable[[Record, Sequence[Record]], ResultWarning | None], ...] = (_by_scenario,)
"""Rules that look at all records at hand: other groups of the run ask the same systems in other ways."""
