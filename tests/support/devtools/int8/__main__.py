"""The tables of docs/explanation/int8.md.

python -m devtools.int8 forms      static int8 of ONNX Runtime in several forms
python -m devtools.int8 units      what large units cost, by parts of a layer
python -m devtools.int8 smoothing  native-int8 without smoothing and with it
python -m devtools.int8 exporters  torch's two exporters to ONNX (needs onnxscript)
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from devtools.int8 import exporters, forms, smoothing, units
from devtools.int8.subject import add_options, subject_of

ON_A_MODEL = {"forms": forms.table, "units": units.table, "smoothing": smoothing.table}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="table", required=True)
    for name in ON_A_MODEL:
        command = commands.add_parser(name)
        add_options(command)
        if name == "smoothing":
            command.add_argument("--large-units", type=int, default=0, help="plant so many in each layer")
    families = commands.add_parser("exporters")
    families.add_argument("--families", default=",".join(exporters.FAMILIES), help="which are exported")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as root:
        if options.table == "exporters":
            lines = exporters.table(Path(root), options.families.split(","))
        else:
            subject = subject_of(options, Path(root))
            more = {"large_units": options.large_units} if options.table == "smoothing" else {}
            lines = ON_A_MODEL[options.table](subject, **more)
        for line in lines:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
