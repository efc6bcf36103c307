"""A guard: a small process between a parent and its worker, which ends everything below it.

    parent --> guard --> worker --> programs, instances, and whatever these start

The guard is a subreaper (prctl(2)): a process whose parent has ended becomes a child of the guard, also in a
session of its own, so nothing leaves the tree. The guard ends the tree when the worker ends, on SIGTERM, and
when the parent ends, however that happens: the kernel then sends SIGTERM. It removes the scratch folder last.

    python -I -S guard.py PARENT-PID     stdin: one line, the JSON object of `GuardedProcess`
                                         stdout: one line, {"pid": ...} or {"error": ...}

It imports the standard library only, sleeps until a signal arrives, and is never stopped with its worker.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""From Linux's prctl(2): the signal that this process gets when its parent ends."""

PR_SET_CHILD_SUBREAPER = 36
"""From Linux's prctl(2): orphans below this process become its children."""

OWN_PID = "{guard}"
"""Stands in the worker's command for the pid of the guard, which is the worker's parent."""

PATIENCE_S = 10.0
"""How long the guard tries to end what is below it: a process in an uninterruptible wait cannot be killed."""

_ENDING = {signal.SIGTERM, signal.SIGHUP, signal.SIGINT}
_SIGNALS = {signal.SIGCHLD, *_ENDING}


def main() -> None:
    """Start the worker, wait for its end or for a signal, and leave nothing behind."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):  # it ended before the call above
        os._exit(1)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    start = json.loads(sys.stdin.readline())
    try:
        _make(start["scratch"])
        worker = _start(start["command"], start["environment"])
    except OSError as problem:
        _remove(start["scratch"])
        print(json.dumps({"error": problem.strerror}), flush=True)  # noqa: T201 -- to the parent
        os._exit(1)
    print(json.dumps({"pid": worker}), flush=True)  # noqa: T201 -- to the parent
    for descriptor in start["descriptors"]:  # else the parent would not see that the worker closes them
        os.close(descriptor)
    ended = _wait(worker)
    status = end_all_below(worker)
    _remove(start["scratch"])
    _exit_as(status if ended else 0)


def _start(command: list[str], environment: dict[str, str]) -> int:
    """Start the worker in a session of its own; what it prints goes where this process's errors go."""
    arguments = [str(os.getpid()) if part == OWN_PID else part for part in command]
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, 2, 1),
    ]
    return os.posix_spawnp(
        arguments[0],
        arguments,
        environment,
        file_actions=files,
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),  # Python ignores these two
    )


def _wait(worker: int) -> bool:
    """Wait until the worker has ended or this process is to end; return whether the worker has.

    The worker stays a zombie until the guard ends, so that nobody else gets its pid meanwhile.
    """
    while not os.waitid(os.P_PID, worker, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if signal.sigwait(_SIGNALS) in _ENDING:
            return False
    return True


def end_all_below(worker: int) -> int:
    """Kill everything below this process until nothing is left; return how the worker ended."""
    status, deadline = 0, time.monotonic() + PATIENCE_S
    while pids := list(_below(os.getpid())):
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid, ended in _reap():
            status = ended if pid == worker else status
        if time.monotonic() > deadline:
            break
        time.sleep(0.001)
    return status


def _reap() -> Iterator[tuple[int, int]]:
    """Yield the pid and the wait status of each child that has ended."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            yield ended


def _below(root: int) -> Iterator[int]:
    """Yield the pids below a process, children before their own children."""
    children: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended since
            parent = file.read_bytes().rpartition(b")")[2].split()[1]
            children.setdefault(int(parent), []).append(int(file.parent.name))
    level = children.get(root, [])
    while level:
        yield from level
        level = [child for pid in level for child in children.get(pid, [])]


def _make(scratch: str) -> None:
    """Make the folder here: a parent that is killed before this process runs then leaves none behind."""
    if scratch:
        with suppress(FileExistsError):
            os.mkdir(scratch, 0o700)  # noqa: PTH102 -- pathlib is slow to import


def _remove(scratch: str) -> None:
    import shutil

    if scratch:
        shutil.rmtree(scratch, ignore_errors=True)


def _exit_as(status: int) -> None:
    """End as the worker ended: with its exit code, or by the same signal."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        os._exit(code)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # SIGKILL has no handler
        signal.signal(-code, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
    os.kill(os.getpid(), -code)
    os._exit(128 - code)


if __name__ == "__main__":
    main()
