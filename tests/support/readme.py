"""Makes the picture and the output in README.md from committed records.

python tests/support/readme.py

    records of LADDER --report--> tables --> docs/ladder-{light,dark}.svg
    records of RUN    --report--> text   --> the block after `<!-- output: ... -->`
"""

import re
from html import escape
from pathlib import Path

from harness.cli.output.report_output import counts_in
from harness.records.store import Store
from reports import render_records

ROOT = Path(__file__).parents[2]
LADDER, RUN = "20261122-214055-boolq-0539", "20261122-142644-boolq-2ee5"
COLUMNS = 100
"""The width of the output."""

INK = {
    "light": {"text": "#1f2328", "soft": "#59636e", "bar": "#0969da", "padded": "#afb8c1"},
    "dark": {"text": "#f0f6fc", "soft": "#9198a1", "bar": "#4493f8", "padded": "#3d444d"},
}
LEFT, LENGTH, ROW, TOP = 150, 330, 34, 74
_STYLE = 'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif" font-size="14"'
_OUTPUT = re.compile(r"(<!-- output: .*? -->\n```text\n).*?(```\n)", re.DOTALL)


def rendered(run: str, form: str) -> str:
    """Return the report on a run, as `bench report RUN --format FORM` prints it."""
    store = Store(ROOT / "results")
    folder = store.run(run)
    records, _ = store.records([folder])
    return render_records(records, form, width=COLUMNS, counts=counts_in([folder]))


def output() -> str:
    """Return what the first run prints: its tables and its verdict, without what stands between them."""
    text = rendered(RUN, "text")
    tables, verdict = text.partition("\n[low, high]")[0], text.rpartition("\nVerdict\n")[2]
    return f"{tables.rstrip()}\n\n...\n\nVerdict\n{verdict.rstrip()}\n"


def cells(report: str, heading: str) -> dict[str, list[str]]:
    """Return the rows of the first table below a heading, by the rung's name."""
    table = report.partition(f"### {heading}")[2].partition("\n\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {name: values for name, *values in rows}


def picture(theme: str) -> str:
    """Return the drawing of the ladder: a bar for the time of a request, and the accuracy beside it."""
    report, ink = rendered(LADDER, "markdown"), INK[theme]
    times, quality = cells(report, "Speed, offline"), cells(report, "Quality")
    scale = LENGTH / max(_number(row[0]) for row in times.values())
    right = LEFT + LENGTH + 160
    parts = [
        _text(
            0,
            20,
            "BoolQ on two CPU cores: a fine-tuned 12-layer model, and what each step makes of it",
            ink["text"],
        ),
        _text(LEFT, 52, "milliseconds a request, with its 95 % interval", ink["soft"]),
        _text(right, 52, "accuracy, %", ink["soft"]),
    ]
    for index, (rung, row) in enumerate(times.items()):
        y, length = TOP + ROW * index, _number(row[0]) * scale
        color = ink["padded"] if index == 0 else ink["bar"]
        parts += [
            _text(LEFT - 12, y + 15, f"{rung} (padded)" if index == 0 else rung, ink["text"], "end"),
            f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="20" rx="2" fill="{color}"/>',
            _text(LEFT + length + 8, y + 15, row[0], ink["text"]),
            _text(right, y + 15, quality[rung][0].replace(" %", ""), ink["text"]),
        ]
    height = TOP + ROW * len(times) + 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 790 {height}" role="img" {_STYLE}>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def page(text: str) -> str:
    """Return the README with the output made again."""
    return _OUTPUT.sub(lambda match: match[1] + output() + match[2], text)


def _number(cell: str) -> float:
    return float(cell.split(" ", 1)[0].replace(",", ""))


def _text(x: float, y: float, text: str, color: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" fill="{color}" text-anchor="{anchor}">{escape(text)}</text>'


if __name__ == "__main__":
    for theme in INK:
        (ROOT / "docs" / f"ladder-{theme}.svg").write_text(picture(theme), encoding="utf-8")
    readme = ROOT / "README.md"
    readme.write_text(page(readme.read_text(encoding="utf-8")), encoding="utf-8")
