"""Readers of data: official files, a user's own tables, prediction files, splits for folds, archives."""

import io
import json
import zipfile
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path

from fuzzing.target import Target
from harness.common.errors import BenchError
from harness.workload import synthetic
from harness.workload.data.download.archives import unpack
from harness.workload.data.folds import origin_note, read_source
from harness.workload.data.tables import QUOTINGS
from harness.workload.data.user.task_files import UserData, own_data
from harness.workload.tasks import TASKS
from harness.workload.tasks.base import Task, reported_split
from harness.workload.tasks.example import Example
from harness.workload.tasks.prediction_files import read_predictions

_TABLES = {
    "a.csv": [
        b'review,stars\n"good, ""very""",1\nbad,0\nso so,1\n',
        b"\xef\xbb\xbfreview;stars;\r\ngut;1,0;\r\nschlecht;0,0;\r\n",
        'review,stars\n"two\nlines, here",1\nbad,0\n'.encode("utf-16"),
    ],
    "a.tsv": [b'review\tstars\n"good" film\t1\nbad\t0\n', b'review\tstars\n"a ""b"""\t1\nbad\t0\n'],
    "a.jsonl": [b'{"review": "good", "stars": 1}\n{"review": "bad", "stars": 0}\n'],
}


def data_targets() -> list[Target]:
    """Return the readers of data."""
    return [
        *(_official(task) for task in TASKS.values()),
        *(Target(f"own {name[2:]}", sound, _own(name)) for name, sound in _TABLES.items()),
        *(_predictions(TASKS[name]) for name in ("boolq", "multirc", "record", "wic")),
        Target("origins of folds", [b'{"note": "fold 1 of 2"}'], _at("origin.json", _origin)),
        Target(
            "splits for folds",
            [b'{"premise": "a"}\n{"passage": {"text": "b"}}\n'],
            _at("train.jsonl", lambda path: read_source(path, "COPA")),
        ),
        Target(
            "archives of data", [_archive()], _at("COPA.zip", lambda path: unpack(path, "COPA", path.parent))
        ),
    ]


def _at(name: str, read: Callable[[Path], object]) -> Callable[[Path, bytes], object]:
    def of_bytes(folder: Path, content: bytes) -> object:
        path = folder / name
        path.write_bytes(content)
        return read(path)

    return of_bytes


def _rows(task: Task) -> list[dict[str, object]]:
    return [dict(row) for row in synthetic.rows(task.name, reported_split(task), 2)]


def _examples(task: Task) -> list[Example]:
    return [
        example
        for line, row in enumerate(_rows(task), 1)
        for example in task.parse(row, f"rows:{line}", labelled=True)
    ]


def _official(task: Task) -> Target:
    sound = "".join(json.dumps(row) + "\n" for row in _rows(task)).encode()
    return Target(f"{task.name}", [sound], _at("val.jsonl", lambda path: task.read(path, labelled=True)))


def _predictions(task: Task) -> Target:
    examples = _examples(task)
    answers = [task.constants(example)[0] for example in examples]
    sound = "".join(json.dumps(row) + "\n" for row in task.answer_rows(examples, answers)).encode()
    read = _at("p.jsonl", lambda path: read_predictions(task, path, examples))
    return Target(f"predictions of {task.name}", [sound], read)


def _own(name: str) -> Callable[[Path, bytes], object]:
    def read(path: Path) -> None:
        for quoting in QUOTINGS:
            own = UserData(("review",), "stars", quoting=quoting)  # type: ignore[arg-type]
            with suppress(BenchError) if quoting != "auto" else nullcontext():
                own_data(path, own, path.parent / "cache", split="all")

    return _at(name, read)


def _origin(path: Path) -> str | None:
    return origin_note(path.parent)


def _archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("COPA/val.jsonl", b'{"premise": "a"}\n')
    return out.getvalue()
