"""What the tasks with several candidates share: COPA, MultiRC and ReCoRD score one sequence per candidate."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from harness.workload.tasks.base import SPLITS, Task, read_examples
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


def best_candidates(logits: Logits, offsets: Offsets) -> list[int]:
    """Return for each request the position of its sequence with the highest score; of equals, the first.

    `logits` is [sequences, 1]. The position of a request without sequences is -1.
    """
    scores = logits[:, 0]
    return [int(np.argmax(scores[start:end])) if end > start else -1 for start, end in pairwise(offsets)]


def local_id(example: Example) -> str:
    """Return the question's own part of an id `passage/question`."""
    return example.id.rpartition("/")[2]
