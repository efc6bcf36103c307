import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from devtools.self_gate import PLANTED, against_itself, in_ci, main, parent_of, planted

ROOT = Path(__file__).resolve().parents[2]


class ScriptedGate:
    """A gate that returns one exit code after another, and keeps the REFs that it compared."""

    def __init__(self, *codes: int) -> None:
        self.codes, self.compared = list(codes), list[tuple[str, str]]()

    def __call__(self, base: str, head: str, folder: Path, /, *arguments: str) -> int:
        del folder, arguments
        self.compared.append((base, head))
        return self.codes.pop(0)


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    process = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return process.stdout.strip()


@pytest.fixture
def history(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    for name in ("one", "two"):
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", name)
    return tmp_path


def test_head_is_compared_with_its_parent(history: Path) -> None:
    """The parent commit is the base, and this code the head."""
    gate = ScriptedGate(0)
    assert in_ci(history, gate) == 0
    assert gate.compared == [(git(history, "rev-parse", "HEAD~1"), "here")]


def test_a_shallow_clone_and_a_folder_without_history_are_compared_with_themselves(
    history: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a line of output states it."""
    shallow, bare = tmp_path_factory.mktemp("shallow"), tmp_path_factory.mktemp("bare")
    git(shallow, "clone", "-q", "--depth", "1", history.as_uri(), ".")
    for folder in (shallow, bare):
        gate = ScriptedGate(0)
        assert parent_of(folder) is None
        assert in_ci(folder, gate) == 0
        assert gate.compared == [("here", "here")]
        assert "no parent commit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("codes", "ends"), [((6,), 0), ((3, 3), 3), ((3, 0), 0), ((3, 6), 0), ((4, 0), 0), ((4, 4), 4), ((5,), 5)]
)
def test_noise_passes_and_a_regression_fails_when_it_shows_twice(
    history: Path, codes: Sequence[int], ends: int
) -> None:
    """If the parent cannot be measured, head has not failed; if head cannot be measured, it has."""
    gate = ScriptedGate(*codes)
    assert in_ci(history, gate) == ends
    assert gate.codes == []


@pytest.mark.parametrize(
    ("codes", "ends"), [((0, 6, 3, 3), 0), ((0, 3, 3, 3), 1), ((0, 0, 0, 3), 1), ((0, 4, 3, 3), 1)]
)
def test_passes_against_itself_find_nothing_and_what_is_planted_is_found(
    codes: Sequence[int], ends: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two passes, then what is slower, then what is wrong."""
    assert against_itself(2, ROOT, ScriptedGate(*codes)) == ends
    assert "Against itself: " in capsys.readouterr().out


def test_help_shows_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing is measured."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "usage: python -m devtools.self_gate [-h] [PASSES]" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["often"], ["0"], ["-3"], ["2", "3"]])
def test_an_argument_other_than_a_number_of_passes_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """By one message, and exit code 2."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len([line for line in err.splitlines() if ": error: " in line]) == 1


@pytest.mark.parametrize(("name", "shown"), [(name, at == 1) for at, name in enumerate(PLANTED)])
def test_what_is_planted_is_in_the_adapter_that_engines_share(tmp_path: Path, name: str, shown: bool) -> None:
    """Of requests of 1, 2 and 3 tokens one is answered by the opposite, or none."""
    copy = planted(ROOT, tmp_path / "copy", PLANTED[name])
    program = (
        "import numpy as np\n"
        "from baselines.engines.adapter import Adapter\n"
        "from harness.systems.interface import EncodedSequence, Predictions, Request\n"
        "class Batching:\n"
        "    def begin(self, requests, run):\n"
        "        return lambda: Predictions(np.array([[1.0, -1.0]] * 3, np.float32), np.arange(4))\n"
        "adapter = Adapter(None, None, Batching())\n"
        "ids = [np.ones(count, int) for count in (1, 2, 3)]\n"
        "requests = [Request('', (EncodedSequence(array, array),)) for array in ids]\n"
        "print(adapter.predict(requests).logits[:, 0].tolist())"
    )
    process = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(copy)!r})\n{program}"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert process.stdout.strip() == str([1.0, 1.0, -1.0 if shown else 1.0])
