"""Makes docs/reference/gallery.md, its drawings and its screenshots from the committed records.

python tests/support/gallery.py    # with TEST_BROWSER=/usr/bin/chromium it takes the screenshots too
"""

import io
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cli.output.report_output import counts_in, samples_in
from harness.records.record import Record
from harness.records.store import Store, read_samples
from reports import CostFactors, Style, build_report, write_report
from reports.plots import Plot, as_svg, data_csv, plots_of

ROOT = Path(__file__).parents[2]
RUNS = ("20261122-214055-boolq-0539", "20261122-142644-boolq-2ee5", "20261122-145944-boolq-6cd1")
SHOWN = (
    "ladder-speed-fastformers-20261122-214055-boolq-0539",
    "quality-time-boolq-offline-20261122-214055-boolq-0539",
    "quality-energy-boolq-offline-20261122-214055-boolq-0539",
    "latency-boolq-single-stream-20261122-142644-boolq-2ee5",
    "energy-boolq-single-stream-20261122-142644-boolq-2ee5",
    "scaling-threads-boolq-on-cpu-single-stream-encoded",
)


_KINDS = {"run": "one run", "ladder": "a ladder", "tasks": "several tasks"}


@dataclass(frozen=True, slots=True)
class Screen:
    """A screenshot of the page of some runs: its window in pixels, and its colours."""

    kind: str
    runs: tuple[str, ...]
    width: int = 1280
    height: int = 800
    scheme: str = "light"

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"page-{self.kind}-{self.width}-{self.scheme}.png"

    @property
    def about(self) -> str:
        """What it shows."""
        return f"The page of {_KINDS[self.kind]} at {self.width} pixels, {self.scheme}"


_TASKS = (
    *("20261122-173923-boolq-31a7", "20261122-173924-cb-034c", "20261122-173944-copa-0259"),
    *("20261122-174001-rte-a56b", "20261122-174021-wic-e627", "20261122-174039-wsc-2307"),
)
_PHONE = {"width": 390, "height": 844}
SCREENS = (
    Screen("run", RUNS[1:2]),
    Screen("run", RUNS[1:2], scheme="dark"),
    Screen("run", RUNS[1:2], **_PHONE),
    Screen("run", RUNS[1:2], **_PHONE, scheme="dark"),
    Screen("ladder", RUNS[:1]),
    Screen("tasks", _TASKS),
)
COLOURS = 96
"""Of a screenshot: text, lines and seven colours of plots need no more."""

_HEAD = """# Gallery

The page of `--format html` opens with the verdict, one plot and one table
([reports.md](../howto/reports.md)).
`TEST_BROWSER=/usr/bin/chromium python tests/support/gallery.py` makes this page again.

"""
_PLOTS = f"""
Plots of the committed records, each with its data beside it. All plots of these runs, as SVG and PNG:

<!-- not run: it needs the records of the checkout -->
```sh
bench report {" ".join(RUNS)} --plots DIR
```
"""


def gallery(results: Path) -> list[Plot]:
    """Return the plots of the gallery, in order."""
    store = Store(results)
    folders = {name: store.run(name) for name in RUNS}
    records, _ = store.records(list(folders.values()))

    def samples(record: Record) -> Mapping[str, Any]:
        return read_samples(folders[record.run].path, record)

    plots = {plot.name: plot for plot in plots_of(build_report(records, CostFactors()), samples)}
    return [plots[name] for name in SHOWN]


def page(plots: list[Plot]) -> str:
    """Return the page as Markdown."""
    parts = [
        f"## {plot.title}\n\n![{plot.title}](gallery/{plot.name}.svg)\n\n{plot.about}\n"
        f"[Data](gallery/{plot.name}.csv)\n"
        for plot in plots
    ]
    screens = "\n".join(f"![{screen.about}](gallery/{screen.file})\n" for screen in SCREENS)
    return "\n".join([_HEAD + screens + _PLOTS, *parts])


def take_screens(folder: Path, browser: str) -> None:
    """Take all screenshots with this browser, as PNG with few colours."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started, tempfile.TemporaryDirectory() as scratch:
        launched = started.chromium.launch(executable_path=browser)
        for screen in SCREENS:
            file = Path(scratch) / "page.html"
            file.write_text(_html(screen.runs), encoding="utf-8")
            tab = launched.new_page(
                viewport={"width": screen.width, "height": screen.height}, color_scheme=screen.scheme
            )
            tab.goto(file.as_uri())
            shot = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
            few = shot.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            few.save(folder / screen.file, optimize=True)
        launched.close()


def _html(runs: Sequence[str]) -> str:
    store = Store(ROOT / "results")
    folders = [store.run(name) for name in runs]
    records, _ = store.records(folders)
    report = build_report(records, CostFactors(), counts_in(folders))
    return write_report(report, "html", Style(samples=samples_in(folders)))


if __name__ == "__main__":
    plots = gallery(ROOT / "results")
    folder = ROOT / "docs" / "reference" / "gallery"
    folder.mkdir(exist_ok=True)
    (ROOT / "docs" / "reference" / "gallery.md").write_text(page(plots), encoding="utf-8")
    for plot in plots:
        (folder / f"{plot.name}.svg").write_text(as_svg(plot), encoding="utf-8")
        (folder / f"{plot.name}.csv").write_text(data_csv(plot), encoding="utf-8")
    if browser := os.environ.get("TEST_BROWSER"):
        take_screens(folder, browser)
    else:
        sys.stderr.write("TEST_BROWSER names no browser: the screenshots stay as they are.\n")
