"""Ladders as data: what is well-formed, what is refused and how."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.catalog import load_catalog
from harness.common.errors import UsageError
from harness.common.progress import NoProgress
from harness.records.ladder import Ladder, parse_ladder, parse_parameters, read_ladder
from harness.runs.planning.options import able

WORDS: dict[str, Any] = {
    "name": "mine",
    "parameters": {"student": "minilm", "heads": 8},
    "rungs": [
        {"name": "plain", "engine": "pytorch-dynamic"},
        {"name": "student", "engine": "onnx-fp32", "recipes": [{"distil": {"student": "$student"}}]},
        {"name": "int8", "like": "student", "engine": "onnx-int8", "options": {"keep_float": ["classifier"]}},
        {"name": "pruned", "like": "int8", "then": [{"prune": {"heads": "$heads"}}], "instances": "cores"},
    ],
}


def made(**changes: Any) -> Ladder:
    return parse_ladder({**WORDS, **changes}, "mine.yaml", {})


def rungs(*words: dict[str, Any]) -> Ladder:
    return made(rungs=list(words))


def test_each_rung_is_compared_with_the_one_before_unless_it_says() -> None:
    """The first is the baseline."""
    assert [rung.over for rung in made().rungs] == ["", "plain", "student", "int8"]
    words = [*WORDS["rungs"][:3], {**WORDS["rungs"][3], "over": "plain"}]
    assert made(rungs=words).rung("pruned").over == "plain"


def test_a_rung_like_another_takes_over_what_it_does_not_say() -> None:
    """Recipes are added to its end."""
    pruned = made().rung("pruned")
    assert pruned.recipes == ({"distil": {"student": "minilm"}}, {"prune": {"heads": 8}})
    assert (pruned.engine, pruned.options) == ("onnx-int8", {"keep_float": ["classifier"]})
    assert (pruned.count(4), made().rung("int8").count(4)) == (4, 1)


def test_a_rungs_process_gets_variables_and_the_record_says_them_without_folders() -> None:
    """They make another rung of it, and one like it has them too; numbers need no quotes."""
    plain = {"name": "plain", "engine": "onnx-int8"}
    asked = {"LD_PRELOAD": "/home/me/lib.so", "MALLOC_ARENA_MAX": 1}
    wanted = {**asked, "MALLOC_ARENA_MAX": "1"}
    pages = {**plain, "name": "pages", "environment": asked}
    ladder = rungs(plain, pages, {"name": "pool", "like": "pages", "instances": "cores"})
    assert ladder.rung("pool").environment == wanted
    assert "environment" not in ladder.rung("plain").words()
    assert ladder.rung("pages").words()["environment"] == wanted
    first, second, _ = ladder.facts()["rungs"]
    assert "environment" not in first
    assert second["environment"] == {"LD_PRELOAD": "lib.so", "MALLOC_ARENA_MAX": "1"}


def test_a_stage_with_an_environment_is_refused_and_a_cascade_may_have_one() -> None:
    """Stages share a process: what one of them asks for would be lost without a word."""
    plain = {"name": "plain", "engine": "onnx-int8"}
    pages = {**plain, "name": "pages", "environment": {"A": "1"}}
    cascade = {"name": "both", "cascade": ["plain", "pages"]}
    with pytest.raises(UsageError, match="stage 'pages' of 'both' has an environment of its own"):
        rungs(plain, pages, cascade)
    own = {**cascade, "cascade": ["plain", "more"], "environment": {"A": "1"}}
    found = rungs(plain, {**plain, "name": "more"}, own).rung("both")
    assert found.words()["environment"] == {"A": "1"}


def test_parameters_stand_for_their_values_and_can_be_changed() -> None:
    """A path becomes its base name in what a record says."""
    ladder = parse_ladder(WORDS, "mine.yaml", {"student": "/home/me/models/tiny", "heads": 4})
    assert ladder.rung("pruned").recipes[1] == {"prune": {"heads": 4}}
    assert ladder.facts()["parameters"] == {"student": "tiny", "heads": 4}
    assert "/home" not in str(ladder.facts())


def test_a_part_of_a_ladder_is_compared_within_itself() -> None:
    """Where the rung that one was compared with is left out, the one before takes its place."""
    part = made().only(("plain", "int8"))
    assert [(rung.name, rung.over) for rung in part.rungs] == [("plain", ""), ("int8", "plain")]
    with pytest.raises(UsageError, match="Did you mean int8"):
        made().only(("int-8",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rungs": []}, "at least one rung"),
        ({"rungs": [{"name": "a", "engin": "onnx-int8"}]}, r"rungs\.0\.engin: .*Did you mean engine"),
        ({"rungs": [{"engine": "onnx-int8"}]}, r"rungs\.0\.name: Field required"),
        ({"rungs": [{"name": "a"}]}, "no engine"),
        ({"rungs": [{"name": "a/b", "engine": "x"}]}, "cannot be the name of a rung"),
        ({"rungs": [{"name": "a", "engine": "x"}, {"name": "a", "engine": "x"}]}, "two rungs"),
        ({"rungs": [{"name": "a", "engine": "x", "over": "b"}]}, "unknown earlier rung"),
        ({"rungs": [{"name": "a", "engine": "x", "instances": 0}]}, "0 instances"),
        ({"rungs": [{"name": "a", "engine": "x", "recipes": [{"distil": "$pupil"}]}]}, "unknown parameter"),
        ({"rungs": [{"name": "a", "engine": "x", "environment": ["A=1"]}]}, "environment: .*dictionary"),
        ({"rungs": [{"name": "a", "engine": "x", "environment": {"A": True}}]}, r"environment\.A: .*string"),
        ({"rung": []}, "rung: .*Did you mean rungs"),
        ({"parameters": [1]}, "must be a mapping"),
    ],
)
def test_what_is_no_ladder_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    """The nearest word is named where one is unknown."""
    with pytest.raises(UsageError, match=f"(?s){message}"):
        made(**changes)


def test_a_parameter_that_the_ladder_does_not_have_is_refused() -> None:
    """A misspelt --set must not be lost."""
    with pytest.raises(UsageError, match="Did you mean student"):
        parse_ladder(WORDS, "mine.yaml", {"studend": "minilm"})


def test_values_are_read_as_in_yaml() -> None:
    """Numbers are numbers; a word without = is refused."""
    assert parse_parameters(("epochs=3", "student=minilm", "share=0.5")) == {
        "epochs": 3,
        "student": "minilm",
        "share": 0.5,
    }
    with pytest.raises(UsageError, match="NAME=VALUE"):
        parse_parameters(("epochs",))


@pytest.mark.parametrize("text", ["rungs: [", "- a list", "\t", "name: x\nrungs: 3"])
def test_a_file_that_holds_no_ladder_is_refused(tmp_path: Path, text: str) -> None:
    """One message, no traceback."""
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"mine\.yaml"):
        read_ladder(path, {})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With its reason."""
    with pytest.raises(UsageError, match="cannot be read"):
        read_ladder(tmp_path / "none.yaml", {})


