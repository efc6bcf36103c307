"""The interface of a connection to a model server, whether it carries HTTP or gRPC.

exchange(method, path, body) --> body of an answer, or an error that quotes the server
"""

from dataclasses import dataclass, field
from typing import Protocol

from harness.common.errors import MeasurementError

ANSWER_BYTES = 2**24
"""The longest body that is read."""

IDLE_S = 1.0
"""After so long without a request, a connection is opened anew before the clock starts.

Servers close idle connections after some seconds, those that were stopped as soon as they run again. A
request that crosses with the end of its connection is lost.
"""


@dataclass(slots=True)
class Traffic:
    """What a connection has sent and received; `first_byte_ns` of each exchange, from the first byte sent.

    `opened` counts connections, `resent` requests that were sent again on a new one.
    """

    sent_bytes: int = 0
    received_bytes: int = 0
    first_byte_ns: list[int] = field(default_factory=list)
    opened: int = 0
    resent: int = 0


class Transport(Protocol):
    """A connection that is opened when needed, and again if the server has closed it in between."""

    traffic: Traffic

    def exchange(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Send a request, and return the body of its answer; MeasurementError if the server refuses it."""

    def refresh(self) -> None:
        """Open the connection, or open it again if the server has closed it, or may be about to."""

    def close(self) -> None:
        """Close the connection."""

    def failure(self, what: str, remedy: str | None = None) -> MeasurementError:
        """Close the connection, and return an error that names the server."""

    def quote(self, content: bytes) -> str:
        """Return the beginning of an answer for a message, without the token."""


def quoted(content: bytes, token: str, size: int) -> str:
    """Return the beginning of an answer on one line, without the token."""
    text = content[: 4 * size].decode("utf-8", "replace")
    if token:
        text = text.replace(token, "***")
    text = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    return text if len(text) <= size else f"{text[:size]}..."
