"""The outcome of a gate for CI servers: a JUnit test case per check, an annotation per failed check.

A regression is a failure, a check that could not be measured an error, and a noisy one is skipped: as in the
exit codes, the three are kept apart.
"""

from xml.etree import ElementTree as ET

from harness.analysis.gate.gate import GateOutcome, RuleCheck, Status
from reports.exports.github import annotation
from reports.exports.junit import add_case, document
from reports.layout.cell_factory import NOT_MEASURED
from reports.layout.escaping import printable

_TAGS: dict[Status, str] = {"regression": "failure", "could not measure": "error", "too noisy": "skipped"}
_LEVELS: dict[Status, str] = {"regression": "error", "could not measure": "error", "too noisy": "warning"}


def as_junit(outcome: GateOutcome) -> str:
    """Return the outcome as JUnit XML: a suite per cell, a case per check."""
    root = ET.Element("testsuites", name="bench gate")
    for cell in dict.fromkeys(check.cell for check in outcome.checks):
        suite = ET.SubElement(root, "testsuite", name=printable(str(cell or "all cells")))
        for check in outcome.checks:
            if check.cell == cell:
                tag = _TAGS.get(check.status)
                add_case(suite, _case_name(check), (tag, _message(check)) if tag else None)
    return document(root)


def as_annotations(outcome: GateOutcome) -> str:
    """Return a line for each check that does not hold."""
    lines = [
        annotation(_LEVELS[check.status], f"{check.status}: {check.cell or 'all cells'}", _message(check))
        for check in outcome.checks
        if check.status in _LEVELS
    ]
    return "".join(f"{line}\n" for line in lines)


def _case_name(check: RuleCheck) -> str:
    return str(check.rule) if check.rule else "measured"


def _message(check: RuleCheck) -> str:
    rule = f"Rule: {check.rule}." if check.rule else ""
    modelled = NOT_MEASURED if check.change and check.change.grade == "modelled" else ""
    return " ".join(part for part in (f"{check.reason}.", rule, modelled, check.next_step) if part)
