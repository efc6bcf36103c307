"""Reading an official prediction file, strictly: what passes here is what the benchmark's server is given.

Also how the answers of a program from outside come in (`harness.runs.worker.process_boundary`); nothing is
guessed or mended.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.common.errors import DataError
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from harness.workload.tasks.rows import Row, read_rows

REMEDY = "The form of each task's rows stands in docs/programs.md; `bench predict` writes such a file."


def read_predictions(task: Task, path: Path, examples: Sequence[Example]) -> list[str]:
    """Return the answer to each example, in their order, as the task writes answers.

    DataError names the line, or the idx, of what is not an official prediction file that answers each example
    once, and nothing else.
    """
    where = str(path)

    def handed() -> Iterator[Row]:
        nonlocal where
        for line, row in read_rows(path):
            where = f"{path}:{line}"
            yield row

    found: dict[str, str] = {}
    try:
        for name, answer in task.answers_in(handed(), examples):
            if name in found:
                raise ValueError(f"{_idx(name)} is answered twice")  # noqa: TRY301 -- like the rows' own errors
            found[name] = answer
    except ValueError as problem:
        raise DataError(f"{problem}.", where=where, remedy=REMEDY) from None
    except DataError as problem:
        raise DataError(problem.message, where=problem.where, remedy=REMEDY) from None
    return [found[name] for name in _names(path, examples, found)]


def _names(path: Path, examples: Sequence[Example], found: dict[str, str]) -> list[str]:
    names = [example.id for example in examples]
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(
            f"{len(missing):,} of {len(names):,} examples have no answer, first {_idx(missing[0])}.",
            where=str(path),
            remedy=REMEDY,
        )
    if len(set(names)) < len(names):
        raise DataError("the split itself has an idx twice, so no prediction file can answer it.")
    return names


def _idx(name: str) -> str:
    """Return an example's id as its reader knows it: passage and question where it has both."""
    passage, slash, question = name.rpartition("/")
    return f"question {question} of passage {passage}" if slash else f"idx {name}"
