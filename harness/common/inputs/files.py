"""Reads a file that somebody else wrote: a regular file, up to a limit of bytes.

    path --kind, size--> bytes --encoding--> text

A path may name anything: a pipe that nobody writes to, `/dev/zero`, a folder, a file that grows while it is
read. So its kind is checked before it is opened, and no more than the limit is read.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.common.errors import BenchError

KIB, MIB, GIB = 2**10, 2**20, 2**30


@dataclass(frozen=True, slots=True)
class InputLimit:
    """The most bytes that are read of one kind of file; `kind` completes "the limit for ..."."""

    kind: str
    size_bytes: int


DATA = InputLimit("a data file", 4 * GIB)
PREDICTIONS = InputLimit("a prediction file", 512 * MIB)
RECORD = InputLimit("a record", 256 * MIB)
JOURNAL = InputLimit("a journal", 4 * GIB)
SAMPLES = InputLimit("a file of samples", GIB)
CONFIGURATION = InputLimit("a file of settings", 256 * KIB)
CHECKPOINT_JSON = InputLimit("a JSON file of a checkpoint", 512 * MIB)
TRACE = InputLimit("a trace", GIB)
PIN = InputLimit("a pinned reference", 2 * GIB)

_CHUNK, _LEAST = 4 * MIB, 64 * KIB
"""Bytes that are read at once: at most, and at least."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class InvalidText(ValueError):
    """Bytes or a text in another form than expected; the message is a clause without full stop."""


def read_input(path: Path, limit: InputLimit, error: type[BenchError], *, remedy: str | None = None) -> bytes:
    """Return the content of a regular file; raise `error` where there is none, or it is above the limit.

    `remedy` is for a file that is missing.
    """
    place = str(path)
    try:
        _check_kind(path.stat().st_mode, place, error)
        # O_NONBLOCK: a pipe that has taken the file's place since then is opened without waiting for a writer
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(handle)
            _check_kind(status.st_mode, place, error)
            return b"".join(_chunks(handle, status.st_size, limit, place, error))
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise error("there is no such file.", where=place, remedy=remedy) from None
    except OSError as problem:
        raise error(f"the file cannot be read: {problem.strerror or problem}.", where=place) from None
    except ValueError:
        raise error("the name of the file holds a NUL character.", where=repr(place)) from None


def decode_text(content: bytes, encoding: str = "utf-8") -> str:
    """Return bytes as text; InvalidText where they are not in this encoding."""
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as problem:
        name = encoding.upper().removesuffix("-SIG")
        raise InvalidText(f"not {name} text (byte {problem.start})") from None


def format_size(size_bytes: int) -> str:
    """Return a number of bytes for a message: `256 KiB`, `4 GiB`."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:g} {name}"
    return f"{size_bytes} bytes"


def _check_kind(mode: int, where: str, error: type[BenchError]) -> None:
    if stat.S_ISREG(mode):
        return
    kind = _KINDS.get(stat.S_IFMT(mode), "another kind")
    remedy = "Write what comes through it to a file first." if kind == "a pipe" else None
    raise error(f"expected a regular file, got {kind}.", where=where, remedy=remedy)


def _chunks(
    handle: int, size: int, limit: InputLimit, where: str, error: type[BenchError]
) -> Iterator[bytes]:
    read = 0
    while max(size, read) <= limit.size_bytes:
        # no more than is there: a large buffer for each of thousands of small files takes longer than they do
        chunk = os.read(handle, min(max(size - read, _LEAST), _CHUNK))
        if not chunk:
            return
        read += len(chunk)
        yield chunk
    raise error(
        f"the file is larger than {format_size(limit.size_bytes)}, the limit for {limit.kind}.",
        where=where,
        remedy="Name another file, or a part of this one.",
    )
