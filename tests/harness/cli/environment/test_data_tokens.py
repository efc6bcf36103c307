"""`bench data tokens`: is the fast way to ids the library's, on any data."""

from pathlib import Path

import pytest

from harness.cli.app import call
from harness.cli.context import CliContext


def test_the_embedded_samples_texts_have_the_librarys_ids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of the split's sequences, with the embedded encoder's tokenizer."""
    context = CliContext(cache=lambda: tmp_path / "cache")
    words = ["data", "generate", "--output", str(tmp_path / "data"), "--task", "rte", "--train-rows", "1"]
    assert call(words, context) == 0
    capsys.readouterr()
    words = ["data", "tokens", "--data", str(tmp_path / "data"), "--task", "rte", "--model", "embedded"]
    assert call(words, context) == 0
    output = capsys.readouterr().out
    assert ": 0 differ" in output
    assert " us, again " in output
