import itertools
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from model_servers import CERTIFICATE, Fault, Incoming, ModelServer, http, ok, serving

from baselines.servers import connection as module
from baselines.servers.connection import Address, ServerConnection
from harness.common.errors import MeasurementError

PATH = "/v2/models/m/infer"


def connected(server: ModelServer, *, timeout_s: float = 20.0, token: str = "") -> ServerConnection:
    return ServerConnection(Address.of(server.url(), token), "mine", timeout_s)


def echo(request: Incoming) -> bytes:
    return ok({"body": request.body.decode()}, "Server: test/1")


def test_one_connection_serves_request_after_request() -> None:
    """Headers name host, length and type; bytes of both ways and times to the first byte are counted."""
    with serving(echo) as server:
        client = connected(server)
        assert client.exchange("POST", PATH, b"one") == b'{"body": "one"}'
        assert client.exchange("POST", PATH, b"three") == b'{"body": "three"}'
        client.close()
    first, second = server.requests
    assert (first.connection, second.connection) == (1, 1)
    assert first.headers == {
        "host": f"127.0.0.1:{server.port}",
        "accept": "application/json",
        "content-type": "application/json",
        "content-length": "3",
    }
    assert client.server == "test/1"
    traffic = client.traffic
    heads = [Address.of(server.url()).head("POST", PATH, size) for size in (3, 5)]
    assert traffic.sent_bytes == sum(map(len, heads)) + 8
    assert traffic.received_bytes == len(echo(first)) + len(echo(second))
    assert (len(traffic.first_byte_ns), traffic.opened, traffic.resent) == (2, 1, 0)
    assert min(traffic.first_byte_ns) > 0


def test_a_connection_that_the_server_closed_while_idle_is_replaced_before_a_request() -> None:
    """By `refresh`, outside the clock, or at the next request; neither is an error."""
    with serving(echo) as server:
        client = connected(server)
        client.exchange("POST", PATH, b"a")
        server.hang_up()
        client.refresh()
        client.exchange("POST", PATH, b"b")
        server.hang_up()
        client.exchange("POST", PATH, b"c")
        client.close()
    sent = [(request.body, request.connection) for request in server.requests]
    assert sent == [(b"a", 1), (b"b", 2), (b"c", 3)]
    assert (client.traffic.opened, client.traffic.resent) == (3, 0)


def test_a_connection_that_was_idle_for_long_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the clock starts: a server that was stopped may close it as soon as it runs again."""
    now = 1000.0
    monkeypatch.setattr(module, "Monotonic", lambda: now)
    with serving(echo) as server:
        client = connected(server)
        for wait_s in (0.0, 0.5, 1.5):
            now += wait_s
            client.refresh()
            client.exchange("POST", PATH, b"a")
        client.close()
    assert [request.connection for request in server.requests] == [1, 1, 2]


def test_a_request_that_was_sent_whole_is_never_sent_again() -> None:
    """The server may have read it, and computed its answer."""
    with serving(lambda request: echo(request) if request.body == b"a" else Fault.CLOSE) as server:
        client = connected(server)
        client.exchange("POST", PATH, b"a")
        with pytest.raises(MeasurementError, match="closed the connection without an answer"):
            client.exchange("POST", PATH, b"b")
    assert [request.body for request in server.requests] == [b"a", b"b"]


def test_a_request_that_was_not_taken_whole_is_sent_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a new connection: what the kernel did not take, nobody has read whole."""
    with serving(echo) as server:
        client = connected(server)
        client.exchange("POST", PATH, b"a")
        breaks = iter([True, False, True, True])
        send_all = module._BoundedSocket.send_all

        def broken(connection: module._BoundedSocket, content: bytes) -> None:
            if next(breaks):
                raise BrokenPipeError(32, "Broken pipe")
            send_all(connection, content)

        monkeypatch.setattr(module._BoundedSocket, "send_all", broken)
        assert client.exchange("POST", PATH, b"b") == b'{"body": "b"}'
        assert client.traffic.resent == 1
        with pytest.raises(MeasurementError, match="closed the connection while a request was sent"):
            client.exchange("POST", PATH, b"c")
    assert [request.body for request in server.requests] == [b"a", b"b"]


def late(content: bytes, then: bytes) -> Iterator[bytes]:
    yield content
    for byte in itertools.cycle(then):
        threading.Event().wait(0.02)
        yield bytes([byte])


