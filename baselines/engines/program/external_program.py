"""Adapter for the user's own program, in any language: JSON requests on stdin, answers on stdout, by line.

    harness  {"id": "3", "task": "rte", "labels": [...], "inputs": [{"first": "...", "second": "..."}]}
    program  {"id": "3", "label": "entailment"}

`scores`, one number for each label, may be added; they must be finite.

Where a request has several inputs, the label is the position of the chosen one (COPA, ReCoRD), or a list with
a 0 or 1 for each (MultiRC).

The program reads text, so it is compared at boundary `text` only. It is started without a shell in the
worker's process group: it is pinned, stopped and ended with its worker. If it hangs, ends, or writes answers
that are invalid or out of order, its cell fails with an error that quotes the end of its stderr.
"""

import json
import math
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from baselines.checkpoints.artifacts import cache_key
from baselines.engines.program.pipe import ProgramPipe
from harness.common.errors import UsageError
from harness.common.json_types import JsonObject, JsonValue
from harness.systems.interface import (
    Artifact,
    EncodedSequence,
    Placement,
    Predictions,
    PreparationContext,
    PreparationSources,
    Request,
    Settings,
    offsets_of,
)
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, TextInput

TIMEOUT_S = 60.0
"""How long a program may take for one answer; before the first it may load its model in that time."""


class ProgramSystem:
    """A running program that answers each line with a line."""

    def __init__(self, command: Sequence[str], task: Task, *, timeout_s: float = TIMEOUT_S) -> None:
        self._task = task
        self._name = Path(command[0]).name
        self._examples: dict[str, Example] = {}
        self._lines: dict[str, bytes] = {}
        self._pipe = ProgramPipe(command, timeout_s)

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Write each example as the line that the program will read; the words count as its tokens."""
        return [self._request(example) for example in examples]

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Send the requests and read as many answers, in order."""
        answers = tuple(self._answers([request.id for request in requests]))
        return Predictions(np.zeros((0, 0), dtype=np.float32), offsets_of(requests), answers=answers)

    def describe(self) -> Mapping[str, Any]:
        """Return the program's name; the harness has no other information about it."""
        return {"engine": "program from outside", "program": self._name}

    def close(self) -> None:
        """End the program and all that it started."""
        self._pipe.close()

    def _request(self, example: Example) -> Request:
        fields = {
            "id": example.id,
            "task": self._task.name,
            "labels": self._task.labels if self._task.head != "choice" else list(range(len(example.inputs))),
            "inputs": [_to_json(text) for text in example.inputs],
        }
        self._examples[example.id] = example
        self._lines[example.id] = json.dumps(fields).encode() + b"\n"
        counts = [len(f"{text.first} {text.second or ''}".split()) for text in example.inputs]
        ids = [np.zeros(count, dtype=np.int64) for count in counts]
        return Request(example.id, tuple(EncodedSequence(ids=zeros, segments=zeros) for zeros in ids))

    def _answers(self, ids: Sequence[str]) -> Iterator[str]:
        lines = self._pipe.exchange([self._lines[example_id] for example_id in ids])
        for example_id, line in zip(ids, lines, strict=True):
            yield self._answer(example_id, line)

    def _answer(self, example_id: str, line: bytes) -> str:
        try:
            fields = json.loads(line)
            answered_id, label = str(fields["id"]), fields["label"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self._pipe.failure(
                f'expected {{"id": ..., "label": ...}} on a line, got {line[:80]!r}'
            ) from None
        if answered_id != example_id:
            raise self._pipe.failure(
                f"expected the answer to request {example_id!r}, got {answered_id[:80]!r}: "
                "answers must be in the order of the requests"
            )
        if not _finite(fields.get("scores")):
            raise self._pipe.failure(
                f"its scores for {example_id!r} are not finite numbers (NaN or infinite)"
            )
        answer = _canonical(label)
        if not answer or not self._task.valid(answer, self._examples[example_id]):
            raise self._pipe.failure(
                f"it answered {str(label)[:80]!r}, which is not a label of {self._task.name}"
            )
        return answer


def _to_json(text: TextInput) -> JsonObject:
    """Return an input as the program reads it; a span counts characters of the first or second text."""
    fields: JsonObject = {"first": text.first, "second": text.second}
    if text.spans:
        names = ("first", "second")
        fields["spans"] = [
            {"text": names[span.text], "start": span.start, "end": span.end} for span in text.spans
        ]
    return fields


def _finite(scores: JsonValue) -> bool:
    """Return whether scores, in lists or by label where a program has them, are finite numbers."""
    if isinstance(scores, Mapping):
        return all(map(_finite, scores.values()))
    if isinstance(scores, list):
        return all(map(_finite, scores))
    return not isinstance(scores, float) or math.isfinite(scores)


def _canonical(label: JsonValue) -> str:
    """Return a program's label as the task writes answers: a name, a position, or a 0 or 1 for each input.

    Empty if the label has another type.
    """
    if isinstance(label, list):
        return "".join(map(_scalar, label))
    return _scalar(label)


def _scalar(label: JsonValue) -> str:
    return str(label) if isinstance(label, str | int) and not isinstance(label, bool) else ""


@dataclass(frozen=True, slots=True)
class ProgramVariant:
    """The program of `--system-command`."""

    name: str = "command"
    summary: str = "a program of your own (--system-command), one JSON request a line"
    reads_checkpoint: ClassVar[bool] = False

    def unavailable(self) -> str | None:
        """Return None: whether the program exists is checked when it is named."""
        return None

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Check that the program exists; there is nothing else to prepare."""
        del context
        program = split_command(settings.command)[0]
        if shutil.which(program) is None:
            raise UsageError(
                f"there is no program {program!r}.",
                where="--system-command",
                remedy="Give an executable file, with its path if it is not on PATH.",
            )
        key = cache_key(self.name, 1, task, [settings.command])
        return Artifact(sources.checkpoint.folder, key, {"recipe": self.name, "version": 1, "seconds": 0.0})

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> ProgramSystem:
        """Start the program."""
        del artifact, placement
        return ProgramSystem(split_command(settings.command), task)


def split_command(command: str) -> list[str]:
    """Split a command into arguments as a shell does; UsageError if it is empty or a quote is not closed."""
    try:
        arguments = shlex.split(command)
    except ValueError as problem:
        raise UsageError(
            f"the command cannot be split into arguments: {problem}.",
            where="--system-command",
            remedy="Close every quotation mark, and put a backslash before one that is part of a name.",
        ) from None
    if not arguments:
        raise UsageError(
            "the variant `command` needs a program.",
            where="--system-command",
            remedy="For instance --system-command 'python3 mine.py'.",
        )
    return arguments
