"""The data files of the embedded sample: they are read once, validated, and errors name the wrong entry."""

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from harness.common.errors import DataError
from harness.workload.synthetic.lexicon import draw_person, draw_year, load_lexicon, read_lexicon


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Copy the shipped data files into a folder that a test may change."""
    for path in (files("harness.workload.synthetic") / "data").iterdir():
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change the contents of a JSON file in place."""
    contents = json.loads(path.read_text(encoding="utf-8"))
    change(contents)
    path.write_text(json.dumps(contents), encoding="utf-8")


def first(topics: Any) -> Any:
    """Return the attributes of the first topic."""
    return topics[0]["attributes"]


def test_the_shipped_lexicon_is_read_once(folder: Path) -> None:
    """Every call returns the same object, equal to one that is read again."""
    assert load_lexicon() is load_lexicon()
    assert read_lexicon(folder) == load_lexicon()


def test_values_are_listed_shared_ranged_or_drawn() -> None:
    """A lake has listed fish, a range of depths and a drawn person; towers share stones and a year."""
    lake, bridge, tower, *_ = load_lexicon().topics
    assert lake.attributes[1].values[:2] == ("trout", "perch")  # type: ignore[index]
    assert lake.attributes[2].values[:3] == ("12 metres", "16 metres", "20 metres")  # type: ignore[index]
    assert lake.attributes[2].values[-1] == "96 metres"  # type: ignore[index]
    assert lake.attributes[3].values is draw_person
    assert tower.attributes[0].values[0] == "brick"  # type: ignore[index]
    assert tower.attributes[2] == bridge.attributes[2]
    assert tower.attributes[2].values is draw_year


def test_every_template_has_its_marks() -> None:
    """Verb phrases, sentences and questions hold the value, the last two the entity; names have one blank."""
    for entity_type in (*load_lexicon().topics, *load_lexicon().institutions):
        assert entity_type.name_pattern.count("{}") == 1
        assert all("{s}" in introduction for introduction in entity_type.introductions)
        for attribute in entity_type.attributes:
            assert all("{v}" in phrase for phrase in attribute.verb_phrases)
            assert all(
                "{s}" in text and "{v}" in text for text in (*attribute.sentences, *attribute.questions)
            )


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("names", lambda names: names.pop("women"), r"names\.women\n  Field required"),
        ("names", lambda names: names.update(surnames=[]), r"names\.surnames\n  Extra inputs"),
        ("news", lambda news: news.update(quotes=[]), r"news\.quotes\n  .*at least 1 item"),
        ("topics", lambda topics: first(topics).append("owner"), "expected one of architect, .*got owner"),
        ("topics", lambda topics: first(topics)[0].update(values="list:fish"), "expected .*got list:fish"),
        ("shared", lambda shared: shared.pop("values"), "values\n  Field required"),
        ("topics", lambda topics: first(topics)[2]["values"].pop("step"), "step\n *Field required"),
    ],
)  # fmt: skip
def test_an_error_names_the_entry(
    folder: Path, name: str, change: Callable[[Any], object], message: str
) -> None:
    """A missing, unknown or empty entry, or one that refers to nothing, is a DataError that locates it."""
    edit(folder / f"{name}.json", change)
    with pytest.raises(DataError, match=message):
        read_lexicon(folder)


def test_a_truncated_or_missing_file_is_a_data_error(folder: Path) -> None:
    """The error names the file."""
    path = folder / "fillers.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"fillers\.json: .*line 1"):
        read_lexicon(folder)
    path.unlink()
    with pytest.raises(DataError, match=r"fillers\.json"):
        read_lexicon(folder)
