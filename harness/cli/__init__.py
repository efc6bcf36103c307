"""The command line: one module per command; the only place that prints or exits."""


def main() -> None:
    """Run the command line and exit."""
    import sys

    from harness.cli.app import call
    from harness.cli.toolbox import Toolbox

    sys.exit(call(sys.argv[1:], Toolbox()))
