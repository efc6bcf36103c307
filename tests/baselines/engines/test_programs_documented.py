import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from baselines.engines.program.external_program import ProgramSystem
from harness.common.procfs import TreeCpuTime
from harness.runs.worker.process_boundary import Files, Instruments, split_rows
from harness.runs.worker.process_command import Program, split_command
from harness.testing.clock import FakeClock
from harness.workload import synthetic
from harness.workload.data import Data, load_split
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.custom import CustomTaskDefinition, custom_task

DOCS = (Path(__file__).parents[3] / "docs" / "howto" / "programs.md").read_text(encoding="utf-8")
SECTIONS = dict(part.split("\n", 1) for part in DOCS.split("\n## ")[1:])

ROWS: dict[str, dict[str, Any]] = {
    "rte": {"premise": "The plant opened in May.", "hypothesis": "The plant is open.", "idx": 3},
    "copa": {
        "premise": "The kettle whistled.",
        "choice1": "The water boiled.",
        "choice2": "The kitchen was cold.",
        "question": "cause",
        "idx": 0,
    },
    "multirc": {
        "idx": 4,
        "passage": {
            "text": "Ana sold two kites on Friday.",
            "questions": [
                {
                    "question": "What did Ana sell?",
                    "idx": 9,
                    "answers": [{"text": "Kites", "idx": 0}, {"text": "Shoes", "idx": 1}],
                }
            ],
        },
    },
    "wic": {
        "sentence1": "He sat on the bank.",
        "sentence2": "The bank closed.",
        "idx": 0,
        "start1": 14,
        "end1": 18,
        "start2": 4,
        "end2": 8,
    },
    "custom": {"first": "You fool.", "idx": 0},
}
"""The official rows of which the document shows the requests."""

ANSWERING = """
import json, sys
for line in sys.stdin:
    open(sys.argv[1], "a").write(line)
    print(json.dumps({"id": json.loads(line)["id"], "label": json.loads(sys.argv[2])}), flush=True)
"""


def documented(task: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the document's request and answer of a task."""
    blocks = re.findall(r"```json\n(.*?)```", SECTIONS["Lines"], re.DOTALL)
    lines = [json.loads(line) for block in blocks for line in block.splitlines()]
    place = next(number for number, line in enumerate(lines) if line.get("task") == task)
    return lines[place], lines[place + 1]


def task_named(name: str) -> Task:
    if name != "custom":
        return get_task(name)
    return custom_task(CustomTaskDefinition(("toxic", "insult", "threat"), "micro-f1", multi_label=True))


@pytest.mark.parametrize("name", ROWS)
def test_requests_are_written_as_the_document_shows_them(tmp_path: Path, name: str) -> None:
    """And the documented answer is one."""
    request, answer = documented(name)
    task = task_named(name)
    (tmp_path / "row.jsonl").write_text(json.dumps(ROWS[name]))
    (example,) = task.read(tmp_path / "row.jsonl", labelled=False)
    command = [sys.executable, "-c", ANSWERING, str(tmp_path / "seen"), json.dumps(answer["label"])]
    system = ProgramSystem(command, task)
    answers = system.predict(system.encode([example])).answers
    system.close()
    assert json.loads((tmp_path / "seen").read_text()) == request
    assert answer["id"] == request["id"]
    assert answers is not None
    assert task.valid(answers[0], example)


@pytest.mark.parametrize(("language", "interpreter"), [("python", sys.executable), ("sh", "/bin/sh")])
def test_the_programs_that_read_files_run_as_they_stand_there(
    tmp_path: Path, language: str, interpreter: str
) -> None:
    """Both answer rows of RTE with both labels, and the file is accepted."""
    blocks = re.findall(rf"```{language}\n(.*?)```", SECTIONS["Files"], re.DOTALL)
    (tmp_path / "mine").write_text(blocks[-1])
    path = tmp_path / "data" / "RTE" / "val.jsonl"
    path.parent.mkdir(parents=True)
    denied = {"premise": "It rained.", "hypothesis": "The shop is not open.", "label": "not_entailment"}
    rows = [*synthetic.rows("rte", "val", 40), {**denied, "idx": 40}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    split = load_split(get_task("rte"), Data("local", tmp_path / "data"), "val")
    program = Program(tuple(split_command(f"{interpreter} {tmp_path / 'mine'}")))
    tools = Instruments(FakeClock(step_ns=10), TreeCpuTime(), None)
    answers = Files(split_rows(split, tmp_path / "data"), program, tools).visit(range(41)).answers
    assert set(answers) == {"entailment", "not_entailment"}


def test_the_table_of_rows_shows_rows_that_the_tasks_write() -> None:
    """Same members, same kinds of values; ReCoRD's label is the text of its entity."""
    shown = {
        task: json.loads(row)
        for line in re.findall(r"^\| (.*)$", SECTIONS["Files"], re.MULTILINE)
        for names, row in re.findall(r"^([\w, -]+) \| `(\{.*?\})`", line)
        for task in names.split(", ")
    }
    assert set(shown) == {get_task(name).folder for name in synthetic.TASKS}
    for name in ("boolq", "cb", "copa", "rte", "ax-b", "ax-g", "wic", "wsc"):
        task = get_task(name)
        assert shown[task.folder]["idx"] == 0
        written = [row["label"] for row in _written(name)]
        assert shown[task.folder]["label"] in written


def _written(name: str) -> list[dict[str, Any]]:
    from harness.workload.tasks.example import Example, TextInput

    task = get_task(name)
    example = Example("0", (TextInput("a"), TextInput("b")), candidates=("0", "1"))
    constants = task.constants(example)
    return [row for answer in constants for row in task.answer_rows([example], [answer])]
