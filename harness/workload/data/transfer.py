"""One try at bringing an archive into a file: bounded in bytes, watched for stalls, and judged by its sha256.

Why it failed is told in words of ours, and whether another try may do better.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import responses
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from harness.common.errors import StoreError
from harness.common.progress import ProgressReporter
from harness.workload.data.official import OfficialTask

if TYPE_CHECKING:
    from requests import Response

CHUNK_BYTES = 1 << 14
"""A server that sends less than this within the patience has stalled."""
KILO = 1000
_CLIENT_ERRORS, _WORTH_ANOTHER_TRY = range(400, 500), {408, 425, 429}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a server is waited for: tries, seconds without progress, and what waits between tries."""

    tries: int = 3
    stall_seconds: float = 30.0
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


class BrokenTransferError(Exception):
    """One try failed; another may do better unless it is `final`."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


def transfer(
    task: OfficialTask, url: str, archive: Path, told: ProgressReporter, patience: RetryPolicy
) -> None:
    """Bring a task's archive into a file; BrokenTransferError where another or none came.

    Told in steps of a kB, which are taken back where the try fails. StoreError where the file cannot be
    written.
    """
    with archive.open("wb") as file:
        sink = _Sink(file, task.archive_bytes)
        try:
            _watched(url, sink, told, patience)
        except BrokenTransferError:
            told.step(-sink.count / KILO)
            raise
    if sink.count < task.archive_bytes:
        told.step(-sink.count / KILO)
        raise BrokenTransferError(f"the server sent {sink.count:,} of {task.archive_bytes:,} bytes")
    if sink.digest.hexdigest() != task.archive_sha256:
        raise BrokenTransferError(
            "what the server sent is not the official archive (another sha256)", final=True
        )


class _Sink:
    """The open file as the downloader sees it: it counts and sums what is written, and refuses too much."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._most = file, most
        self.count = 0
        self.digest = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        if self.count + len(chunk) > self._most:
            raise BrokenTransferError(
                f"what the server sent is not the official archive (more than {self._most:,} bytes)",
                final=True,
            )
        try:
            self._file.write(chunk)
        except OSError as problem:
            raise StoreError(f"cannot be written: {problem.strerror}.", where=self._file.name) from None
        self.digest.update(chunk)
        self.count += len(chunk)

    def flush(self) -> None:
        """Leave it to the file: flushing each chunk gains nothing."""


def _watched(url: str, sink: _Sink, told: ProgressReporter, patience: RetryPolicy) -> None:
    """Download into the sink, and give up on a server that sends next to nothing.

    On a thread, because a timeout of a socket begins anew with each byte: a server that sends one now and
    then would hold the command for days. A thread that is given up finds its file closed and ends.
    """
    failed: list[Exception] = []

    def work() -> None:
        try:
            _request(url, sink, patience.stall_seconds)
        except Exception as problem:  # noqa: BLE001 -- it is raised below, where it can be seen
            failed.append(problem)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    shown, since = 0, patience.clock()
    while thread.is_alive():
        thread.join(min(0.1, patience.stall_seconds))
        count = sink.count
        if count != shown:
            told.step((count - shown) / KILO)
            shown, since = count, patience.clock()
        elif patience.clock() - since > patience.stall_seconds and thread.is_alive():
            raise BrokenTransferError(f"the server stalled: next to nothing for {patience.stall_seconds:g} s")
    told.step((sink.count - shown) / KILO)
    if failed:
        raise failed[0]


def _request(url: str, sink: _Sink, seconds: float) -> None:
    import pooch  # type: ignore[import-untyped]
    from requests.exceptions import HTTPError, InvalidURL, Timeout

    opened: list[Response] = []
    downloader = pooch.HTTPDownloader(
        chunk_size=CHUNK_BYTES,
        timeout=seconds,
        # as it is: a second compression on the way would hide how many bytes there are
        headers={"Accept-Encoding": "identity"},
        # pooch leaves the connection open where a download fails
        hooks={"response": lambda response, **_: opened.append(response)},
    )
    try:
        downloader(url, sink, None)
    except HTTPError as problem:
        raise _answered(problem.response) from None
    except Timeout:
        raise BrokenTransferError(f"no answer for {seconds:g} s") from None
    except InvalidURL:
        raise BrokenTransferError("this is no address", final=True) from None
    except (OSError, ValueError) as problem:
        # never the disk: the sink raises StoreError for that
        raise BrokenTransferError(f"the connection failed: {_reason(problem)}") from None
    finally:
        for response in opened:
            response.close()


def _answered(response: "Response | None") -> BrokenTransferError:
    code = response.status_code if response is not None else 0
    # the standard's words: the server's own could hold anything
    reason = responses.get(code, "")
    final = code in _CLIENT_ERRORS and code not in _WORTH_ANOTHER_TRY
    return BrokenTransferError(f"the server answered {code} {reason}".rstrip(), final=final)


def _reason(problem: BaseException) -> str:
    """Return what the operating system said, which the libraries wrap three layers deep."""
    found: BaseException | None = problem
    while found is not None:
        if isinstance(found, OSError) and found.strerror:
            return found.strerror
        found = found.__cause__ or found.__context__
    return type(problem).__name__
