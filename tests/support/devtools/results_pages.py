"""The pages of `results/`: each is a report or a plan on some runs, and is rendered from their records.

python -m devtools.results_pages    # renders every page again, after a change of the report
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.cli.app import call
from harness.cli.context import CliContext
from harness.cli.output.report_output import counts_in
from harness.records.store import Store
from reports import render_records

RESULTS = Path(__file__).parents[3] / "results"

_HEADER = re.compile(r"<!-- bench (report|plan) (\S.*) --format markdown -->")
_RUN = re.compile(r"\d{8}-\d{6}-\S+")


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its first line is `bench COMMAND ARGUMENTS --format markdown`, the rest what that prints."""

    path: Path
    header: str
    command: str
    arguments: tuple[str, ...]
    body: str

    @property
    def topic(self) -> str:
        """The folder that the page is in."""
        return self.path.parent.name

    @property
    def text(self) -> str:
        """The command as a person types it in the folder of this store."""
        return f"bench {self.command} {shlex.join(self.arguments)}"

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs that the page rests on, in the order of its command."""
        return tuple(argument for argument in self.arguments if _RUN.fullmatch(argument))

    @property
    def validation(self) -> str:
        """The run that checks a plan, or an empty string."""
        given = self.arguments.index("--validation") + 1 if "--validation" in self.arguments else None
        return self.arguments[given] if given else ""


def load_pages(results: Path = RESULTS) -> list[Page]:
    """Return all pages, ordered by folder and name; ValueError for a Markdown file of another kind."""
    paths = sorted(results.glob("*/*.md"), key=lambda path: (path.parent, path.stem))
    return [_page(path) for path in paths]


def _page(path: Path) -> Page:
    header, _, body = path.read_text(encoding="utf-8").partition("\n\n")
    match = _HEADER.fullmatch(header)
    if not match:
        raise ValueError(
            f"{path}: expected the command of a report or a plan on the first line, got {header!r}"
        )
    return Page(path, header, match[1], tuple(shlex.split(match[2])), body)


def render_page(page: Page, results: Path = RESULTS) -> str:
    """Return what the page's command prints; ValueError where a record cannot be read."""
    if page.command == "plan":
        return _render_plan(page, results)
    store = Store(results)
    folders = [store.run(name) for name in page.runs]
    records, unreadable = store.records(folders)
    if unreadable:
        raise ValueError(f"{unreadable[0].path}: {unreadable[0].reason}")
    return render_records(records, "markdown", counts=counts_in(folders))


def _render_plan(page: Page, results: Path) -> str:
    with TemporaryDirectory() as folder:
        output = Path(folder) / "plan.md"
        places = ["--store", str(results), "--output", str(output)]
        code = call([page.command, *page.arguments, "--format", "markdown", *places], CliContext())
        if code:
            raise ValueError(f"{page.path}: its command ended with exit code {code}")
        return output.read_text(encoding="utf-8").rstrip()


if __name__ == "__main__":
    for each in load_pages():
        each.path.write_text(f"{each.header}\n\n{render_page(each).rstrip()}\n", encoding="utf-8")
