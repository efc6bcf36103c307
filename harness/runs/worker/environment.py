"""Environment variables that a rung's process is started with: libraries read some before any code runs.

Large pages and other allocators must be chosen before a process starts, so no engine can choose them for
itself: a rung names them, and is measured beside the same rung without.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from harness.common.errors import MeasurementError, UsageError
from harness.common.files import base_names
from harness.runs.worker.process import CUDA_ORDER, THREAD_VARIABLES

PRELOAD = "LD_PRELOAD"
"""Libraries that the loader loads before all others; one that it does not find is skipped with a message."""

_OURS = frozenset((*THREAD_VARIABLES, *CUDA_ORDER, "CUDA_VISIBLE_DEVICES", "PYTHONPATH", "TMPDIR"))


def check(variables: Mapping[str, str], where: str) -> None:
    """Raise UsageError for a variable that the harness sets itself, and for a library that does not exist."""
    for name in variables:
        if name in _OURS:
            raise UsageError(
                f"{name} is set by the harness.",
                where=where,
                remedy="Leave it out, or use --threads or --device.",
            )
    for library in preloaded(variables):
        if not Path(library).is_absolute() or not Path(library).is_file():
            raise UsageError(
                f"{PRELOAD} names {library}, which does not exist or is not an absolute path.",
                where=where,
                remedy="Name it by its absolute path: the loader goes on without one that it does not find.",
            )


def preloaded(variables: Mapping[str, str]) -> list[str]:
    """Return the libraries that `LD_PRELOAD` names."""
    return variables.get(PRELOAD, "").replace(":", " ").split()


def in_force(variables: Mapping[str, str], maps: Path = Path("/proc/self/maps")) -> dict[str, str]:
    """Return the variables as this process has them, base names for paths.

    MeasurementError where one differs from `variables`, or a library was not loaded.
    """
    changed = [name for name, value in variables.items() if os.environ.get(name) != value]
    if changed:
        raise MeasurementError(f"the worker was started without {', '.join(changed)}.")
    for library in preloaded(variables):
        if str(Path(library).resolve()) not in maps.read_text(encoding="utf-8", errors="replace"):
            raise MeasurementError(
                f"{Path(library).name} was not loaded before all others.",
                where=PRELOAD,
                remedy="Is it a shared library for this processor?",
            )
    return {name: base_names(value) for name, value in variables.items()}
