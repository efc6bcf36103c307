"""A server that reads nothing and answers at once, in the Open Inference Protocol.

    python -P -m baselines.servers.null_server PORT

What a client measures with it is the cost of the client, of the protocol and of the loopback interface. It
answers column 0 for every text.
"""

import asyncio
import json
import re
import sys

NAME, VERSION = "null", "1"

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]{1,9})", re.IGNORECASE)
_SHAPE = re.compile(rb'"shape":\[([0-9]{1,6})')
_TEXTS = [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in ("first", "second")]
_METADATA = {
    b"/v2": {"name": "null server", "version": VERSION, "extensions": []},
    b"/v2/health/ready": {"ready": True},
    b"/v2/models/null": {"name": NAME, "platform": "none", "inputs": _TEXTS, "outputs": []},
}


class NullProtocol(asyncio.Protocol):
    """One connection: each whole request is answered as soon as it is there."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer the requests that are whole."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._received, 0, end + 2)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            request = bytes(self._received[:whole])
            del self._received[:whole]
            path, shape = request.split(b" ", 2)[1], _SHAPE.search(request, end)
            assert self._transport is not None
            self._transport.write(answer(path, int(shape[1]) if shape else 1))


def answer(path: bytes, count: int) -> bytes:
    """Return the answer to a request for a path, with a label for each of `count` texts."""
    if path.endswith(b"/infer"):
        output = {"name": "label", "datatype": "INT64", "shape": [count], "data": [0] * count}
        return _with_head(b"200 OK", {"model_name": NAME, "outputs": [output]})
    if path in _METADATA:
        return _with_head(b"200 OK", _METADATA[path])
    return _with_head(b"404 Not Found", {"error": "not found"})


def _with_head(status: bytes, content: object) -> bytes:
    body = json.dumps(content).encode()
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


async def serve(port: int) -> None:
    """Serve until the process ends."""
    server = await asyncio.get_running_loop().create_server(NullProtocol, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
