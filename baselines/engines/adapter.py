"""The base class of engine adapters: encoding of text, and batching of requests for one engine function."""

from collections.abc import Sequence

from baselines.encoding.batching import Batching, Launch
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.device_queue import Answering
from harness.systems.interface import Predictions, Request
from harness.workload.tasks.example import Example


class Adapter:
    """A system whose engine is a function from one padded batch to logits."""

    def __init__(self, run: Launch, encoder: TextEncoder, batching: Batching) -> None:
        self._run = run
        self._encoder = encoder
        self._batching = batching

    @property
    def encoding(self) -> str:
        """The hash that systems with equal encoding share."""
        return self._encoder.encoding

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Return the examples as unpadded requests."""
        return self._encoder.encode(examples)

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Return the predictions for the requests, batched and padded as `batching` defines."""
        return self.begin(requests)()

    def begin(self, requests: Sequence[Request]) -> Answering:
        """Launch all engine calls; the returned function waits for the predictions."""
        return self._batching.begin(requests, self._run)
