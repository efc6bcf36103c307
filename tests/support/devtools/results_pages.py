"""The pages of `results/`: each is the report on some runs, and is rendered from their records.

python -m devtools.results_pages    # renders every page again, after a change of the report
"""

from dataclasses import dataclass
from pathlib import Path

from harness.cli.output.report_output import counts_in
from harness.records.store import Store
from reports import render_records

RESULTS = Path(__file__).parents[3] / "results"


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its first line is the command of the report, the rest is what that command prints."""

    path: Path
    header: str
    runs: tuple[str, ...]
    body: str

    @property
    def topic(self) -> str:
        """The folder that the page is in."""
        return self.path.parent.name


def load_pages(results: Path = RESULTS) -> list[Page]:
    """Return all pages, ordered by folder and name; ValueError for a Markdown file of another kind."""
    paths = sorted(results.glob("*/*.md"), key=lambda path: (path.parent, path.stem))
    return [_page(path) for path in paths]


def _page(path: Path) -> Page:
    header, _, body = path.read_text(encoding="utf-8").partition("\n\n")
    command = header.removeprefix("<!-- bench report ").removesuffix(" --format markdown -->")
    if f"<!-- bench report {command} --format markdown -->" != header:
        raise ValueError(f"{path}: expected the command of a report on the first line, got {header!r}")
    return Page(path, header, tuple(command.split()), body)


def render_page(page: Page, results: Path = RESULTS) -> str:
    """Return the report on the page's runs as Markdown; ValueError where a record cannot be read."""
    store = Store(results)
    folders = [store.run(name) for name in page.runs]
    records, unreadable = store.records(folders)
    if unreadable:
        raise ValueError(f"{unreadable[0].path}: {unreadable[0].reason}")
    return render_records(records, "markdown", counts=counts_in(folders))


if __name__ == "__main__":
    for each in load_pages():
        each.path.write_text(f"{each.header}\n\n{render_page(each).rstrip()}\n", encoding="utf-8")
