"""The lock on a run: the kernel releases it with the process, so a crash leaves no lock behind."""

import errno
import fcntl
import os
from pathlib import Path

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""Errors of a file system without locks: there, users must not run two processes on one run."""


class Hold:
    """A locked file; unlocked by `release`, when the last reference is gone, or when the process ends."""

    __slots__ = ("_handle",)

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def release(self) -> None:
        """Unlock the file; does nothing the second time."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __del__(self) -> None:
        self.release()


def hold(path: Path) -> Hold | None:
    """Lock a file without waiting and return the lock; None if another process holds it.

    The file is created if it is absent. The lock keeps other processes out, not other parts of this one.
    FileNotFoundError if the folder is absent, also if its last holder removed it just now.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    lock = Hold(handle)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    path.stat()  # the last holder may have removed the folder
    return lock
