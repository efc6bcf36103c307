"""Where a report is written: stdout, a file, a folder of files, or the summary of a step in GitHub's CI."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harness.cli.options.units import plural
from harness.common.errors import StoreError, UsageError

if TYPE_CHECKING:
    from reports.plots import Plot

_PIECE = 2**20
"""Characters of a text that are encoded at once."""

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable that holds the path of the file which GitHub shows as a step's summary."""


def deliver_text(
    text: str, output: Path | None, *, form: str = "text", environ: Mapping[str, str] | None = None
) -> None:
    """Write a report to `output`, or print it; a step's summary is appended to the file that GitHub shows."""
    summary = (environ or {}).get(SUMMARY) if form == "github-summary" else None
    if output is None and summary:
        write_file(Path(summary), f"{text}\n".encode(), append=True)
    elif output is None:
        if form != "text":
            _check_encoding(text, form)
        if text:
            typer.echo(text)
    else:
        write_file(output, _lines(text))


def _lines(text: str) -> Iterator[bytes]:
    """Yield a text in pieces, with an end of its last line: the report on thousands of records is large."""
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE].encode()
    yield b"\n"


def _check_encoding(text: str, form: str) -> None:
    """Raise UsageError if stdout lacks a character of a format that programs read."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the format {form} has the character {text[error.start]!r}, which stdout ({encoding}) lacks.",
            remedy="Set PYTHONIOENCODING=utf-8, or add --output FILE.",
        ) from None


def deliver_files(files: Mapping[str, bytes], output: Path | None, form: str) -> None:
    """Write the files into the folder `output`, or to the comma-separated files that it names, in order."""
    if output is None:
        raise UsageError(
            f"the format {form} is written to {'a file' if len(files) == 1 else f'{len(files)} files'}.",
            remedy=f"Add --output {'FILE' if len(files) == 1 else 'DIR, or --output FILE,FILE'}.",
        )
    for path, payload in zip(_paths(list(files), output), files.values(), strict=True):
        write_file(path, payload)
        typer.echo(f"bench: {path}", err=True)


def write_plots(folder: Path, plots: "Iterable[Plot]") -> None:
    """Write each plot as SVG and PNG, and its data as CSV."""
    from reports.plots import as_png, as_svg, data_csv

    count = 0
    for plot in plots:
        count += 1
        write_file(folder / f"{plot.name}.svg", as_svg(plot).encode())
        write_file(folder / f"{plot.name}.png", as_png(plot))
        write_file(folder / f"{plot.name}.csv", data_csv(plot).encode())
    typer.echo(f"bench: {plural(count, 'plot')} in {folder}", err=True)


def write_file(path: Path, payload: bytes | Iterable[bytes], *, append: bool = False) -> None:
    """Write a file, whole or in pieces, and the folders above it; StoreError if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab" if append else "wb") as file:
            file.writelines([payload] if isinstance(payload, bytes) else payload)
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror}.", where=str(path)) from None


def _paths(names: Sequence[str], output: Path) -> list[Path]:
    if len(names) == 1 and not output.is_dir():
        return [output]
    paths = [Path(path) for path in str(output).split(",")]
    if len(paths) == 1 or output.is_dir():
        return [output / name for name in names]
    if len(paths) != len(names):
        raise UsageError(
            f"--output must name {len(names)} files ({', '.join(names)}), got {len(paths)}.",
            remedy="Name a folder, or as many files.",
        )
    return paths
