"""A variant that answers from token ids alone, as slowly and badly as it is told; loaded by its name."""

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
    """Sleeps `ms_per_token` and answers each sequence with sums of its ids; `words` say what goes wrong."""

    labels: int
    placement: Placement
    words: Mapping[str, Any]

    encoding = "sleepy"

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Make a token of each word: its number of letters."""
        return [
            Request(example.id, tuple(_sequence(f"{one.first} {one.second or ''}") for one in example.inputs))
            for example in examples
        ]

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer one request after another."""
        for request in requests:
            self._misbehave(request.id)
            time.sleep(self.words.get("ms_per_token", 0) * request.tokens / 1000)
        rows = [one for request in requests for one in map(self._row, request.sequences)]
        logits = np.array(rows, dtype=np.float32).reshape(-1, self.labels)
        costs = {"tokens": np.array([request.tokens for request in requests], dtype=np.float64)}
        if self.words.get("answers"):
            more = self.words.get("says", "")
            said = tuple(f"answer to {request.id}{more}" for request in requests)
            return Predictions(np.zeros((0, 0), np.float32), offsets_of(requests), said, costs)
        return Predictions(logits, offsets_of(requests), costs=costs)

    def describe(self) -> Mapping[str, Any]:
        """Say where it runs, and in which process."""
        limits = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
        return {
            **dataclasses.asdict(self.placement),
            "pinned": sorted(os.sched_getaffinity(0)),
            "limits": limits,
        }

    def close(self) -> None:
        """Leave a word that it was closed."""
        if "closed" in self.words:
            Path(self.words["closed"], str(os.getpid())).touch()

    def _row(self, sequence: EncodedSequence) -> list[float]:
        spans = sum(end - start for start, end in sequence.spans)
        return [float((label + 1) * sequence.ids.sum() + spans) for label in range(self.labels)]

    def _misbehave(self, request_id: str) -> None:
        """Die `once` (a folder remembers), die or sleep `always`, or fail over the request that is named."""
        if request_id == self.words.get("fails"):
            raise CheckpointError("it cannot be answered.", where=request_id, remedy="Ask another.")
        if request_id == self.words.get("hangs"):
            time.sleep(3600)
        if request_id in self.words.get("kills", ()) and self._still_to_die(request_id):
            print("these are my last words", flush=True)  # noqa: T201
            os.kill(os.getpid(), signal.SIGKILL)

    def _still_to_die(self, request_id: str) -> bool:
        if "once" not in self.words:
            return True
        try:
            Path(self.words["once"], request_id).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def _sequence(text: str) -> EncodedSequence:
    ids = np.array([len(word) for word in text.split()], dtype=np.int32)
    return EncodedSequence(ids, np.zeros_like(ids), ((0, 1),), cut=1)


@dataclass(frozen=True, slots=True)
class SleepyVariant:
    """Loads the system, or dies or fails in trying."""

    words: Mapping[str, Any]

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> System:
        """Return the system."""
        del artifact, settings
        if self.words.get("load") == "dies" or Path(self.words.get("broken", "/nowhere")).exists():
            os._exit(7)
        if self.words.get("load") == "fails":
            raise CheckpointError("it cannot be loaded.", where="sleepy", remedy="Load another.")
        return SleepySystem(len(task.labels), placement, self.words)


def variant_of(words: Mapping[str, Any]) -> SleepyVariant:
    """Return the variant of these words."""
    return SleepyVariant(words)
