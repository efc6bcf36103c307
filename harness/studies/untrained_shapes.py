"""Studies of untrained architectures: a ladder, the shape of its model, and the task whose lengths are used.

Speed and energy depend on shape and lengths alone, so that the timing of a paper can be repeated on another
machine without its data and weights. The answers are meaningless, and no result depends on them.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from harness.records.ladder import Ladder
from harness.runs.planning.options import RunOptions
from harness.workload.data.lengths import lengths_data
from harness.workload.tasks import get_task


@dataclass(frozen=True, slots=True)
class Study:
    """A built-in ladder, the untrained model that it starts from, and the task whose lengths are drawn."""

    ladder: str
    model: str
    task: str
    max_length: int


RIVAL_SHAPES = (
    *("12L-768", "6L-384", "4L-312", "4L-312-8h-600"),
    *("modernbert-base", "deberta-v3-base", "mpnet-base", "electra-small", "albert-base"),
)

STUDIES = {
    "paper": Study("paper", "shape:12L-768", "boolq", 512),
    "paper-gpu": Study("paper-gpu", "shape:12L-768", "boolq", 512),
    **{f"rivals-{shape}": Study("rivals", f"shape:{shape}", "boolq", 512) for shape in RIVAL_SHAPES},
}
"""The values of `--shapes`."""


def of_shapes(study: Study, options: RunOptions, ladder: Ladder, cache: Path) -> RunOptions:
    """Return the options with the study's ladder, model and lengths; only timed requests are answered."""
    return replace(
        options,
        task=study.task,
        model=study.model,
        ladder=ladder,
        source=lengths_data(cache, get_task(study.task), seed=options.seed),
        max_length=study.max_length,
        quality="sample",
    )
