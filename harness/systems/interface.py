"""The interface between the harness and the systems that it measures.

    examples --encode--> requests --predict--> predictions

The harness controls order, requests per call, repetition, the stopping rule, pinning and thread limits. A
system controls padding, sorting, packing and instances within the CPUs it was given. This module imports no
tokenizer, framework or file format: what varies is a protocol, and plain data is a frozen dataclass.

A plug-in implements two protocols: `Variant`, which prepares and loads, and `System`, which answers requests.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from harness.common.errors import MeasurementError
from harness.workload.tasks.example import Example, Logits, Offsets

if TYPE_CHECKING:
    from harness.workload.tasks.base import Task

TokenIds = npt.NDArray[np.int64]

LIBRARY_ONLY = "BENCH_TOKENIZER"
"""The environment variable that, with the value `library`, turns faster tokenizers than the library's off."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedSequence:
    """One tokenized input, without padding.

    `ids` and `segments` are integer arrays of shape [tokens]: token ids with special tokens, and segment ids
    (token types). `spans` are the marked parts of the text as pairs of token offsets, end exclusive. `cut` is
    the number of tokens that truncation removed. `losses` is empty where nothing was removed; else it holds,
    for the first text and then for the second, its tokens before truncation and those removed. A plug-in may
    leave it out.
    """

    ids: npt.NDArray[np.integer[Any]]
    segments: npt.NDArray[np.integer[Any]]
    spans: tuple[tuple[int, int], ...] = ()
    cut: int = 0
    losses: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One example, encoded for one system.

    `id` is the example's id. A choice between options has one sequence per option; other tasks have one each.
    """

    id: str
    sequences: tuple[EncodedSequence, ...]

    @property
    def tokens(self) -> int:
        """The number of tokens over all sequences, with special tokens and without padding."""
        return sum(len(sequence.ids) for sequence in self.sequences)


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """The answers of a system to the requests of one call, in their order.

    `logits` is float32 of shape [sequences, labels], with columns in the order of the task's labels.
    `offsets` is int64 of shape [requests + 1]: request i has the rows `offsets[i]` to `offsets[i + 1]`
    (`offsets_of` returns it). A system that returns decisions instead of logits leaves `logits` empty and
    fills `answers` with one answer per request. `costs` may hold arrays of shape [requests] by name: what
    each request cost in layers, tokens or stages.
    """

    logits: Logits
    offsets: Offsets
    answers: tuple[str, ...] | None = None
    costs: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a system runs.

    `device` is `cpu` or `cuda:N`; `cpus` are the logical CPUs that its process is pinned to; `threads` is the
    limit for each of its `instances`. `in_turns` is true if other systems in the same process use these CPUs
    before and after it; its threads must then sleep, not spin, between calls.
    """

    device: str
    cpus: tuple[int, ...]
    threads: int
    instances: int = 1
    in_turns: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that all systems of a comparison share.

    `max_length` is the maximum length of a sequence in tokens, `batch` the number of requests in a call.
    `command` is the command line of an external program, if one is measured.
    """

    max_length: int = 256
    batch: int = 1
    command: str = ""


class System(Protocol):
    """A loaded model with everything around it: encodes examples and answers requests."""

    def encode(self, examples: Sequence[Example]) -> Sequence[Request]:
        """Turn each example into a request, in order.

        The clock includes this call at boundary `text`, and not at boundary `encoded`.
        """

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer the requests of one call; return when the answers are in host memory.

        This is the call that is timed, so it must wait for a device to finish.
        """

    def describe(self) -> Mapping[str, Any]:
        """Return the effective settings as JSON values: threads, precision, kernels.

        They go into the record, so read them back from the engine instead of repeating what was requested.
        """

    def close(self) -> None:
        """Release processes, threads and memory."""


OnAnswer = Callable[[Predictions | Exception], None]
"""Receives the predictions of one call, or the exception that it raised; returns quickly and never waits."""


@runtime_checkable
class AsyncSystem(Protocol):
    """An optional addition to `System`: accepts a call while others are in progress (scenario `server`)."""

    def submit(self, requests: Sequence[Request], done: OnAnswer) -> None:
        """Accept the requests of one call and return; `done` is called later from another thread.

        Calls of `done` never overlap.
        """


@runtime_checkable
class NetworkSystem(Protocol):
    """An optional addition to `System`: its requests cross a network, or loopback, to another process."""

    def refresh(self) -> None:
        """Replace connections that the other side has closed; called before the clock starts."""

    def traffic(self) -> Mapping[str, int | None]:
        """Return what was transferred since the last call: the fields of `harness.records.facts.Traffic`."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A fine-tuned model from which variants are prepared.

    `name` is the user's name for it, without a path; `folder` is a Hugging Face checkpoint on disk; `tier` is
    `embedded`, `local` or `online`; `fingerprint` is the sha256 of weights, configuration and tokenizer.
    `trained` is False for random weights, whose answers mean nothing. `trained_on` is the sha256 of the file
    it was fine-tuned on, or empty if unknown.
    """

    name: str
    folder: Path
    tier: str
    fingerprint: str
    trained: bool = True
    trained_on: str = ""


