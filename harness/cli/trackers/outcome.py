"""What becomes of records that a tracker is sent: how many it took, or why it took none."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.common.errors import BenchError, StoreError


@dataclass(frozen=True, slots=True)
class Logged:
    """How many records were logged, how many were there already, and where they are."""

    new: int
    present: int
    where: str


@contextmanager
def tracker_errors(name: str, remedy: str) -> Iterator[None]:
    """Turn whatever a tracker's library raises into a StoreError with its first line."""
    try:
        yield
    except BenchError:
        raise
    except Exception as error:  # noqa: BLE001 -- each library and each of its transports has errors of its own
        reason = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
        raise StoreError(f"{name} did not take the records: {reason}.", remedy=remedy) from None
