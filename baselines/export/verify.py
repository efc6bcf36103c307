"""Whether the serving script, run on its own, answers as the system does that the harness measures."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.common.errors import CheckpointError
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Logits

TOLERANCE = 1e-4
"""Of a logit, the script's against the system's: one graph differs by about 1e-6, two by more."""

PATIENCE_S = 600.0
"""What the script may take for the examples of the check."""


def request_of(example: Example) -> dict[str, Any]:
    """Return an example as the script reads it: its one sequence, or all of a task that compares several."""
    inputs = []
    for text in example.inputs:
        one: dict[str, Any] = {"first": text.first}
        if text.second is not None:
            one["second"] = text.second
        if text.spans:
            one["spans"] = [[span.start, span.end, span.text] for span in text.spans]
        inputs.append(one)
    return {"inputs": inputs} if example.candidates else inputs[0]


def answered(folder: Path, requests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Ask the script, in an interpreter that knows nothing of the user's folder and settings."""
    try:
        done = subprocess.run(  # noqa: S603 -- our own interpreter and script
            [sys.executable, "-I", str(folder / "serve.py")],
            input="".join(json.dumps(request) + "\n" for request in requests),
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE_S,
            cwd=folder,
            check=False,
        )
        answers = [json.loads(line) for line in done.stdout.splitlines()]
    except (subprocess.TimeoutExpired, ValueError) as problem:
        raise CheckpointError(f"serve.py gave no answers ({type(problem).__name__}).") from None
    if len(answers) != len(requests):
        last = " | ".join(done.stderr.strip().splitlines()[-3:])
        raise CheckpointError(
            f"serve.py answered {len(answers)} of {len(requests)} requests.",
            remedy=f"Its last words: {last}" if last else None,
        )
    return answers


@dataclass(frozen=True, slots=True)
class AnswerComparison:
    """Compares the script's answers to a task with the system's."""

    task: Task

    def difference(self, example: Example, ours: Logits, answer: Mapping[str, Any]) -> float:
        """Return the largest difference of a logit; CheckpointError if it is too large, or answers differ."""
        if "error" in answer:
            raise _unlike(example, f"serve.py refuses it ({answer['error']})")
        theirs = self._logits(answer)
        if theirs.shape != ours.shape:
            raise _unlike(example, f"serve.py has {theirs.shape} logits, the system {ours.shape}")
        worst = float(np.max(np.abs(theirs - ours)))
        if not worst <= TOLERANCE:
            raise _unlike(example, f"logits differ by {worst:.3g}, {TOLERANCE:g} is allowed")
        offsets = np.array([0, len(ours)])
        decided = [self.task.decide(logits, offsets) for logits in (theirs, ours)]
        if decided[0] != decided[1] or not self._told(answer, ours):
            raise _unlike(example, "the answers differ")
        return worst

    def _logits(self, answer: Mapping[str, Any]) -> Logits:
        scores = answer["scores"]
        if self.task.head == "choice":
            rows = [[scores[str(place)]] for place in range(len(scores))]
        else:
            listed = scores if isinstance(scores, list) else [scores]
            rows = [[one[label] for label in self.task.labels] for one in listed]
        return np.array(rows, dtype=np.float32)

    def _told(self, answer: Mapping[str, Any], ours: Logits) -> bool:
        """Say whether the label that the script tells is the one with the system's highest logit."""
        if self.task.head == "choice":
            return bool(answer["label"] == str(int(np.argmax(ours[:, 0]))))
        said = answer["label"] if isinstance(answer["label"], list) else [answer["label"]]
        return said == [self.task.labels[column] for column in np.argmax(ours, axis=1)]


def _unlike(example: Example, how: str) -> CheckpointError:
    return CheckpointError(
        f"the exported model does not answer as the system does: {how}.",
        where=f"request {example.id}",
        remedy="Nothing was written. Export another variant, and report this one, please.",
    )
