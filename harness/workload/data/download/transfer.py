"""One attempt at downloading an archive into a file, limited in size and in time without progress.

url --GET, 16 KiB at a time--> archive file, sha256 --> done, or BrokenTransferError(final=...)
"""

import asyncio
import hashlib
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import responses
from pathlib import Path
from typing import BinaryIO

from harness.common.progress import ProgressReporter
from harness.workload.data.official import OfficialTask

CHUNK_BYTES = 1 << 14
"""A server that sends less than this within `RetryPolicy.stall_seconds` has stalled."""
KILO = 1000
_CLIENT_ERRORS, _TEMPORARY_CLIENT_ERRORS = range(400, 500), {408, 425, 429}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How many attempts a download gets, how long one may stall, and what sleeps between them."""

    attempts: int = 3
    stall_seconds: float = 30.0
    sleep: Callable[[float], None] = time.sleep


class BrokenTransferError(Exception):
    """One attempt failed. Another may succeed unless the failure is `final`."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


def transfer(
    task: OfficialTask, url: str, archive: Path, progress: ProgressReporter, policy: RetryPolicy
) -> None:
    """Download a task's archive into a file.

    Progress is reported in kB, and taken back where the attempt fails. Raises BrokenTransferError where
    anything but the official archive arrives, OSError where the file cannot be written.
    """
    with archive.open("wb") as file:
        writer = _ArchiveWriter(task, file, progress)
        try:
            asyncio.run(_download(url, writer.write, policy.stall_seconds))
            writer.check()
        except BrokenTransferError:
            progress.step(-writer.received / KILO)
            raise


class _ArchiveWriter:
    """Writes chunks to the open file, and checks their total size and sha256."""

    def __init__(self, task: OfficialTask, file: BinaryIO, progress: ProgressReporter) -> None:
        self._task, self._file, self._progress = task, file, progress
        self._digest = hashlib.sha256()
        self.received = 0

    def write(self, chunk: bytes) -> None:
        if self.received + len(chunk) > self._task.archive_bytes:
            raise _not_official(f"more than {self._task.archive_bytes:,} bytes")
        self._file.write(chunk)
        self._digest.update(chunk)
        self.received += len(chunk)
        self._progress.step(len(chunk) / KILO)

    def check(self) -> None:
        if self.received < self._task.archive_bytes:
            raise BrokenTransferError(
                f"the server sent {self.received:,} of {self._task.archive_bytes:,} bytes"
            )
        if self._digest.hexdigest() != self._task.archive_sha256:
            raise _not_official("another sha256")


async def _download(url: str, write: Callable[[bytes], None], stall_seconds: float) -> None:
    """Pass the body to `write` in chunks of CHUNK_BYTES; each must arrive within `stall_seconds`.

    One deadline covers all from name resolution to the last byte. A timeout per read would start again with
    every byte: a server that sends one now and then could block the command for days.
    """
    import httpx2

    now, headers = asyncio.get_running_loop().time, {"Accept-Encoding": "identity"}
    try:
        async with (
            asyncio.timeout(stall_seconds) as deadline,
            httpx2.AsyncClient(timeout=None, follow_redirects=True) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            if response.is_error:
                raise _error_status(response.status_code)
            async for chunk in response.aiter_raw(CHUNK_BYTES):
                write(chunk)
                deadline.reschedule(now() + stall_seconds)
    except TimeoutError:
        raise BrokenTransferError(f"the server stalled: next to nothing for {stall_seconds:g} s") from None
    except httpx2.InvalidURL:
        raise BrokenTransferError("not a valid address", final=True) from None
    except (httpx2.HTTPError, ValueError, ImportError) as error:
        # ImportError: a SOCKS proxy in the environment, which httpx2 needs an extra for
        raise BrokenTransferError(f"the connection failed: {_reason(error)}") from None


def _not_official(difference: str) -> BrokenTransferError:
    return BrokenTransferError(f"what the server sent is not the official archive ({difference})", final=True)


def _error_status(code: int) -> BrokenTransferError:
    # the standard's phrase: the server's own could hold anything
    phrase = responses.get(code, "")
    final = code in _CLIENT_ERRORS and code not in _TEMPORARY_CLIENT_ERRORS
    return BrokenTransferError(f"the server answered {code} {phrase}".rstrip(), final=final)


def _reason(error: BaseException) -> str:
    """Return the operating system's message, which the libraries wrap several layers deep."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return str(cause.strerror)
        if isinstance(cause, OSError) and cause.errno is not None:
            return os.strerror(cause.errno)
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
