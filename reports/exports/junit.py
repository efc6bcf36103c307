"""JUnit XML, which every CI server shows: a suite per group, a test case for each record and each verdict.

A record that failed is an error, and one with rounds missing a failure; so is a verdict of `slower` or
`more energy`. A comparison without a verdict (no ratio, too noisy, joules that are only modelled) is skipped,
with the reason: neither passed nor failed. The baseline, which others are compared with, has no verdict.
"""

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET

from harness.analysis.statistics.multiple_testing import why_too_noisy
from harness.analysis.statistics.ratios import BASELINE, Ratio, judge
from reports.exports.measures import groups_of, interval_method
from reports.layout.cell_factory import energy_model, grades_of
from reports.layout.escaping import printable
from reports.layout.style import Style
from reports.provenance.measured import title_of
from reports.report import Report
from reports.values.figures import Absent, Figures

WORSE = ("slower", "more energy")

Outcome = tuple[str, str] | None
"""The tag and the message of a test case that did not pass; None for one that did."""


def as_junit(report: Report, style: Style) -> str:
    """Return the report as JUnit XML; control characters, which XML cannot hold, are shown as escapes."""
    del style
    root = ET.Element("testsuites", name="bench")
    for group in groups_of(report):
        _add_suite(root, group)
    return document(root)


def document(root: ET.Element) -> str:
    """Return an XML document; every suite gets the counts of its cases."""
    for suite in root.iter("testsuite"):
        set_counts(suite)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def set_counts(suite: ET.Element) -> None:
    """Set the attributes of a suite that count its cases by outcome."""
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(tag) is not None for case in cases)))


def add_case(suite: ET.Element, name: str, outcome: Outcome = None) -> ET.Element:
    """Add a test case to a suite."""
    case = ET.SubElement(suite, "testcase", name=printable(name), classname=suite.get("name", ""))
    if outcome:
        tag, message = outcome
        ET.SubElement(case, tag, message=printable(message))
    return case


def _add_suite(root: ET.Element, group: Sequence[Figures]) -> None:
    record = group[0].record
    title = f"{title_of(record)}, run {record.run}"
    suite = ET.SubElement(root, "testsuite", name=printable(title), timestamp=printable(record.created[:19]))
    for figures in group:
        variant = figures.record.cell.variant
        case = add_case(suite, f"{variant}: measured", _measured(figures))
        case.set("time", f"{sum(turn.wall_ns for turn in figures.record.rounds) / 1e9:.3f}")
        if figures.warnings:
            lines = [
                f"{warning.code}: {warning.sentence} {warning.next_step}" for warning in figures.warnings
            ]
            ET.SubElement(case, "system-out").text = "\n".join(map(printable, lines))
        for name, outcome in _verdicts(figures):
            add_case(suite, f"{variant}: {name}", outcome)


def _measured(figures: Figures) -> Outcome:
    record = figures.record
    if record.status == "complete":
        return None
    failure = record.failure
    reason = f"{failure.message} {failure.remedy or ''}" if failure else "no reason was recorded"
    return ("error" if record.status == "failed" else "failure"), f"{record.status}: {reason}"


def _verdicts(figures: Figures) -> Iterator[tuple[str, Outcome]]:
    variant = figures.record.cell.variant
    if figures.status == "failed" or variant == BASELINE:
        return
    modelled = energy_model([figures.energy]) if "modelled" in grades_of([figures.energy]) else ""
    for quantity, ratios, remark in (
        ("speed-up", figures.speedup, ""),
        ("energy reduction", figures.energy_reduction, modelled),
    ):
        for over, ratio in ratios.items():
            if over != variant:
                yield f"{quantity} over {over}", _outcome(ratio, modelled=remark)


def _outcome(ratio: Ratio | Absent, *, modelled: str) -> Outcome:
    if not isinstance(ratio, Ratio):
        return "skipped", str(ratio)
    value = f"{ratio.value:.3f}x [{ratio.low:.3f}, {ratio.high:.3f}], {interval_method(ratio)}"
    if modelled:
        return "skipped", f"{modelled} {value}"
    verdict = judge(ratio).verdict
    if verdict == "too noisy":
        return "skipped", f"{why_too_noisy(ratio)} {value}"
    return ("failure", f"{verdict}: {value}") if verdict in WORSE else None
