"""Studies of architectures without training: which ladder, from which shape, at whose lengths.

Speed and energy follow from shape and lengths alone, so this is how a paper's timing is asked for again on
another machine, without its data and its weights. Answers mean nothing, and nothing that depends on them is
claimed.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from harness.records.ladder import Ladder
from harness.runs.planning.options import RunOptions
from harness.workload.data.lengths import lengths_data
from harness.workload.tasks import get_task


@dataclass(frozen=True, slots=True)
class Study:
    """A ladder that ships, the untrained model it starts from, and the task whose lengths are drawn."""

    ladder: str
    model: str
    task: str
    max_length: int


RIVAL_SHAPES = ("12L-768", "6L-384", "4L-312", "4L-312-8h-600")

STUDIES = {
    "paper": Study("paper", "shape:12L-768", "boolq", 512),
    "paper-gpu": Study("paper-gpu", "shape:12L-768", "boolq", 512),
    **{f"rivals-{shape}": Study("rivals", f"shape:{shape}", "boolq", 512) for shape in RIVAL_SHAPES},
}
"""What `--shapes` takes."""


def of_shapes(study: Study, wanted: RunOptions, ladder: Ladder, cache: Path) -> RunOptions:
    """Return the options with the study's ladder, model, lengths; only what is timed is answered."""
    return replace(
        wanted,
        task=study.task,
        model=study.model,
        ladder=ladder,
        source=lengths_data(cache, get_task(study.task), seed=wanted.seed),
        max_length=study.max_length,
        quality="sample",
    )
