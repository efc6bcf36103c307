"""Warnings about the amount of measurement, its spread, and the harness itself."""

from harness.analysis.diagnostics.base import (
    ResultWarning,
    Rule,
    harness_share,
    is_null,
    more_requests,
    name_of,
    run_of,
    stop,
)
from harness.analysis.diagnostics.environment import foreign_share
from harness.analysis.statistics.estimates import robust_spread, times_of, unusable
from harness.records.record import Record

ENOUGH_ROUNDS = 7
"""From 7 rounds on the interval of a median has its stated coverage (`statistics/bootstrap.py`)."""

WIDE_SPREAD = 0.10
"""Limit of the robust coefficient of variation; pyperf warns at the same share of the mean."""

LITTLE_FOREIGN = 0.01
"""Share of the run's CPUs: other processes that use less do not explain a spread of times."""

LARGE_SHARE = 0.05
"""Limit of the share of a request's time that the timed loop itself takes."""

SHOWN_PERCENTILES = ("p50", "p90")


def _unfinished_cell(record: Record) -> ResultWarning | None:
    if record.status == "complete" or record.failure is None:
        return None
    rounds = f"has {len(record.rounds)} of {record.rounds_planned} rounds"
    state = "failed" if record.status == "failed" else rounds
    sentence = f"{name_of(record)} {state}: {stop(record.failure.message)}"
    step = record.failure.remedy or "Run it alone with --debug to see where it stopped."
    return ResultWarning(f"cell-{record.status}", sentence, step)


def _null_system(record: Record) -> ResultWarning | None:
    if not is_null(record):
        return None
    sentence = (
        f"{name_of(record)} does not read its input: it measures the overhead of the harness, not a model."
    )
    return ResultWarning("null-system", sentence, "Leave it out of comparisons between models.")


def _quick_profile(record: Record) -> ResultWarning | None:
    if record.profile != "quick":
        return None
    rounds = f"{record.rounds_planned} rounds"
    sentence = f"{run_of(record)} used the quick profile ({rounds}), which only checks that everything works."
    return ResultWarning(
        "quick-profile", sentence, "Measure with --profile default before you rely on a ratio."
    )


def _few_rounds(record: Record) -> ResultWarning | None:
    rounds = len(record.rounds)
    if record.profile == "quick" or not 0 < rounds < ENOUGH_ROUNDS:
        return None
    sentence = (
        f"{name_of(record)} has {rounds} rounds: with fewer than {ENOUGH_ROUNDS}, an interval covers the "
        "true value less often than its level states."
    )
    return ResultWarning("few-rounds", sentence, _more_rounds(record))


def _more_rounds(record: Record) -> str:
    requested = record.configuration.get("rounds")
    if isinstance(requested, int) and requested < ENOUGH_ROUNDS:
        return f"Measure at least {ENOUGH_ROUNDS} rounds: the run had --rounds {requested}."
    if record.status == "partial":
        return "Measure the missing rounds."
    return f"Measure at least {ENOUGH_ROUNDS} rounds (--rounds)."


def _spread(record: Record) -> ResultWarning | None:
    if unusable(record.rounds):
        return None
    spread = robust_spread(times_of(record.rounds))
    if spread < WIDE_SPREAD:
        return None
    sentence = (
        f"{name_of(record)}: its time per request varies by {100 * spread:.0f} % between rounds "
        f"(limit {100 * WIDE_SPREAD:.0f} %)."
    )
    return ResultWarning("spread", sentence, _steadier(record))


def _steadier(record: Record) -> str:
    """Return, as a sentence, the steps towards steadier times that were not taken yet."""
    facts, foreign = record.host.facts, foreign_share(record)
    governor = str(facts.get("governor", "unavailable"))
    steps = (
        ("stop other work on the machine", foreign is None or foreign > LITTLE_FOREIGN),
        ("set the governor to performance", not governor.startswith(("performance", "unavailable"))),
        ("turn boost off", facts.get("boost") == "on"),
        ("use longer windows (--profile default)", record.profile == "quick"),
    )
    remaining = [step for step, helps in steps if helps] or ["add rounds (--rounds)"]
    sentence = f"{', '.join(remaining)}, and measure again."
    return sentence[0].upper() + sentence[1:]


def _threads(record: Record) -> ResultWarning | None:
    if record.placement is None:
        return None
    effective, requested = record.placement.effective, record.placement.threads_requested
    threads, instances = effective.get("threads"), effective.get("instances", record.cell.instances)
    if not isinstance(threads, int) or not isinstance(instances, int) or threads * instances == requested:
        return None
    sentence = (
        f"{name_of(record)} was given {requested} threads, and its engine reports {threads * instances}."
    )
    step = "Compare it only with systems on as many threads; `bench doctor` lists the CPUs that may be used."
    return ResultWarning("threads", sentence, step)


def _large_harness_share(record: Record) -> ResultWarning | None:
    share = harness_share(record)
    if share is None or share <= LARGE_SHARE or is_null(record):
        return None
    sentence = (
        f"{name_of(record)}: the timed loop takes {100 * share:.0f} % of its time per request "
        f"(limit {100 * LARGE_SHARE:.0f} %)."
    )
    offline = "; the offline scenario answers many requests in one call"
    step = f"Its speed-up is underestimated{offline if record.cell.scenario == 'single-stream' else ''}."
    return ResultWarning("harness-share", sentence, step)


def _percentiles(record: Record) -> ResultWarning | None:
    shown = {name: record.latency[name] for name in SHOWN_PERCENTILES if name in record.latency}
    short = [f"{name} needs {facts.needed}" for name, facts in shown.items() if facts.value_ns is None]
    if not short:
        return None
    have = min(facts.have for facts in shown.values())
    units = "batches" if record.cell.scenario == "batch" else "requests"
    sentence = f"{run_of(record)} timed {have} distinct {units}, too few: {', '.join(short)}."
    return ResultWarning("percentile", sentence, more_requests(record))


RULES: tuple[Rule, ...] = (
    _unfinished_cell,
    _null_system,
    _quick_profile,
    _few_rounds,
    _spread,
    _threads,
    _large_harness_share,
    _percentiles,
)
