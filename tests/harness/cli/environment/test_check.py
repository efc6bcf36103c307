from dataclasses import replace
from pathlib import Path

import pytest
from worlds import World

from harness.cli.app import call

SOUND = """
task: boolq
variants: [onnx-int8, pytorch-fixed]
rounds: 11
setup: python train.py
gate:
  latency_p50: {max-degradation: 5%}
  accuracy: {max-degradation: 0.5}
"""


def check(root: Path, text: str, name: str = "bench.yaml") -> int:
    """Write a file and check it from a folder without one."""
    file = root / name
    file.write_text(text)
    return call(("check", str(file)), replace(World(root).context(), defaults=root / "none" / "bench.yaml"))


def test_a_sound_file_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options and rules; a sweep in a file for --config, too."""
    assert check(tmp_path, SOUND) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'bench.yaml'}: 4 options, 2 rules.\n"
    assert check(tmp_path, "threads: 1\nsweep:\n  seed: [1, 2]\n", "sweep.yaml") == 0
    assert capsys.readouterr().out.endswith("sweep.yaml: 2 options, 0 rules.\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("variants: [onnx-int9]", "bench.yaml:1: unknown variant 'onnx-int9'"),
        ("seed: 1\ntask: bolq", "bench.yaml:2: unknown task 'bolq'"),
        ("profile: quik", "bench.yaml:1: unknown profile 'quik'"),
        ("scenario: online", "bench.yaml:1: unknown scenario 'online'"),
        ("rounds: many", "bench.yaml:1: --rounds: "),
        ("ruonds: 3", "bench.yaml:1: unknown option 'ruonds'"),
        ("base: main", "bench.yaml:1: unknown option 'base'"),
        ("gate:\n  latency_p51: {}", "unknown quantity in a rule 'latency_p51'"),
        ("gate:\n  latency_p50: {max-degradation: 5}", "must be a percentage"),
        ("sweep:\n  seed: [1, 2]", "a sweep cannot be a default"),
        ("task: [", "bench.yaml"),
    ],
)
def test_a_faulty_file_is_refused_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    """Exit 2, one message."""
    assert check(tmp_path, text) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("bench: ") == 1


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named on the command line, or the one of the working folder."""
    context = replace(World(tmp_path).context(), defaults=tmp_path / "bench.yaml")
    for words in ((), (str(tmp_path / "bench.yaml"),)):
        assert call(("check", *words), context) == 2
        assert "bench.yaml: there is no such file." in capsys.readouterr().err


def test_a_setup_command_is_for_a_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of `bench run --config` has no use for it."""
    assert check(tmp_path, "setup: make", "sweep.yaml") == 2
    assert "sweep.yaml:1: is for a gate only" in capsys.readouterr().err
