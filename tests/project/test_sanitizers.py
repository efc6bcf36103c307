"""The program that runs the C code under sanitizers, without the minutes that they take."""

import shutil
from pathlib import Path

import pytest
from devtools import sanitizers


def test_without_gcc_a_message_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the environment passes."""
    monkeypatch.setenv("PATH", "")
    assert sanitizers.main() == 0
    assert "did not run: there is no gcc on PATH" in capsys.readouterr().out


def test_without_a_runtime_a_message_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For a library that it does not have, gcc prints the bare name."""
    gcc = tmp_path / "gcc"
    gcc.write_text('#!/bin/sh\necho "${1#-print-file-name=}"\n')
    gcc.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sanitizers.main() == 0
    output = capsys.readouterr().out
    assert "threads: did not run:" in output
    assert "has no libtsan.so." in output


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_a_compiler_that_checks_nothing_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its planted fault goes unreported, and nothing else is run."""
    blind = sanitizers.Sanitizer("blind", (), (), {}, ("no tests",), sanitizers.SANITIZERS[0].faults[1:])
    monkeypatch.chdir(tmp_path)
    assert sanitizers.main([blind]) == 1
    assert "blind: a planted fault was not reported" in capsys.readouterr().out
