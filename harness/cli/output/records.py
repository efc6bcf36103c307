"""How a command finds the records that a user names: a run, `latest`, a folder, or one record."""

from collections.abc import Sequence

import typer

from harness.analysis.loading import LoadedRecords


def tell_unreadable(found: Sequence[LoadedRecords]) -> bool:
    """Name every file that was skipped, on stderr; say whether there was one."""
    from harness.cli.output.terminal import escape

    skipped = [file for each in found for file in each.unreadable]
    for file in skipped:
        typer.echo(f"bench: {escape(str(file.path))}: skipped: {escape(file.reason)}", err=True)
    return bool(skipped)
