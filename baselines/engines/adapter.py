"""What engine adapters share: text to requests, and requests to batches for one function to answer."""

from collections.abc import Sequence

from baselines.encoding.batching import Batching, Run
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.device_queue import Answering
from harness.systems.interface import Predictions, Request
from harness.workload.tasks.example import Example


class Adapter:
    """A system whose engine is a function that answers one padded batch."""

    def __init__(self, run: Run, encoder: TextEncoder, batching: Batching) -> None:
        self._run = run
        self._encoder = encoder
        self._batching = batching

    @property
    def encoding(self) -> str:
        """What is the same for all systems that encode alike."""
        return self._encoder.encoding

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Turn text into unpadded requests."""
        return self._encoder.encode(examples)

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer the requests, batched and padded as `batching` says."""
        return self.begin(requests)()

    def begin(self, requests: Sequence[Request]) -> Answering:
        """Answer now; what is returned has nothing left to wait for."""
        return self._batching.begin(requests, self._run)
