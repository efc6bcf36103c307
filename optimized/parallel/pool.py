"""Many instances behind one system: a process per physical core, each with its own copy, answers in order.

    requests --longest first--> a sheet of shared memory <--take, answer-- instances
    (optimized/parallel/instance_main.py)
                                        +--answers, in the order asked-->

Threads do not fill many cores with one small encoder and one short text: instances that share nothing do.
Whoever waits for an answer does the pool's work (optimized/parallel/supervisor.py), asleep until an
instance speaks: the
caller of `predict`, which saves a change of threads, or one thread of the pool's once `submit` was used. An
instance that dies is replaced and what it had not answered is answered again.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from queue import SimpleQueue
from typing import Any

from harness.common.errors import BenchError, MeasurementError, UsageError
from harness.systems.interface import Artifact, OnAnswer, Placement, Predictions, Request, Settings
from harness.workload.tasks import TaskReference
from harness.workload.tasks.base import Task
from harness.workload.tasks.custom import CUSTOM, CustomTaskDefinition
from harness.workload.tasks.example import Example
from optimized.parallel.codec import gathered, packed, packed_examples, room_for, unpacked, unpacked_answer
from optimized.parallel.instance_main import ENCODE, PREDICT
from optimized.parallel.instance_process import Inner
from optimized.parallel.scheduler import PoolCall, chunks_of
from optimized.parallel.supervisor import Supervisor

LOADER = "optimized.ladders.rung:variant_of"
"""Makes a variant of a rung's words."""

PATIENCE_S = 600.0
"""How long an instance may load, or be at work on one chunk, without a word."""


_ROOM_FOR_ONE = 256
"""Bytes for an example once it is encoded, beside two numbers for each of its characters."""


