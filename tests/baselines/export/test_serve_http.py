"""The HTTP server of an exported folder, called as an ASGI server calls it, with a fake classifier."""

import asyncio
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

pytest.importorskip("starlette")

from baselines.export import serve, serve_http
from baselines.export.serve_http import Limits, Server


class Echo:
    """A classifier that answers with the first text, or as its text commands."""

    def __init__(self) -> None:
        self.settings = {"task": "boolq", "labels": ["false", "true"], "max_length": 32, "pad_id": 0}
        self.engine = {"engine": "fake", "threads": 1}
        self.gate, self.started = threading.Event(), asyncio.Event()
        self.running = self.most = 0
        self.loop: Any = None

    def answer(self, request: Any) -> Mapping[str, Any]:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            text = request["first"] if isinstance(request, dict) and "first" in request else ""
            if text == "wait":
                self.loop.call_soon_threadsafe(self.started.set)
                self.gate.wait(20)
            if text == "nan":
                raise serve.NotFiniteError("the model's logits are not finite numbers")
            if not text:
                raise ValueError("a sequence must have exactly these fields: first")
            return {"label": text, "scores": {}}
        finally:
            self.running -= 1


Reply = tuple[int, dict[str, Any]]


async def call(
    app: Any, method: str, path: str, chunks: Sequence[bytes] = (b"",), *, ends: bool = True
) -> Reply:
    """Send one request as an ASGI server does; without `ends` the body never ends."""
    parts = list(chunks)
    status, body = 0, b""

    async def receive() -> dict[str, Any]:
        if parts:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts) or not ends}
        await asyncio.sleep(30)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")

    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}
    await app({**scope, "http_version": "1.1", "root_path": "", "scheme": "http"}, receive, send)
    return status, json.loads(body)


def ask(*chunks: bytes, limits: Limits | None = None, path: str = "/answer", method: str = "POST") -> Reply:
    server = Server(serve, Echo(), limits or Limits())
    return asyncio.run(call(server.app(), method, path, chunks))


def test_a_request_is_answered_in_however_many_pieces_it_arrives() -> None:
    assert ask(b'{"first": "the lake"}') == (200, {"label": "the lake", "scores": {}})
    assert ask(b'{"first"', b': "the', b' lake"}')[1]["label"] == "the lake"


def test_health_and_metadata_are_answered() -> None:
    """What a client needs to know, and nothing of the machine."""
    assert ask(path="/health", method="GET") == (200, {"status": "ok", "requests": 0})
    status, facts = ask(path="/metadata", method="GET")
    assert status == 200
    assert facts["labels"] == ["false", "true"]
    assert facts["engine"] == {"engine": "fake", "threads": 1}
    assert facts["limits"] == {"body_bytes": 262144, "sequences": 256}
    assert "pad_id" not in facts


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "the body is not JSON"),
        (b"{", 400, "the body is not JSON"),
        (b"\xff\xfe{", 400, "the body is not JSON"),
        (b"[" * 100_000, 400, "the body is not JSON: maximum recursion depth"),
        (b"9" * 5000, 400, "the body is not JSON"),
        (b"[]", 422, "exactly these fields"),
        (b'{"second": "b"}', 422, "exactly these fields"),
        (b'{"first": "a", "first": "b"}', 422, 'the field "first" is there twice'),
        (b'{"inputs": [{"first": "a", "first": "a"}]}', 422, 'the field "first" is there twice'),
        (b'{"first": "nan"}', 500, "not finite numbers"),
        (b'"' + b"a" * 300_000 + b'"', 413, "must have at most 262144 bytes"),
        (json.dumps({"inputs": [{}] * 257}).encode(), 413, "at most 256 sequences, got 257"),
    ],
)
def test_what_cannot_be_answered_gets_a_status_and_a_reason(body: bytes, status: int, message: str) -> None:
    got, answer = ask(body)
    assert (got, list(answer)) == (status, ["error"])
    assert message in answer["error"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("GET", "/answer", 405)])
def test_another_route_is_refused_with_those_that_there_are(method: str, path: str, status: int) -> None:
    got, answer = ask(path=path, method=method)
    assert got == status
    assert answer["error"] == f"expected POST /answer, GET /health or GET /metadata, got {method} {path}"


def test_a_body_that_does_not_arrive_is_given_up() -> None:
    """A slow client holds no place for ever."""
    server = Server(serve, Echo(), Limits(body_seconds=0.01))
    status, answer = asyncio.run(call(server.app(), "POST", "/answer", [b'{"fir'], ends=False))
    assert (status, answer["error"]) == (408, "the body did not arrive in 0.01 s")


def test_requests_are_computed_one_at_a_time_and_too_many_are_refused() -> None:
    """The others wait; the one above the limit is asked to come again, and a place that is free is used."""
    classifier = Echo()
    app = Server(serve, classifier, Limits(requests=2)).app()

    async def several() -> list[Reply]:
        classifier.loop = asyncio.get_running_loop()
        waiting = [
            asyncio.create_task(call(app, "POST", "/answer", [b'{"first": "wait"}'])) for _ in range(2)
        ]
        await classifier.started.wait()
        refused = await call(app, "POST", "/answer", [b'{"first": "third"}'])
        classifier.gate.set()
        return [
            refused,
            *await asyncio.gather(*waiting),
            await call(app, "POST", "/answer", [b'{"first": "x"}']),
        ]

    refused, *answered = asyncio.run(several())
    assert refused == (503, {"error": "2 requests are waiting: try again later"})
    assert [status for status, _ in answered] == [200, 200, 200]
    assert classifier.most == 1


@pytest.mark.parametrize(
    ("option", "value", "bounds"),
    [
        ("--max-bytes", "0", "1 or more"),
        ("--threads", "-1", "between 1 and 1024"),
        ("--threads", "100000", "between 1 and 1024"),
        ("--port", "65536", "between 0 and 65535"),
    ],
)
def test_an_option_out_of_range_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str, value: str, bounds: str
) -> None:
    """By name, with its bounds, before the model is loaded."""
    pytest.importorskip("uvicorn")
    monkeypatch.setattr("sys.argv", ["serve_http.py", option, value])
    with pytest.raises(SystemExit, match="2"):
        serve_http.main()
    assert f"{option} must be {bounds}, got {value}" in capsys.readouterr().err
