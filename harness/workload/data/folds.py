"""Cuts a training split into folds, for a task whose val split is not available. Never the official val.

    DATA/COPA/train.jsonl --cut--> DIR/fold-1/COPA/{train,val}.jsonl, origin.json ... DIR/fold-N/COPA/...

Lines are copied byte for byte. Lines with the same first text (a passage, a premise) stay in one fold: a
system that was trained on a passage must not be scored on it.
"""

import filecmp
import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.common.errors import DataError, UsageError
from harness.common.inputs.files import CONFIGURATION, DATA, InvalidText, read_input
from harness.common.inputs.json_text import parse_json, parse_json_object
from harness.common.json_types import JsonObject
from harness.workload.data.official import official_status
from harness.workload.data.writing import OUTPUT_REMEDY, store_errors
from harness.workload.synthetic.seeded_random import SeededRandom

ORIGIN = "origin.json"
_MIN_FOLDS = 2
_FILES = ("train.jsonl", "val.jsonl", ORIGIN)
_FIRST_TEXTS = ("passage", "premise", "text", "sentence1")


@dataclass(frozen=True, slots=True)
class TrainingLines:
    """The lines of a training split as bytes, and the first text of each."""

    lines: tuple[bytes, ...]
    texts: tuple[str, ...]
    sha256: str
    official: bool | None


def origin_note(folder: Path) -> str | None:
    """Return the note on the origin of a task's folder, or None where it has no origin file.

    Raises DataError where the origin file is there without a note.
    """
    path = folder / ORIGIN
    if not path.exists():
        return None
    try:
        note = parse_json_object(read_input(path, CONFIGURATION, DataError)).get("note")
    except InvalidText:
        note = None
    if not isinstance(note, str) or not note:
        raise DataError(
            'expected {"note": "..."} on the origin of this folder.',
            where=str(path),
            remedy="Cut the folds again.",
        )
    return note


def cut_folds(data: Path, folder: str, output: Path, *, folds: int, seed: int) -> list[tuple[int, int]]:
    """Cut a task's training split into folds below `output`; return the rows of (train, val) of each fold.

    Cutting again with the same arguments changes nothing. Raises UsageError for an impossible number of
    folds, DataError for an unreadable file or where other folds exist, StoreError where the folds cannot be
    written.
    """
    source = read_source(data / folder / "train.jsonl", folder)
    assigned = assign(source.texts, folds, seed)
    inherited = origin_note(data / folder)
    with store_errors("the folds cannot be written", output, OUTPUT_REMEDY):
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output, prefix=".cutting-") as scratch:
            sizes = [
                _write_fold(source, assigned, number, Path(scratch) / f"fold-{number}" / folder, origin)
                for number, origin in enumerate(_origins(source, folder, folds, seed, inherited), 1)
            ]
            _move_into_place(Path(scratch), output, folder, folds)
    return sizes


def read_source(path: Path, folder: str) -> TrainingLines:
    """Read a training split; DataError with the line that is not a row, or has no first text."""
    content = read_input(path, DATA, DataError, remedy="Folds are cut from a task's train split.")
    lines = [(number, line) for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]
    if not lines:
        raise DataError("the file has no rows.", where=str(path), remedy="Copy the file again.")
    sha256 = hashlib.sha256(content).hexdigest()
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return TrainingLines(
        lines=tuple(line for _, line in lines),
        texts=tuple(_first_text(line, f"{path}:{number}") for number, line in lines),
        sha256=sha256,
        official=official_status(folder, "train", len(lines), sha256, sha1)[0],
    )


def assign(texts: Sequence[str], folds: int, seed: int) -> list[int]:
    """Return for each line the number, from 1, of the fold whose val split it is in.

    Equal texts are in the same fold. The distinct texts are shuffled, and each goes to the fold with the
    fewest lines so far. The sizes of two folds differ by at most the lines of the most frequent text.
    """
    counts = Counter(texts)
    if not _MIN_FOLDS <= folds <= len(counts):
        raise UsageError(
            f"cannot cut {folds} folds from {len(texts):,} rows with {len(counts):,} different texts.",
            remedy=f"--folds must be at least {_MIN_FOLDS}, and at most the number of different texts.",
        )
    sizes = [0] * folds
    fold_of: dict[str, int] = {}
    for text in SeededRandom("folds", seed).shuffled(list(counts)):
        smallest = sizes.index(min(sizes))
        sizes[smallest] += counts[text]
        fold_of[text] = smallest + 1
    return [fold_of[text] for text in texts]


def _first_text(line: bytes, where: str) -> str:
    """Return a row's first text with single blanks."""
    try:
        row = parse_json(line)
    except InvalidText as problem:
        raise DataError(f"{problem}.", where=where, remedy="Copy the file again.") from None
    text = next((row[name] for name in _FIRST_TEXTS if name in row), None) if isinstance(row, dict) else None
    if isinstance(text, Mapping):
        text = text.get("text")
    if not isinstance(text, str):
        raise DataError(
            f"the row has no text in any of the fields {', '.join(_FIRST_TEXTS)}.",
            where=where,
            remedy="Rows with the same first text stay in one fold, so each row needs one.",
        )
    return " ".join(text.split())


def _origins(
    source: TrainingLines, folder: str, folds: int, seed: int, inherited: str | None
) -> list[JsonObject]:
    """Return the content of each fold's origin file."""
    parent = f" (itself {inherited})" if inherited else ""
    return [
        {
            "note": f"fold {number} of {folds} of {folder}/train{parent}, seed {seed}: not the official val",
            "fold": number,
            "folds": folds,
            "seed": seed,
            "source": f"{folder}/train",
            "source_sha256": source.sha256,
            "source_official": source.official,
        }
        for number in range(1, folds + 1)
    ]


def _write_fold(
    source: TrainingLines, assigned: Sequence[int], number: int, folder: Path, origin: JsonObject
) -> tuple[int, int]:
    folder.mkdir(parents=True)
    rows = list(zip(source.lines, assigned, strict=True))
    train = [line for line, fold in rows if fold != number]
    val = [line for line, fold in rows if fold == number]
    for name, lines in (("train.jsonl", train), ("val.jsonl", val)):
        with (folder / name).open("wb") as file:
            file.writelines(line + b"\n" for line in lines)
    (folder / ORIGIN).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")
    return len(train), len(val)


def _move_into_place(scratch: Path, output: Path, folder: str, folds: int) -> None:
    """Move each new fold into place, whole, after all existing ones have been compared."""
    names = [f"fold-{number}" for number in range(1, folds + 1)]
    new = [name for name in names if not (output / name / folder).exists()]
    different = [
        f"{name}/{folder}"
        for name in names
        if name not in new and not _equal(scratch / name / folder, output / name / folder)
    ]
    if different:
        raise DataError(
            f"{', '.join(different)} exist already, from another cut.",
            where=str(output),
            remedy="Nothing was changed. Name a new folder with --output.",
        )
    for name in new:
        (output / name).mkdir(exist_ok=True)
        (scratch / name / folder).rename(output / name / folder)


def _equal(left: Path, right: Path) -> bool:
    equal, _, _ = filecmp.cmpfiles(left, right, _FILES, shallow=False)
    return len(equal) == len(_FILES)