class PoolSystem:
    """A system on `placement.instances` processes, which also takes submitted requests.

    `words` are what the function `loader` ("module:function") makes the variant of that every instance loads.
    Raises what an instance raises at loading, and UsageError where the CPUs do not go round. Make it, and
    predict, in threads that outlive it: an instance dies with the thread that started it.
    """

    def __init__(
        self,
        words: Any,  # noqa: ANN401 -- a JSON value
        task: Task,
        artifact: Artifact,
        placement: Placement,
        settings: Settings,
        *,
        loader: str = LOADER,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._batch, self._labels = settings.batch, len(task.labels)
        self._placements = share(placement)
        self._count = placement.instances
        inner = Inner(loader, words, task_words(task), artifact, settings)
        self._foreman = Supervisor(inner, self._placements, patience_s, clock)
        self._facts = self._foreman.handles[0].facts or {}
        self._waiting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def encoding(self) -> str:
        """What is the same for all systems that encode alike; empty where the instances do not say."""
        return str(self._facts["encoding"])

    @property
    def pids(self) -> list[int]:
        """The processes of the instances."""
        return [handle.pid for handle in self._foreman.handles]

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Turn text into requests, spread over the instances."""
        weights = [sum(len(text.first) + len(text.second or "") for text in one.inputs) for one in examples]
        chunks = chunks_of(weights, self._count)
        bodies = [packed_examples([examples[index] for index in chunk]) for chunk in chunks]
        rooms = [sum(_ROOM_FOR_ONE + 8 * weights[index] for index in chunk) for chunk in chunks]
        requests: list[Request] = self._answer(PoolCall(ENCODE, examples, chunks, bodies, rooms, _encoded))
        return requests

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer the requests: one on one idle instance, many spread over all by their tokens."""
        predictions: Predictions = self._answer(self._job(requests))
        return predictions

    def submit(self, requests: Sequence[Request], done: OnAnswer) -> None:
        """Answer the requests and tell `done`, in the pool's thread, calls in the order they are answered."""
        job = self._job(requests)
        job.done = done
        self._start_thread()
        self._foreman.ask(job)

    def describe(self) -> Mapping[str, Any]:
        """Return what the first instance says of itself, and where the instances run."""
        return {
            **self._facts["describe"],
            "instances": len(self._placements),
            "instance_cpus": [list(placement.cpus) for placement in self._placements],
            "threads_per_instance": self._placements[0].threads,
            "instances_replaced": self._foreman.replaced,
            "transport": "shared memory",
        }

    def close(self) -> None:
        """End the thread and the instances; calls that are not answered are told so."""
        self._not_in_thread()
        if self._closed:
            return
        self._closed = True
        self._foreman.give_up(MeasurementError("the pool was closed."))
        if self._thread:
            self._thread.join()
        with self._waiting:
            self._foreman.end()

    def _job(self, requests: Sequence[Request]) -> PoolCall:
        chunks = chunks_of([one.tokens for one in requests], self._count, self._batch)
        parts = [[requests[index] for index in chunk] for chunk in chunks]
        rooms = [room_for(part, self._labels) for part in parts]
        return PoolCall(PREDICT, requests, chunks, [packed(part) for part in parts], rooms, _predicted)

    def _answer(self, job: PoolCall) -> Any:  # noqa: ANN401 -- what the job is for
        """Ask, wait for the answer, and raise it if it is an error."""
        self._not_in_thread()
        answers: SimpleQueue[Any] = SimpleQueue()
        job.done = answers.put
        try:
            with self._waiting:
                self._foreman.ask(job)
                while answers.empty() and not self._thread:
                    self._foreman.turn()
            answer = answers.get()
        finally:
            if not job.over:  # the caller was interrupted: nobody waits any more
                self._foreman.abandon(job)
        if isinstance(answer, BenchError):
            raise answer
        return answer

    def _start_thread(self) -> None:
        """Let a thread do the pool's work from now on."""
        with self._waiting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="bench-pool", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        try:
            while not self._foreman.broken:
                self._foreman.turn()
        except Exception as bug:  # noqa: BLE001 -- whoever waits must hear that nobody works any more
            self._foreman.give_up(BenchError(f"the pool's thread failed: {type(bug).__name__}: {bug}."))

    def _not_in_thread(self) -> None:
        if self._thread is threading.current_thread():
            raise UsageError("`done` waits for the pool that calls it.", remedy="Let it submit instead.")


def _predicted(job: PoolCall) -> Predictions:
    answers = [unpacked_answer(said) for said in job.answers]
    return gathered(job.asked, list(zip(job.chunks, answers, strict=True)))


def _encoded(job: PoolCall) -> list[Any]:
    encoded: list[Any] = [None] * len(job.asked)
    for indexes, said in zip(job.chunks, job.answers, strict=True):
        for index, request in zip(indexes, unpacked(said), strict=True):
            encoded[index] = request
    return encoded


def share(placement: Placement) -> list[Placement]:
    """Return each instance's own placement, neighbouring CPUs together.

    UsageError for no instance, or where there are fewer CPUs than instances times threads.
    """
    instances, threads, cpus = placement.instances, placement.threads, placement.cpus
    if instances < 1:
        raise UsageError(f"{instances} instances cannot answer.", remedy="Use 1 or more.")
    if instances * threads > len(cpus):
        raise UsageError(
            f"{instances} instances of {threads} thread(s) do not go round on {len(cpus)} CPU(s).",
            remedy=f"Use {max(1, len(cpus) // max(1, threads))} instance(s), or fewer threads.",
        )
    edges = [len(cpus) * place // instances for place in range(instances + 1)]
    return [replace(placement, cpus=cpus[low:high], instances=1) for low, high in pairwise(edges)]


def task_words(task: Task) -> TaskReference:
    """Return what an instance must know of a task: its name, or a custom one's labels.

    How a custom task lays out its rows and scores its answers stays behind: an instance sees neither.
    """
    return (
        CustomTaskDefinition(task.labels, positional=task.positional).words
        if task.name == CUSTOM
        else task.name
    )
