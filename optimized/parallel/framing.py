"""What a pool and its instances say to one another over a pair of pipes.

    pool      ("load", ...)      a sheet's number: something to take lies there
    instance  ("ready", facts)   a sheet's number: nothing is left to take there
              ("failed", ...)    ("spilled", ...): an answer that its place on the sheet does not hold

Only words that are not said for each request are objects: a pickle behind its length. Both ends of the pipes
are ours and nobody else holds one, so unpickling trusts no stranger. A number alone is a length of 0 and the
number: eight bytes, which wake whoever sleeps in a read.
"""

import pickle
import struct
from collections.abc import Iterator
from typing import Any

from harness.common import errors
from harness.common.errors import BenchError, MeasurementError

_FRAME = struct.Struct("<II")

Message = int | tuple[str, Any]
"""A sheet's number, or something said in words."""


def frame_of(message: Message) -> bytes:
    """Return a message as it crosses."""
    if isinstance(message, int):
        return _FRAME.pack(0, message)
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _FRAME.pack(len(body), 0) + body


class Inbox:
    """Bytes as they arrive, and the whole messages among them."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, received: bytes) -> Iterator[Message]:
        """Yield the messages that these bytes complete."""
        self._bytes += received
        while len(self._bytes) >= _FRAME.size:
            size, number = _FRAME.unpack_from(self._bytes)
            end = _FRAME.size + size
            if len(self._bytes) < end:
                return
            body = bytes(self._bytes[_FRAME.size : end])
            del self._bytes[:end]
            yield pickle.loads(body) if size else number  # noqa: S301 -- from the other end of our own pipe


def failure_of(problem: Exception) -> tuple[str, str, str | None, str | None]:
    """Return an error as it crosses: its kind, message, place and remedy."""
    kind = type(problem).__name__
    if isinstance(problem, BenchError):
        return kind, problem.message, problem.where, problem.remedy
    return kind, str(problem) or "no message", None, None


def error_from(kind: str, message: str, where: str | None, remedy: str | None) -> BenchError:
    """Return the error that crossed: of its own kind if it is ours, else a MeasurementError that names it."""
    known = getattr(errors, kind, None)
    if isinstance(known, type) and issubclass(known, BenchError):
        return known(message, where=where, remedy=remedy)
    return MeasurementError(f"{kind}: {message}", where=where)
