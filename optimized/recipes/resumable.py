"""Work that takes long enough to be interrupted: where it goes on, what it tells, and what it took in all.

    cache --the artifact is there--> it          --else--> working folder --done--> artifact

An interruption, even kill -9, leaves the working folder and nothing in the cache. Seconds are added up over
all sittings; energy is not, so that of an interrupted work is unavailable.
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import find_or_make
from harness.systems.interface import Artifact, PreparationContext, Progress

_SPENT = "seconds.json"
_PAUSE = 1.0  # seconds between two lines
_NOT_METERED = "unavailable, because the work was interrupted and its parts were not metered"


class TrainingSession:
    """One sitting: the working `folder`, a line about once a second, and the seconds of all sittings."""

    def __init__(self, folder: Path, told: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self._told = told
        self.clock = clock
        self.earlier = _read(folder / _SPENT)
        self._began = self._last = clock()

    @property
    def seconds(self) -> float:
        """What the work took so far, all sittings together."""
        return self.earlier + self.clock() - self._began

    def tell(self, what: str, fraction: float, left: float | None = None) -> None:
        """Say how far `what` is, with the seconds left, unless something was said just now."""
        now = self.clock()
        if now - self._last < _PAUSE:
            return
        self._last = now
        self._keep()
        left = (now - self._began) / fraction * (1 - fraction) if left is None and fraction else left
        self._told(f"{what} {100 * fraction:.0f} %" + ("" if left is None else f", about {left:.0f} s left"))

    def _keep(self) -> None:
        whole = self.folder / f".{_SPENT}"
        whole.write_text(json.dumps(round(self.seconds, 3)), encoding="utf-8")
        whole.replace(self.folder / _SPENT)


def find_or_resume(
    workshop: PreparationContext, key: str, make: Callable[[TrainingSession, Path], Mapping[str, Any]]
) -> Artifact:
    """Return the artifact under `key`, or let `make` fill its folder, given a sitting to go on with.

    What `make` returns is the manifest, which gains key, seconds and energy.
    """
    found = workshop.cache.find(key)
    if found is not None:
        return found
    with workshop.cache.working(key) as folder:
        session = TrainingSession(folder, workshop.progress)

        def complete(target: Path) -> dict[str, Any]:
            made = dict(make(session, target))
            if session.earlier:
                made["energy"] = _NOT_METERED
            return {**made, "seconds": round(session.seconds, 3)}

        # whoever worked here before may have made it: it is looked for once more
        return find_or_make(workshop.cache, key, complete, energy=workshop.energy)


def _read(spent: Path) -> float:
    try:
        return float(json.loads(spent.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return 0.0
