"""What parent and worker say to one another: one JSON object a line.

parent  {"do": "visit", ...}
worker  {"progress": "..."}*  then  {"done": {...}}  or  {"failed": {...}}
"""

from collections.abc import Mapping
from typing import Any

from harness.common import errors
from harness.common.errors import BenchError, MeasurementError

PROTOCOL_VERSION = 2
"""Raised when a message comes to mean something else (`harness/runs/worker/handshake.py`)."""


def failure_of(problem: BaseException) -> dict[str, Any]:
    """Return an error as a message; one that is not ours keeps its type's name."""
    if isinstance(problem, BenchError):
        return {
            "kind": type(problem).__name__,
            "message": problem.message,
            "where": problem.where,
            "remedy": problem.remedy,
        }
    if isinstance(problem, MemoryError):
        return {"kind": "MemoryError", "message": "out of memory", "where": None, "remedy": None}
    return {
        "kind": type(problem).__name__,
        "message": str(problem) or "no message",
        "where": None,
        "remedy": None,
    }


def error_from(failure: Mapping[str, Any]) -> BenchError:
    """Return the error a message describes: of its own class if it is ours, else a MeasurementError."""
    known = getattr(errors, failure["kind"], None)
    if isinstance(known, type) and issubclass(known, BenchError):
        return known(failure["message"], where=failure["where"], remedy=failure["remedy"])
    return MeasurementError(f"{failure['kind']}: {failure['message']}", where=failure["where"])
