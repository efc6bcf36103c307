"""What `results/` shows in Markdown is what its records say."""

from pathlib import Path

import pytest

from harness.cli.output.report_output import counts_in
from harness.records.store import Store
from reports import render_records

RESULTS = Path(__file__).parents[2] / "results"


@pytest.mark.parametrize("page", sorted(RESULTS.glob("*-runs.md")), ids=lambda page: page.stem)
def test_a_page_of_results_is_rendered_from_its_records(page: Path) -> None:
    """Its first line names the runs; everything below the next blank line is their report."""
    head, _, shown = page.read_text(encoding="utf-8").partition("\n\n")
    runs = head.removeprefix("<!-- bench report ").partition(" --format")[0].split()
    store = Store(RESULTS)
    records, unreadable = store.records([store.run(name) for name in runs])
    assert not unreadable
    counts = counts_in([store.run(name) for name in runs])
    assert render_records(records, "markdown", counts=counts).rstrip("\n") == shown.rstrip("\n")