@dataclass(frozen=True, slots=True)
class PreparationSources:
    """The inputs of preparation: a checkpoint, and examples of the training split.

    `trial` holds a few training examples, for timing candidates. `training` returns the whole training split,
    or nothing if the task has none; `training_sha256` is the hash of its file. Preparation never receives
    examples of the split that is reported; `reported_sha256` is the hash of that file, where it is known, so
    that the two can be compared, and `reported_texts` returns the hashes of its texts
    (`harness.workload.tasks.example.text_hashes`). `resolve` returns another checkpoint by name, such as a
    student.
    """

    checkpoint: Checkpoint
    trial: tuple[Example, ...] = ()
    training: Callable[[], Sequence[Example]] = tuple
    training_sha256: str = ""
    reported_sha256: str = ""
    reported_texts: Callable[[], frozenset[str]] = frozenset
    resolve: Callable[[str], Checkpoint] | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """The result of preparation on disk.

    `folder` holds the files, `key` is the cache key. `manifest` holds the recipe, its parameters, the hashes
    of its parents, the quality where it is known, and the `seconds` that preparation took. `fresh` is true if
    it was prepared just now, and false if it came from the cache.
    """

    folder: Path
    key: str
    manifest: Mapping[str, Any]
    fresh: bool = False


class Cache(Protocol):
    """Stores artifacts under keys; a key is made from the content, the CPU and the library versions."""

    def find(self, key: str) -> Artifact | None:
        """Return the complete artifact under this key, or None."""

    def writing(self, key: str) -> AbstractContextManager[Path]:
        """Yield an empty folder to fill; it appears under the key only if the block ends without an error.

        The block writes `manifest.json` into it, a JSON object that `Artifact.manifest` returns later.
        """

    def working(self, key: str) -> AbstractContextManager[Path]:
        """Yield a folder that survives an interruption, for work that resumes where it stopped.

        One process at a time has it; others wait. It is removed if the block ends without an error.
        """


Progress = Callable[[str], None]
"""Receives a short text: what preparation is doing now."""

MeasureCandidates = Callable[[Mapping[str, System], Sequence[Example]], Mapping[str, float]]
"""Times candidate systems in turn over the examples; returns median seconds per request by name."""


Readings = Sequence[Mapping[str, Any]]
"""Energy readings as JSON objects, one per zone."""

EnergyProbe = Callable[[], Callable[[], Readings]]
"""Starts a window of the meter; calling what it returns ends the window and returns its readings."""


@dataclass(frozen=True, slots=True)
class PreparationContext:
    """The services of the harness that preparation may use.

    `cache` stores the artifact, `progress` receives messages for the user, `measure` times candidates, and
    `placement` is where the prepared system will run. `energy` is None if there is no meter.
    """

    cache: Cache
    progress: Progress
    measure: MeasureCandidates
    placement: Placement
    energy: EnergyProbe | None = None


@runtime_checkable
class ProfiledSystem(Protocol):
    """An optional addition to `System`: where the engine spends its time."""

    def profile(self, requests: Sequence[Request]) -> Mapping[str, float]:
        """Answer the requests with the engine's own profiler on; return seconds by class of operator."""


class Variant(Protocol):
    """A named way to make a system, in two steps: prepare once and cache, then load fast.

    `prepare` runs once for each cache key; `load` runs in every worker process, from what `prepare` left on
    disk. A variant that makes nothing of the checkpoint has an attribute `reads_checkpoint` that is False:
    the checkpoint is then not checked. A variant may have a method `unsupported(task, config)`, which returns
    what it lacks for a checkpoint with this config.json, or None: it is called before anything is prepared.
    """

    @property
    def name(self) -> str:
        """The name in tables and on the command line."""

    @property
    def summary(self) -> str:
        """One line of text for `bench list`."""

    def unavailable(self) -> str | None:
        """Return why this variant cannot run here, with the command that would change it; None if it can."""

    def prepare(
        self, task: "Task", sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Return the artifact from the cache, or make it there.

        Raises a `BenchError` with cause and remedy if it cannot be made from these sources.
        """

    def load(self, task: "Task", artifact: Artifact, placement: Placement, settings: Settings) -> System:
        """Load the artifact and return a system that is ready to answer.

        Imports heavy libraries only here, in the worker that needs them.
        """


def offsets_of(requests: Sequence[Request]) -> Offsets:
    """Return where each request's sequences begin among all sequences: int64 of shape [requests + 1]."""
    counts = [len(request.sequences) for request in requests]
    # every call of every system pays for this: for one request it is several times as fast as numpy's cumsum
    return np.array(list(accumulate(counts, initial=0)), dtype=np.int64)


def sequences_of(requests: Sequence[Request]) -> Iterator[EncodedSequence]:
    """Yield every sequence of every request, in order."""
    for request in requests:
        yield from request.sequences


def require_finite(logits: Logits) -> None:
    """Raise MeasurementError if a logit is NaN or infinite: its row would be answered with any label."""
    finite = np.isfinite(logits)
    if not finite.all():
        rows = int((~finite).any(axis=-1).sum())
        raise MeasurementError(
            f"its logits are not finite numbers (NaN or infinite) for {rows} of {len(logits)} sequences of a "
            "call.",
            remedy="Its answers mean nothing. Half precision and int8 may overflow where float32 does not: "
            "measure pytorch-dynamic, and check the checkpoint's weights if it fails too.",
        )
