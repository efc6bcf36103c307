"""Messages between a pool and its instances, over a pair of pipes.

    pool      ("load", ...)      or a slot's number: this slot holds a call to work on
    instance  ("ready", facts)   or a slot's number: this slot has no chunk left to take
              ("failed", ...)    ("spilled", ...): an answer too large for its place in the slot

Messages that are rare are objects: a pickle behind its length. Both ends of the pipes are ours and no other
process holds one, so unpickling trusts only our own data. A number alone is a length of 0 and the number:
eight bytes, which wake the reader.
"""

import pickle
import struct
from collections.abc import Iterator

from harness.common import errors
from harness.common.errors import BenchError, MeasurementError
from harness.common.json_types import JsonValue

_FRAME = struct.Struct("<II")

Message = int | tuple[str, JsonValue]
"""A slot's number, or a kind of message and its body."""

ErrorFields = tuple[str, str, str | None, str | None]
"""An error's class name, message, place and remedy."""


def encode_message(message: Message) -> bytes:
    """Return a message as the bytes of one frame."""
    if isinstance(message, int):
        return _FRAME.pack(0, message)
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _FRAME.pack(len(body), 0) + body


class MessageBuffer:
    """Collects bytes as they arrive, and splits them into whole messages."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, received: bytes) -> Iterator[Message]:
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


def error_fields(problem: Exception) -> ErrorFields:
    """Return what crosses of an error."""
    kind = type(problem).__name__
    if isinstance(problem, BenchError):
        return kind, problem.message, problem.where, problem.remedy
    return kind, str(problem) or "no message", None, None


def restore_error(kind: str, message: str, where: str | None, remedy: str | None) -> BenchError:
    """Return the error from its fields; one that is not a BenchError becomes a MeasurementError naming it."""
    error_class = getattr(errors, kind, None)
    if isinstance(error_class, type) and issubclass(error_class, BenchError):
        return error_class(message, where=where, remedy=remedy)
    return MeasurementError(f"{kind}: {message}", where=where)
