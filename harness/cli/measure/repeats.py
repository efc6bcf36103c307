"""`python -m harness.cli.measure.repeats STORE`: whether repeated runs differ by what their intervals say.

With `--keep DIR`, writes the trace of every run into a folder, from which `harness.cli.measure.null_traces
--known` learns what runs differ by.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.analysis.comparison import SampleAccess
from harness.records.store import Store, read_samples
from harness.studies.repeats import repeated
from harness.studies.traces import save, trace_of


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each quantity of each variant, over pairs of consecutive runs."""
    options = _parser().parse_args(arguments)
    store = Store(options.store)
    folders = {folder.name: folder.path for folder in store.runs()}
    runs = [store.records([folder])[0] for folder in store.runs()]
    if options.keep:
        for run in runs:
            sys.stdout.write(f"{save(trace_of(run), options.keep)}\n")
        return
    raw = SampleAccess(lambda record: read_samples(folders[record.run], record))
    for quantity in repeated(runs, raw):
        spread = sorted(map(abs, quantity.percent))
        sys.stdout.write(
            f"{quantity.name:28} {quantity.variant:18} {quantity.within} of {len(quantity.p_values)} "
            f"within 1.96 standard errors; differences up to {spread[-1]:.1f} %, median "
            f"{spread[len(spread) // 2]:.1f} %\n"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Compare repeated runs of the same cells.")
    parser.add_argument("store", type=Path, metavar="STORE")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write the traces of the runs here")
    return parser


if __name__ == "__main__":
    main()
