"""The result of a check: figures that agree, figures that do not, and what could not be checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from harness.records.record import Record

CLOSE = 1e-9
"""Relative tolerance for a number computed again, possibly by another version of a numerical library."""

_LONGEST = 60
"""Characters of a value that a message shows."""


@dataclass(frozen=True, slots=True, eq=False)
class SealedRecord:
    """A record as it is in the store: its file, its JSON object, the parsed record, and its samples.

    `arrays` are None if they cannot be read; `problem` then holds the reason. `samples_sha256` is the hash of
    the current samples file.
    """

    file: str
    words: Mapping[str, Any]
    record: "Record"
    arrays: "Mapping[str, np.ndarray[Any, Any]] | None"
    samples_sha256: str | None = None
    problem: str | None = None

    @property
    def name(self) -> str:
        """The id of the cell, for messages."""
        return self.record.cell.id


@dataclass(slots=True)
class VerificationCheck:
    """One group of checks: its subject, how many figures were compared, what is wrong, what was not checked.

    A group that compared nothing and found nothing wrong has no verdict: `unchecked` holds the reasons.
    `within` holds what could only be compared within a tolerance, and the widest one, as a share.
    """

    name: str
    about: str
    figures: int = 0
    wrong: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    within: dict[str, float] = field(default_factory=dict)

    @property
    def gaps(self) -> list[str]:
        """Return what was not checked and why, and what was compared within a tolerance only."""
        return [
            *(f"not checked, because {reason}" for reason in self.unchecked),
            *(f"{figure}: within {_percent(share)} only" for figure, share in self.within.items()),
        ]

    @property
    def verdict(self) -> str:
        """Return `yes`, `no`, or `not checked`."""
        if self.wrong:
            return "no"
        return "yes" if self.figures else "not checked"

    def same(self, where: str, name: str, recorded: object, computed: object) -> None:
        """Compare a recorded value with the one that was computed again."""
        self.figures += 1
        if not _equal(recorded, computed):
            values = f"the record has {_shown(recorded)}, expected {_shown(computed)}"
            self.wrong.append(f"{where}: {name}: {values}")

    def holds(self, where: str, problem: str, *, so: bool) -> None:
        """Count a condition, and note the problem unless the condition holds."""
        self.figures += 1
        if not so:
            self.wrong.append(f"{where}: {problem}")

    def allow(self, figure: str, share: float) -> None:
        """Note the tolerance of a comparison; the widest of all records counts."""
        self.within[figure] = max(share, self.within.get(figure, 0.0))

    def skip(self, reason: str) -> None:
        """Note, once, why something could not be checked."""
        if reason not in self.unchecked:
            self.unchecked.append(reason)


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:,.0f} %" if percent >= 10 else f"{percent:.2g} %"  # noqa: PLR2004 -- two digits


def _equal(recorded: object, computed: object) -> bool:
    if isinstance(recorded, float) or isinstance(computed, float):
        numbers = [value for value in (recorded, computed) if isinstance(value, int | float)]
        return len(numbers) == 2 and math.isclose(*numbers, rel_tol=CLOSE, abs_tol=1e-12)  # noqa: PLR2004
    return recorded == computed


def _shown(value: object) -> str:
    text = "nothing" if value is None or value == "" else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
