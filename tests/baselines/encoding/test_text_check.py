"""The fast tokenizer is compared with the library on a task's own texts, once."""

import shutil
from pathlib import Path

import pytest
import tiny

from baselines.encoding import fast, wordpiece
from baselines.encoding.text_check import fast_tokenizer_differs
from harness.workload.tasks.example import Example, TextInput
from harness.workload.tasks.superglue.boolq import BOOLQ

EXAMPLES = [Example(str(at), (TextInput("is the lake frozen", "it is" + " so" * at),)) for at in range(3)]


@pytest.fixture
def folder(boolq_folder: Path, tmp_path: Path) -> Path:
    """Copy the checkpoint, with a token that matches in lower case."""
    from tokenizers import Tokenizer

    folder = Path(shutil.copytree(boolq_folder, tmp_path / "mine"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens(["Lake"])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def reason(folder: Path, shelf: tiny.Shelf, data: str = "d") -> str | None:
    return fast_tokenizer_differs(BOOLQ, folder, lambda: EXAMPLES, 32, shelf, data)


def test_a_fast_tokenizer_that_agrees_is_compared_once(folder: Path, tmp_path: Path) -> None:
    """The result is kept for the tokenizer and the data; other data are compared anew."""
    shelf = tiny.Shelf(tmp_path / "cache")
    assert [reason(folder, shelf), reason(folder, shelf), len(shelf.made)] == [None, None, 1]
    assert shelf.find(shelf.made[0]).manifest["texts"] == 4  # type: ignore[union-attr]
    assert (reason(folder, shelf, "others"), len(shelf.made)) == (None, 2)


def test_a_task_whose_texts_get_other_ids_is_encoded_by_the_library(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fast tokenizer that misses the added token: the reason counts the texts that show it."""
    monkeypatch.setattr(wordpiece, "_added_tokens", lambda *_: ())
    monkeypatch.setattr(fast, "agrees", lambda *_: True)
    expected = "the fast tokenizer gives other ids for 1 of 4 texts"
    assert reason(folder, tiny.Shelf(tmp_path / "cache")) == expected


def test_a_kind_without_a_fast_tokenizer_is_encoded_by_the_library_with_the_reason(
    folder: Path, tmp_path: Path
) -> None:
    """Nothing is compared: one word is one token."""
    from tokenizers import Tokenizer, models, processors

    tokenizer = Tokenizer(models.WordLevel({"a": 0, "[CLS]": 1, "[SEP]": 2}, "a"))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer.save(str(folder / "tokenizer.json"))
    shelf = tiny.Shelf(tmp_path / "cache")
    expected = "there is no fast tokenizer: the model is of the type WordLevel"
    assert (reason(folder, shelf), shelf.made) == (expected, [])


def test_a_system_that_encodes_by_itself_is_not_compared(folder: Path, tmp_path: Path) -> None:
    """An external program may take longer texts than the checkpoint; a plug-in has files of its own."""
    shelf = tiny.Shelf(tmp_path / "cache")
    assert fast_tokenizer_differs(BOOLQ, folder, lambda: EXAMPLES, 65, shelf, "d") is None
    (folder / "config.json").unlink()
    assert reason(folder, shelf) is None
    assert reason(tmp_path, shelf) is None
