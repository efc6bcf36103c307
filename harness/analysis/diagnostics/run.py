"""Warnings about how much was measured, and by what."""

from collections.abc import Callable

from harness.analysis.diagnostics.base import (
    ResultWarning,
    harness_share,
    is_null,
    more_requests,
    name_of,
    run_of,
    stop,
)
from harness.analysis.diagnostics.environment import foreign_share
from harness.analysis.statistics.estimates import robust_spread, unusable
from harness.records.record import Record

ENOUGH_ROUNDS = 7
"""From 7 rounds on the interval of a median covers it as often as it says (`statistics/estimates.py`)."""

WIDE_SPREAD = 0.10
"""pyperf warns at the same share of the mean."""

LITTLE_FOREIGN = 0.01
"""Of our CPUs: others that use less are not what spreads times."""

LARGE_SHARE = 0.05
"""Share of a request's time that the timed loop itself may take."""

SHOWN_PERCENTILES = ("p50", "p90")


def _unfinished_cell(record: Record) -> ResultWarning | None:
    if record.status == "complete" or record.failure is None:
        return None
    kept = f"has {len(record.rounds)} of {record.rounds_planned} rounds"
    what = "failed" if record.status == "failed" else kept
    step = record.failure.remedy or "Run it alone with --debug to see where it stopped."
    return ResultWarning(
        f"cell-{record.status}", f"{name_of(record)} {what}: {stop(record.failure.message)}", step
    )


def _null_system(record: Record) -> ResultWarning | None:
    if not is_null(record):
        return None
    sentence = f"{name_of(record)} does not read its input: it shows what the harness costs, and is no model."
    return ResultWarning("null-system", sentence, "Leave it out of any comparison between models.")


def _quick_profile(record: Record) -> ResultWarning | None:
    if record.profile != "quick":
        return None
    rounds = f"{record.rounds_planned} rounds"
    sentence = (
        f"{run_of(record)} used the quick profile ({rounds}): it shows that things work, and little more."
    )
    return ResultWarning(
        "quick-profile", sentence, "Measure with --profile default before believing a ratio."
    )


def _few_rounds(record: Record) -> ResultWarning | None:
    rounds = len(record.rounds)
    if record.profile == "quick" or not 0 < rounds < ENOUGH_ROUNDS:
        return None
    sentence = f"{name_of(record)} rests on {rounds} rounds: below {ENOUGH_ROUNDS}, intervals say too much."
    return ResultWarning("few-rounds", sentence, _more_rounds(record))


def _more_rounds(record: Record) -> str:
    asked = record.configuration.get("rounds")
    if isinstance(asked, int) and asked < ENOUGH_ROUNDS:
        return f"Ask for at least {ENOUGH_ROUNDS} with --rounds, where {asked} were asked for."
    if record.status == "partial":
        return "Measure the rounds that are missing."
    return f"Measure at least {ENOUGH_ROUNDS} rounds (--rounds)."


def _spread(record: Record) -> ResultWarning | None:
    if unusable(record.rounds):
        return None
    spread = robust_spread([item.wall_ns / item.requests for item in record.rounds])
    if spread < WIDE_SPREAD:
        return None
    sentence = f"{name_of(record)}: its time per request spreads by {100 * spread:.0f} % over rounds."
    return ResultWarning("spread", sentence, _steadier(record))


def _steadier(record: Record) -> str:
    """Return what could still be made steadier: only what is not so already."""
    facts, foreign = record.host.facts, foreign_share(record)
    governor = str(facts.get("governor", "unavailable"))
    steps = (
        ("stop other work on the machine", foreign is None or foreign > LITTLE_FOREIGN),
        ("set the governor to performance", not governor.startswith(("performance", "unavailable"))),
        ("switch boost off", facts.get("boost") == "on"),
        ("take longer windows (--profile default)", record.profile == "quick"),
    )
    wanted = [step for step, helps in steps if helps] or ["add rounds (--rounds)"]
    words = f"{', '.join(wanted)}, and measure again."
    return words[0].upper() + words[1:]


def _threads(record: Record) -> ResultWarning | None:
    if record.placement is None:
        return None
    effective, asked = record.placement.effective, record.placement.threads_requested
    each, instances = effective.get("threads"), effective.get("instances", record.cell.instances)
    if not isinstance(each, int) or not isinstance(instances, int) or each * instances == asked:
        return None
    sentence = (
        f"{name_of(record)} was asked to use {asked} threads, and its engine reports {each * instances}."
    )
    step = "Compare it only with systems on as many; `bench doctor` shows which CPUs may be used."
    return ResultWarning("threads", sentence, step)


def _large_harness_share(record: Record) -> ResultWarning | None:
    share = harness_share(record)
    if share is None or share <= LARGE_SHARE or is_null(record):
        return None
    sentence = f"{name_of(record)}: the timed loop itself takes {100 * share:.0f} % of its time per request."
    many = "; the offline scenario asks many requests in one call"
    step = f"Its speed-up is understated{many if record.cell.scenario == 'single-stream' else ''}."
    return ResultWarning("harness-share", sentence, step)


def _percentiles(record: Record) -> ResultWarning | None:
    shown = {name: record.latency[name] for name in SHOWN_PERCENTILES if name in record.latency}
    short = [f"{name} needs {facts.needed}" for name, facts in shown.items() if facts.value_ns is None]
    if not short:
        return None
    have = min(facts.have for facts in shown.values())
    asked = "batches" if record.cell.scenario == "batch" else "requests"
    sentence = f"{run_of(record)} asked {have} distinct {asked}, too few: {', '.join(short)}."
    return ResultWarning("percentile", sentence, more_requests(record))


RULES: tuple[Callable[[Record], ResultWarning | None], ...] = (
    _unfinished_cell,
    _null_system,
    _quick_profile,
    _few_rounds,
    _spread,
    _threads,
    _large_harness_share,
    _percentiles,
)
