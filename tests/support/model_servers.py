"""Model servers for tests: sound ones that speak a protocol, and ones that break a rule of it."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

CERTIFICATE = Path(__file__).with_name("model_server.pem")
"""Certificate and key, self-signed, of the host `server.invalid`."""


class Fault(Enum):
    """What a server does in place of an answer."""

    CLOSE = auto()
    RESET = auto()
    HANG = auto()


@dataclass(frozen=True, slots=True)
class Incoming:
    """One request: `connection` is the number of the connection that it came on."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Respond = Callable[[Incoming], bytes | Fault | Iterator[bytes]]


@dataclass
class ModelServer:
    """A running server: its address, and what it was sent."""

    port: int
    requests: list[Incoming] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    idle_closed: threading.Event = field(default_factory=threading.Event)
    sockets: list[socket.socket] = field(default_factory=list)

    def url(self, path: str = "/v2/models/m/infer") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def hang_up(self) -> None:
        """Close every connection, as a server does whose keep-alive is over."""
        for each in self.sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self.sockets.clear()


@contextmanager
def serving(respond: Respond, *, tls: bool = False) -> Iterator[ModelServer]:
    """Serve on loopback until the block ends; each connection has a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = ModelServer(listener.getsockname()[1])
        thread = threading.Thread(target=_accept, args=(listener, server, respond, tls))
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            server.hang_up()
            thread.join()


def ok(content: object, *headers: str) -> bytes:
    """Return an answer with status 200 and this JSON."""
    return http(200, json.dumps(content).encode(), *headers)


def http(status: int, body: bytes, *headers: str) -> bytes:
    """Return an answer."""
    lines = [f"HTTP/1.1 {status} Word", *headers]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def oip(label_of: Callable[[str, str], str], model: str = "m") -> Respond:
    """Return a server of the Open Inference Protocol that labels pairs of texts by name."""
    metadata = {
        "/v2": {"name": "test", "version": "1.2"},
        "/v2/health/ready": {},
        f"/v2/models/{model}": {
            "name": model,
            "inputs": [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in ("second", "first")],
        },
    }

    def respond(request: Incoming) -> bytes:
        if request.method == "GET":
            return ok(metadata[request.path]) if request.path in metadata else http(404, b"{}")
        columns = {tensor["name"]: tensor["data"] for tensor in request.json["inputs"]}
        labels = list(map(label_of, columns["first"], columns["second"]))
        return ok(
            {"outputs": [{"name": "label", "datatype": "BYTES", "shape": [len(labels)], "data": labels}]}
        )

    return respond


def _accept(listener: socket.socket, server: ModelServer, respond: Respond, tls: bool) -> None:
    threads = []
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
    number = 0
    while not server.ended.is_set():
        try:
            connection, _ = listener.accept()
        except OSError:
            break
        if context:
            try:
                connection = context.wrap_socket(connection, server_side=True)
            except OSError:
                connection.close()
                continue
        number += 1
        server.sockets.append(connection)
        threads.append(threading.Thread(target=_serve, args=(connection, server, respond, number)))
        threads[-1].start()
    server.hang_up()
    for thread in threads:
        thread.join()


def _serve(connection: socket.socket, server: ModelServer, respond: Respond, number: int) -> None:
    received = bytearray()
    with suppress(OSError, ValueError), connection:
        while True:
            while (request := _request(received, number)) is None:
                chunk = connection.recv(2**16)
                if not chunk:
                    return
                received += chunk
            server.requests.append(request)
            answer = respond(request)
            if answer is Fault.HANG:
                server.ended.wait()
                return
            if answer is Fault.RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
            if answer is Fault.CLOSE:
                return
            for part in [answer] if isinstance(answer, bytes) else answer:
                if server.ended.is_set():
                    return
                connection.sendall(part)
            if isinstance(answer, bytes) and b"Connection: close" in answer[:400]:
                return


def _request(received: bytearray, number: int) -> Incoming | None:
    """Take the first whole request from what was received."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = bytes(received[:end]).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    whole = end + 4 + int(headers.get("content-length", "0"))
    if len(received) < whole:
        return None
    body = bytes(received[end + 4 : whole])
    del received[:whole]
    method, path, _ = first.split(" ")
    return Incoming(method, path, headers, body, number)
