"""Equal answers of a run's variants, over all examples that were answered, as Markdown.

python -m devtools.answers RUN [--reference pytorch-dynamic]
"""

import argparse
import sys
from collections.abc import Iterator

import numpy as np
from devtools.results_pages import RESULTS

from harness.records.record import Record
from harness.records.store import Store, read_samples


def table(run: str, reference: str, store: Store) -> Iterator[str]:
    """Yield a line for each variant of the first scenario: how many answers equal the reference's."""
    folder = store.run(run)
    records, _ = store.records([folder])
    cells = [record for record in records if record.cell.scenario == records[0].cell.scenario]
    answers = {record.cell.variant: read_samples(folder.path, record)["answer"] for record in cells}
    if reference not in answers:
        raise SystemExit(f"{run} has no {reference}; it has {', '.join(answers)}")
    yield "| variant | equal answers | metric |"
    yield "|---|---:|---:|"
    for record in cells:
        same = int(np.sum(answers[record.cell.variant] == answers[reference]))
        yield f"| {record.cell.variant} | {same} of {len(answers[reference])} | {_metric(record)} |"


def _metric(record: Record) -> str:
    primary = record.quality.primary if record.quality else None
    estimate = record.quality.metrics.get(primary) if record.quality and primary else None
    return f"{100 * estimate.value:.1f} %" if estimate else "n/a"


def main() -> None:
    """Print the table of a run in results/."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--reference", default="pytorch-dynamic")
    options = parser.parse_args()
    for line in table(options.run, options.reference, Store(RESULTS)):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
