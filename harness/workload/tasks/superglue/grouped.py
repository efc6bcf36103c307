"""The common parts of COPA, MultiRC and ReCoRD, which have a sequence for each of several candidates."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from harness.workload.tasks.base import SPLITS, Head, Task, read_examples
from harness.workload.tasks.example import Example, Logits, Offsets


class GroupedTask(Task):
    """A task whose request holds a sequence for each candidate of an example."""

    splits = SPLITS
    positional = False

    @property
    def model_task(self) -> str:
        """Its own name."""
        return self.name

    def read(self, path: Path, *, labelled: bool) -> list[Example]:
        """Read one official file into examples, in file order."""
        return read_examples(self, path, labelled=labelled)


class ChoiceTask(GroupedTask):
    """A task whose answer is the position of the candidate with the highest score."""

    head: Head = "choice"
    labels = ("score",)

    def decide(self, logits: Logits, offsets: Offsets) -> list[str]:
        """Return the position of the highest score of each request; of equals, the first; -1 without any."""
        scores = logits[:, 0]
        return [str(np.argmax(scores[start:end]) if end > start else -1) for start, end in pairwise(offsets)]


def local_id(example: Example) -> str:
    """Return the question's own part of an id `passage/question`."""
    return example.id.rpartition("/")[2]
