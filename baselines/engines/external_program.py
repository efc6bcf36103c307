"""A program from outside, in any language: one JSON request a line on stdin, one answer a line on stdout.

    harness  {"id": "3", "task": "rte", "labels": [...], "inputs": [{"first": "...", "second": "..."}]}
    program  {"id": "3", "label": "entailment"}

Where a request has several inputs, the label is the position of the one that is chosen (COPA, ReCoRD), or
a list with a 0 or 1 for each (MultiRC).

It reads text, so it is compared at boundary `text` only. It runs without a shell, in the worker's process
group: it is pinned, stopped and ended with its worker. One that hangs, dies, answers out of order or nonsense
fails its cell, with what it last wrote on stderr.
"""

import json
import os
import select
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from baselines.checkpoints.artifacts import cache_key
from harness.common.errors import MeasurementError, UsageError
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

PATIENCE_S = 60.0
"""How long a program may take for one answer, loading its model before the first one included."""


class ProgramSystem:
    """A running program that answers lines with lines."""

    def __init__(self, command: Sequence[str], task: Task, *, patience_s: float = PATIENCE_S) -> None:
        self._task = task
        self._patience_s = patience_s
        self._name = Path(command[0]).name
        self._asked: dict[str, Example] = {}
        self._lines: dict[str, bytes] = {}
        self._rest = b""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- it lives as long as the program
        self._process = subprocess.Popen(  # noqa: S603 -- the user named it, and no shell reads it
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, bufsize=0
        )

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Write each example as the line that the program will read; the words are its tokens."""
        return [self._request(example) for example in examples]

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Send the requests and read as many answers, in order."""
        writer = threading.Thread(target=self._write, args=([self._lines[r.id] for r in requests],))
        writer.start()  # a program may answer while it still reads: neither pipe may fill up
        try:
            answers = tuple(self._answer(request.id) for request in requests)
        finally:
            if self._process.poll() is not None:
                self._close_input()
        writer.join()
        return Predictions(np.zeros((0, 0), dtype=np.float32), offsets_of(requests), answers=answers)

    def describe(self) -> Mapping[str, Any]:
        """Say that a program answers; what is inside it is its own business."""
        return {"engine": "program from outside", "program": self._name}

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.wait()
        self._close_input()
        for stream in (self._process.stdout, self._errors):
            if stream:
                stream.close()

    def _request(self, example: Example) -> Request:
        line = {
            "id": example.id,
            "task": self._task.name,
            "labels": self._task.labels if self._task.head != "choice" else list(range(len(example.inputs))),
            "inputs": [_written(text) for text in example.inputs],
        }
        self._asked[example.id] = example
        self._lines[example.id] = json.dumps(line).encode() + b"\n"
        words = [np.zeros(len(f"{t.first} {t.second or ''}".split()), dtype=np.int64) for t in example.inputs]
        return Request(example.id, tuple(EncodedSequence(ids=each, segments=each) for each in words))

    def _write(self, lines: Sequence[bytes]) -> None:
        try:
            for line in lines:
                if self._process.stdin:
                    self._process.stdin.write(line)
        except (OSError, ValueError):
            return  # the reader will say what became of the program

    def _answer(self, example_id: str) -> str:
        line = self._line(time.monotonic() + self._patience_s)
        try:
            answer = json.loads(line)
            found, label = str(answer["id"]), answer["label"]
        except (ValueError, KeyError, TypeError):
            raise self._failed(f"it answered {line[:80]!r}, which is no answer") from None
        if found != example_id:
            raise self._failed(f"it answered {found!r} to {example_id!r}: answers keep the order")
        said = _canonical(label)
        if not said or not self._task.valid(said, self._asked[example_id]):
            raise self._failed(f"it answered {label!r}, which is no label of {self._task.name}")
        return said

    def _line(self, deadline: float) -> bytes:
        stdout = self._process.stdout
        assert stdout is not None  # it was opened as a pipe
        while b"\n" not in self._rest:
            ready, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise self._failed(f"it gave no answer within {self._patience_s:g} s")
            read = os.read(stdout.fileno(), 65536)
            if not read:
                raise self._failed(f"it ended with exit code {self._process.wait()}")
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _failed(self, what: str) -> MeasurementError:
        self._process.kill()
        self._process.wait()
        self._errors.seek(0)
        last = self._errors.read().decode("utf-8", "replace").strip().splitlines()[-3:]
        said = f"Its stderr ends: {' | '.join(last)}" if last else "It wrote nothing on stderr."
        return MeasurementError(f"the program failed: {what}.", where="command", remedy=said)

    def _close_input(self) -> None:
        if self._process.stdin and not self._process.stdin.closed:
            try:
                self._process.stdin.close()
            except OSError:
                return


def _written(text: TextInput) -> dict[str, Any]:
    """Return an input as a program reads it; spans are characters of its first or second text."""
    written: dict[str, Any] = {"first": text.first, "second": text.second}
    if text.spans:
        names = ("first", "second")
        written["spans"] = [
            {"text": names[span.text], "start": span.start, "end": span.end} for span in text.spans
        ]
    return written


def _canonical(label: Any) -> str:  # noqa: ANN401 -- a JSON value
    """Return a program's answer as the task writes answers: a word, a position, or one 0 or 1 an input."""
    if isinstance(label, list):
        return "".join(map(_canonical, label))
    return str(label) if isinstance(label, str | int) and not isinstance(label, bool) else ""


@dataclass(frozen=True, slots=True)
class ProgramVariant:
    """The program of `--system-command`."""

    name: str = "command"
    summary: str = "a program of your own (--system-command), one JSON request a line"

    def unavailable(self) -> str | None:
        """Return None: whether the program is there is known when it is named."""
        return None

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Check that the program is there; there is nothing to prepare."""
        del workshop
        program = arguments(settings.command)[0]
        if shutil.which(program) is None:
            raise UsageError(
                f"there is no program {program!r}.",
                where="--system-command",
                remedy="Name an executable file, with its path if it is not on PATH.",
            )
        key = cache_key(self.name, 1, task, [settings.command])
        return Artifact(sources.checkpoint.folder, key, {"recipe": self.name, "version": 1, "seconds": 0.0})

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> ProgramSystem:
        """Start the program."""
        del artifact, placement
        return ProgramSystem(arguments(settings.command), task)


def arguments(command: str) -> list[str]:
    """Split a command as a shell would, without asking one; UsageError if it is empty or has open quotes."""
    try:
        words = shlex.split(command)
    except ValueError as problem:
        raise UsageError(f"cannot be split: {problem}.", where="--system-command") from None
    if not words:
        raise UsageError(
            "the variant `command` needs a program.",
            where="--system-command",
            remedy="For instance --system-command 'python3 mine.py'.",
        )
    return words
