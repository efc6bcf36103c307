"""One HTTP connection to a model server, kept open between requests, with bounds of time and of bytes.

    exchange(POST, path, body) --> body of an answer with status 200, or an error that quotes the server

A request is sent in one piece, and `http.client` reads its answer: of the clients that are installed anyway
it costs the least CPU time. Redirects are not followed. A deadline holds for the whole exchange, so that a
server cannot keep the client with a byte now and then.
"""

import contextlib
import http.client
import io
import os
import select
import socket
import ssl
import time
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from baselines.servers.transport import ANSWER_BYTES, IDLE_S, Traffic, quoted
from harness.common.errors import MeasurementError
from harness.systems.server import is_encrypted

_HEAD_BYTES = 2**18
"""Beside the body, status line and headers, of `100 Continue` too."""

_QUOTED = 200

Monotonic = time.monotonic


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server answers: an URL, cut into parts. `token` is sent with every request."""

    secure: bool
    host: str
    port: int
    path: str
    token: str = ""

    @classmethod
    def of(cls, url: str, token: str = "") -> "Address":
        """Cut an URL, which has been checked when it was named, into parts."""
        parts = urlsplit(url)
        secure = is_encrypted(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(secure, parts.hostname or "", parts.port or (443 if secure else 80), path, token)

    def head(self, method: str, path: str, size: int) -> bytes:
        """Return request line and headers of a request."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{self.port}", "Accept: application/json"]
        if method == "POST":
            lines += ["Content-Type: application/json", f"Content-Length: {size}"]
        if self.token:
            lines.append(f"Authorization: Bearer {self.token}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


class ServerConnection:
    """A connection that is opened when needed, and again if the server has closed it in between."""

    def __init__(self, address: Address, name: str, timeout_s: float) -> None:
        self._address, self._name, self._timeout_s = address, name, timeout_s
        self._socket: _BoundedSocket | None = None
        self._used_at = 0.0
        self.traffic = Traffic()
        self.server = ""
        """What the last answer has as `Server`."""

    def exchange(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Send a request, and return the body of its answer; MeasurementError for anything but status 200."""
        status, reason, content = self.answer(method, path, body)
        if status != http.client.OK:
            self.close()
            raise self._refused(status, reason, content)
        return content

    def answer(self, method: str, path: str, body: bytes = b"") -> tuple[int, str, bytes]:
        """Return status, place of a redirect, and body of the answer to a request, whatever the status is."""
        deadline = Monotonic() + self._timeout_s
        request = self._address.head(method, path, len(body)) + body
        try:
            sent_ns = self._send(request, deadline)
            return self._receive(method, sent_ns)
        except BaseException:  # what comes later would be the answer to this request
            self.close()
            raise

    def refresh(self) -> None:
        """Open the connection, or open it again if the server has closed it, or may be about to."""
        used_lately = Monotonic() - self._used_at < IDLE_S
        if self._socket and used_lately and self._socket.is_idle():
            return
        self.close()
        self._socket = self._open(Monotonic() + self._timeout_s)

    def close(self) -> None:
        """Close the connection."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def failure(self, what: str, remedy: str | None = None) -> MeasurementError:
        """Close the connection, and return an error that names the server."""
        self.close()
        return MeasurementError(f"the server failed: {what}.", where=self._name, remedy=remedy)

    def _send(self, request: bytes, deadline: float) -> int:
        """Send a request; return when, in nanoseconds.

        A request that the kernel did not take whole cannot have been read whole, so it is sent once more on
        a new connection. No other request is sent twice.
        """
        fresh = self._socket is None or not self._socket.is_idle()
        if fresh:
            self.close()
            self._socket = self._open(deadline)
        for last in (fresh, True):
            assert self._socket is not None  # it was opened above, or below
            self._socket.allow(deadline, ANSWER_BYTES + _HEAD_BYTES)
            try:
                return self._sent(request)
            except TimeoutError:
                raise self._late("it did not read the request") from None
            except OSError as problem:
                self.close()
                if last:
                    what = f"it closed the connection while a request was sent ({_cause(problem)})"
                    raise self.failure(what) from None
                self.traffic.resent += 1
                self._socket = self._open(deadline)
        raise AssertionError  # the second turn returns or raises

    def _sent(self, request: bytes) -> int:
        assert self._socket is not None
        sent_ns = time.perf_counter_ns()
        self._socket.send_all(request)
        self.traffic.sent_bytes += len(request)
        return sent_ns

    def _receive(self, method: str, sent_ns: int) -> tuple[int, str, bytes]:
        connection = self._socket
        assert connection is not None
        before = connection.received_bytes
        response = http.client.HTTPResponse(connection, method=method)  # type: ignore[arg-type]
        try:
            with response:  # left open, it complains when it is collected after its reader (Python 3.13)
                response.begin()
                content = response.read(ANSWER_BYTES + 1)
        except _TooLong:
            raise self.failure(f"its answer is longer than {ANSWER_BYTES:,} bytes") from None
        except TimeoutError:
            raise self._late("it did not answer") from None
        except (http.client.HTTPException, ValueError, OSError) as problem:
            raise self.failure(_broken(problem, connection.received_bytes - before)) from None
        finally:
            self.traffic.received_bytes += connection.received_bytes - before
            if connection.first_byte_ns:
                self.traffic.first_byte_ns.append(connection.first_byte_ns - sent_ns)
        if len(content) > ANSWER_BYTES:
            raise self.failure(f"its answer is longer than {ANSWER_BYTES:,} bytes")
        if response.length:  # a body that ends before its Content-Length
            raise self.failure(f"its answer ends {response.length:,} bytes too early")
        if not self.server:
            self.server = response.headers.get("Server", "")[:_QUOTED]
        self._used_at = Monotonic()
        if response.will_close:
            self.close()
        reason = (
            response.reason if response.status == http.client.OK else response.headers.get("Location", "")
        )
        return response.status, reason, content

    def _open(self, deadline: float) -> "_BoundedSocket":
        address = self._address
        try:
            plain = socket.create_connection(
                (address.host, address.port), timeout=max(0.001, deadline - Monotonic())
            )
        except TimeoutError:
            raise self._late("it did not accept a connection") from None
        except OSError as problem:
            remedy = "Start it, and check host and port of its URL."
            raise self.failure(f"no connection to it ({_cause(problem)})", remedy) from None
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.traffic.opened += 1
        return _BoundedSocket(self._secured(plain) if address.secure else plain)

    def _secured(self, plain: socket.socket) -> ssl.SSLSocket:
        try:
            context = _context(*(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")))
            return context.wrap_socket(plain, server_hostname=self._address.host)
        except ssl.SSLCertVerificationError as problem:
            plain.close()
            remedy = (
                "bench connects to servers with a valid certificate only: "
                "SSL_CERT_FILE=FILE names further certificates to trust."
            )
            raise self.failure(f"its certificate is not valid ({problem.verify_message})", remedy) from None
        except TimeoutError:
            plain.close()
            raise self._late("it did not begin TLS") from None
        except OSError as problem:
            plain.close()
            raise self.failure(f"TLS with it failed ({_cause(problem)})") from None

    def _refused(self, status: int, reason: str, content: bytes) -> MeasurementError:
        """Return the error for a status that is not 200; `reason` is the place of a redirect."""
        if 300 <= status < 400:  # noqa: PLR2004 -- the redirects
            what = f"it answered {status}, a redirect to {self.quote(reason.encode())}"
            return self.failure(what, "Redirects are not followed: name the URL that answers.")
        remedy = None
        if status in (401, 403):
            remedy = "BENCH_SYSTEM_TOKEN in the environment holds the token that is sent to it."
        said = self.quote(content)
        return self.failure(f"it answered {status}{f': {said}' if said else ''}", remedy)

    def quote(self, content: bytes) -> str:
        """Return the beginning of an answer for a message, without the token."""
        return quoted(content, self._address.token, _QUOTED)

    def _late(self, what: str) -> MeasurementError:
        return self.failure(f"{what} within {self._timeout_s:g} s")


class _TooLong(Exception):
    """More bytes than allowed."""


class _BoundedSocket:
    """A socket that is read until a deadline and a number of bytes; `http.client` reads it as a file."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner
        self._reader = _Reader(self)
        self._poll = select.poll()
        self._poll.register(inner.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        self._deadline, self._left = 0.0, 0
        self.received_bytes = 0
        self.first_byte_ns = 0

    def allow(self, deadline: float, size: int) -> None:
        """Allow one more exchange."""
        self._deadline, self._left, self.first_byte_ns = deadline, size, 0

    def is_idle(self) -> bool:
        """Return whether the connection is open, and holds nothing that no request has caused."""
        self._left = -1  # the reader returns only what it has read already
        if self._reader.peek(1):
            return False
        return not self._poll.poll(0) or self._holds_tickets()

    def _holds_tickets(self) -> bool:
        """Return whether all that can be read are tickets of TLS 1.3, which come after the handshake."""
        if not isinstance(self._inner, ssl.SSLSocket):
            return False
        self._inner.settimeout(0)
        try:
            self._inner.recv(1)
        except (ssl.SSLWantReadError, BlockingIOError):
            return True
        except OSError:
            return False
        return False

    def send_all(self, content: bytes) -> None:
        """Send all bytes."""
        self._inner.settimeout(max(0.001, self._deadline - Monotonic()))
        self._inner.sendall(content)

    def makefile(self, mode: str) -> "_Reader":
        """Return the one reader of this socket, which keeps what it has read beyond an answer."""
        del mode
        return self._reader

    def receive(self, buffer: memoryview) -> int | None:
        """Read into a buffer; None if nothing may be read now."""
        if self._left < 0:
            return None
        if self._left == 0:
            raise _TooLong
        wait = self._deadline - Monotonic()
        if wait <= 0:
            raise TimeoutError
        self._inner.settimeout(wait)
        count = self._inner.recv_into(buffer[: self._left])
        if not self.first_byte_ns and count:
            self.first_byte_ns = time.perf_counter_ns()
        self.received_bytes += count
        self._left -= count
        return count

    def close(self) -> None:
        """Close it."""
        with contextlib.suppress(OSError):
            self._inner.close()


class _RawReader(io.RawIOBase):
    def __init__(self, connection: _BoundedSocket) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        return self._connection.receive(buffer)


class _Reader(io.BufferedReader):
    """A reader that outlives the answers that are read from it."""

    def __init__(self, connection: _BoundedSocket) -> None:
        super().__init__(_RawReader(connection), 2**16)

    def close(self) -> None:
        """Leave it open: the next answer comes from it."""


@cache
def _context(*certificates: str | None) -> ssl.SSLContext:
    """Return what verifies servers; loading certificates takes tens of milliseconds."""
    del certificates  # the library reads these variables itself
    return ssl.create_default_context()


def _cause(problem: OSError) -> str:
    return (problem.strerror or str(problem) or type(problem).__name__).rstrip(".")


def _broken(problem: Exception, received: int) -> str:
    """Return what is wrong with an answer that cannot be read."""
    if isinstance(problem, http.client.IncompleteRead):
        return "its answer ends too early"
    if received == 0:
        return "it closed the connection without an answer"
    if isinstance(problem, OSError):
        return f"the connection broke within its answer ({_cause(problem)})"
    text = " ".join(str(problem).split())
    return f"its answer is not HTTP ({type(problem).__name__}{f': {text[:80]}' if text else ''})"
