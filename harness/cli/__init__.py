"""The command line: one module per command; the only place that prints or exits."""


def main() -> None:
    """Run the command line and exit."""
    import gc
    import sys

    from harness.cli.app import call
    from harness.cli.context import CliContext

    code = call(sys.argv[1:], CliContext())
    gc.freeze()  # a last collection would walk thousands of records that end with the process anyway
    sys.exit(code)
