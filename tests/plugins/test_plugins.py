from collections.abc import Iterable
from importlib.metadata import EntryPoint

import pytest

from harness.catalog import WithPlugins, built_in
from harness.common.errors import UsageError
from harness.common.plugins import GROUPS, Kind, Plugin, plugins, usable

NULL = "baselines.engines.null:NullVariant"


def found(*points: tuple[str, str], kind: Kind = "variant", taken: tuple[str, ...] = ()) -> dict[str, Plugin]:
    def find(group: str) -> Iterable[EntryPoint]:
        return [EntryPoint(name, value, group) for name, value in points]

    return plugins(kind, taken, find)


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    """Names come from metadata alone, so a broken one harms nobody who does not name it."""
    assert set(found(("a", "no_such:THING"), ("null", NULL))) == {"a", "null"}


def test_a_class_makes_the_thing_and_a_value_is_it() -> None:
    """A variant without arguments may be named by its class."""
    assert found(("null", NULL))["null"].load().summary.startswith("answers at once")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such:THING", "ModuleNotFoundError: No module named 'no_such'"),
        ("baselines.engines.null:THING", "AttributeError: "),
        ("math:pi", "math:pi is not a variant: it lacks name, summary, unavailable, prepare, load"),
        (NULL, "its entry point is named 'mine', and its object 'null'"),
    ],
)
def test_a_broken_one_is_refused_with_its_name_its_source_and_why(value: str, message: str) -> None:
    """Whoever named it can tell whose fault it is."""
    plugin = found(("mine", value))["mine"]
    with pytest.raises(
        UsageError, match="the plug-in mine \\(variant, from an unknown distribution\\)"
    ) as caught:
        plugin.load()
    assert message in str(caught.value)
    assert message in (plugin.problem() or "")


def test_built_in_names_are_never_taken() -> None:
    """It is listed with the reason, and left out of what can be used."""
    plugin = found(("null", NULL), taken=("null",))["null"]
    assert "its name is built in" in (plugin.problem() or "")
    assert usable("variant", ("null",), lambda group: [EntryPoint("null", NULL, group)]) == {}


def test_a_name_that_two_bring_is_nobodys() -> None:
    """Which one is meant nobody can say."""
    plugin = found(("null", NULL), ("null", "math:pi"))["null"]
    assert "used more than once" in (plugin.problem() or "")


def test_a_report_is_anything_that_can_be_called() -> None:
    """A function has no name of its own to agree with."""
    assert found(("mine", "math:floor"), kind="report")["mine"].load()(2.5) == 2
    assert found(("mine", "math:pi"), kind="report")["mine"].problem()


def test_the_catalog_has_built_in_variants_first_and_no_others_where_nothing_is_installed() -> None:
    """An unknown name is a KeyError, as in any mapping."""
    known = WithPlugins({})
    assert list(known) == list(built_in(known)) == []
    with pytest.raises(KeyError):
        known["null"]
    assert len(GROUPS) == 4