@pytest.mark.parametrize("name", list(load_catalog().ladders))
def test_every_ladder_that_ships_is_well_formed(name: str) -> None:
    """Its recipes, engines and options are known, and its first rung is the baseline."""
    catalog = load_catalog()
    ladder = parse_ladder(catalog.ladders[name], name, {})
    assert ladder.name == name
    assert ladder.rungs[0].over == ""
    for rung in ladder.rungs:
        assert catalog.rung(rung.words()).name == rung.name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"engine": "onnx-int9"}, "unknown engine.*onnx-int8"),
        ({"engine": "onnx-int8", "options": {"keep": 1}}, "unknown option of onnx-int8.*keep_float"),
        ({"recipes": [{"distill": {}}]}, "unknown recipe.*distil"),
        ({"recipes": [{"prune": {"head": 3}}]}, "unknown parameter of recipe prune.*heads"),
        ({"recipes": [{"prune": 3}]}, "must be a mapping"),
        ({"recipes": [{"prune": {}, "distil": {}}]}, "one recipe"),
    ],
)
def test_what_no_recipe_or_engine_knows_is_refused_by_name(words: dict[str, Any], message: str) -> None:
    """Before anything is prepared."""
    whole = {"name": "x", "recipes": [], "engine": "onnx-int8", "options": {}, **words}
    with pytest.raises(UsageError, match=f"(?s){message}"):
        load_catalog().rung(whole)


class Heard(NoProgress):
    """A narrator that keeps its warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        """Keep it."""
        self.warnings.append(text)


def test_an_optional_rung_that_cannot_run_here_is_left_out() -> None:
    """With a word; the others are compared among themselves."""
    ladder = rungs(
        {"name": "plain", "engine": "pytorch-dynamic"},
        {"name": "rival", "engine": "onnx-fp32", "optional": True},
        {"name": "last", "engine": "onnx-int8"},
    )
    heard, catalog = Heard(), load_catalog()
    assert able(ladder, catalog, heard) == ladder
    assert heard.warnings == []
    absent = SimpleNamespace(unavailable=lambda: "needs rival: pip install rival")
    here = SimpleNamespace(unavailable=lambda: None)
    lacking: Any = SimpleNamespace(rung=lambda words: absent if words["name"] == "rival" else here)
    left = able(ladder, lacking, heard)
    assert [(rung.name, rung.over) for rung in left.rungs] == [("plain", ""), ("last", "plain")]
    assert heard.warnings == ["rung rival is left out: needs rival: pip install rival"]
