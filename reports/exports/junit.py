"""JUnit XML, which every CI shows: a suite a group, a test case for each record and for each verdict.

A record that failed is an error, and one with rounds missing a failure; so is a verdict of `slower` or
`more energy`. What cannot be said (no ratio, too noisy, joules that are only modelled) is skipped, with the
reason: neither passed nor failed. The baseline is what others are held against, and has no verdict.
"""

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.multiple_testing import why_too_noisy
from harness.analysis.statistics.pairing import NotComparable
from harness.analysis.statistics.ratios import BASELINE, Ratio, judge
from harness.records.estimate import Unavailable
from reports.exports.measures import groups_of, how
from reports.layout.cell_factory import MODELLED
from reports.layout.escaping import printable
from reports.layout.style import Style
from reports.provenance.measured import title_of
from reports.report import Report
from reports.values.figures import Figures

WORSE = ("slower", "more energy")


def as_junit(book: Report, style: Style) -> str:
    """Return the report as JUnit XML; control characters, which XML cannot hold, are shown as escapes."""
    del style
    root = ET.Element("testsuites", name="bench")
    for group in groups_of(book):
        _suite(root, group)
    return document(root)


def document(root: ET.Element) -> str:
    """Return an XML document with the counts of its suites."""
    for suite in root.iter("testsuite"):
        count(suite)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def count(suite: ET.Element) -> None:
    """Say in a suite how many cases it has, and how they ended."""
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(tag) is not None for case in cases)))


def add_case(suite: ET.Element, name: str, outcome: tuple[str, str] | None = None) -> ET.Element:
    """Add a test case; `outcome` is its tag and why, or None where it passed."""
    case = ET.SubElement(suite, "testcase", name=printable(name), classname=suite.get("name", ""))
    if outcome:
        tag, why = outcome
        ET.SubElement(case, tag, message=printable(why))
    return case


def _suite(root: ET.Element, group: Sequence[Figures]) -> None:
    record = group[0].record
    title = f"{title_of(record)}, run {record.run}"
    suite = ET.SubElement(root, "testsuite", name=printable(title), timestamp=printable(record.created[:19]))
    for item in group:
        case = add_case(suite, f"{item.record.cell.variant}: measured", _measured(item))
        case.set("time", f"{sum(turn.wall_ns for turn in item.record.rounds) / 1e9:.3f}")
        if item.warnings:
            said = [f"{warning.code}: {warning.sentence} {warning.next_step}" for warning in item.warnings]
            ET.SubElement(case, "system-out").text = "\n".join(map(printable, said))
        for name, outcome in _verdicts(item):
            add_case(suite, f"{item.record.cell.variant}: {name}", outcome)


def _measured(item: Figures) -> tuple[str, str] | None:
    record = item.record
    if record.status == "complete":
        return None
    failure = record.failure
    why = f"{failure.message} {failure.remedy or ''}" if failure else "no reason was kept"
    return ("error" if record.status == "failed" else "failure"), f"{record.status}: {why}"


def _verdicts(item: Figures) -> Iterator[tuple[str, tuple[str, str] | None]]:
    if item.record.status == "failed" or item.record.cell.variant == BASELINE:
        return
    modelled = isinstance(item.energy, EnergyEstimate) and item.energy.grade == "modelled"
    for what, ratios, in_doubt in (
        ("speed-up", item.speedup, False),
        ("energy reduction", item.energy_reduction, modelled),
    ):
        for over, found in ratios.items():
            if over != item.record.cell.variant:
                yield f"{what} over {over}", _outcome(found, modelled=in_doubt)


def _outcome(found: Ratio | NotComparable | Unavailable, *, modelled: bool) -> tuple[str, str] | None:
    if not isinstance(found, Ratio):
        return "skipped", str(found)
    said = f"{found.value:.3f}x [{found.low:.3f}, {found.high:.3f}], {how(found)}"
    if modelled:
        return "skipped", f"{MODELLED} {said}"
    verdict = judge(found).verdict
    if verdict == "too noisy":
        return "skipped", f"{why_too_noisy(found)} {said}"
    return ("failure", f"{verdict}: {said}") if verdict in WORSE else None
