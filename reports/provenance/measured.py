"""The facts below a table: task, data, model, run, machine and meter."""

from collections.abc import Sequence

from harness.analysis.diagnostics import harness_share
from harness.analysis.statistics.estimates import EnergyEstimate
from harness.records.record import Record, Startup
from reports.layout.number_format import TIMES, shown, unit_for
from reports.layout.table_model import FactLine
from reports.provenance.adaptive_cost import adaptive_cost_lines
from reports.provenance.conditions import condition_lines, parent_line
from reports.provenance.gpu_board import board_line
from reports.values.figures import Figures, fastest, first_timed


def title_of(record: Record) -> str:
    """Return the title of a group: what its records share."""
    cell = record.cell
    threads = _count(cell.threads, "thread")
    rate = f" at {record.load.rate:.4g} requests/s" if record.load else ""
    return (
        f"{cell.task} on {cell.device}, {cell.scenario}{rate}, {cell.boundary}, {threads}, "
        f"batch {cell.batch}, at most {cell.max_length} tokens"
    )


def facts_of(group: Sequence[Figures]) -> tuple[FactLine, ...]:
    """Return the facts of a group; its records share all but placement and outcome."""
    record = first_timed(group)
    start, board = _start(group), board_line(group)
    return (
        FactLine("run", f"{record.run}, {record.profile} profile, seed {record.seed}"),
        FactLine("data", _data(record)),
        FactLine("model", _model(record)),
        FactLine("rounds", _rounds(record, group)),
        *([FactLine("start", start)] if start else []),
        FactLine("quality", _quality(record)),
        *adaptive_cost_lines(group),
        FactLine("harness", _harness(group)),
        FactLine("meter", _meter(group)),
        *([FactLine("board", board)] if board else []),
        *condition_lines(group),
        FactLine("host", host_line(record)),
    )


def _data(record: Record) -> str:
    data = record.data
    official = {True: "the official file", False: "not the official file", None: ""}[data.official]
    parts = (
        f"{data.name}/{data.split}, {data.tier}, {_count(data.examples, 'example')}",
        official,
        "" if data.majority is None else f"best constant answer {100 * data.majority:.1f} %",
        f"sha256 {data.fingerprint[:12]}",
    )
    return ", ".join(part for part in parts if part)


def _model(record: Record) -> str:
    trained = "" if record.model.trained else ", untrained"
    return f"{record.model.name}, {record.model.tier}{trained}, sha256 {record.model.fingerprint[:12]}"


def _rounds(record: Record, group: Sequence[Figures]) -> str:
    if not record.rounds:
        return f"0 of {record.rounds_planned}"
    counts = {
        sum(turn.requests for turn in figures.record.rounds) for figures in group if figures.record.rounds
    }
    requests = f"{min(counts):,}" if len(counts) == 1 else f"{min(counts):,} to {max(counts):,}"
    launches = _count(record.launches, "launch", "launches")
    seconds = sum(turn.wall_ns for turn in record.rounds) / 1e9
    examples = _count(record.data.sample, "distinct example")
    reloaded = ", loaded again for each visit" if record.start and record.start.loaded_per_visit else ""
    return (
        f"{len(record.rounds)} of {record.rounds_planned} in {launches}; {requests} requests per variant "
        f"over {examples}; {shown(seconds)} s for {record.cell.variant}{reloaded}{_stop(record)}"
    )


def _stop(record: Record) -> str:
    """Return why no more rounds were added, where a precision was requested."""
    if record.stop is None:
        return ""
    reasons = {"precision": "reached", "rounds": "not reached in ten times the profile's rounds"}
    reason = reasons.get(record.stop.reason, f"ended by {record.stop.reason}")
    half_width = record.stop.half_width
    final = "" if half_width is None else f", {shown(100 * half_width)} % at the end"
    return f"; requested precision of {100 * record.stop.asked:g} %: {reason}{final}"


def _start(group: Sequence[Figures]) -> str:
    """Return what came before the steady state: loading, the first request, a new length."""
    starts = [(figures.record, figures.record.start) for figures in group if figures.record.start is not None]
    if not starts:
        return ""
    requests = max(start.warmup_requests for _, start in starts)
    lines = [f"{record.cell.variant} {_startup(start, record)}" for record, start in starts]
    return f"{_count(requests, 'warm-up request')} each; {'; '.join(lines)}"


