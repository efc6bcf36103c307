"""Makes docs/reference/gallery.md and its drawings from the committed records.

python tests/support/gallery.py
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.records.record import Record
from harness.records.store import Store, read_samples
from reports import CostFactors, build_report
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
_HEAD = f"""# Gallery

Plots of the committed records, each with its data beside it. All plots of these runs, as SVG and PNG:

```sh
bench report {" ".join(RUNS)} --plots DIR
```

The page of `--format html` shows them too ([reports.md](../howto/reports.md)). `python$
this page again.
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
    return "\n".join([_HEAD, *parts])


if __name__ == "__main__":
    plots = gallery(ROOT / "results")
    folder = ROOT / "docs" / "reference" / "gallery"
    folder.mkdir(exist_ok=True)
    (ROOT / "docs" / "reference" / "gallery.md").write_text(page(plots), encoding="utf-8")
    for plot in plots:
        (folder / f"{plot.name}.svg").write_text(as_svg(plot), encoding="utf-8")
        (folder / f"{plot.name}.csv").write_text(data_csv(plot), encoding="utf-8")
