"""A system that spreads requests over many instances: processes with a model copy each, answers in order.

    requests --heaviest first--> a slot of shared memory <--take, answer-- instances
                                        |            (optimized/parallel/instance_main.py)
                                        +--answers, in the order of the requests-->

Threads do not fill many cores with one small encoder and one short text; independent instances do. The thread
that waits for an answer runs the supervisor (optimized/parallel/supervisor.py) and sleeps until an instance
writes: the caller of `predict`, which saves a change of threads, or a thread of the pool once `submit` was
used. An instance that dies is replaced, and its unanswered requests are answered by another.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from queue import SimpleQueue
from typing import Any

from harness.common.errors import BenchError, MeasurementError, UsageError
from harness.common.json_types import JsonValue
from harness.systems.interface import Artifact, OnAnswer, Placement, Predictions, Request, Settings
from harness.workload.tasks import TaskReference
from harness.workload.tasks.base import Task
from harness.workload.tasks.custom import CUSTOM, CustomTaskDefinition
from harness.workload.tasks.example import Example
from optimized.parallel.codec import (
    answer_capacity,
    deserialise_answer,
    deserialise_requests,
    merge_answers,
    serialise_examples,
    serialise_requests,
)
from optimized.parallel.instance_main import ENCODE, PREDICT
from optimized.parallel.instance_process import InstanceConfig
from optimized.parallel.scheduler import Input, PoolCall, Result, chunks_of
from optimized.parallel.supervisor import Supervisor

LOADER = "optimized.ladders.rung:variant_of"
"""Makes a variant from a rung's JSON."""

TIMEOUT_S = 600.0
"""How long an instance may load, or work on one chunk."""

_BYTES_PER_EXAMPLE = 256
"""Reserved for an encoded example, beside two numbers for each of its characters."""


class PoolSystem:
    """A system on `placement.instances` processes, which also accepts submitted requests.

    Every instance loads the variant that the function `loader` ("module:function") makes from `variant`, a
    JSON value. Raises what an instance raises while loading, and UsageError where there are too few CPUs. The
    threads that make the pool and call `predict` must outlive it: an instance dies with the thread that
    started it.
    """

    def __init__(
        self,
        variant: JsonValue,
        task: Task,
        artifact: Artifact,
        placement: Placement,
        settings: Settings,
        *,
        loader: str = LOADER,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._batch, self._labels = settings.batch, len(task.labels)
        self._placements = split_placement(placement)
        self._count = placement.instances
        config = InstanceConfig(loader, variant, task_reference(task), artifact, settings)
        self._supervisor = Supervisor(config, self._placements, timeout_s, clock)
        self._facts = self._supervisor.instances[0].facts or {}
        self._waiting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def encoding(self) -> str:
        """Equal for systems that encode alike; empty where the instances do not report it."""
        return str(self._facts["encoding"])

    @property
    def pids(self) -> list[int]:
        """The process ids of the instances."""
        return [instance.pid for instance in self._supervisor.instances]

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Turn text into requests, spread over the instances."""
        weights = [
            sum(len(text.first) + len(text.second or "") for text in example.inputs) for example in examples
        ]
        chunks = chunks_of(weights, self._count)
        payloads = [serialise_examples([examples[index] for index in chunk]) for chunk in chunks]
        capacities = [sum(_BYTES_PER_EXAMPLE + 8 * weights[index] for index in chunk) for chunk in chunks]
        return self._run(PoolCall(ENCODE, examples, chunks, payloads, capacities, _assemble_requests))

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer the requests: a single one on an idle instance, several spread over all by their tokens."""
        return self._run(self._prediction_call(requests))

    def submit(self, requests: Sequence[Request], done: OnAnswer) -> None:
        """Answer the requests and call `done` in the pool's thread, in the order in which calls finish."""
        call = self._prediction_call(requests)
        call.on_done = done
        self._start_thread()
        self._supervisor.submit(call)

    def describe(self) -> Mapping[str, Any]:
        """Return the first instance's description, and where the instances run."""
        return {
            **self._facts["describe"],
            "instances": len(self._placements),
            "instance_cpus": [list(placement.cpus) for placement in self._placements],
            "threads_per_instance": self._placements[0].threads,
            "instances_replaced": self._supervisor.replaced,
            "transport": "shared memory",
        }

    def close(self) -> None:
        """End the thread and the instances; unanswered calls fail with MeasurementError."""
        self._check_caller()
        if self._closed:
            return
        self._closed = True
        self._supervisor.fail(MeasurementError("the pool was closed."))
        if self._thread:
            self._thread.join()
        with self._waiting:
            self._supervisor.close()

    def _prediction_call(self, requests: Sequence[Request]) -> PoolCall[Request, Predictions]:
        chunks = chunks_of([request.tokens for request in requests], self._count, self._batch)
        parts = [[requests[index] for index in chunk] for chunk in chunks]
        capacities = [answer_capacity(part, self._labels) for part in parts]
        payloads = [serialise_requests(part) for part in parts]
        return PoolCall(PREDICT, requests, chunks, payloads, capacities, _assemble_predictions)

    def _run(self, call: PoolCall[Input, Result]) -> Result:
        """Submit a call, wait for its result, and raise it if it is an error."""
        self._check_caller()
        results: SimpleQueue[Result | BenchError] = SimpleQueue()
        call.on_done = results.put
        try:
            with self._waiting:
                self._supervisor.submit(call)
                while results.empty() and not self._thread:
                    self._supervisor.poll()
            result = results.get()
        finally:
            if not call.finished:  # the caller was interrupted and waits no longer
                self._supervisor.cancel(call)
        if isinstance(result, BenchError):
            raise result
        return result

    def _start_thread(self) -> None:
        """Let a thread run the supervisor from now on."""
        with self._waiting:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._poll_until_failure, name="bench-pool", daemon=True
                )
                self._thread.start()

    def _poll_until_failure(self) -> None:
        try:
            while not self._supervisor.failure:
                self._supervisor.poll()
        except Exception as bug:  # noqa: BLE001 -- callers that wait must get an error, not wait for ever
            self._supervisor.fail(BenchError(f"the pool's thread failed: {type(bug).__name__}: {bug}."))

    def _check_caller(self) -> None:
        if self._thread is threading.current_thread():
            raise UsageError(
                "`done` must not wait for the pool that calls it.", remedy="Call `submit` there instead."
            )


