"""A local web server that serves archives correctly or wrongly, and official tasks with their checksums."""

import hashlib
import io
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.workload.data.official import OfficialFile, OfficialTask

ROWS = b'{"premise": "It rains.", "idx": 0}\n'
FILES = {f"CB/{split}.jsonl": ROWS * count for split, count in (("train", 3), ("val", 2), ("test", 1))}

# taken before any test refuses connections
CONNECT = socket.socket.connect

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each request for a path with the next of its answers, and repeats the last one."""

    server: "Server"

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        answers = self.server.answers.get(self.path, [status(404)])
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Records the requested paths, and ends stalling answers when it is closed."""

    daemon_threads = False

    def __init__(self, answers: dict[str, list[Answer]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.requests: list[str] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v2"

    def handle_error(self, *_: object) -> None:
        """Print nothing: clients that hang up are part of the tests."""


@contextmanager
def serving(*answers: Answer, name: str = "CB.zip") -> Iterator[Server]:
    """Serve one archive with these answers, one after the other."""
    with Server({f"/v2/{name}": list(answers)}) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


def body(content: bytes, *, missing: int = 0) -> Answer:
    """Answer with these bytes, and announce `missing` more than are sent."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content) + missing))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def status(code: int) -> Answer:
    """Answer with an error status."""
    return lambda handler: handler.send_error(code)


def stalling(content: bytes, *, every_seconds: float | None = None) -> Answer:
    """Announce all bytes, send the first half, and then nothing, or a byte now and then."""

    def answer(handler: Handler) -> None:
        body(content[: len(content) // 2], missing=len(content) - len(content) // 2)(handler)
        while not handler.server.closing.wait(every_seconds):
            handler.wfile.write(b"x")

    return answer


def endless_headers(handler: Handler) -> None:
    """Answer with a header line that grows by a byte now and then and never ends."""
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Padding: ")
    while not handler.server.closing.wait(0.01):
        handler.wfile.write(b"x")


def zipped(files: dict[str, bytes], change: Callable[[zipfile.ZipInfo], None] | None = None) -> bytes:
    """Return an archive of these members; `change` edits each before it is written."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            if change:
                change(member)
            archive.writestr(member, content)
    return buffer.getvalue()


def task_of(archive: bytes, files: dict[str, bytes] | None = None) -> OfficialTask:
    """Return task CB with the checksums of this archive and of these files."""
    return OfficialTask(
        *("CB", "rows", "accuracy", "none stated"),
        *(len(archive), hashlib.sha256(archive).hexdigest()),
        {
            name.removeprefix("CB/").removesuffix(".jsonl"): OfficialFile(
                content.count(b"\n"), content.count(b"\n"), hashlib.sha256(content).hexdigest()
            )
            for name, content in (FILES if files is None else files).items()
        },
    )


def allow_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow connections to this machine only, and bypass any proxy."""

    def loopback_only(self: socket.socket, address: tuple[str, int]) -> None:
        if address[0] != "127.0.0.1":
            raise OSError(f"a test tried to connect to {address!r}")
        CONNECT(self, address)

    monkeypatch.setattr(socket.socket, "connect", loopback_only)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
