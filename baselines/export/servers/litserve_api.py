"""Serve the text classifier in this folder with LitServe.

    pip install -r requirements.txt -r requirements-litserve.txt
    python serve_litserve.py --port 8000
    POST http://127.0.0.1:8000/predict

Requests and answers are those of serve.py; a request of another form gets status 422.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import litserve
from fastapi import HTTPException, Request, Response

FOLDER = Path(__file__).resolve().parent


class ClassifierApi(litserve.LitAPI):  # type: ignore[misc]
    """The classifier of a folder as LitServe calls it."""

    def __init__(self, threads: int | None = None) -> None:
        super().__init__()
        self._threads = threads
        self._serve: Any = None
        self._classifier: Any = None

    def setup(self, device: str) -> None:
        """Load the classifier, in the process that computes."""
        del device
        sys.path.insert(0, str(FOLDER))
        import serve  # type: ignore[import-not-found]

        self._serve = serve
        self._classifier = serve.Classifier(FOLDER, threads=self._threads)

    def decode_request(self, request: Request) -> Any:  # noqa: ANN401 -- JSON
        """Return the request; LitServe reads from the annotation that its body is JSON, and passes that."""
        return request

    def predict(self, request: Any) -> Any:  # noqa: ANN401
        """Return the answer to a request; status 422 for one that has none."""
        try:
            return self._classifier.answer(request)
        except self._serve.INVALID as problem:
            raise HTTPException(422, str(problem)) from None

    def encode_response(self, output: Any) -> Response:  # noqa: ANN401
        """Return the answer as it is; LitServe makes JSON of it."""
        return output


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description="Serve the text classifier in this folder with LitServe.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: 8000)")
    parser.add_argument("--threads", type=int, help="threads that compute one request")
    parser.add_argument("--workers", type=int, default=1, help="processes that compute (default: 1)")
    options = parser.parse_args()
    api = ClassifierApi(options.threads)
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=options.workers)
    server.run(host=options.host, port=options.port, generate_client_file=False)


if __name__ == "__main__":
    main()
