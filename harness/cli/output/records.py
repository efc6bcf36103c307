"""Record files that cannot be read, reported on stderr."""

from collections.abc import Sequence

import typer

from harness.analysis.loading import LoadedRecords


def report_unreadable(loaded: Sequence[LoadedRecords]) -> bool:
    """Name every file that was skipped on stderr; return whether there was one."""
    from harness.cli.output.terminal import escape

    skipped = [file for each in loaded for file in each.unreadable]
    for file in skipped:
        typer.echo(f"bench: {escape(str(file.path))}: skipped: {escape(file.reason)}", err=True)
    return bool(skipped)
