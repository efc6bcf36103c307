"""One gRPC connection to a model server, with the bounds of time and of bytes that HTTP has.

    exchange(POST, /package.Service/Method, message) --> message, or an error that quotes the server

The library `grpcio` carries the bytes of messages as they are. Each connection is a channel with a TCP
connection of its own. Nothing is sent again: the library's retries are off.
"""

import os
import time
from pathlib import Path
from typing import Any

from baselines.servers.connection import Address
from baselines.servers.protocols.oip_grpc import SERVICE
from baselines.servers.transport import ANSWER_BYTES, IDLE_S, Traffic, quoted
from harness.common.errors import MeasurementError

_QUOTED = 200

_PREFIX_BYTES = 5
"""Before each message: whether it is compressed, and its length."""

_OPTIONS = (
    ("grpc.max_receive_message_length", ANSWER_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),  # as over HTTP, the address is what is measured
    ("grpc.use_local_subchannel_pool", 1),  # else channels to one address share a connection
)

_START = "Start it, and check host and port of its URL."

Monotonic = time.monotonic


class GrpcConnection:
    """A channel that is opened when needed, and again if the server may have closed it in between."""

    def __init__(self, address: Address, name: str, timeout_s: float) -> None:
        self._address, self._name, self._timeout_s = address, name, timeout_s
        self._channel: Any = None
        self._calls: dict[str, Any] = {}
        self._used_at = 0.0
        self.traffic = Traffic()

    def exchange(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Call a method of the server, and return the message that it answers."""
        from grpc import RpcError

        del method  # gRPC has one
        try:
            content = self._call(path, body)
        except RpcError as problem:
            raise self._refused(problem) from None
        except BaseException:  # a call that was interrupted may still be answered
            self.close()
            raise
        self.traffic.sent_bytes += len(body) + _PREFIX_BYTES
        self.traffic.received_bytes += len(content) + _PREFIX_BYTES
        self._used_at = Monotonic()
        return content

    def refresh(self) -> None:
        """Open the connection anew unless it was used a moment ago, and wait until it is there."""
        from grpc import RpcError, StatusCode

        if self._channel and Monotonic() - self._used_at < IDLE_S:
            return
        self.close()
        try:
            self._call(f"{SERVICE}/ServerReady", b"")  # an empty message is a request without fields
        except RpcError as problem:
            if problem.code() in (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED):
                raise self._refused(problem) from None
        self._used_at = Monotonic()

    def close(self) -> None:
        """Close the connection."""
        if self._channel:
            self._channel.close()
            self._channel = None
            self._calls.clear()

    def failure(self, what: str, remedy: str | None = None) -> MeasurementError:
        """Close the connection, and return an error that names the server."""
        self.close()
        return MeasurementError(f"the server failed: {what}.", where=self._name, remedy=remedy)

    def quote(self, content: bytes) -> str:
        """Return the beginning of an answer for a message, without the token."""
        return quoted(content, self._address.token, _QUOTED)

    def _call(self, path: str, body: bytes) -> bytes:
        if self._channel is None:
            self._channel = self._open()
            self.traffic.opened += 1
        if path not in self._calls:
            self._calls[path] = self._channel.unary_unary(path)
        token = self._address.token
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        content: bytes = self._calls[path](body, timeout=self._timeout_s, metadata=metadata)
        return content

    def _open(self) -> Any:  # noqa: ANN401 -- a class of the library
        import grpc

        address = self._address
        host = f"[{address.host}]" if ":" in address.host else address.host
        if not address.secure:
            return grpc.insecure_channel(f"{host}:{address.port}", options=_OPTIONS)
        trusted = os.environ.get("SSL_CERT_FILE")
        credentials = grpc.ssl_channel_credentials(Path(trusted).read_bytes() if trusted else None)
        return grpc.secure_channel(f"{host}:{address.port}", credentials, options=_OPTIONS)

    def _refused(self, problem: Any) -> MeasurementError:  # noqa: ANN401
        """Return the error for a call that was not answered."""
        code, details = problem.code().name, self.quote((problem.details() or "").encode())
        if code == "DEADLINE_EXCEEDED":
            return self.failure(f"it did not answer within {self._timeout_s:g} s")
        if "CERTIFICATE_VERIFY_FAILED" in (problem.details() or ""):
            remedy = "SSL_CERT_FILE=FILE names further certificates to trust."
            return self.failure("its certificate is not valid", remedy)
        if code == "UNAVAILABLE":
            return self.failure(f"no connection to it ({details.rstrip('.')})", _START)
        if code == "RESOURCE_EXHAUSTED" and "larger than max" in details:
            return self.failure(f"its answer is longer than {ANSWER_BYTES:,} bytes")
        said = f"it answered {code}{f': {details}' if details else ''}"
        return self.failure(said.rstrip("."), _REMEDIES.get(code))


_REMEDIES = {
    "UNAUTHENTICATED": "BENCH_SYSTEM_TOKEN in the environment holds the token that is sent to it.",
    "PERMISSION_DENIED": "BENCH_SYSTEM_TOKEN in the environment holds the token that is sent to it.",
    "UNIMPLEMENTED": "Name the port of its Open Inference Protocol over gRPC.",
}
