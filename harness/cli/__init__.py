"""The command line: one module per command; the only place that prints or exits."""

from collections.abc import Sequence


def main() -> None:
    """Run the command line and exit."""
    import sys

    from harness.common.platforms import why_not_here

    if reason := why_not_here(sys.platform, sys.argv[1:]):  # before anything is imported that is not there
        print(f"bench: {reason}", file=sys.stderr)  # noqa: T201 -- the command line prints
        sys.exit(2)
    from harness.cli.interruption import INTERRUPTION

    INTERRUPTION.watch()  # first, so that Ctrl-C while modules load shows no traceback
    import gc

    from harness.cli.output.streams import with_streams

    code = with_streams(lambda: _call(sys.argv[1:]))
    gc.freeze()  # a last collection would walk thousands of records that end with the process anyway
    sys.exit(code)


def _call(arguments: Sequence[str]) -> int:
    from harness.cli.app import call
    from harness.cli.context import CliContext
    from harness.cli.interruption import INTERRUPTION

    with INTERRUPTION.command():
        return call(arguments, CliContext())