def _startup(start: Startup, record: Record) -> str:
    parts = [
        f"loaded in {_time(start.load_ns)}{_compilation(record)}",
        f"first request {_time(start.first_request_ns)}",
    ]
    if start.first_length_ns is not None and start.repeat_length_ns is not None:
        first, again = _time(start.first_length_ns), _time(start.repeat_length_ns)
        parts.append(f"first of a new length {first}, repeated {again}")
    return ", ".join(parts)


def _compilation(record: Record) -> str:
    """Return how much of loading was compiling, or recording graphs."""
    effective = record.placement.effective if record.placement else {}
    steps = (
        ("compiling", effective.get("compiled_in_s")),
        ("recording graphs", effective.get("recorded_in_s")),
    )
    return "".join(f" ({_time(1e9 * seconds)} of it {step})" for step, seconds in steps if seconds)


def _time(ns: float) -> str:
    unit = unit_for([ns], TIMES)
    return f"{shown(ns / unit.size)} {unit.name}"


def _quality(record: Record) -> str:
    quality = record.quality
    if quality is None:
        return "not scored"
    if quality.unavailable:
        return f"unavailable, because {quality.unavailable}"
    cut = f"; {_count(quality.truncated, 'example')} cut to the maximum length" if quality.truncated else ""
    rule = _positive_label(record) or _threshold(record)
    return f"{rule}from {quality.timed:,} timed and {quality.untimed:,} untimed answers{cut}"


def _positive_label(record: Record) -> str:
    """Return the label that F1 is of, where the user named the labels: the last of two."""
    labels = record.configuration.get("custom", {}).get("labels", ())
    return f"F1 of {labels[-1]!r}, " if record.quality and record.quality.primary == "f1" and labels else ""


def _threshold(record: Record) -> str:
    """Return from which probability a label holds, where any number of labels may."""
    task = record.configuration.get("custom", {})
    if "threshold" not in task:
        return ""
    calibration = task.get("threshold_calibration")
    origin = ""
    if calibration:
        origin = f" (calibrated on {_count(calibration['examples'], 'held-out training example')})"
    return f"a label holds from probability {task['threshold']:g}{origin}, "


def _harness(group: Sequence[Figures]) -> str:
    quickest = fastest(group)
    overhead = quickest.record.observer if quickest else None
    share = harness_share(quickest.record) if quickest else None
    if quickest is None or overhead is None or share is None:
        return "the cost of the loop was not measured"
    cost = _time(overhead.loop_ns_per_request)
    compared = f"{100 * share:.2g} % of the fastest variant's time ({quickest.record.cell.variant})"
    return f"the loop costs {cost} per request, {compared}{parent_line(quickest.record)}"


def _meter(group: Sequence[Figures]) -> str:
    kinds = dict.fromkeys(
        f"{energy.grade}, scope {energy.scope}, source {energy.source}"
        for figures in group
        for energy in (figures.energy, figures.whole)
        if isinstance(energy, EnergyEstimate)
    )
    return f"{group[0].record.energy.meter or 'none'}: {'; '.join(kinds) or 'no energy'}"


def host_line(record: Record) -> str:
    """Describe a machine on one line."""
    facts = record.host.facts
    parts = (
        facts.get("cpu_model"),
        _joined(facts.get("usable_logical_cpus"), "usable of", facts.get("logical_cpus"), "logical CPUs"),
        _joined(facts.get("ram_gib"), "GiB"),
        _joined("kernel", facts.get("kernel")),
        facts.get("virtualisation"),
        f"fingerprint {record.host.fingerprint[:12]}",
    )
    return ", ".join(str(part) for part in parts if _is_known(part))


def _joined(*parts: object) -> str | None:
    """Return the parts with blanks between them, or None if one is unknown."""
    return " ".join(map(str, parts)) if all(map(_is_known, parts)) else None


def _is_known(fact: object) -> bool:
    return fact not in (None, "", "none") and not str(fact).startswith("unavailable")


def _count(number: int, singular: str, plural: str | None = None) -> str:
    return f"{number:,} {singular if number == 1 else plural or f'{singular}s'}"
