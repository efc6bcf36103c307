"""A reader as a function of bytes, and the limits of time and memory that it must keep."""

import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from harness.common.errors import BenchError, ExitCode

PATIENCE_S = 60
"""After so long a reader counts as hanging. It is generous: the machine may be busy."""

MEMORY_BYTES = 2 * 2**30
"""How much memory one case may take beside what the process has."""


MAX_MESSAGE = 4000
"""More characters than that nobody reads."""


@dataclass(frozen=True, slots=True)
class Target:
    """One reader: `read` gets a new folder and the bytes; `sound` are files that it accepts."""

    name: str
    sound: Sequence[bytes]
    read: Callable[[Path, bytes], object]

    def try_read(self, folder: Path, content: bytes) -> None:
        """Read the bytes: they are accepted, or refused with a BenchError. Any other exception is a fault."""
        with _bounded_time(self.name):
            error = self._refusal(folder, content)
        if error is not None:
            assert error.exit_code is not ExitCode.BUG, error
            assert len(str(error)) < MAX_MESSAGE, str(error)[:MAX_MESSAGE]

    def _refusal(self, folder: Path, content: bytes) -> BenchError | None:
        try:
            self.read(folder, content)
        except BenchError as error:
            return error
        return None


@contextmanager
def _bounded_time(name: str) -> Iterator[None]:
    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"{name} has read for {PATIENCE_S} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Limit the memory of this process to what it has and `MEMORY_BYTES` more."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
