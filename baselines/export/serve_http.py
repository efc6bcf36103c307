"""Serve the text classifier in this folder over HTTP.

    pip install -r requirements.txt -r requirements-http.txt
    python serve_http.py --port 8000
    curl -d '{"first": "...", "second": "..."}' http://127.0.0.1:8000/answer

| route | answer |
| --- | --- |
| POST /answer | the answer to a request, as serve.py gives it |
| GET /health | 200 while the server answers |
| GET /metadata | what the model is: task, labels, form of requests, engine, limits |

What cannot be answered gets {"error": reason}: 400 for a body that is not JSON, 422 for a request of another
form than that of README.md, 413 for one above the limits, 408 for a body that does not arrive, 503 for more
requests than may wait. Requests are computed one at a time, on `--threads` threads.

Starlette has the routes and nothing more: serve.py checks the requests, so no second description of them, as
FastAPI would need, is kept.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

FOLDER = Path(__file__).parent
ROUTES = "POST /answer, GET /health or GET /metadata"


@dataclass(frozen=True)
class Limits:
    """Bounds on one request, and on the requests that wait or are computed at the same time."""

    body_bytes: int = 1 << 18
    sequences: int = 256
    requests: int = 64
    body_seconds: float = 10.0


class Server:
    """The routes of a folder's classifier; `serve` is the module serve.py."""

    def __init__(self, serve: Any, classifier: Any, limits: Limits) -> None:  # noqa: ANN401 -- a module by path
        self._serve, self._classifier, self._limits = serve, classifier, limits
        self._waiting = 0
        self._one_at_a_time: anyio.CapacityLimiter | None = None  # made in the event loop that uses it

    def app(self) -> Starlette:
        """Return the ASGI application."""
        handlers: dict[Any, Any] = {HTTPException: _error}
        return Starlette(
            routes=[
                Route("/answer", self.answer, methods=["POST"]),
                Route("/health", self.health, methods=["GET"]),
                Route("/metadata", self.metadata, methods=["GET"]),
            ],
            exception_handlers=handlers,
        )

    async def health(self, _: Request) -> Response:
        """Return that the server answers, and how many requests wait or are computed."""
        return JSONResponse({"status": "ok", "requests": self._waiting})

    async def metadata(self, _: Request) -> Response:
        """Return the settings, the engine's facts and the limits."""
        settings = self._classifier.settings
        names = ("task", "head", "labels", "threshold", "pair", "spans", "max_length", "truncate")
        return JSONResponse(
            {
                **{name: settings[name] for name in names if name in settings},
                "engine": dict(self._classifier.engine),
                "limits": {"body_bytes": self._limits.body_bytes, "sequences": self._limits.sequences},
            }
        )

    async def answer(self, request: Request) -> Response:
        """Return the answer to the request in the body; HTTPException for one that has none."""
        if self._waiting >= self._limits.requests:
            raise HTTPException(503, f"{self._waiting} requests are waiting: try again later")
        self._waiting += 1
        try:
            content = self._parsed(await self._body(request))
            self._check_size(content)
            return JSONResponse(await self._computed(content))
        finally:
            self._waiting -= 1

    async def _body(self, request: Request) -> bytes:
        most = self._limits.body_bytes
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > most:
                        raise HTTPException(413, f"the body must have at most {most} bytes")
        except TimeoutError:
            raise HTTPException(408, f"the body did not arrive in {self._limits.body_seconds:g} s") from None
        except ClientDisconnect:
            raise HTTPException(400, "the connection ended before the body") from None
        return bytes(body)

    def _parsed(self, body: bytes) -> object:
        try:
            return self._serve.parse_request(body)
        except self._serve.RepeatedFieldError as problem:
            raise HTTPException(422, str(problem)) from None
        except (ValueError, RecursionError) as problem:
            raise HTTPException(400, f"the body is not JSON: {problem}") from None

    def _check_size(self, content: object) -> None:
        inputs = content.get("inputs") if isinstance(content, dict) else None
        if isinstance(inputs, list) and len(inputs) > self._limits.sequences:
            raise HTTPException(
                413, f'"inputs" must hold at most {self._limits.sequences} sequences, got {len(inputs)}'
            )

    async def _computed(self, content: object) -> Mapping[str, Any]:
        if self._one_at_a_time is None:
            self._one_at_a_time = anyio.CapacityLimiter(1)
        try:
            return await anyio.to_thread.run_sync(
                self._classifier.answer, content, limiter=self._one_at_a_time
            )
        except self._serve.NotFiniteError as problem:
            raise HTTPException(500, str(problem)) from None
        except self._serve.INVALID as problem:
            raise HTTPException(422, str(problem)) from None


async def _error(request: Request, problem: HTTPException) -> Response:
    detail = problem.detail
    if problem.status_code in (404, 405):
        detail = f"expected {ROUTES}, got {request.method} {request.url.path}"
    return JSONResponse({"error": detail}, status_code=problem.status_code, headers=problem.headers)


def main() -> int:
    """Serve until the process is ended; return 1 if a file is not as manifest.json lists it."""
    import uvicorn

    parser = argparse.ArgumentParser(description="Serve the text classifier in this folder over HTTP.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: 8000)")
    parser.add_argument("--threads", type=int, help="threads that compute one request")
    parser.add_argument("--max-bytes", type=int, default=Limits.body_bytes, help="most bytes of a body")
    parser.add_argument(
        "--max-sequences", type=int, default=Limits.sequences, help="most sequences of a request"
    )
    parser.add_argument("--max-waiting", type=int, default=Limits.requests, help="most requests at a time")
    options = parser.parse_args()
    for name in ("max_bytes", "max_sequences", "max_waiting"):
        if (value := getattr(options, name)) < 1:
            parser.error(f"--{name.replace('_', '-')} must be 1 or more, got {value}")
    for name, low, high in (("threads", 1, 1024), ("port", 0, 65535)):
        if (value := getattr(options, name)) is not None and not low <= value <= high:
            parser.error(f"--{name} must be between {low} and {high}, got {value}")
    serve = _serve_module()
    if changed := serve.check_files(FOLDER):
        print(f"not as manifest.json lists them: {', '.join(changed)}", file=sys.stderr)  # noqa: T201
        return 1
    limits = Limits(options.max_bytes, options.max_sequences, options.max_waiting)
    try:
        server = Server(serve, serve.Classifier(FOLDER, threads=options.threads), limits)
    except OSError as problem:
        print(problem, file=sys.stderr)  # noqa: T201
        return 1
    uvicorn.run(server.app(), host=options.host, port=options.port, log_level="warning", access_log=False)
    return 0


def _serve_module() -> Any:  # noqa: ANN401 -- a module by path
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("serve", FOLDER / "serve.py")
    module = module_from_spec(spec)  # type: ignore[arg-type]  # a file has a loader
    sys.modules["serve"] = module
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


if __name__ == "__main__":
    sys.exit(main())
