"""Files that are whole or not there, and lines that are whole or cut off again: what survives `kill -9`."""

import os
from contextlib import suppress
from pathlib import Path, PurePath


def write_new(path: Path, payload: bytes) -> None:
    """Write a file that does not exist yet, whole or not at all; FileExistsError if it does."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.link(scratch, path)  # unlike a rename, this fails where the name is taken
    finally:
        scratch.unlink(missing_ok=True)


def append_line(path: Path, line: str) -> None:
    """Append a line and see it onto the disk; one that does not fit leaves no part of itself behind.

    A torn line would swallow the next one, which may be shorter and fit.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        end = os.fstat(handle).st_size
        try:
            _write_all(handle, f"{line}\n".encode())
            os.fsync(handle)
        except OSError:
            with suppress(OSError):
                os.ftruncate(handle, end)
            raise
    finally:
        os.close(handle)


def cut_torn_line(path: Path) -> None:
    """Cut off what a crash left of a last line, so that the next one begins a line of its own."""
    whole = path.read_bytes().rpartition(b"\n")[0]
    with path.open("r+b") as file:
        file.truncate(len(whole) + 1 if whole else 0)


def holds(path: Path, payload: bytes) -> bool:
    """Say whether a file is there with exactly this in it."""
    return path.exists() and path.read_bytes() == payload


def _write_all(handle: int, payload: bytes) -> None:
    left = memoryview(payload)
    while left:
        left = left[os.write(handle, left) :]


def base_names(value: str) -> str:
    """Return a value without folders: `LD_PRELOAD` is a list of paths, parted by colons or blanks."""
    if "/" not in value:
        return value
    return ":".join(PurePath(part).name for part in value.replace(":", " ").split())
