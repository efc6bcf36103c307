"""Fake systems: they answer with the gold label, and take a set time on the fake clock."""

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
"""A ladder of fake variants."""

ENCODE_NS = 100
"""Nanoseconds on the clock that encoding one example takes."""


@dataclass(slots=True)
class FakeSystem:
    """Answers correctly except for every `wrong`-th example; each token takes `ns_per_token` on the clock.

    `padded_to` makes every sequence take the time of that many tokens. `fails` is raised at the first
    request. With `labels_only` it returns answers without logits, as an external program does. `depths` are
    the numbers of layers that it reports as costs, chosen by the number of a request's tokens. `says` is
    added to `describe`.
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
    _targets: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Encode each word as one token; takes `ENCODE_NS` per example."""
        self.clock.advance(ENCODE_NS * len(examples))
        return [self._request(example) for example in examples]

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Advance the clock, then answer."""
        if self.fails:
            raise self.fails
        for request in requests:
            tokens = (self.padded_to or 0) * len(request.sequences) or request.tokens
            self.clock.advance(tokens * self.ns_per_token)
        targets = [target for request in requests for target in self._targets[request.id]]
        logits, offsets = self._logits(targets), offsets_of(requests)
        layers = [self.depths[request.tokens % len(self.depths)] for request in requests if self.depths]
        costs = {"layers": np.array(layers, dtype=np.float64)} if layers else {}
        if self.labels_only:
            answers = tuple(self.task.decide(logits, offsets))
            return Predictions(np.zeros((0, 0), dtype=np.float32), offsets, answers=answers, costs=costs)
        return Predictions(logits, offsets, costs=costs)

    def describe(self) -> Mapping[str, Any]:
        """Return the engine `fake`, one thread, and the facts in `says`."""
        return {"engine": "fake", "threads": 1, **self.says}

    def close(self) -> None:
        """Set `closed`."""
        self.closed = True

    def _logits(self, targets: Sequence[int]) -> Logits:
        if self.task.head == "choice":
            return np.array(targets, dtype=np.float32).reshape(-1, 1)
        if self.task.head == "multi_label":
            return np.array(targets, dtype=np.float32).reshape(-1, len(self.task.labels)) * 8 - 4
        return np.eye(len(self.task.labels), dtype=np.float32)[np.array(targets, dtype=np.int64)]

    def _request(self, example: Example) -> Request:
        token_ids = [np.arange(len(f"{text.first} {text.second or ''}".split())) for text in example.inputs]
        unlabelled = len(self.task.labels) if self.task.head == "multi_label" else len(token_ids)
        gold = self.task.targets(example) if example.gold else (0,) * unlabelled
        wrong = self.wrong and len(self._targets) % self.wrong == self.wrong - 1
        labels = 2 if self.task.head in ("choice", "multi_label") else len(self.task.labels)
        targets = tuple((target + 1) % labels for target in gold) if wrong else gold
        self._targets.setdefault(example.id, targets)
        return Request(example.id, tuple(EncodedSequence(ids, np.zeros_like(ids)) for ids in token_ids))


@dataclass(frozen=True, slots=True)
class FakeVariant:
    """A variant whose system is a `FakeSystem`.

    `error` is raised by the method that `breaks` names: `prepare`, `load`, or `predict` of its system.
    `missing` is the reason why it is unavailable. The other fields are those of `FakeSystem`; with `padded`,
    sequences are padded to the maximum length.
    """

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
        """Return `missing`."""
        return self.missing

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Write a manifest into the cache, or find it there."""
        if self.breaks == "prepare":
            raise self.error
        key = f"{self.name}-{task.name}-{sources.checkpoint.fingerprint[:8]}-{settings.max_length}"
        cached = context.cache.find(key)
        if cached:
            return cached
        context.progress(f"making {self.name}")
        with context.cache.writing(key) as folder:
            (folder / "manifest.json").write_text('{"recipe": "fake"}', encoding="utf-8")
        artifact = context.cache.find(key)
        assert artifact is not None
        return replace(artifact, fresh=True)

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
    variants = {fake.name: fake for fake in fakes}

    def rung(config: Mapping[str, Any]) -> FakeVariant:
        return replace(variants[config["engine"]], name=config["name"])

    return Catalog(variants, _fake_checkpoint, rung=rung, ladders={FAKE_LADDER["name"]: FAKE_LADDER})


def _fake_checkpoint(model: str, task: Task, cache: Cache) -> Checkpoint:
    del task
    folder = cache.root if isinstance(cache, ArtifactCache) else Path()
    return Checkpoint(model, folder, "embedded", "f" * 64)
