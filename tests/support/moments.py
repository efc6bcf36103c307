"""A run in a child process to which something happens at the n-th touch of a file: a kill, or a full disk.

Every file operation of Python raises an audit event before it happens, so each moment between two of them can
be tried without a sleep. The child is forked: that costs milliseconds, and its hook ends with it.
"""

import errno
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOUCHES = ("open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "fcntl.lockf")
GROWS = ("os.link", "os.rename", "os.mkdir")
"""Operations that need room on the disk, beside opening a file to write."""

DONE, KILLED = 0, -signal.SIGKILL


def killed_at(moment: int, root: Path, work: Callable[[], int]) -> int:
    """Return how a child ended that is killed before its `moment`-th touch of a file below `root`."""
    return _forked(root, work, moment, lambda: os.kill(os.getpid(), signal.SIGKILL), once=True, only=None)


def full_from(moment: int, root: Path, work: Callable[[], int]) -> int:
    """Return how a child ended for which the disk is full from its `moment`-th write below `root` on."""

    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return _forked(root, work, moment, full, once=False, only=_grows)


def forked() -> int:
    """Fork; return the child in this process, and 0 in the child."""
    sys.stdout.flush()
    with warnings.catch_warnings():  # the child does not touch the threads of numpy's libraries
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _grows(event: str, arguments: tuple[Any, ...]) -> bool:
    if event != "open":
        return event in GROWS
    return bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))


def _forked(
    root: Path,
    work: Callable[[], int],
    moment: int,
    happens: Callable[[], None],
    *,
    once: bool,
    only: Callable[[str, tuple[Any, ...]], bool] | None,
) -> int:
    child = forked()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in TOUCHES or not _below(root, arguments) or (only and not only(event, arguments)):
            return
        count += 1
        if count == moment or (count > moment and not once):
            happens()

    code = 99
    try:
        sys.addaudithook(hook)
        code = work()
    finally:
        os._exit(code)


def _below(root: Path, arguments: tuple[Any, ...]) -> bool:
    return (
        bool(arguments)
        and isinstance(arguments[0], str | os.PathLike)
        and os.fspath(arguments[0]).startswith(str(root))
    )
