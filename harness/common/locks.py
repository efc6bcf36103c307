"""Who works on a run: a lock that the kernel lets go of with the process, so no crash leaves one behind."""

import errno
import fcntl
import os
from pathlib import Path

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""What a file system answers that knows no locks: there, two runs are kept apart by their users."""


class Hold:
    """A locked file; it is let go when this is released, is no longer referred to, or the process ends."""

    __slots__ = ("_handle",)

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def release(self) -> None:
        """Let go."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __del__(self) -> None:
        self.release()


def hold(path: Path) -> Hold | None:
    """Lock a file, which is made if it is not there; None if another process has it.

    FileNotFoundError if its folder is gone, also if it went while this waited for nobody but the kernel.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    found = Hold(handle)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return None
    except OSError as problem:
        if problem.errno not in _NO_LOCKS:
            raise
    path.stat()  # whoever had it before may have removed the folder
    return found
