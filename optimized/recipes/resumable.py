"""Preparation that can be interrupted and resumed: its working folder, its progress lines, its total time.

    cache --artifact found--> artifact     --else--> working folder --finished--> artifact

An interruption, even by kill -9, leaves the working folder and nothing in the cache. Seconds are summed over
all sessions. Energy is not, so the energy of interrupted work is unavailable.
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import find_or_make
from harness.systems.interface import Artifact, PreparationContext, Progress

_SECONDS_FILE = "seconds.json"
_PROGRESS_INTERVAL_S = 1.0
_NOT_METERED = "unavailable, because the work was interrupted and its parts were not metered"


class TrainingSession:
    """One session of resumable work: its working `folder`, progress lines, and the time of all sessions."""

    def __init__(self, folder: Path, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self._progress = progress
        self.clock = clock
        self.earlier_seconds = _read_seconds(folder / _SECONDS_FILE)
        self._began = self._last_report = clock()

    @property
    def seconds(self) -> float:
        """The time of all sessions so far."""
        return self.earlier_seconds + self.clock() - self._began

    def report(self, phase: str, fraction: float, seconds_left: float | None = None) -> None:
        """Print the finished fraction of `phase` and the time left, at most once a second."""
        now = self.clock()
        if now - self._last_report < _PROGRESS_INTERVAL_S:
            return
        self._last_report = now
        self._save_seconds()
        if seconds_left is None and fraction:
            seconds_left = (now - self._began) / fraction * (1 - fraction)
        remaining = "" if seconds_left is None else f", about {seconds_left:.0f} s left"
        self._progress(f"{phase} {100 * fraction:.0f} %{remaining}")

    def _save_seconds(self) -> None:
        unfinished = self.folder / f".{_SECONDS_FILE}"
        unfinished.write_text(json.dumps(round(self.seconds, 3)), encoding="utf-8")
        unfinished.replace(self.folder / _SECONDS_FILE)


def find_or_resume(
    context: PreparationContext, key: str, make: Callable[[TrainingSession, Path], Mapping[str, Any]]
) -> Artifact:
    """Return the artifact under `key`; if there is none, `make` fills its folder and returns its manifest.

    `make` receives a session whose folder keeps the work of earlier, interrupted sessions. `key`, `seconds`
    and `energy` are added to the manifest.
    """
    artifact = context.cache.find(key)
    if artifact is not None:
        return artifact
    with context.cache.working(key) as folder:
        session = TrainingSession(folder, context.progress)

        def complete(target: Path) -> dict[str, Any]:
            manifest = dict(make(session, target))
            if session.earlier_seconds:
                manifest["energy"] = _NOT_METERED
            return {**manifest, "seconds": round(session.seconds, 3)}

        # while this process waited for the working folder, another may have written the artifact
        return find_or_make(context.cache, key, complete, energy=context.energy)


def _read_seconds(path: Path) -> float:
    try:
        return float(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return 0.0
