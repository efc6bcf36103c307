import json

from baselines.servers.null_server import NullProtocol, answer
from baselines.servers.protocols.oip import protocol_of


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, content: bytes) -> None:
        self.written += content


def connection() -> tuple[NullProtocol, Transport]:
    protocol, transport = NullProtocol(), Transport()
    protocol._transport = transport  # type: ignore[assignment]
    return protocol, transport


def test_a_request_is_answered_once_it_is_whole_however_it_is_cut() -> None:
    """Byte by byte, and two in one piece."""
    body = protocol_of({"inputs": [{"name": "text", "datatype": "BYTES"}]}).body([])
    request = b"POST /v2/models/null/infer HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    protocol, transport = connection()
    for byte in request:
        assert transport.written == b""
        protocol.data_received(bytes([byte]))
    assert transport.written == answer(b"/v2/models/null/infer", 0)
    protocol.data_received(request * 2)
    assert transport.written == answer(b"/v2/models/null/infer", 0) * 3


def test_it_has_the_metadata_of_its_protocol() -> None:
    """And a label for each text."""
    metadata = json.loads(answer(b"/v2/models/null", 1).partition(b"\r\n\r\n")[2])
    protocol = protocol_of(metadata)
    assert protocol.inputs == ("first", "second")
    content = json.loads(answer(b"/v2/models/null/infer", 3).partition(b"\r\n\r\n")[2])
    assert protocol.labels(content, 3) == [0, 0, 0]
    assert answer(b"/nothing", 1).startswith(b"HTTP/1.1 404 ")
