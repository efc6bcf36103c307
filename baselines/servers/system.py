"""A model server as a system: texts are sent, labels come back, and each is checked.

    examples --encode--> requests --body--> connection --labels--> columns --> one-hot logits

The clock includes writing the body, the way there and back, the server, and reading the answer.
"""

import os
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from baselines.servers.clients import Clients
from baselines.servers.detection import ServerFacts
from baselines.servers.labels import LabelColumns, UnknownLabel
from baselines.servers.process import ServerProcess
from baselines.servers.protocols.base import InvalidAnswer
from baselines.servers.transport import Transport
from harness.common.errors import MeasurementError, UnsupportedError
from harness.common.inputs.files import InvalidText
from harness.systems.interface import EncodedSequence, OnAnswer, Predictions, Request, offsets_of
from harness.systems.server import ServerDefinition, is_encrypted
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, TextInput

Columns = list[int]
"""The label of each input, as a column of the task."""


@dataclass(frozen=True, slots=True, eq=False)
class TextRequest(Request):
    """A request that is still text; the words of its inputs count as tokens."""

    inputs: tuple[TextInput, ...] = ()


class ServedSystem:
    """A server that answers over a network, with `batch` requests in one exchange where it allows that.

    `process` is the server's, if the harness has started it.
    """

    def __init__(
        self,
        definition: ServerDefinition,
        facts: ServerFacts,
        connections: Sequence[Transport],
        task: Task,
        *,
        batch: int = 1,
        process: ServerProcess | None = None,
    ) -> None:
        self._definition, self._facts, self._process = definition, facts, process
        self._clients: Clients[Columns] = Clients(connections)
        self._columns = LabelColumns(task.labels, definition.labels)
        self._labels, self._task = len(task.labels), task.name
        self._together = batch if facts.protocol.batches else 1
        self._cpu_begin_ns: int | None = None
        self._cpu_end_ns = 0
        self._affinity = os.sched_getaffinity(0)
        if definition.client_cpus:  # threads that are started from here on inherit it
            _run_on(definition.client_cpus)

    def encode(self, examples: Sequence[Example]) -> list[TextRequest]:
        """Return the texts of each example as the server takes them."""
        if self._cpu_begin_ns is None:
            self._cpu_begin_ns = time.process_time_ns()
        return [self._request(example) for example in examples]

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Send the requests, as many in flight as there are connections, and wait for all answers."""
        size = self._together
        groups = [requests[start : start + size] for start in range(0, len(requests), size)]
        results = self._clients.all_of([partial(self._exchange, group) for group in groups])
        predictions = self._predictions(requests, [column for columns in results for column in columns])
        self._cpu_end_ns = time.process_time_ns()
        return predictions

    def submit(self, requests: Sequence[Request], done: OnAnswer) -> None:
        """Send the requests of one call as soon as a connection is free."""

        def answered(result: Columns | Exception) -> None:
            done(result if isinstance(result, Exception) else self._predictions(requests, result))
            self._cpu_end_ns = time.process_time_ns()

        self._clients.submit(partial(self._exchange, requests), answered)

    def refresh(self) -> None:
        """Replace the connections that the server has closed, as it may while this process is stopped."""
        self._clients.refresh()
        if self._process:
            self._process.keep_log_short()

    def traffic(self) -> Mapping[str, int | None]:
        """Return what was transferred since the last call, and CPU time from first text to last answer."""
        parts, begin_ns = self._clients.traffic(), self._cpu_begin_ns
        self._cpu_begin_ns = None
        first_byte_ns = [span for part in parts for span in part.first_byte_ns]
        return {
            "sent_bytes": sum(part.sent_bytes for part in parts),
            "received_bytes": sum(part.received_bytes for part in parts),
            "first_byte_ns": round(median(first_byte_ns)) if first_byte_ns else None,
            "client_cpu_ns": 0 if begin_ns is None else max(0, self._cpu_end_ns - begin_ns),
            "opened": sum(part.opened for part in parts),
            "resent": sum(part.resent for part in parts),
        }

    def describe(self) -> Mapping[str, Any]:
        """Return what the server is by its own account, and how it is reached."""
        facts, definition = self._facts, self._definition
        identity = {"server": facts.server, "server_version": facts.version, "served_model": facts.model}
        return {
            "engine": "model server",
            **{name: value or "unavailable, because it does not say" for name, value in identity.items()},
            "protocol": facts.protocol.name,
            "connections": definition.connections,
            "tls": is_encrypted(definition.url),
            "started_by": "bench" if self._process else "others",
            **({"separator": definition.separator} if definition.separator else {}),
            **({"client_cpus": list(definition.client_cpus)} if definition.client_cpus else {}),
            **({} if definition.reads_input else {"reads_input": False}),
        }

    def close(self) -> None:
        """Close the connections, and end the server if the harness has started it."""
        self._clients.close()
        if self._process:
            self._process.end()
        if self._definition.client_cpus:
            _run_on(self._affinity)

    def _request(self, example: Example) -> TextRequest:
        inputs = tuple(map(self._taken, example.inputs))
        counts = [len(f"{text.first} {text.second or ''}".split()) for text in inputs]
        word_ids = [np.zeros(count, dtype=np.int64) for count in counts]
        sequences = tuple(EncodedSequence(ids=zeros, segments=zeros) for zeros in word_ids)
        return TextRequest(example.id, sequences, inputs)

    def _taken(self, text: TextInput) -> TextInput:
        """Return an input as the server takes it: a pair joined, if a separator was named."""
        if text.second is None:
            return text
        if self._definition.separator:
            return replace(text, first=f"{text.first}{self._definition.separator}{text.second}", second=None)
        if not self._facts.protocol.pairs:
            raise UnsupportedError(
                f"the server takes one text, and {self._task} has pairs.",
                where=self._definition.name,
                remedy="Name what joins them, as the model was trained: --system-separator ' [SEP] '.",
            )
        return text

    def _exchange(self, group: Sequence[Request], connection: Transport) -> Columns:
        """Answer some requests: in one exchange, or in one for each input."""
        texts = [text for request in group if isinstance(request, TextRequest) for text in request.inputs]
        if self._facts.protocol.batches:
            return self._answers(texts, connection)
        return [column for text in texts for column in self._answers([text], connection)]

    def _answers(self, texts: Sequence[TextInput], connection: Transport) -> Columns:
        protocol = self._facts.protocol
        content = connection.exchange("POST", self._facts.path, protocol.body(texts))
        try:
            labels = protocol.labels(protocol.parse(content), len(texts))
            return [self._columns.column(label) for label in labels]
        except UnknownLabel as problem:
            raise connection.failure(str(problem), problem.remedy) from None
        except InvalidText as problem:
            what = (
                f"its answer is {problem}" if str(problem).startswith("not ") else f"in its answer {problem}"
            )
            raise connection.failure(f"{what}: {connection.quote(content)}") from None
        except InvalidAnswer as problem:
            raise connection.failure(f"its answer is not one of {protocol.name}: {problem}") from None

    def _predictions(self, requests: Sequence[Request], columns: Sequence[int]) -> Predictions:
        offsets = offsets_of(requests)
        if len(columns) != offsets[-1]:
            raise MeasurementError(f"expected {offsets[-1]} answers, got {len(columns)}.")
        logits = np.zeros((len(columns), self._labels), dtype=np.float32)
        logits[np.arange(len(columns)), columns] = 1
        return Predictions(logits, offsets)


def _run_on(cpus: Collection[int]) -> None:
    """Let all threads of this process run on these CPUs: gRPC's library has started some."""
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            os.sched_setaffinity(int(thread.name), cpus)
