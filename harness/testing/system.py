"""Fake systems: they answer from the gold label and take as long on the fake clock as they are told to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.catalog import BASELINE, UNPADDED, Catalog
from harness.common.errors import BenchError
from harness.systems.artifact_cache import ArtifactCache
from harness.systems.interface import (
    Artifact,
    Cache,
    Checkpoint,
    EncodedSequence,
    Placement,
    Predictions,
    PreparationContext,
    PreparationSources,
    Request,
    Settings,
    System,
    offsets_of,
)
from harness.testing.clock import FakeClock
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Logits

FAKE_LADDER: dict[str, Any] = {
    "name": "fake",
    "rungs": [
        {"name": "padded", "engine": BASELINE},
        {"name": "unpadded", "engine": UNPADDED},
        {"name": "small", "engine": "onnx-int8", "instances": "cores", "over": "padded"},
    ],
}
"""A ladder of fakes."""

ENCODE_NS = 100
"""What encoding one example costs on the clock."""


@dataclass(slots=True)
class FakeSystem:
    """Answers rightly but for every `wrong`-th example; each token costs `ns_per_token` on the clock.

    `padded_to` makes every sequence cost that many tokens. `fails` is raised at the first request. With
    `labels_only` it answers as a program from outside does: answers, no logits. With `depths` it says that it
    answered after so many layers: by the number of the request's tokens, in turn.
    """

    task: Task
    clock: FakeClock
    ns_per_token: int
    padded_to: int | None = None
    wrong: int = 0
    fails: BenchError | None = None
    labels_only: bool = False
    depths: tuple[int, ...] = ()
    says: Mapping[str, Any] = field(default_factory=dict)
    closed: bool = False
    _gold: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Give each word a token; that takes `ENCODE_NS` an example."""
        self.clock.advance(ENCODE_NS * len(examples))
        return [self._request(example) for example in examples]

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Let the time pass, and answer."""
        if self.fails:
            raise self.fails
        for request in requests:
            tokens = (self.padded_to or 0) * len(request.sequences) or request.tokens
            self.clock.advance(tokens * self.ns_per_token)
        targets = [target for request in requests for target in self._gold[request.id]]
        logits, offsets = self._logits(targets), offsets_of(requests)
        layers = [self.depths[request.tokens % len(self.depths)] for request in requests if self.depths]
        costs = {"layers": np.array(layers, dtype=np.float64)} if layers else {}
        if self.labels_only:
            decided = tuple(self.task.decide(logits, offsets))
            return Predictions(np.zeros((0, 0), dtype=np.float32), offsets, answers=decided, costs=costs)
        return Predictions(logits, offsets, costs=costs)

    def describe(self) -> Mapping[str, Any]:
        """Say that it is a fake, and what it was told to say."""
        return {"engine": "fake", "threads": 1, **self.says}

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def _logits(self, targets: Sequence[int]) -> Logits:
        if self.task.head == "choice":
            return np.array(targets, dtype=np.float32).reshape(-1, 1)
        return np.eye(len(self.task.labels), dtype=np.float32)[np.array(targets, dtype=np.int64)]

    def _request(self, example: Example) -> Request:
        words = [np.arange(len(f"{text.first} {text.second or ''}".split())) for text in example.inputs]
        right = self.task.targets(example) if example.gold else (0,) * len(words)
        missed = self.wrong and len(self._gold) % self.wrong == self.wrong - 1
        others = 2 if self.task.head == "choice" else len(self.task.labels)
        said = tuple((target + 1) % others for target in right) if missed else right
        self._gold.setdefault(example.id, said)
        return Request(example.id, tuple(EncodedSequence(ids, np.zeros_like(ids)) for ids in words))


@dataclass(frozen=True, slots=True)
class FakeVariant:
    """A variant whose system is a `FakeSystem`; `breaks` names the half that raises `error`."""

    name: str
    clock: FakeClock
    ns_per_token: int
    padded: bool = False
    wrong: int = 0
    breaks: str = ""
    error: BenchError = field(default_factory=lambda: BenchError("the fake was told to break."))
    missing: str | None = None
    labels_only: bool = False
    depths: tuple[int, ...] = ()
    says: Mapping[str, Any] = field(default_factory=dict)
    summary: str = "a fake"

    def unavailable(self) -> str | None:
        """Say what the fake was told to lack."""
        return self.missing

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Leave a manifest in the cache."""
        if self.breaks == "prepare":
            raise self.error
        key = f"{self.name}-{task.name}-{sources.checkpoint.fingerprint[:8]}-{settings.max_length}"
        found = workshop.cache.find(key)
        if found:
            return found
        workshop.progress(f"making {self.name}")
        with workshop.cache.writing(key) as folder:
            (folder / "manifest.json").write_text('{"recipe": "fake"}', encoding="utf-8")
        made = workshop.cache.find(key)
        assert made is not None
        return Artifact(made.folder, made.key, made.manifest, fresh=True)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> System:
        """Return the fake system."""
        del artifact, placement
        if self.breaks == "load":
            raise self.error
        return FakeSystem(
            task=task,
            clock=self.clock,
            ns_per_token=self.ns_per_token,
            padded_to=settings.max_length if self.padded else None,
            wrong=self.wrong,
            fails=self.error if self.breaks == "predict" else None,
            labels_only=self.labels_only,
            depths=self.depths,
            says=self.says,
        )


def fake_catalog(clock: FakeClock, *more: FakeVariant) -> Catalog:
    """Return a catalog of a padded baseline, an unpadded reference and two faster fakes, plus `more`."""
    fakes = (
        FakeVariant(BASELINE, clock, 1000, padded=True, wrong=10),
        FakeVariant(UNPADDED, clock, 1000, wrong=10),
        FakeVariant("onnx-fp32", clock, 500, wrong=10),
        FakeVariant("onnx-int8", clock, 200, wrong=8),
        *more,
    )
    known = {fake.name: fake for fake in fakes}

    def rung(words: Mapping[str, Any]) -> FakeVariant:
        return replace(known[words["engine"]], name=words["name"])

    return Catalog(known, _fake_checkpoint, rung=rung, ladders={FAKE_LADDER["name"]: FAKE_LADDER})


def _fake_checkpoint(model: str, task: Task, cache: Cache) -> Checkpoint:
    del task
    folder = cache.root if isinstance(cache, ArtifactCache) else Path()
    return Checkpoint(model, folder, "embedded", "f" * 64)
