"""What the gate found, in words one can act on: what, by how much, under which rule, and what to do next."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from harness.analysis.gate.gate import GateOutcome, RuleCheck, Status
from harness.common.errors import unknown_name
from reports.documents.comparison import change_words
from reports.layout.escaping import escape_markdown, printable
from reports.render.json_values import encoded

SCHEMA_VERSION = 1
FORMATS = ("text", "markdown", "json", "junit", "github-annotations")

_ORDER: tuple[Status, ...] = ("regression", "could not measure", "too noisy", "holds")
_HEADINGS: dict[Status, str] = {
    "regression": "REGRESSION",
    "could not measure": "COULD NOT MEASURE",
    "too noisy": "TOO NOISY",
    "holds": "holds",
}


def render(found: GateOutcome, form: str) -> str:
    """Return the outcome in this format; UsageError for one that is not known."""
    if form not in FORMATS:
        raise unknown_name("format", form, FORMATS)
    from reports.exports.gate_outcome import as_annotations, as_junit

    ways = {"text": as_text, "markdown": as_markdown, "json": as_json}
    return {**ways, "junit": as_junit, "github-annotations": as_annotations}[form](found)


def as_text(found: GateOutcome) -> str:
    """Return the outcome for a terminal or a log: the worst first, each with its next step."""
    lines = [headline(found)]
    sorted_checks = [check for status in _ORDER for check in _of(found.checks, status)]
    for cell in dict.fromkeys(check.cell for check in sorted_checks):
        lines += ["", printable(str(cell or "all cells"))]
        lines += [line for check in sorted_checks if check.cell == cell for line in _lines(check)]
    lines += ["", *(f"Also changed: {printable(str(each))}." for each in found.told)] if found.told else []
    return "\n".join(lines) + "\n"


def _lines(check: RuleCheck) -> list[str]:
    """Return one check; what does not hold comes with its rule and what to do next."""
    about = f"{check.rule.name}: " if check.found is None and check.rule else ""
    lines = [f"  {_HEADINGS[check.status]:<18} {about}{printable(check.reason)}"]
    if check.status != "holds":
        lines += [f"{'':<20} rule: {check.rule}"] if check.rule else []
        lines += [f"{'':<20} -> {printable(check.next_step)}"] if check.next_step else []
    return lines


def as_markdown(found: GateOutcome) -> str:
    """Return the outcome as GitHub Markdown: one row a check, the worst first."""
    rows = ["| | cell | what was found | rule | next step |", "| :-- | :-- | :-- | :-- | :-- |"]
    for status in _ORDER:
        for check in _of(found.checks, status):
            cells = (
                _HEADINGS[status],
                str(check.cell or "all cells"),
                check.reason,
                str(check.rule or ""),
                check.next_step,
            )
            rows.append(f"| {' | '.join(map(escape_markdown, cells))} |")
    told = [f"- Also changed: {escape_markdown(str(each))}" for each in found.told]
    return "\n".join([f"### {escape_markdown(headline(found))}", "", *rows, "", *told]).rstrip() + "\n"


def as_json(found: GateOutcome) -> str:
    """Return the outcome for machines, the exit code included."""
    return encoded(
        {
            "schema_version": SCHEMA_VERSION,
            "status": found.status,
            "exit_code": found.exit_code,
            "checks": [_words(check) for check in found.checks],
            "also_changed": [asdict(each) for each in found.told],
        }
    )


def headline(found: GateOutcome) -> str:
    """Return the outcome in a line: how it ended, and how many checks ended how."""
    counts = {status: len(_of(found.checks, status)) for status in _ORDER}
    told = ", ".join(f"{count} {_plural(status, count)}" for status, count in counts.items() if count)
    return f"Gate: {_HEADINGS[found.status]} ({told})"


def _plural(status: Status, count: int) -> str:
    return {
        "holds": "hold" if count > 1 else "holds",
        "regression": "regressions" if count > 1 else status,
    }.get(status, status)


def _of(checks: Sequence[RuleCheck], status: Status) -> list[RuleCheck]:
    return [check for check in checks if check.status == status]


def _words(check: RuleCheck) -> dict[str, Any]:
    return {
        "cell": check.cell._asdict() if check.cell else None,
        "rule": str(check.rule) if check.rule else None,
        "quantity": check.rule.quantity.name if check.rule else None,
        "status": check.status,
        "reason": check.reason,
        "next_step": check.next_step or None,
        "limit": check.limit,
        "noise": check.noise,
        "change": change_words(check.found) if check.found else None,
    }
