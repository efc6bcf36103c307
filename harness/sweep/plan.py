"""The plan of a run: everything that is decided before the first clock starts, written down first.

A run resumes from its plan and its journal alone, so the plan holds every input by value or fingerprint; the
folders it names stay on this machine and never reach a record.
"""

import hashlib
import json
from typing import Any, Literal

from harness.record import Facts
from harness.study.ladder import Ladder
from harness.tasks import TaskWords, task_of
from harness.tasks.base import Task
from harness.tasks.custom import Definition


class Profile(Facts):
    """How much is measured: rounds, distinct timed requests, unrecorded requests before each window.

    `slice_at_least` keeps a slice from becoming too small to stand for the sample.
    """

    name: str
    rounds: int
    sample: int
    warmup: int
    slice_at_least: int = 32


PROFILES = {
    # 96 requests: the smallest multiple of three slices of 32 that carries a p90 (64 are needed)
    "quick": Profile(name="quick", rounds=3, sample=96, warmup=4),
    # 704 = 11 x 64 requests carry a p99 (662 are needed); the method asks for at least 7 rounds
    "default": Profile(name="default", rounds=11, sample=704, warmup=4),
}


class DataPlan(Facts):
    """The split that is measured; `folder` is where it lies on this machine."""

    tier: Literal["embedded", "local", "online"]
    folder: str
    split: str
    fingerprint: str


class ModelPlan(Facts):
    """The checkpoint that variants are made from."""

    name: str
    tier: Literal["embedded", "local", "online"]
    folder: str
    fingerprint: str
    trained: bool
    trained_on: str = ""


class Plan(Facts):
    """One run: task, data, model, variants and settings, profile and seed."""

    version: Literal[2] = 2
    run: str
    created: str
    task: str
    custom: Definition | None = None
    """What makes the task, where it is the user's own."""
    data: DataPlan
    model: ModelPlan
    variants: tuple[str, ...]
    scenarios: tuple[str, ...]
    boundary: Literal["encoded", "text", "process"] = "encoded"
    ladder: Ladder | None = None
    """The ladder whose rungs are the variants."""
    command: str = ""
    """The program from outside; it stays on this machine, and its sha256 makes the cell."""
    device: str
    cpus: tuple[int, ...]
    threads: int
    max_length: int
    profile: Profile
    seed: int
    quality: Literal["full", "sample"]
    meter: dict[str, Any] | None
    host_fingerprint: str
    configuration: dict[str, Any]

    @property
    def task_words(self) -> TaskWords:
        """The task as it crosses to a worker."""
        return self.task if self.custom is None else self.custom.words

    @property
    def definition_sha256(self) -> str:
        """What tells two custom tasks over the same rows apart; empty for all others."""
        if self.custom is None:
            return ""
        return hashlib.sha256(json.dumps(self.custom.words, sort_keys=True).encode()).hexdigest()

    def rung_words(self, variant: str) -> dict[str, Any] | None:
        """Return what makes a rung's variant; None for the variants of the catalog."""
        return self.ladder.rung(variant).words() if self.ladder else None

    def instances(self, variant: str) -> int:
        """Return how many processes answer for a variant."""
        return self.ladder.rung(variant).count(len(self.cpus)) if self.ladder else 1

    @property
    def asked(self) -> Task:
        """The task."""
        return task_of(self.task_words)
