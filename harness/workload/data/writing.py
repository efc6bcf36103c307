"""Writes folders whole or not at all, and turns errors of the disk into messages."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.common.errors import StoreError

OUTPUT_REMEDY = "Name a folder that you may write, on a disk with free space, with --output."


@contextmanager
def store_errors(message: str, where: Path, remedy: str | None = None) -> Iterator[None]:
    """Raise StoreError for an OSError of the block: `where: message: reason`, and the remedy."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(f"{message}: {reason}.", where=str(where), remedy=remedy) from None


def write_once(folder: Path, name: str, write: Callable[[Path], object]) -> None:
    """Call `write` with a scratch folder, and move its subfolder `name` into `folder`, unless that exists."""
    if (folder / name).is_dir():
        return
    remedy = "Set BENCH_CACHE to a folder that you may write, on a disk with free space."
    with store_errors("the data cannot be written", folder, remedy):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as scratch:
            write(Path(scratch))
            _move_into_place(Path(scratch) / name, folder / name)


def _move_into_place(source: Path, target: Path) -> None:
    """Rename a finished folder; a process that was faster has written the same bytes."""
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise
