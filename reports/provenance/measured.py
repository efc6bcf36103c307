"""What was measured: the lines below a table that name its task, data, run, machine and meter."""

from collections.abc import Sequence

from harness.analysis.diagnostics import harness_share
from harness.analysis.statistics.estimates import EnergyEstimate
from harness.records.record import Record, Startup
from reports.layout.number_format import TIMES, shown, unit_for
from reports.layout.table_model import FactLine
from reports.provenance.adaptive_cost import spent_lines
from reports.provenance.conditions import beside_lines, parent_line
from reports.provenance.gpu_board import board_line
from reports.values.figures import Figures, fastest


def title_of(record: Record) -> str:
    """Name a group by what its records share."""
    cell = record.cell
    threads = _count(cell.threads, "thread")
    rate = f" at {record.load.rate:.4g} requests/s" if record.load else ""
    return (
        f"{cell.task} on {cell.device}, {cell.scenario}{rate}, {cell.boundary}, {threads}, "
        f"batch {cell.batch}, at most {cell.max_length} tokens"
    )


def facts_of(group: Sequence[Figures]) -> tuple[FactLine, ...]:
    """Return the facts of a group, by label; records of one group share all but placement and outcome."""
    record = next((item.record for item in group if item.record.rounds), group[0].record)
    lines = (
        ("run", f"{record.run}, {record.profile} profile, seed {record.seed}"),
        ("data", _data(record)),
        ("model", _model(record)),
        ("rounds", _rounds(record, group)),
        *((("start", started),) if (started := _start(group)) else ()),
        ("quality", _scored(record)),
        *spent_lines(group),
        ("harness", _observer(group)),
        ("meter", _meter(group)),
        *((("board", board),) if (board := board_line(group)) else ()),
        *beside_lines(group),
        ("host", host_line(record)),
    )
    return tuple(FactLine(label, text) for label, text in lines)


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
    each = [sum(turn.requests for turn in item.record.rounds) for item in group if item.record.rounds]
    requests = f"{min(each):,}" if len(set(each)) == 1 else f"{min(each):,} to {max(each):,}"
    launches = _count(record.launches, "launch", "launches")
    seconds = sum(item.wall_ns for item in record.rounds) / 1e9
    examples = _count(record.data.sample, "distinct example")
    anew = ", loaded anew for each visit" if record.start and record.start.loaded_per_visit else ""
    return (
        f"{len(record.rounds)} of {record.rounds_planned} in {launches}; {requests} requests per variant "
        f"over {examples}; {shown(seconds)} s for {record.cell.variant}{anew}{_stop(record)}"
    )


def _stop(record: Record) -> str:
    """Say why no more rounds were added, where precision was asked for."""
    if record.stop is None:
        return ""
    ended = {"precision": "reached", "rounds": "not reached in ten times the profile's rounds"}
    how = ended.get(record.stop.reason, f"ended by {record.stop.reason}")
    found = "" if record.stop.half_width is None else f", {shown(100 * record.stop.half_width)} % in the end"
    return f"; precision of {100 * record.stop.asked:g} % asked for: {how}{found}"


def _start(group: Sequence[Figures]) -> str:
    """Say what came before steady state: loading, the first request, a length not seen before."""
    known = [item.record for item in group if item.record.start]
    requests = max((record.start.warmup_requests for record in known if record.start), default=0)
    each = [f"{record.cell.variant} {_started(record.start, record)}" for record in known if record.start]
    return f"{_count(requests, 'request')} to warm up, of each; {'; '.join(each)}" if each else ""


def _started(start: Startup, record: Record) -> str:
    parts = [
        f"loaded in {_time(start.load_ns)}{_made(record)}",
        f"first request {_time(start.first_request_ns)}",
    ]
    if start.first_length_ns is not None and start.repeat_length_ns is not None:
        first, again = _time(start.first_length_ns), _time(start.repeat_length_ns)
        parts.append(f"of a new length {first}, repeated {again}")
    return ", ".join(parts)


def _made(record: Record) -> str:
    """Say how much of loading was compiling, or recording graphs."""
    said = record.placement.effective if record.placement else {}
    spent = (("compiling", said.get("compiled_in_s")), ("recording graphs", said.get("recorded_in_s")))
    return "".join(f" ({_time(1e9 * took)} of it {what})" for what, took in spent if took)


def _time(ns: float) -> str:
    unit = unit_for([ns], TIMES)
    return f"{shown(ns / unit.size)} {unit.name}"


def _scored(record: Record) -> str:
    quality = record.quality
    if quality is None:
        return "not scored"
    if quality.unavailable:
        return f"unavailable, because {quality.unavailable}"
    cut = f"; {_count(quality.truncated, 'example')} cut to the maximum length" if quality.truncated else ""
    return f"{_positive(record)}from {quality.timed:,} timed and {quality.untimed:,} untimed answers{cut}"


def _positive(record: Record) -> str:
    """Say whose F1 it is, where the user named the labels: the last of two."""
    labels = record.configuration.get("custom", {}).get("labels", ())
    return f"F1 of {labels[-1]!r}, " if record.quality and record.quality.primary == "f1" and labels else ""


def _observer(group: Sequence[Figures]) -> str:
    quickest = fastest(group)
    observer = quickest.record.observer if quickest else None
    share = harness_share(quickest.record) if quickest else None
    if quickest is None or observer is None or share is None:
        return "the loop's own cost was not measured"
    cost = observer.loop_ns_per_request
    unit = unit_for([cost], TIMES)
    loop = f"{shown(cost / unit.size)} {unit.name} per request"
    whose = f"the fastest variant's time ({quickest.record.cell.variant})"
    return f"the loop costs {loop}, {100 * share:.2g} % of {whose}{parent_line(quickest.record)}"


def _meter(group: Sequence[Figures]) -> str:
    kinds = dict.fromkeys(
        f"{energy.grade}, scope {energy.scope}, source {energy.source}"
        for item in group
        for energy in (item.energy, item.whole)
        if isinstance(energy, EnergyEstimate)
    )
    return f"{group[0].record.energy.meter or 'none'}: {'; '.join(kinds) or 'no energy'}"


def host_line(record: Record) -> str:
    """Describe a machine on one line."""
    facts = record.host.facts
    shown_facts = (
        facts.get("cpu_model"),
        _with(facts.get("usable_logical_cpus"), "usable of", facts.get("logical_cpus"), "logical CPUs"),
        _with(facts.get("ram_gib"), "GiB"),
        _with("kernel", facts.get("kernel")),
        facts.get("virtualisation"),
        f"fingerprint {record.host.fingerprint[:12]}",
    )
    return ", ".join(str(fact) for fact in shown_facts if _tells(fact))


def _with(*words: object) -> str | None:
    """Join the words, or return None if one of them is not known."""
    return " ".join(map(str, words)) if all(map(_tells, words)) else None


def _tells(fact: object) -> bool:
    return fact not in (None, "", "none") and not str(fact).startswith("unavailable")


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
