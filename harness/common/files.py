"""Writes that survive `kill -9`: a file is complete or absent, and a line is complete or removed again."""

import os
from contextlib import suppress
from pathlib import Path, PurePath


def write_new(path: Path, payload: bytes) -> None:
    """Write a new file, complete or not at all; FileExistsError if the name is taken."""
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
    """Append a line and flush it to the disk; if it does not fit, remove the part that was written.

    A torn line would merge with the next one, which may be shorter and fit.
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
    """Remove an incomplete last line, which a crash may leave, so that the next line starts on its own."""
    complete_lines = path.read_bytes().rpartition(b"\n")[0]
    with path.open("r+b") as file:
        file.truncate(len(complete_lines) + 1 if complete_lines else 0)


def holds(path: Path, payload: bytes) -> bool:
    """Return whether a file exists and contains exactly this payload."""
    return path.exists() and path.read_bytes() == payload


def _write_all(handle: int, payload: bytes) -> None:
    rest = memoryview(payload)
    while rest:
        rest = rest[os.write(handle, rest) :]


def base_names(value: str) -> str:
    """Return a value without folders; `LD_PRELOAD` is a list of paths, separated by colons or spaces."""
    if "/" not in value:
        return value
    return ":".join(PurePath(part).name for part in value.replace(":", " ").split())
