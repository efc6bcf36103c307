"""The page docs/reference/families.md: what runs which family of encoders, by trying every cell (minutes).

python -m devtools.families > docs/reference/families.md
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from family_cells import BOUND, COLUMNS, EXAMPLES, KINDS, LEAST_EQUAL, Cell, Workshop, cell

HEAD = f"""# Families of encoders

What runs which family, as `tests/families` tries it. The page is made by
`PYTHONPATH=tests/support python -m devtools.families`. Every cell is a tiny random checkpoint of the family,
prepared, loaded and compared with `pytorch-dynamic` on {EXAMPLES} texts.

- **equal**: all answers are PyTorch's; in float32 the logits, too, within {BOUND:g}.
- **98 %**: at least {LEAST_EQUAL:.0%} of the answers of int8 are.
- A number refers to the fact that the engine or recipe lacks. It is read from config.json and reported before
  anything is prepared, and the rest of a run goes on.

A pruned model, one of half the depth, and one that stops early or drops tokens is opened again and exported
to ONNX before it is compared. PyTorch, `onnx-fp32` and `onnx-int8` take other families, too, where the export
agrees with PyTorch. Rerankers are classifiers with one label.
"""

TAIL = """
## One description of each family

`baselines/models/families` has a file for each family: what a layer computes (norms before or after, gates,
biases, windows, rotations, relative positions) and where its tensors are. It is read from config.json without
PyTorch, and a test compares it with transformers' models. Surgery on models, counts of operations,
CTranslate2's conversion and refusals are derived from it. To add a family, write such a file, add a line to
the table there, and a tiny configuration to `tests/support/encoders.py`.
"""


def page(cells: Mapping[tuple[str, str], Cell]) -> str:
    """Return the page for the outcome of each family and column."""
    notes: list[str] = []
    rows = [
        f"| {title} | " + " | ".join(_entry(cells[kind, column], notes) for column in COLUMNS) + " |"
        for kind, title in KINDS.items()
    ]
    heading = f"| family | {' | '.join(COLUMNS)} |"
    table = "\n".join([heading, "|---|" + "---|" * len(COLUMNS), *rows])
    listed = "\n".join(f"{number}. {note}" for number, note in enumerate(notes, 1))
    return f"{HEAD}\n{table}\n\n{listed}\n{TAIL}"


def _entry(cell: Cell, notes: list[str]) -> str:
    if not cell.refused:
        return "equal" if cell.equal == 1 else "98 %" if cell.equal >= LEAST_EQUAL else f"{cell.equal:.1%}"
    note = cell.refused[0].upper() + cell.refused[1:]
    if note not in notes:
        notes.append(note)
    return f"({notes.index(note) + 1})"


def main() -> None:
    """Try every cell and print the page."""
    with tempfile.TemporaryDirectory() as folder:
        cells = {}
        for kind in KINDS:
            for column in COLUMNS:
                cells[kind, column] = tried = cell(column, Workshop(Path(folder), kind))
                sys.stderr.write(f"{kind}, {column}: {tried.refused or f'{tried.equal:.1%} equal'}\n")
    sys.stdout.write(page(cells))


if __name__ == "__main__":
    main()
