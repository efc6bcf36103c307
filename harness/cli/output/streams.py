"""Standard streams that cannot be used: closed, full, without a reader, or lacking characters.

stdout closed          refused before anything is done
stdout full            StoreError, exit code 4
stdout without reader  the command ends quietly (`bench list | head -1`)
stdout not Unicode     characters that it lacks are escaped, with a warning
stderr full or closed  what is written there is dropped: no measurement ends for that
"""

import codecs
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from harness.common.errors import BenchError, ExitCode, StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from _typeshed import ReadableBuffer

ERRORS = "bench-escape"
"""The name of the error handler that escapes characters which stdout lacks."""


class ReaderGone(Exception):
    """Whoever read stdout has closed it."""


class CheckedStdout(io.FileIO):
    """Standard output whose failures are errors of ours."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write; StoreError if the device takes no more, ReaderGone if nobody reads."""
        try:
            return super().write(data)
        except BrokenPipeError:
            drop_output()
            raise ReaderGone from None
        except OSError as problem:
            drop_output()
            raise StoreError(
                f"stdout cannot be written: {problem.strerror}.",
                remedy="Write it to a file on another device; `bench report` prints a finished run again.",
            ) from None


class LenientStderr(io.FileIO):
    """Standard error that drops what it cannot write."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write, or drop the data."""
        with suppress(OSError):
            return super().write(data)
        return memoryview(data).nbytes


class Escapes:
    """The error handler of stdout: it escapes characters, and holds whether it has."""

    def __init__(self) -> None:
        self.used = False

    def __call__(self, error: UnicodeError) -> tuple[str | bytes, int]:
        """Escape the characters that the encoding lacks."""
        self.used = True
        return codecs.backslashreplace_errors(error)


ESCAPES = Escapes()
"""What was escaped on stdout in this process."""


def with_streams(command: "Callable[[], int]") -> int:
    """Prepare the streams, run a command, and return its exit code, or that of a stream that failed."""
    try:
        prepare_streams()
        check_working_folder()
        code = command()
        finish_output()
    except ReaderGone:
        return ExitCode.DONE
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)  # noqa: T201 -- the command line prints
        return error.exit_code
    return code


def prepare_streams() -> None:
    """Make the standard streams fail as the table above says; UsageError if stdout is closed."""
    closed = [descriptor for descriptor in range(3) if not _is_open(descriptor)]
    for descriptor in closed:  # else the next file that is opened would become a standard stream
        os.open(os.devnull, os.O_RDWR)
        os.set_inheritable(descriptor, True)
    sys.stderr = _text(LenientStderr(2, "wb", closefd=False), sys.stderr, "backslashreplace")
    if 1 in closed:
        raise UsageError("stdout is closed.", remedy="Redirect it instead: > FILE, or > /dev/null.")
    codecs.register_error(ERRORS, ESCAPES)
    sys.stdout = _text(CheckedStdout(1, "wb", closefd=False), sys.stdout, ERRORS)


def drop_output() -> None:
    """Send all further output nowhere: Python writes what is left in its buffers when it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def check_working_folder() -> None:
    """Raise UsageError if the working folder was removed, for every relative path then fails."""
    try:
        os.getcwd()  # noqa: PTH109 -- Path.cwd() does no more
    except OSError as problem:
        raise UsageError(
            f"the working folder cannot be used: {problem.strerror}.",
            remedy="Change to a folder that exists.",
        ) from None


def finish_output() -> None:
    """Write what is buffered, and warn if characters were escaped."""
    sys.stdout.flush()
    if ESCAPES.used:
        print(  # noqa: T201 -- the command line prints
            f"bench: stdout is {sys.stdout.encoding}: characters that it lacks are escaped (\\u2265). "
            "Set PYTHONIOENCODING=utf-8 to write them.",
            file=sys.stderr,
        )


def _text(raw: io.FileIO, stream: "TextIO | None", errors: str) -> io.TextIOWrapper:
    """Return a text stream over a file, with the encoding and the buffering of the stream before it."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors=errors,
        line_buffering=getattr(stream, "line_buffering", True),
        write_through=getattr(stream, "write_through", False),
    )


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
