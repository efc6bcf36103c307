"""What a check finds: figures that agree, figures that do not, and what could not be had again."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from harness.records.record import Record

CLOSE = 1e-9
"""How far apart, as a share, the same number may be after another version of a numerical library."""


@dataclass(frozen=True, slots=True, eq=False)
class SealedRecord:
    """A record as it lies in the store: its file, the words in it, what they mean, and its samples.

    `arrays` are None where they cannot be read, and `problem` says why; `samples_sha256` is of the file as it
    is now.
    """

    file: str
    words: Mapping[str, Any]
    record: "Record"
    arrays: "Mapping[str, np.ndarray[Any, Any]] | None"
    samples_sha256: str | None = None
    problem: str | None = None

    @property
    def name(self) -> str:
        """The cell's id, for messages."""
        return self.record.cell.id


@dataclass(slots=True)
class VerificationCheck:
    """One group of checks: what it is about, how many figures were compared, what is wrong or left out.

    A group that compared nothing and found nothing wrong is no yes: `unchecked` says why.
    """

    name: str
    about: str
    figures: int = 0
    wrong: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """Say `yes`, `no`, or `not checked`."""
        if self.wrong:
            return "no"
        return "yes" if self.figures else "not checked"

    def same(self, where: str, what: str, said: object, found: object) -> None:
        """Compare what a record says with what was found again."""
        self.figures += 1
        if not _equal(said, found):
            self.wrong.append(f"{where}: {what}: the record says {_shown(said)}, and it is {_shown(found)}")

    def holds(self, where: str, what: str, *, so: bool) -> None:
        """Note a sentence that must be true."""
        self.figures += 1
        if not so:
            self.wrong.append(f"{where}: {what}")

    def skip(self, reason: str) -> None:
        """Note, once, what could not be checked and why."""
        if reason not in self.unchecked:
            self.unchecked.append(reason)


def _equal(said: object, found: object) -> bool:
    if isinstance(said, float) or isinstance(found, float):
        both = [each for each in (said, found) if isinstance(each, int | float)]
        return len(both) == 2 and math.isclose(*both, rel_tol=CLOSE, abs_tol=1e-12)  # noqa: PLR2004 -- a pair
    return said == found


def _shown(value: object) -> str:
    text = "nothing" if value is None or value == "" else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 -- a hash and a bit
