"""The command line: one module per command; the only place that prints or exits."""


def main() -> None:
    """Run the command line and exit."""
    import gc
    import sys

    from harness.cli.app import call
    from harness.cli.context import CliContext

    code = call(sys.argv[1:], CliContext())
    gc.freeze()  # what is left goes with the process: a last collection would go over thousands of records
    sys.exit(code)
