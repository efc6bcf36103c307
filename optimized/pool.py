"""Many instances behind one system: a process per physical core, each with its own copy, answers in order.

    requests --chunks--> instances (optimized/instance.py) --answers--> the order asked

Threads do not fill many cores with one small encoder and one short text: instances that share nothing do.
Whoever waits for an answer does the pool's work (optimized/foreman.py), asleep until an instance speaks: the
caller of `predict`, which saves a change of threads, or one thread of the pool's once `submit` was used. An
instance that dies is replaced and what it had not answered is answered again.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

from harness.errors import BenchError, MeasurementError, UsageError
from harness.system import Artifact, Done, Example, Placement, Predictions, Request, Settings
from harness.tasks import TaskWords
from harness.tasks.base import Task
from harness.tasks.custom import CUSTOM, Definition
from optimized.foreman import Foreman
from optimized.handle import Inner
from optimized.schedule import Job

LOADER = "optimized.ladder:variant_of"
"""Makes a variant of a rung's words."""

PATIENCE_S = 600.0
"""How long an instance may load, or be at work on one chunk, without a word."""


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
        self._batch = settings.batch
        self._placements = share(placement)
        inner = Inner(loader, words, task_words(task), artifact, settings)
        self._foreman = Foreman(inner, self._placements, patience_s, clock)
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
        requests: list[Request] = self._answer("encode", examples, weights)
        return requests

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer the requests: one on one idle instance, many spread over all by their tokens."""
        predictions: Predictions = self._answer("predict", requests, [one.tokens for one in requests])
        return predictions

    def submit(self, requests: Sequence[Request], done: Done) -> None:
        """Answer the requests and tell `done`, in the pool's thread, calls in the order they are answered."""
        self._start_thread()
        self._foreman.ask(Job("predict", requests, done), [one.tokens for one in requests], self._batch)

    def describe(self) -> Mapping[str, Any]:
        """Return what the first instance says of itself, and where the instances run."""
        return {
            **self._facts["describe"],
            "instances": len(self._placements),
            "instance_cpus": [list(placement.cpus) for placement in self._placements],
            "threads_per_instance": self._placements[0].threads,
            "instances_replaced": self._foreman.replaced,
            "transport": "socket pairs",
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

    def _answer(self, do: Literal["encode", "predict"], asked: Sequence[Any], weights: Sequence[int]) -> Any:  # noqa: ANN401
        """Ask, wait for the answer, and raise it if it is an error."""
        self._not_in_thread()
        answers: list[Any] = []
        answered = threading.Event()

        def done(answer: Any) -> None:  # noqa: ANN401 -- requests or predictions
            answers.append(answer)
            answered.set()

        job = Job(do, asked, done)
        try:
            with self._waiting:
                self._foreman.ask(job, weights, self._batch)
                while not answers and not self._thread:
                    self._foreman.turn()
            answered.wait()
        finally:
            job.over = True  # also where the caller was interrupted: nobody waits any more
        if isinstance(answers[0], BenchError):
            raise answers[0]
        return answers[0]

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


def task_words(task: Task) -> TaskWords:
    """Return what an instance must know of a task: its name, or a custom one's labels.

    How a custom task lays out its rows and scores its answers stays behind: an instance sees neither.
    """
    return Definition(task.labels, positional=task.positional).words if task.name == CUSTOM else task.name
