"""The one seam between the harness and models.

    examples --encode--> requests --predict--> predictions

The harness owns order, how many requests a call gets, repetition, the stop rule, pinning and thread limits.
A system owns padding, sorting, packing and instances within the cores it was given. Nothing here knows a
tokenizer, a framework or a file format; what varies is a protocol, what is known is a frozen dataclass.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from harness.workload.tasks.example import Example, Logits, Offsets

if TYPE_CHECKING:
    from harness.workload.tasks.base import Task

TokenIds = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedSequence:
    """Unpadded token ids and segment ids, integers of shape [tokens]; spans are token offsets, end exclusive.

    `cut` is the number of tokens that truncation removed.
    """

    ids: npt.NDArray[np.integer[Any]]
    segments: npt.NDArray[np.integer[Any]]
    spans: tuple[tuple[int, int], ...] = ()
    cut: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One example, encoded for one system."""

    id: str
    sequences: tuple[EncodedSequence, ...]

    @property
    def tokens(self) -> int:
        """Tokens over all sequences, special tokens included, padding excluded."""
        return sum(len(sequence.ids) for sequence in self.sequences)


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a system answered to the requests of one call, in their order.

    `logits` is float32 of shape [sequences, labels], its columns in the order of the task's labels;
    the sequences of request i are rows `offsets[i]` to `offsets[i + 1]`. A program that decides for itself
    leaves `logits` empty and fills `answers`. `costs` may say what each request cost (layers, tokens, stage).
    """

    logits: Logits
    offsets: Offsets
    answers: tuple[str, ...] | None = None
    costs: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a system runs: the device, the CPUs it is pinned to, threads per instance, and instances.

    `in_turns`: others of the same process work on these CPUs before and after, so its threads are to rest
    between calls.
    """

    device: str
    cpus: tuple[int, ...]
    threads: int
    instances: int = 1
    in_turns: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What a system is asked to do the same way as its rivals: the maximum length and the batch size.

    `command` is the program from outside, where one is measured.
    """

    max_length: int = 256
    batch: int = 1
    command: str = ""


class System(Protocol):
    """Anything that answers requests."""

    def encode(self, examples: Sequence[Example]) -> Sequence[Request]:
        """Turn text into requests; outside the clock at boundary `encoded`, inside it at `text`."""

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer the requests; return when the answers are on the host."""

    def describe(self) -> Mapping[str, Any]:
        """Effective settings read back from the engine (threads, precision, kernels), for the record."""

    def close(self) -> None:
        """Release what the system holds."""


OnAnswer = Callable[[Predictions | Exception], None]
"""Told the predictions, or the error there was instead. It is short, and waits for no other answer."""


@runtime_checkable
class AsyncSystem(Protocol):
    """What a system may offer beside `predict`: answers that nobody waits for, as scenario `server` asks."""

    def submit(self, requests: Sequence[Request], done: OnAnswer) -> None:
        """Take one call's requests and return; `done` is called in another thread, one at a time."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A fine-tuned model that variants are made from.

    `folder` is a Hugging Face checkpoint; `name` is how the user called it, without its path;
    `tier` is embedded, local or online; `fingerprint` is the sha256 of weights and configuration.
    `trained` is False for architecture studies, whose answers mean nothing; `trained_on` is the sha256 of
    the file it was fine-tuned on, where that is known.
    """

    name: str
    folder: Path
    tier: str
    fingerprint: str
    trained: bool = True
    trained_on: str = ""


@dataclass(frozen=True, slots=True)
class PreparationSources:
    """What a variant may be prepared from: the checkpoint, and examples of the training split.

    `trial` holds a few of them for timing candidates; `training` reads the whole split, which is empty where
    there is none; `training_sha256` is of its file. Nothing here is ever of what is reported, whose file has
    `reported_sha256` where that is known, so that the two can be held apart. `resolve` finds another
    checkpoint by name, such as a student.
    """

    checkpoint: Checkpoint
    trial: tuple[Example, ...] = ()
    training: Callable[[], Sequence[Example]] = tuple
    training_sha256: str = ""
    reported_sha256: str = ""
    resolve: Callable[[str], Checkpoint] | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """What preparation left on disk: its folder, its cache key, and its manifest.

    The manifest says recipe, parameters, parents by hash, quality where known, and the preparation's
    `seconds`.
    """

    folder: Path
    key: str
    manifest: Mapping[str, Any]
    fresh: bool = False


class Cache(Protocol):
    """Where artifacts lie, keyed by content, CPU and library versions."""

    def find(self, key: str) -> Artifact | None:
        """Return the complete artifact under this key, or None."""

    def writing(self, key: str) -> AbstractContextManager[Path]:
        """Give an empty folder to fill; it appears under the key only if the block ends without error.

        The block writes `manifest.json` into it, a JSON object: what `Artifact.manifest` returns later.
        """

    def working(self, key: str) -> AbstractContextManager[Path]:
        """Give a folder that outlives an interruption, for work that goes on where it was.

        One process has it at a time, others wait. It is removed only if the block ends without error.
        """


Progress = Callable[[str], None]
"""Told, in a few words, what preparation does now."""

MeasureCandidates = Callable[[Mapping[str, System], Sequence[Example]], Mapping[str, float]]
"""Times candidate systems, interleaved, over the examples: median seconds per request by name."""


Readings = Sequence[Mapping[str, Any]]
"""Energy readings as JSON values, one a zone."""

EnergyProbe = Callable[[], Callable[[], Readings]]
"""Called where work begins; what it returns is called where work ends, and reads the energy in between."""


@dataclass(frozen=True, slots=True)
class PreparationContext:
    """What preparation is given by the harness: the cache, someone to tell, a way to time, a placement.

    `energy` is None where there is no meter.
    """

    cache: Cache
    progress: Progress
    measure: MeasureCandidates
    placement: Placement
    energy: EnergyProbe | None = None


@runtime_checkable
class ProfiledSystem(Protocol):
    """What a system may offer beside `predict`: where the engine itself says that its time goes."""

    def profile(self, requests: Sequence[Request]) -> Mapping[str, float]:
        """Answer the requests with the engine's own profiler on; return seconds by class of operator."""


class Variant(Protocol):
    """A named way to a system, in two halves: prepare once and cache, load fast."""

    @property
    def name(self) -> str:
        """The name in the table."""

    @property
    def summary(self) -> str:
        """One line for `bench list`."""

    def unavailable(self) -> str | None:
        """Say why this variant cannot run here, with the line that would change it; None if it can."""

    def prepare(
        self, task: "Task", sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Make the artifact, or find it in the cache."""

    def load(self, task: "Task", artifact: Artifact, placement: Placement, settings: Settings) -> System:
        """Load the artifact into a system that is ready to answer."""


def offsets_of(requests: Sequence[Request]) -> Offsets:
    """Return int64 [requests + 1]: where each request's sequences begin among all sequences."""
    counts = [len(request.sequences) for request in requests]
    # for one request this is several times as fast as numpy's cumsum, and every call of every system pays it
    return np.array(list(accumulate(counts, initial=0)), dtype=np.int64)


def sequences_of(requests: Sequence[Request]) -> Iterator[EncodedSequence]:
    """Yield every sequence of every request, in order."""
    for request in requests:
        yield from request.sequences
