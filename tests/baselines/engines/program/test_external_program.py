import re
import sys
from pathlib import Path

import pytest
import tiny

from baselines.engines.program.external_program import ProgramSystem, ProgramVariant, split_command
from harness.common.errors import MeasurementError, UsageError
from harness.systems.interface import Settings
from harness.workload.tasks import get_task

BOOLQ = get_task("boolq")
DOCS = (Path(__file__).parents[4] / "docs" / "howto" / "programs.md").read_text(encoding="utf-8")


def program(tmp_path: Path, body: str, *, timeout_s: float = 30.0) -> ProgramSystem:
    file = tmp_path / "mine.py"
    file.write_text(f"import json, sys, time\n{body}")
    return ProgramSystem([sys.executable, str(file)], BOOLQ, timeout_s=timeout_s)


ECHO = """
for line in sys.stdin:
    request = json.loads(line)
    label = request["labels"][int(request["id"]) % 2]
    print(json.dumps({"id": request["id"], "label": label}), flush=True)
"""


def test_a_program_answers_in_order_call_after_call(tmp_path: Path) -> None:
    """One at a time, and all at once without filling a pipe."""
    system = program(tmp_path, ECHO)
    examples = tiny.examples(2000)
    expected = tuple(BOOLQ.labels[int(example.id) % 2] for example in examples)
    single = system.predict(system.encode(examples[:1]))
    assert single.answers == expected[:1]
    many = system.predict(system.encode(examples))
    assert many.answers == expected
    assert list(many.offsets[:3]) == [0, 1, 2]
    assert system.describe()["engine"] == "program from outside"
    system.close()


@pytest.mark.parametrize(
    ("body", "message", "stderr"),
    [
        ("sys.exit('no model')", "it ended with exit code 1", "no model"),
        (
            "input(); print('nonsense', flush=True); input()",
            "on a line, got b'nonsense'",
            "nothing on stderr",
        ),
        ("input(); print('[1]', flush=True); input()", "on a line, got b'[1]'", "nothing on stderr"),
        (
            "input(); print(json.dumps({'id': '7', 'label': 'true'}), flush=True); input()",
            "expected the answer to request '0', got '7'",
            "nothing on stderr",
        ),
        (
            "print(json.dumps({'id': '0', 'label': 'true', 'scores': [float('nan')]}), flush=True); input()",
            "its scores for '0' are not finite numbers",
            "nothing on stderr",
        ),
        (
            "input(); print(json.dumps({'id': '0', 'label': 'maybe'}), flush=True); input()",
            "it answered 'maybe', which is not a label of boolq",
            "nothing on stderr",
        ),
    ],
)
def test_a_program_that_misbehaves_is_reported_with_its_stderr(
    tmp_path: Path, body: str, message: str, stderr: str
) -> None:
    """It ends, or writes nonsense, another request's answer or a wrong label; then it is stopped."""
    system = program(tmp_path, body)
    with pytest.raises(MeasurementError) as caught:
        system.predict(system.encode(tiny.examples(1)))
    assert message in caught.value.message
    assert stderr in str(caught.value.remedy)
    system.close()


def test_a_program_that_hangs_is_stopped_after_its_timeout(tmp_path: Path) -> None:
    """The harness does not wait for ever."""
    system = program(tmp_path, "time.sleep(60)", timeout_s=0.3)
    with pytest.raises(MeasurementError, match=r"no answer within 0\.3 s"):
        system.predict(system.encode(tiny.examples(1)))
    system.close()


@pytest.mark.parametrize("language", ["python", "sh"])
def test_the_examples_of_the_documents_run(tmp_path: Path, language: str) -> None:
    """As they stand there."""
    blocks = re.findall(rf"```{language}\n(.*?)```", DOCS, re.DOTALL)
    file = tmp_path / "mine"
    file.write_text(blocks[-1])
    interpreter = sys.executable if language == "python" else "/bin/sh"
    system = ProgramSystem([interpreter, str(file)], get_task("rte"))
    answers = system.predict(system.encode(tiny.examples(3, gold=("entailment",)))).answers
    assert answers is not None
    assert len(answers) == 3
    assert set(answers) <= set(get_task("rte").labels)
    system.close()


def test_a_command_is_split_without_a_shell() -> None:
    """Quotes group words; nothing else is special."""
    assert split_command("./mine --flag 'a b' $HOME;ls") == ["./mine", "--flag", "a b", "$HOME;ls"]
    with pytest.raises(UsageError, match="cannot be split into arguments"):
        split_command("'open")
    with pytest.raises(UsageError, match="needs a program"):
        split_command(" ")


def test_a_program_that_does_not_exist_is_refused_before_the_clock_starts(tmp_path: Path) -> None:
    """The message has a remedy."""
    folder = tiny.tiny_checkpoint(tmp_path / "m")
    with pytest.raises(UsageError, match="there is no program"):
        ProgramVariant().prepare(
            BOOLQ, tiny.sources(folder), Settings(command="./nowhere"), tiny.preparation_context(tmp_path)
        )