def _assemble_predictions(call: PoolCall[Request, Predictions]) -> Predictions:
    answers = [deserialise_answer(data) for data in call.answers]
    return merge_answers(call.inputs, list(zip(call.chunks, answers, strict=True)))


def _assemble_requests(call: PoolCall[Example, list[Request]]) -> list[Request]:
    requests: list[Any] = [None] * len(call.inputs)
    for indexes, data in zip(call.chunks, call.answers, strict=True):
        for index, request in zip(indexes, deserialise_requests(data), strict=True):
            requests[index] = request
    return requests


def split_placement(placement: Placement) -> list[Placement]:
    """Return each instance's own placement, on neighbouring CPUs.

    UsageError for less than one instance, or where there are fewer CPUs than instances times threads.
    """
    instances, threads, cpus = placement.instances, placement.threads, placement.cpus
    if instances < 1:
        raise UsageError(f"a pool needs at least 1 instance, got {instances}.", remedy="Use 1 or more.")
    if instances * threads > len(cpus):
        needed = f"{instances} instance(s) of {threads} thread(s) need {instances * threads} CPUs"
        raise UsageError(
            f"{needed}, got {len(cpus)}.",
            remedy=f"Use {max(1, len(cpus) // max(1, threads))} instance(s), or fewer threads.",
        )
    edges = [len(cpus) * index // instances for index in range(instances + 1)]
    return [replace(placement, cpus=cpus[low:high], instances=1) for low, high in pairwise(edges)]


def task_reference(task: Task) -> TaskReference:
    """Return what an instance needs of a task: its name, or a custom one's labels.

    How a custom task lays out its rows and scores its answers is left out: instances use neither.
    """
    if task.name != CUSTOM:
        return task.name
    if task.head == "multi_label":
        return CustomTaskDefinition(
            task.labels, "micro-f1", positional=task.positional, multi_label=True
        ).words
    return CustomTaskDefinition(task.labels, positional=task.positional).words
