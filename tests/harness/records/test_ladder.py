"""Ladders as data: which ones are well-formed, and the errors for those that are not."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.catalog import load_catalog
from harness.common.errors import UsageError
from harness.common.progress import NoProgress
from harness.records.ladder import Ladder, parse_ladder, parse_parameters, read_ladder
from harness.runs.planning.options import able
from optimized.ladders.rung import recipe_of

CONFIG: dict[str, Any] = {
    "name": "mine",
    "parameters": {"student": "minilm", "heads": 8},
    "rungs": [
        {"name": "plain", "engine": "pytorch-dynamic"},
        {"name": "student", "engine": "onnx-fp32", "recipes": [{"distil": {"student": "$student"}}]},
        {"name": "int8", "like": "student", "engine": "onnx-int8", "options": {"keep_float": ["classifier"]}},
        {"name": "pruned", "like": "int8", "then": [{"prune": {"heads": "$heads"}}], "instances": "cores"},
    ],
}


def ladder_with(**changes: Any) -> Ladder:
    return parse_ladder({**CONFIG, **changes}, "mine.yaml", {})


def ladder_of(*rungs: dict[str, Any]) -> Ladder:
    return ladder_with(rungs=list(rungs))


def test_each_rung_is_compared_with_the_previous_one_unless_it_names_another() -> None:
    """The first is the baseline."""
    assert [rung.over for rung in ladder_with().rungs] == ["", "plain", "student", "int8"]
    rungs = [*CONFIG["rungs"][:3], {**CONFIG["rungs"][3], "over": "plain"}]
    assert ladder_with(rungs=rungs).rung("pruned").over == "plain"


def test_a_rung_like_another_inherits_what_it_does_not_set() -> None:
    """`then` appends recipes."""
    pruned = ladder_with().rung("pruned")
    assert pruned.recipes == ({"distil": {"student": "minilm"}}, {"prune": {"heads": 8}})
    assert (pruned.engine, pruned.options) == ("onnx-int8", {"keep_float": ["classifier"]})
    assert (pruned.count(4), ladder_with().rung("int8").count(4)) == (4, 1)


def test_a_rungs_process_gets_variables_and_the_record_holds_them_without_folders() -> None:
    """`like` inherits them; numbers need no quotes."""
    plain = {"name": "plain", "engine": "onnx-int8"}
    in_yaml = {"LD_PRELOAD": "/home/me/lib.so", "MALLOC_ARENA_MAX": 1}
    wanted = {**in_yaml, "MALLOC_ARENA_MAX": "1"}
    pages = {**plain, "name": "pages", "environment": in_yaml}
    ladder = ladder_of(plain, pages, {"name": "pool", "like": "pages", "instances": "cores"})
    assert ladder.rung("pool").environment == wanted
    assert "environment" not in ladder.rung("plain").words()
    assert ladder.rung("pages").words()["environment"] == wanted
    first, second, _ = ladder.facts()["rungs"]
    assert "environment" not in first
    assert second["environment"] == {"LD_PRELOAD": "lib.so", "MALLOC_ARENA_MAX": "1"}


def test_a_stage_with_an_environment_is_refused_and_a_cascade_may_have_one() -> None:
    """Stages share a process, so that variables of one stage would have no effect."""
    plain = {"name": "plain", "engine": "onnx-int8"}
    pages = {**plain, "name": "pages", "environment": {"A": "1"}}
    cascade = {"name": "both", "cascade": ["plain", "pages"]}
    with pytest.raises(UsageError, match="stage 'pages' of 'both' has an environment of its own"):
        ladder_of(plain, pages, cascade)
    own = {**cascade, "cascade": ["plain", "more"], "environment": {"A": "1"}}
    both = ladder_of(plain, {**plain, "name": "more"}, own).rung("both")
    assert both.words()["environment"] == {"A": "1"}


def test_parameters_are_replaced_by_their_values_and_can_be_overridden() -> None:
    """A path becomes its base name in a record."""
    ladder = parse_ladder(CONFIG, "mine.yaml", {"student": "/home/me/models/tiny", "heads": 4})
    assert ladder.rung("pruned").recipes[1] == {"prune": {"heads": 4}}
    assert ladder.facts()["parameters"] == {"student": "tiny", "heads": 4}
    assert "/home" not in str(ladder.facts())


def test_a_part_of_a_ladder_is_compared_within_itself() -> None:
    """If the rung that another is compared with is left out, the previous rung takes its place."""
    part = ladder_with().only(("plain", "int8"))
    assert [(rung.name, rung.over) for rung in part.rungs] == [("plain", ""), ("int8", "plain")]
    with pytest.raises(UsageError, match="Did you mean int8"):
        ladder_with().only(("int-8",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rungs": []}, "at least one rung"),
        ({"rungs": [{"name": "a", "engin": "onnx-int8"}]}, r"rungs\.0\.engin: .*Did you mean engine"),
        ({"rungs": [{"engine": "onnx-int8"}]}, r"rungs\.0\.name: Field required"),
        ({"rungs": [{"name": "a"}]}, "no engine"),
        ({"rungs": [{"name": "a/b", "engine": "x"}]}, "not a valid name of a rung: 'a/b'"),
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
def test_an_invalid_ladder_is_refused_with_its_problem(changes: dict[str, Any], message: str) -> None:
    """The nearest key is named where one is unknown."""
    with pytest.raises(UsageError, match=f"(?s){message}"):
        ladder_with(**changes)


def test_a_parameter_that_the_ladder_does_not_have_is_refused() -> None:
    """A misspelt --set must not be ignored."""
    with pytest.raises(UsageError, match="Did you mean student"):
        parse_ladder(CONFIG, "mine.yaml", {"studend": "minilm"})


def test_values_are_read_as_in_yaml() -> None:
    """Numbers are numbers; a setting without = is refused."""
    assert parse_parameters(("epochs=3", "student=minilm", "share=0.5")) == {
        "epochs": 3,
        "student": "minilm",
        "share": 0.5,
    }
    with pytest.raises(UsageError, match="NAME=VALUE"):
        parse_parameters(("epochs",))


@pytest.mark.parametrize("text", ["rungs: [", "- a list", "\t", "name: x\nrungs: 3"])
def test_a_file_without_a_valid_ladder_is_refused(tmp_path: Path, text: str) -> None:
    """One message, no traceback."""
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"mine\.yaml"):
        read_ladder(path, {})


def test_a_missing_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    """One message, no traceback."""
    with pytest.raises(UsageError, match=r"none\.yaml: there is no such file"):
        read_ladder(tmp_path / "none.yaml", {})


@pytest.mark.parametrize("name", list(load_catalog().ladders))
def test_every_ladder_that_ships_is_well_formed(name: str) -> None:
    """Its recipes, engines and options exist, and its first rung is the baseline."""
    catalog = load_catalog()
    ladder = parse_ladder(catalog.ladders[name], name, {})
    assert ladder.name == name
    assert ladder.rungs[0].over == ""
    for rung in ladder.rungs:
        assert catalog.rung(rung.words()).name == rung.name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine": "onnx-int9"}, "unknown engine.*onnx-int8"),
        ({"engine": "onnx-int8", "options": {"keep": 1}}, "unknown option of onnx-int8.*keep_float"),
        ({"recipes": [{"distill": {}}]}, "unknown recipe.*distil"),
        ({"recipes": [{"prune": {"head": 3}}]}, "unknown parameter of recipe prune.*heads"),
        ({"recipes": [{"prune": 3}]}, "must be a mapping"),
        (
            {"recipes": [{"distil": {"epochs": "many"}}]},
            "recipe distil: epochs must be a whole number, got 'many'",
        ),
        ({"recipes": [{"distil": {"epochs": 1.5}}]}, "epochs must be a whole number, got 1.5"),
        ({"recipes": [{"distil": {"patience": True}}]}, "patience must be a whole number, got True"),
        ({"recipes": [{"distil": {"student": None}}]}, "student must be a text, got None"),
        ({"recipes": [{"distil": {"extra_text": [3]}}]}, "extra_text must be a text or a list of texts"),
        ({"recipes": [{"distil": {"teacher": "best"}}]}, "teacher must be first or previous or last"),
        ({"recipes": [{"prune": {"heads": "half"}}]}, "heads must be a whole number or a number, got 'half'"),
        ({"engine": "native-int8", "options": {"smooth": "no"}}, "smooth must be true or false, got 'no'"),
        ({"recipes": [{"prune": {}, "distil": {}}]}, "one recipe"),
    ],
)
def test_an_unknown_recipe_engine_or_parameter_is_refused_by_name(
    changes: dict[str, Any], message: str
) -> None:
    """Before anything is prepared."""
    config = {"name": "x", "recipes": [], "engine": "onnx-int8", "options": {}, **changes}
    with pytest.raises(UsageError, match=f"(?s){message}"):
        load_catalog().rung(config)


def test_a_number_with_an_exponent_is_a_number_without_a_point_too() -> None:
    """`5e-5` is a text by YAML 1.1, and how everybody writes a learning rate."""
    values = parse_parameters(("rate=5e-5",))
    assert values == {"rate": "5e-5"}
    written = recipe_of({"distil": {"learning_rate": values["rate"], "extra_text": ["a", "b"]}})
    assert written == recipe_of({"distil": {"learning_rate": 0.00005, "extra_text": ["a", "b"]}})


class RecordedWarnings(NoProgress):
    """A progress reporter that keeps its warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        """Keep it."""
        self.warnings.append(text)


def test_an_optional_rung_that_cannot_run_here_is_left_out() -> None:
    """With a warning; the others are compared with one another."""
    ladder = ladder_of(
        {"name": "plain", "engine": "pytorch-dynamic"},
        {"name": "rival", "engine": "onnx-fp32", "optional": True},
        {"name": "last", "engine": "onnx-int8"},
    )
    reporter, catalog = RecordedWarnings(), load_catalog()
    assert able(ladder, catalog, reporter) == ladder
    assert reporter.warnings == []
    missing = SimpleNamespace(unavailable=lambda: "needs rival: pip install rival")
    installed = SimpleNamespace(unavailable=lambda: None)
    lacking: Any = SimpleNamespace(rung=lambda config: missing if config["name"] == "rival" else installed)
    remaining = able(ladder, lacking, reporter)
    assert [(rung.name, rung.over) for rung in remaining.rungs] == [("plain", ""), ("last", "plain")]
    assert reporter.warnings == ["rung rival is left out: needs rival: pip install rival"]
