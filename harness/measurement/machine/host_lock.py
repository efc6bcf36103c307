"""The lock on the CPUs of a host: two measurements never share a core, whoever started them.

One file for the whole host holds a byte for each CPU, and a measurement locks the bytes of its CPUs
(fcntl(2), advisory record locks). Trainings of a cluster lock them together, with shared locks, and
none beside a measurement. The kernel unlocks them when the process ends, however that happens, and it
knows the holder. Containers with a `/tmp` of their own do not see one another's locks.
"""

import errno
import fcntl
import os
import pwd
import stat
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.common.errors import MeasurementError
from harness.common.procfs import ROOT, siblings

OnBusy = Literal["wait", "refuse", "share"]
"""What to do where another measurement holds a CPU."""

LOCK_FILE = Path("/tmp/bench-cpus.lock")  # noqa: S108 -- all users of the host must find it; opened without links
"""Not below `/run/lock`, where only root may write on some systems, nor in the folder of one user."""

_FLOCK = "hhqqi4x"
"""`struct flock` on 64-bit Linux: type, whence, start, length, process id."""

_LONGEST_COMMAND = 100


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a CPU: the process id, or 0 where the kernel does not show it here; whether it trains."""

    cpu: int
    pid: int
    trains: bool = False

    def __str__(self) -> str:
        """Name the process with its user and its command."""
        return f"{_describe(self.pid)}, which {'trains' if self.trains else 'measures'} on CPU {self.cpu}"


def cores_of(cpus: Iterable[int], root: Path = ROOT) -> list[int]:
    """Return these CPUs and all that share a core with them."""
    return sorted({sibling for cpu in cpus for sibling in siblings(cpu, root) or (cpu,)})


@contextmanager
def hold_cpus(
    cpus: Sequence[int],
    on_busy: OnBusy,
    report: Callable[[str], None],
    path: Path = LOCK_FILE,
    *,
    trains: bool = False,
) -> Iterator[None]:
    """Hold these CPUs; where another process holds one, wait, raise MeasurementError, or only report it.

    With `trains` others that train hold them too. `report` receives whom is waited for. Waiting takes no CPU
    time. Where the file cannot be locked, `report` receives the reason, and the work goes on.
    """
    handle = None
    try:
        try:
            handle = _open(path)
            _take_or_wait(handle, cpus, on_busy, report, fcntl.LOCK_SH if trains else fcntl.LOCK_EX)
        except OSError as error:
            reason = error.strerror or str(error)
            report(f"{path}: the CPUs are not locked, because {reason}: another bench may use them too.")
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _take_or_wait(
    handle: int, cpus: Sequence[int], on_busy: OnBusy, report: Callable[[str], None], kind: int
) -> None:
    while holder := _take(handle, cpus, kind):
        if on_busy == "refuse":
            raise MeasurementError(
                f"the CPUs are in use by {holder}.",
                remedy="Wait until it is done, or let bench wait with --busy wait. `taskset` gives each "
                "measurement CPUs of its own.",
            )
        if on_busy == "share":
            report(f"the CPUs are shared with {holder}: both measurements disturb each other.")
            return
        report(f"waiting for {holder}. Ctrl-C ends this; --busy refuse does not wait.")
        fcntl.lockf(handle, kind, 1, holder.cpu)  # sleeps until the holder has ended
        fcntl.lockf(handle, fcntl.LOCK_UN, 1, holder.cpu)


def _take(handle: int, cpus: Sequence[int], kind: int) -> Holder | None:
    """Lock all CPUs and return None, or lock none and return who holds the first that is not free."""
    for cpu in cpus:
        try:
            fcntl.lockf(handle, kind | fcntl.LOCK_NB, 1, cpu)
        except OSError as error:
            fcntl.lockf(handle, fcntl.LOCK_UN)
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            return _holder(handle, cpu)
    return None


def _holder(handle: int, cpu: int) -> Holder:
    """Return who holds a CPU, as process 0 if it has just ended, or runs in another container."""
    request = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, cpu, 1, 0)
    kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(handle, fcntl.F_GETLK, request))
    return Holder(cpu, 0 if kind == fcntl.F_UNLCK else max(0, int(pid)), kind == fcntl.F_RDLCK)


def _open(path: Path) -> int:
    """Open the file of all users for writing, and create it if it is absent; OSError if that is refused."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        handle = _create(path, flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file")
    with suppress(OSError):
        os.utime(handle)  # so that nothing cleans it away as old
    return handle


def _create(path: Path, flags: int) -> int:
    try:
        handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:  # another process was first
        return os.open(path, flags)
    os.fchmod(handle, 0o666)
    return handle


def _describe(pid: int, root: Path = ROOT) -> str:
    """Return a process with its user and its command, as far as the kernel shows them."""
    folder = root / "proc" / str(pid)
    try:
        arguments = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        user = folder.stat().st_uid
    except OSError:
        return f"process {pid}" if pid else "a process that is not visible here"
    names = [Path(word).name for word in arguments]
    command = " ".join(
        ["bench", *arguments[names.index("bench") + 1 :]] if "bench" in names else arguments
    ).strip()
    shown = "".join(letter if letter.isprintable() else "?" for letter in command)[:_LONGEST_COMMAND]
    return f"process {pid} of {_user_name(user)} ({shown})"


def _user_name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
