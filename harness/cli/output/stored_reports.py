"""The reports that are stored beside runs: whether they are what their runs render to."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.common.errors import BenchError, StoreError
from harness.common.inputs.files import RECORD, read_input

if TYPE_CHECKING:
    from harness.analysis.verification import VerificationCheck
    from harness.records.store import Store

_HEAD = re.compile(
    r"<!-- bench report ([^>]*?) --format markdown(?: --price-per-hour ([0-9]+(?:\.[0-9]+)?))? -->"
)


class _StoredReport(NamedTuple):
    """What the first line of a page says of it, and the text below."""

    runs: list[str]
    price: str | None
    text: str


def verify_reports(store: "Store", runs: set[str]) -> "VerificationCheck":
    """Render again every page of the store whose first line names one of these runs.

    A page that cannot be read, or of which a run is missing, is noted as not checked.
    """
    from harness.analysis.verification import VerificationCheck

    check = VerificationCheck("report", "stored pages equal what their runs render to now")
    for page in sorted([*store.root.glob("*.md"), *store.root.glob("*/*.md")]):
        name = page.relative_to(store.root).as_posix()
        try:
            report = _read(page)
            if report is None or not runs.intersection(report.runs):
                continue
            same = _render(store, report).rstrip("\n") == report.text.rstrip("\n")
        except BenchError as error:
            check.skip(f"{name}: {error.message.removesuffix('.')}")
            continue
        check.holds(name, "its runs render to something else", so=same)
    if not check.figures and not check.unchecked:
        check.skip("no page of the store is a report on these runs")
    return check


def _read(page: Path) -> _StoredReport | None:
    """Return the report in a page; None for another text."""
    content = read_input(page, RECORD, StoreError)
    head, _, text = content.decode("utf-8", "replace").partition("\n\n")
    match = _HEAD.match(head)
    return _StoredReport(match[1].split(), match[2], text) if match else None


def _render(store: "Store", report: _StoredReport) -> str:
    from harness.cli.output.report_output import counts_in
    from reports import render_records

    folders = [store.run(name) for name in report.runs]
    records, _ = store.records(folders)
    usd = float(report.price) if report.price else None
    return render_records(records, "markdown", price=usd, counts=counts_in(folders))
