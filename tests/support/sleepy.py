"""A variant for pool tests that answers from token ids alone, and sleeps, fails or dies as configured."""

import dataclasses
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.common.errors import CheckpointError
from harness.systems.interface import (
    Artifact,
    EncodedSequence,
    Placement,
    Predictions,
    Request,
    Settings,
    System,
    offsets_of,
)
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example

LOADER = "sleepy:variant_of"


@dataclass(slots=True)
class SleepySystem:
    """Sleeps `ms_per_token` and answers each sequence with sums of its ids; `config` holds its faults."""

    labels: int
    placement: Placement
    config: Mapping[str, Any]

    encoding = "sleepy"

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Make one token of each word: its number of letters."""
        return [
            Request(
                example.id, tuple(_sequence(f"{text.first} {text.second or ''}") for text in example.inputs)
            )
            for example in examples
        ]

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer one request after another."""
        for request in requests:
            self._simulate_fault(request.id)
            time.sleep(self.config.get("ms_per_token", 0) * request.tokens / 1000)
        rows = [self._row(sequence) for request in requests for sequence in request.sequences]
        logits = np.array(rows, dtype=np.float32).reshape(-1, self.labels)
        costs = {"tokens": np.array([request.tokens for request in requests], dtype=np.float64)}
        if self.config.get("answers"):
            suffix = self.config.get("suffix", "")
            answers = tuple(f"answer to {request.id}{suffix}" for request in requests)
            return Predictions(np.zeros((0, 0), np.float32), offsets_of(requests), answers, costs)
        return Predictions(logits, offsets_of(requests), costs=costs)

    def describe(self) -> Mapping[str, Any]:
        """Return its placement, its CPUs and its thread limits."""
        limits = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
        return {
            **dataclasses.asdict(self.placement),
            "pinned": sorted(os.sched_getaffinity(0)),
            "limits": limits,
        }

    def close(self) -> None:
        """Leave a file that shows that it was closed."""
        if "closed" in self.config:
            Path(self.config["closed"], str(os.getpid())).touch()

    def _row(self, sequence: EncodedSequence) -> list[float]:
        spans = sum(end - start for start, end in sequence.spans)
        return [float((label + 1) * sequence.ids.sum() + spans) for label in range(self.labels)]

    def _simulate_fault(self, request_id: str) -> None:
        """Die over a request (with `once`, a folder, only the first time), sleep, or fail over it."""
        if request_id == self.config.get("fails"):
            raise CheckpointError("it cannot be answered.", where=request_id, remedy="Send another request.")
        if request_id == self.config.get("hangs"):
            time.sleep(3600)
        if request_id in self.config.get("kills", ()) and self._dies_now(request_id):
            print("the last line before SIGKILL", flush=True)  # noqa: T201
            os.kill(os.getpid(), signal.SIGKILL)

    def _dies_now(self, request_id: str) -> bool:
        if "once" not in self.config:
            return True
        try:
            Path(self.config["once"], request_id).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def _sequence(text: str) -> EncodedSequence:
    ids = np.array([len(word) for word in text.split()], dtype=np.int32)
    return EncodedSequence(ids, np.zeros_like(ids), ((0, 1),), cut=1)


@dataclass(frozen=True, slots=True)
class SleepyVariant:
    """Loads the system, or dies or fails while loading."""

    config: Mapping[str, Any]

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> System:
        """Return the system."""
        del artifact, settings
        if self.config.get("load") == "dies" or Path(self.config.get("dies_if", "/nowhere")).exists():
            os._exit(7)
        if self.config.get("load") == "fails":
            raise CheckpointError("it cannot be loaded.", where="sleepy", remedy="Load another.")
        return SleepySystem(len(task.labels), placement, self.config)


def variant_of(config: Mapping[str, Any]) -> SleepyVariant:
    """Return the variant with this configuration."""
    return SleepyVariant(config)
