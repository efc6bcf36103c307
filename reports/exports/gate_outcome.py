"""What the gate found, for CI servers: a test case a check as JUnit XML, annotations of what does not hold.

A regression is a failure, what could not be measured an error, and noise is skipped: as in the exit codes,
none of them stands in for another.
"""

from xml.etree import ElementTree as ET

from harness.analysis.gate.gate import GateOutcome, RuleCheck, Status
from reports.exports.github import annotation
from reports.exports.junit import add_case, document
from reports.layout.cell_factory import MODELLED
from reports.layout.escaping import printable

_TAGS: dict[Status, str] = {"regression": "failure", "could not measure": "error", "too noisy": "skipped"}
_LEVELS: dict[Status, str] = {"regression": "error", "could not measure": "error", "too noisy": "warning"}


def as_junit(found: GateOutcome) -> str:
    """Return the outcome as JUnit XML: a suite a cell, a case a check."""
    root = ET.Element("testsuites", name="bench gate")
    for cell in dict.fromkeys(check.cell for check in found.checks):
        suite = ET.SubElement(root, "testsuite", name=printable(str(cell or "all cells")))
        for check in found.checks:
            if check.cell == cell:
                tag = _TAGS.get(check.status)
                add_case(suite, _name(check), (tag, _why(check)) if tag else None)
    return document(root)


def as_annotations(found: GateOutcome) -> str:
    """Return a line for each check that does not hold."""
    lines = [
        annotation(_LEVELS[check.status], f"{check.status}: {check.cell or 'all cells'}", _why(check))
        for check in found.checks
        if check.status in _LEVELS
    ]
    return "".join(f"{line}\n" for line in lines)


def _name(check: RuleCheck) -> str:
    return str(check.rule) if check.rule else "measured"


def _why(check: RuleCheck) -> str:
    rule = f"Rule: {check.rule}." if check.rule else ""
    modelled = MODELLED if check.found and check.found.grade == "modelled" else ""
    return " ".join(part for part in (f"{check.reason}.", rule, modelled, check.next_step) if part)
