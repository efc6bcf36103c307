"""Reads an official prediction file, strictly: a file that passes is one that the benchmark's server accepts.

Answers of external programs are read here too (`harness.runs.worker.process_boundary`). Nothing is guessed or
repaired.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.common.errors import DataError
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from harness.workload.tasks.rows import Row, read_rows

REMEDY = "docs/programs.md shows the rows of each task; `bench predict` writes such a file."


def read_predictions(task: Task, path: Path, examples: Sequence[Example]) -> list[str]:
    """Return the answer to each example, in the order of the examples.

    Raises DataError with the line, or the idx, where the file is not an official prediction file that answers
    each example exactly once.
    """
    where = str(path)

    def rows() -> Iterator[Row]:
        nonlocal where
        for line, row in read_rows(path):
            where = f"{path}:{line}"
            yield row

    answers: dict[str, str] = {}
    try:
        for example_id, answer in task.answers_in(rows(), examples):
            if example_id in answers:
                raise ValueError(f"{_describe(example_id)} is answered twice")  # noqa: TRY301 -- like a row's own
            answers[example_id] = answer
    except ValueError as error:
        raise DataError(f"{error}.", where=where, remedy=REMEDY) from None
    except DataError as error:
        raise DataError(error.message, where=error.where, remedy=REMEDY) from None
    _check_complete(path, examples, answers)
    return [answers[example.id] for example in examples]


def _check_complete(path: Path, examples: Sequence[Example], answers: dict[str, str]) -> None:
    missing = [example.id for example in examples if example.id not in answers]
    if missing:
        raise DataError(
            f"{len(missing):,} of {len(examples):,} examples have no answer, first {_describe(missing[0])}.",
            where=str(path),
            remedy=REMEDY,
        )
    if len({example.id for example in examples}) < len(examples):
        raise DataError("two examples of the split have the same idx, so no prediction file can answer both.")


def _describe(example_id: str) -> str:
    """Return an example's id for the reader: idx, or question and passage where it has both."""
    passage, slash, question = example_id.rpartition("/")
    return f"question {question} of passage {passage}" if slash else f"idx {example_id}"
