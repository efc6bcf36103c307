"""Folds of a training split, for a task whose val split is not at hand; never the official val.

    DATA/COPA/train.jsonl --cut--> DIR/fold-1/COPA/{train,val}.jsonl, origin.json ... DIR/fold-N/COPA/...

Lines are copied byte for byte. Lines that share their first text (a passage, a premise) stay on one side: a
system that has trained on a passage must not be asked about it.
"""

import filecmp
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.common.errors import DataError, StoreError, UsageError
from harness.workload.data.official import note_on
from harness.workload.synthetic.seeded_random import SeededRandom

ORIGIN = "origin.json"
FEWEST = 2
_FILES = ("train.jsonl", "val.jsonl", ORIGIN)
_TEXTS = ("passage", "premise", "text", "sentence1")


@dataclass(frozen=True, slots=True)
class TrainingLines:
    """A training split as bytes: its lines, and the first text of each."""

    lines: tuple[bytes, ...]
    texts: tuple[str, ...]
    sha256: str
    official: bool | None


def origin_note(folder: Path) -> str | None:
    """Return what must be said of the files in a task's folder, or None where they are no folds.

    DataError where the folder says that they are, but not how.
    """
    path = folder / ORIGIN
    try:
        note = json.loads(path.read_text(encoding="utf-8"))["note"]
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise DataError(f"cannot be read: {problem.strerror}.", where=str(path)) from None
    except (ValueError, KeyError, TypeError):
        note = None
    if not isinstance(note, str) or not note:
        raise DataError(
            "has no note on where these files are from.", where=str(path), remedy="Cut the folds again."
        )
    return note


def cut_folds(data: Path, folder: str, output: Path, *, folds: int, seed: int) -> list[tuple[int, int]]:
    """Cut a task's training split into folds below `output`; return the rows of (train, val) of each fold.

    UsageError for a number of folds that cannot be, DataError for a file that cannot be read or for other
    files in the way, StoreError where the folds cannot be written. Cutting again alike changes nothing.
    """
    source = read_source(data / folder / "train.jsonl", folder)
    sides = assign(source.texts, folds, seed)
    inherited = origin_note(data / folder)
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output, prefix=".cutting-") as scratch:
            sizes = [
                _write(source, sides, number, Path(scratch) / f"fold-{number}" / folder, facts)
                for number, facts in enumerate(_facts(source, folder, folds, seed, inherited), 1)
            ]
            _place(Path(scratch), output, folder, folds)
    except OSError as problem:
        raise StoreError(
            f"the folds cannot be written: {problem.strerror or problem}.",
            where=str(output),
            remedy="Name a folder with free space that you may write with --output.",
        ) from None
    return sizes


def read_source(path: Path, folder: str) -> TrainingLines:
    """Read a training split; DataError names the line that is no row, or has no text to tell it by."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(
            "there is no such file.",
            where=str(path),
            remedy="Folds are cut from the train split of the task.",
        ) from None
    except OSError as problem:
        raise DataError(f"cannot be read: {problem.strerror}.", where=str(path)) from None
    lines = [(number, line) for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]
    if not lines:
        raise DataError("the file has no rows.", where=str(path), remedy="Copy the file again.")
    sha256 = hashlib.sha256(content).hexdigest()
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return TrainingLines(
        lines=tuple(line for _, line in lines),
        texts=tuple(_first_text(line, f"{path}:{number}") for number, line in lines),
        sha256=sha256,
        official=note_on(folder, "train", len(lines), sha256, sha1)[0],
    )


def assign(texts: Sequence[str], folds: int, seed: int) -> list[int]:
    """Return for each line the fold, from 1, whose val split it is in; equal texts are in the same.

    The distinct texts are shuffled, and each goes to the fold with the fewest lines so far: folds differ by
    no more lines than the most frequent text has.
    """
    counts: dict[str, int] = {}
    for text in texts:
        counts[text] = counts.get(text, 0) + 1
    if not FEWEST <= folds <= len(counts):
        raise UsageError(
            f"{folds} folds cannot be cut from {len(texts):,} rows with {len(counts):,} different texts.",
            remedy=f"--folds is at least {FEWEST}, and no fold can be empty.",
        )
    sizes = [0] * folds
    chosen: dict[str, int] = {}
    for text in SeededRandom("folds", seed).shuffled(list(counts)):
        fold = sizes.index(min(sizes))
        sizes[fold] += counts[text]
        chosen[text] = fold + 1
    return [chosen[text] for text in texts]


def _first_text(line: bytes, where: str) -> str:
    try:
        row = json.loads(line.decode())
    except ValueError as problem:
        reason = getattr(problem, "msg", type(problem).__name__)
        raise DataError(f"not JSON ({reason}).", where=where, remedy="Copy the file again.") from None
    found = next((row[name] for name in _TEXTS if name in row), None) if isinstance(row, dict) else None
    if isinstance(found, Mapping):
        found = found.get("text")
    if not isinstance(found, str):
        raise DataError(
            "has no text to tell rows apart by.", where=where, remedy=f"Expected one of: {', '.join(_TEXTS)}."
        )
    return " ".join(found.split())


def _facts(
    source: TrainingLines, folder: str, folds: int, seed: int, inherited: str | None
) -> list[dict[str, Any]]:
    known = {"source": f"{folder}/train", "source_sha256": source.sha256, "source_official": source.official}
    of = f" (itself {inherited})" if inherited else ""
    return [
        {
            "note": f"fold {number} of {folds} of {folder}/train{of}, seed {seed}: not the official val",
            "fold": number,
            "folds": folds,
            "seed": seed,
            **known,
        }
        for number in range(1, folds + 1)
    ]


def _write(
    source: TrainingLines, sides: Sequence[int], number: int, folder: Path, facts: Mapping[str, Any]
) -> tuple[int, int]:
    folder.mkdir(parents=True)
    rows = list(zip(source.lines, sides, strict=True))
    train = [line for line, side in rows if side != number]
    val = [line for line, side in rows if side == number]
    for name, lines in (("train.jsonl", train), ("val.jsonl", val)):
        with (folder / name).open("wb") as file:
            file.writelines(line + b"\n" for line in lines)
    (folder / ORIGIN).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return len(train), len(val)


def _place(scratch: Path, output: Path, folder: str, folds: int) -> None:
    """Move each fold into place, after all have been looked at: a fold is there as a whole or not at all."""
    names = [f"fold-{number}" for number in range(1, folds + 1)]
    new = [name for name in names if not (output / name / folder).exists()]
    other = [
        name
        for name in names
        if name not in new and not _same(scratch / name / folder, output / name / folder)
    ]
    if other:
        raise DataError(
            f"{', '.join(f'{name}/{folder}' for name in other)}: there already, from another cut.",
            where=str(output),
            remedy="It is left as it is: name a new folder with --output.",
        )
    for name in new:
        (output / name).mkdir(exist_ok=True)
        (scratch / name / folder).rename(output / name / folder)


def _same(ours: Path, theirs: Path) -> bool:
    match, _, _ = filecmp.cmpfiles(ours, theirs, _FILES, shallow=False)
    return len(match) == len(_FILES)
