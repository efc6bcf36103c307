"""The page docs/reference/compatibility.md: what works with what, as the tests try it.

python -m devtools.compatibility > docs/reference/compatibility.md

a table of the tests --section--> a heading, what its rows mean, and a row for each case
"""

import sys
from collections.abc import Callable, Iterable, Sequence

from simulation.hosts import SECONDS, cases

from baselines.checkpoints.families import FAMILIES

HEAD = """# Compatibility

Generated from the tables of the tests: `PYTHONPATH=tests/support python -m devtools.compatibility`. Each row
is a test that builds what its first column names and compares the outcome; nothing stands here that no test
runs.
"""


def counters() -> str:
    """Return the section about energy counters and machines."""
    rows = [(case.machine, f"`{case.meter}`", case.outcome) for case in cases()]
    return f"""## Counters and machines

What a meter reads in {SECONDS} s on a simulated machine of known power, chosen and checked as a run does it,
or why it is refused. The table is `tests/support/simulation/hosts.py`, the test
`tests/simulated/test_compatibility.py`. Simulated counters behave as public reports and the kernel's sources
describe them; they are no measurement of those processors. [meters.md](meters.md) says what each meter does.

{table(("machine", "meter", f"in {SECONDS} s"), rows)}"""


def families() -> str:
    """Return the section about families of checkpoints and what runs them."""
    rows = []
    for name, works, _ in FAMILIES:
        rows.append((name, "PyTorch, ONNX fp32 and int8", works))
    return f"""## Families and variants

Tiny random checkpoints of each family, with both kinds of head, whose logits are compared with those of
transformers: `tests/baselines/checkpoints/test_families.py`. What recipes and further engines do with each
family is in [families.md](families.md). Every checkpoint is compared with transformers once more before it is
measured.

{table(("family", "what runs it", "what the tests hold"), rows)}"""


SECTIONS: tuple[Callable[[], str], ...] = (families, counters)
"""The sections of the page, in their order."""


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; a first column that repeats is shown once."""
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    last = ""
    for first, *rest in rows:
        cells = ("" if first == last else first, *rest)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        last = first
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *(section() for section in SECTIONS)])


if __name__ == "__main__":
    sys.stdout.write(page())
