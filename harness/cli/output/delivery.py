"""Where a report goes: stdout, a file, a folder of files, or the summary of a step in GitHub's CI."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from harness.common.errors import StoreError, UsageError

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable by which GitHub names the file that becomes a step's summary."""


def deliver_text(
    text: str, output: Path | None, *, form: str = "text", environ: Mapping[str, str] | None = None
) -> None:
    """Write a report to `output`, or print it; a step's summary is added to the one that GitHub shows."""
    summary = (environ or {}).get(SUMMARY) if form == "github-summary" else None
    if output is None and summary:
        _write(Path(summary), f"{text}\n".encode(), add=True)
    elif output is None:
        if text:
            typer.echo(text)
    else:
        _write(output, f"{text}\n".encode())


def deliver_files(files: Mapping[str, bytes], output: Path | None, form: str) -> None:
    """Write the files into the folder `output`, or to the files it names in their order, parted by commas."""
    if output is None:
        raise UsageError(
            f"the format {form} is written to {'a file' if len(files) == 1 else f'{len(files)} files'}.",
            remedy=f"Say where: --output {'FILE' if len(files) == 1 else 'DIR, or --output FILE,FILE'}.",
        )
    for path, payload in zip(_places(list(files), output), files.values(), strict=True):
        _write(path, payload)
        typer.echo(f"bench: {path}", err=True)


def _places(names: Sequence[str], output: Path) -> list[Path]:
    if len(names) == 1 and not output.is_dir():
        return [output]
    named = [Path(each) for each in str(output).split(",")]
    if len(named) == 1 or output.is_dir():
        return [output / name for name in names]
    if len(named) != len(names):
        raise UsageError(
            f"--output names {len(named)} files, and there are {len(names)}: {', '.join(names)}.",
            remedy="Name a folder, or as many files.",
        )
    return named


def _write(path: Path, payload: bytes, *, add: bool = False) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab" if add else "wb") as file:
            file.write(payload)
    except OSError as problem:
        raise StoreError(f"cannot be written: {problem.strerror}.", where=str(path)) from None