SMALL = 2**20
LONG = SMALL + 5
BAD = [
    (lambda _: Fault.CLOSE, "it closed the connection without an answer"),
    (lambda _: Fault.RESET, "it closed the connection without an answer"),
    (lambda _: http(500, b'{"error": "no GPU\\u001b[31m"}'), 'it answered 500: {"error": "no GPU'),
    (lambda _: http(503, b""), "it answered 503."),
    (lambda _: http(401, b"who?"), "it answered 401: who?"),
    (
        lambda _: http(302, b"", "Location: https://elsewhere.invalid/"),
        "a redirect to https://elsewhere.invalid/",
    ),
    (lambda _: http(307, b""), "it answered 307, a redirect"),
    (lambda _: http(200, b"{}", "Content-Length: 10", "Connection: close"), "ends 8 bytes too early"),
    (lambda _: b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + bytes(LONG), "longer than 1,048,576 bytes"),
    (lambda _: http(200, bytes(LONG)), "longer than 1,048,576 bytes"),
    (
        lambda _: b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab\r\n",
        "its answer ends too early",
    ),
    (lambda _: b"SSH-2.0-OpenSSH_9.2\r\nConnection: close\r\n\r\n", "its answer is not HTTP"),
    (
        lambda _: b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"Connection: close\r\n\r\n",
        "its answer is not HTTP",
    ),
    (lambda _: b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", "its answer is not HTTP"),
    (lambda _: iter([b"HTTP/1.1 100 Continue\r\n\r\n"] * 20_000), "longer than 1,048,576 bytes|not answer"),
    (lambda _: Fault.HANG, r"it did not answer within 0\.2 s"),
    (lambda _: late(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"), r"did not answer within 0\.2 s|is not HTTP"),
    (
        lambda _: late(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b" "),
        r"did not answer within 0\.2 s",
    ),
]


@pytest.mark.parametrize(("respond", "message"), BAD)
def test_a_bad_server_is_an_error_that_is_bounded_in_time_and_in_bytes(
    respond: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each names the system; the next request gets a connection of its own."""
    waits = "within" in message or "answer" in message.partition("|")[2]
    monkeypatch.setattr(module, "ANSWER_BYTES", SMALL)
    with serving(respond) as server:  # type: ignore[arg-type]
        client = connected(server, timeout_s=0.2 if waits else 20.0)
        with pytest.raises(MeasurementError, match=message) as caught:
            client.exchange("POST", PATH, b"a")
        assert caught.value.where == "mine"
        assert "\x1b" not in str(caught.value)
        assert client.traffic.received_bytes <= SMALL + 2**19
        assert client._socket is None


def test_nobody_listening_is_an_error_with_a_remedy() -> None:
    """As for a server that has not been started."""
    with serving(echo) as server:
        pass
    with pytest.raises(MeasurementError, match="no connection to it") as caught:
        connected(server).exchange("POST", PATH, b"a")
    assert "Start it" in str(caught.value.remedy)


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one() -> None:
    """A server that answers twice gets a new connection, so that answers stay with their requests."""
    with serving(lambda request: echo(request) * 2) as server:
        client = connected(server)
        assert client.exchange("POST", PATH, b"a") == b'{"body": "a"}'
        assert client.exchange("POST", PATH, b"b") == b'{"body": "b"}'
        client.close()
    assert [request.connection for request in server.requests] == [1, 2]


def test_a_connection_that_the_server_wants_closed_is_opened_again() -> None:
    """HTTP/1.0 and `Connection: close`: each request has its own."""
    with serving(lambda _: ok({}, "Connection: close")) as server:
        client = connected(server)
        client.exchange("POST", PATH, b"a")
        client.exchange("POST", PATH, b"b")
    assert [request.connection for request in server.requests] == [1, 2]


def test_a_token_is_sent_and_never_quoted() -> None:
    """Also if the server sends it back."""
    respond = lambda request: http(403, request.headers["authorization"].encode())  # noqa: E731
    with serving(respond) as server, pytest.raises(MeasurementError) as caught:
        connected(server, token="s3cret").exchange("POST", PATH, b"a")
    assert server.requests[0].headers["authorization"] == "Bearer s3cret"
    assert "it answered 403: Bearer ***" in caught.value.message
    assert "BENCH_SYSTEM_TOKEN" in str(caught.value.remedy)


def test_a_certificate_is_verified_by_host_and_by_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a foreign authority nor a foreign host passes; what the user trusts does, and is kept open."""
    with serving(echo, tls=True) as server:

        def exchange(host: str) -> list[bytes]:
            client = ServerConnection(Address.of(f"https://{host}:{server.port}/"), "mine", 20.0)
            try:
                client.refresh()
                return [client.exchange("POST", PATH, b"a") for _ in range(2)]
            finally:
                client.close()

        with pytest.raises(MeasurementError, match=r"certificate is not valid \(self.signed certificate"):
            exchange("localhost")
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        with pytest.raises(MeasurementError, match=r"certificate is not valid .*127\.0\.0\.1") as caught:
            exchange("127.0.0.1")
        assert "SSL_CERT_FILE" in str(caught.value.remedy)
        assert exchange("localhost") == [b'{"body": "a"}'] * 2
    assert len({request.connection for request in server.requests}) == 1


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://a", "a", 80, "/"),
        ("https://a/b?c=d", "a", 443, "/b?c=d"),
        ("http://[::1]:8000/b", "::1", 8000, "/b"),
    ],
)
def test_an_address_is_cut_as_urls_are(url: str, host: str, port: int, path: str) -> None:
    """With the ports of the schemes."""
    address = Address.of(url)
    assert (address.host, address.port, address.path) == (host, port, path)
    netloc = urlsplit(url).netloc
    shown = netloc if ":" in netloc else f"{netloc}:{port}"
    assert f"\r\nHost: {shown}\r\n".encode() in address.head("GET", path, 0)
