"""Extra texts that the teacher labels: their files, and the check that none is a text of the reported split.

    extra_text: files --read, without labels--> texts --hash of each--> not one of the reported texts'

The official test texts, or pairs of another data set in the task's layout, may be used. Texts of the reported
split may not, with labels or without: a student that has seen the teacher's answers to them is measured on
texts that it learned.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from baselines.checkpoints.folder import file_sha256
from harness.common.errors import DataError, UsageError
from harness.systems.interface import PreparationSources
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, text_hashes

_NAMED = 5
"""Examples that a refusal names."""


@dataclass(frozen=True, slots=True)
class ExtraFile:
    """A file of extra texts, and its sha256."""

    path: Path
    sha256: str

    def read(self, task: Task) -> list[Example]:
        """Return its examples without labels; DataError for a file in another layout than the task's."""
        return task.read(self.path, labelled=False)


def extra_files(extra_text: str | Sequence[str]) -> tuple[ExtraFile, ...]:
    """Return the files that a recipe names: one path, several, or an empty text for none.

    DataError for a file that is not there, UsageError for a value of another type or a file that is named
    twice.
    """
    names = [extra_text] if isinstance(extra_text, str) else extra_text
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"distil: extra_text is a file or a list of files, not {extra_text!r}.")
    files = tuple(_extra_file(name) for name in names if name)
    hashes = [file.sha256 for file in files]
    if repeated := [file for number, file in enumerate(files) if file.sha256 in hashes[:number]]:
        raise UsageError(
            "distil: extra_text names the same texts twice.",
            where=str(repeated[0].path),
            remedy="Name each file once.",
        )
    return files


def check_extra_texts(files: Sequence[ExtraFile], task: Task, sources: PreparationSources) -> None:
    """Raise DataError if a text of a file is one of the reported split's.

    Letter case, punctuation and blanks make no difference.
    """
    reported = sources.reported_texts() if files else frozenset()
    for file in files:
        shared = [example.id for example in file.read(task) if text_hashes(example) & reported]
        if shared:
            raise DataError(
                f"distil: {len(shared)} of its examples hold a text of the split that is reported "
                f"({', '.join(_shortened(shared))}), so the student must not be trained on them.",
                where=str(file.path),
                remedy="Remove these rows from the file.",
            )


def _shortened(ids: Sequence[str]) -> Iterator[str]:
    yield from (f"idx {name}" for name in ids[:_NAMED])
    if len(ids) > _NAMED:
        yield "..."


def _extra_file(name: str) -> ExtraFile:
    path = Path(name).expanduser()
    if not path.is_file():
        raise DataError("no such file: extra_text.", where=name, remedy="Check the path.")
    return ExtraFile(path, file_sha256(path))
