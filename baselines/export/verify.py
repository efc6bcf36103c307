"""Check that the serving script, run on its own, answers as the system that the harness measures."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.common.errors import CheckpointError
from harness.common.json_types import JsonObject
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Logits
from harness.workload.tasks.multi_label import MultiLabelTask

TOLERANCE = 1e-4
"""The largest difference of a logit between script and system; for equal graphs it is about 1e-6."""

TIMEOUT_S = 600.0
"""How long the script may take for all examples of the check."""


def to_request(example: Example) -> JsonObject:
    """Return an example as the script reads it: one sequence, or a list if the task compares several."""
    inputs = []
    for text in example.inputs:
        fields: JsonObject = {"first": text.first}
        if text.second is not None:
            fields["second"] = text.second
        if text.spans:
            fields["spans"] = [[span.start, span.end, span.text] for span in text.spans]
        inputs.append(fields)
    return {"inputs": inputs} if example.candidates else inputs[0]


def run_script(folder: Path, requests: Sequence[Mapping[str, Any]]) -> list[JsonObject]:
    """Return the script's answers from an interpreter that ignores the user's folder and settings."""
    process = _run(folder, "".join(json.dumps(request) + "\n" for request in requests))
    try:
        answers = [json.loads(line) for line in process.stdout.splitlines()]
    except ValueError as problem:
        raise _no_answers(problem) from None
    if len(answers) != len(requests):
        last_lines = " | ".join(process.stderr.strip().splitlines()[-3:])
        raise CheckpointError(
            f"serve.py answered {len(answers)} of {len(requests)} requests.",
            remedy=f"Its stderr ends: {last_lines}" if last_lines else "It wrote nothing on stderr.",
        )
    return answers


def run_check(folder: Path) -> None:
    """Run `serve.py --check`, as README.md shows it; CheckpointError if it finds a difference."""
    process = _run(folder, "", "--check")
    if process.returncode:
        raise CheckpointError(
            f"`serve.py --check` fails: {(process.stdout or process.stderr).strip()[-500:]}",
            remedy="Nothing was written. Export another variant, and please report this one.",
        )


def _run(folder: Path, text: str, *options: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(  # noqa: S603 -- this interpreter and the exported script
            [sys.executable, "-I", "-B", str(folder / "serve.py"), *options],
            input=text,
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            cwd=folder,
            check=False,
        )
    except subprocess.TimeoutExpired as problem:
        raise _no_answers(problem) from None


def _no_answers(problem: Exception) -> CheckpointError:
    return CheckpointError(
        f"serve.py gave no answers ({type(problem).__name__}).",
        remedy="Nothing was written. Export another variant, and please report this one.",
    )


@dataclass(frozen=True, slots=True)
class AnswerComparison:
    """Compares the script's answers to examples of a task with the system's."""

    task: Task

    def difference(self, example: Example, expected: Logits, answer: Mapping[str, Any]) -> float:
        """Return the largest difference between the answer's logits and those that the system gave.

        CheckpointError if it exceeds `TOLERANCE`, or the labels differ.
        """
        if "error" in answer:
            raise _mismatch(example, f"serve.py rejects the request ({answer['error']})")
        logits = self._logits(answer)
        if logits.shape != expected.shape:
            raise _mismatch(example, f"expected logits of shape {expected.shape}, got {logits.shape}")
        largest = float(np.max(np.abs(logits - expected)))
        if not largest <= TOLERANCE:
            raise _mismatch(example, f"logits differ by {largest:.3g}, the bound is {TOLERANCE:g}")
        offsets = np.array([0, len(expected)])
        same_decision = self.task.decide(logits, offsets) == self.task.decide(expected, offsets)
        if not same_decision or not self._is_decision(answer, expected):
            raise _mismatch(example, "the answers differ")
        return largest

    def _logits(self, answer: Mapping[str, Any]) -> Logits:
        scores = answer["scores"]
        if self.task.head == "choice":
            rows = [[scores[str(candidate)]] for candidate in range(len(scores))]
        else:
            sequences = scores if isinstance(scores, list) else [scores]
            rows = [[sequence[label] for label in self.task.labels] for sequence in sequences]
        return np.array(rows, dtype=np.float32)

    def _is_decision(self, answer: Mapping[str, Any], expected: Logits) -> bool:
        """Return whether the script's label follows from the system's logits."""
        if isinstance(self.task, MultiLabelTask):
            (decided,) = self.task.decide(expected, np.array([0, 1]))
            return bool(answer["label"] == self.task.names(decided))
        if self.task.head == "choice":
            return bool(answer["label"] == str(int(np.argmax(expected[:, 0]))))
        labels = answer["label"] if isinstance(answer["label"], list) else [answer["label"]]
        return labels == [self.task.labels[column] for column in np.argmax(expected, axis=1)]


def _mismatch(example: Example, how: str) -> CheckpointError:
    return CheckpointError(
        f"the exported model does not answer as the system does: {how}.",
        where=f"request {example.id}",
        remedy="Nothing was written. Export another variant, and please report this one.",
    )
