"""The outcome of a gate: what changed and by how much, under which rule, and what to do next."""

from dataclasses import asdict

from harness.analysis.gate.gate import GateOutcome, RuleCheck, Status
from harness.common.errors import unknown_name
from harness.common.json_types import JsonObject
from reports.documents.comparison import change_fields
from reports.layout.escaping import escape_markdown, printable
from reports.render.json_values import encoded
from reports.render.markdown import markdown_row

SCHEMA_VERSION = 1
FORMATS = ("text", "markdown", "json", "junit", "github-annotations")

_WORST_FIRST: tuple[Status, ...] = ("regression", "could not measure", "too noisy", "holds")
_HEADINGS: dict[Status, str] = {
    "regression": "REGRESSION",
    "could not measure": "COULD NOT MEASURE",
    "too noisy": "TOO NOISY",
    "holds": "holds",
}


def render(outcome: GateOutcome, form: str) -> str:
    """Return the outcome in a format; raises UsageError for an unknown format."""
    if form not in FORMATS:
        raise unknown_name("format", form, FORMATS)
    from reports.exports.gate_outcome import as_annotations, as_junit

    renderers = {"text": as_text, "markdown": as_markdown, "json": as_json}
    return {**renderers, "junit": as_junit, "github-annotations": as_annotations}[form](outcome)


def as_text(outcome: GateOutcome) -> str:
    """Return the outcome for a terminal or a log: the worst checks first, each with its next step."""
    lines = [headline(outcome)]
    sorted_checks = [check for status in _WORST_FIRST for check in _with_status(outcome, status)]
    for cell in dict.fromkeys(check.cell for check in sorted_checks):
        lines += ["", printable(str(cell or "all cells"))]
        lines += [line for check in sorted_checks if check.cell == cell for line in _lines(check)]
    if outcome.also_changed:
        lines += [
            "",
            *(f"Also changed: {printable(str(difference))}." for difference in outcome.also_changed),
        ]
    return "\n".join(lines) + "\n"


def _lines(check: RuleCheck) -> list[str]:
    """Return the lines of one check; one that does not hold has its rule and the next step."""
    name = f"{check.rule.name}: " if check.change is None and check.rule else ""
    lines = [f"  {_HEADINGS[check.status]:<18} {name}{printable(check.reason)}"]
    if check.status != "holds":
        lines += [f"{'':<20} rule: {check.rule}"] if check.rule else []
        lines += [f"{'':<20} -> {printable(check.next_step)}"] if check.next_step else []
    return lines


def as_markdown(outcome: GateOutcome) -> str:
    """Return the outcome as GitHub Markdown: one row per check, the worst first."""
    rows = ["| | cell | what was found | rule | next step |", "| :-- | :-- | :-- | :-- | :-- |"]
    for status in _WORST_FIRST:
        for check in _with_status(outcome, status):
            cells = (
                _HEADINGS[status],
                str(check.cell or "all cells"),
                check.reason,
                str(check.rule or ""),
                check.next_step,
            )
            rows.append(markdown_row(map(escape_markdown, cells)))
    changed = [f"- Also changed: {escape_markdown(str(difference))}" for difference in outcome.also_changed]
    return "\n".join([f"### {escape_markdown(headline(outcome))}", "", *rows, "", *changed]).rstrip() + "\n"


def as_json(outcome: GateOutcome) -> str:
    """Return the outcome as JSON, with the exit code."""
    return encoded(
        {
            "schema_version": SCHEMA_VERSION,
            "status": outcome.status,
            "exit_code": outcome.exit_code,
            "checks": [_check_fields(check) for check in outcome.checks],
            "also_changed": [asdict(difference) for difference in outcome.also_changed],
        }
    )


def headline(outcome: GateOutcome) -> str:
    """Return the outcome on one line, with the number of checks of each status."""
    counts = {status: len(_with_status(outcome, status)) for status in _WORST_FIRST}
    summary = ", ".join(f"{count} {_plural(status, count)}" for status, count in counts.items() if count)
    return f"Gate: {_HEADINGS[outcome.status]} ({summary})"


def _plural(status: Status, count: int) -> str:
    return {"holds": "hold", "regression": "regressions"}.get(status, status) if count > 1 else status


def _with_status(outcome: GateOutcome, status: Status) -> list[RuleCheck]:
    return [check for check in outcome.checks if check.status == status]


def _check_fields(check: RuleCheck) -> JsonObject:
    return {
        "cell": check.cell._asdict() if check.cell else None,
        "rule": str(check.rule) if check.rule else None,
        "quantity": check.rule.quantity.name if check.rule else None,
        "status": check.status,
        "reason": check.reason,
        "next_step": check.next_step or None,
        "limit": check.limit,
        "noise": check.noise,
        "change": change_fields(check.change) if check.change else None,
    }
