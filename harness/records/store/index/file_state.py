"""Tells whether the records of a run are the files that the index was made from.

A file is known by its inode, its size and its times, as the kernel keeps them: so a copied store is not taken
for the one whose index it holds.
"""

import hashlib
import os
import time

from harness.records.store.folders import RunFolder

JUST_NOW_NS = 2 * 10**9
"""A change this recent may not be the last one at its time: file systems count time in steps of up to 2 s."""


def file_state(folder: RunFolder) -> str:
    """Return a hash of the state of a run's records; empty where they change, or changed just now."""
    try:
        with os.scandir(folder.path) as entries:
            names = {entry.name: entry.stat() for entry in entries if entry.name.endswith(".json")}
    except OSError:
        return ""
    newest = max((state.st_ctime_ns for state in names.values()), default=0)
    if not names or folder.unfinished or time.time_ns() - newest < JUST_NOW_NS:
        return ""
    states = [
        (name, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        for name, state in sorted(names.items())
    ]
    return hashlib.sha256(repr(states).encode()).hexdigest()
