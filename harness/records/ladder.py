"""A ladder as data: an ordered list of rungs, each naming the one it is compared with.

    YAML or a built-in ladder --parse--> Ladder --rungs--> variants, cells, the order of the table

A rung is a chain of recipes, an engine and a number of instances. What recipes and engines take is theirs to
check; here it is only made sure that the ladder is well-formed, so that a misspelt word never measures
something else.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from harness.common.errors import UsageError, unknown_name
from harness.common.files import base_names
from harness.records.record import FrozenModel

CORES = "cores"
"""As many instances as there are cores to run on."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 +%_.-]{0,39}")
_PLACEHOLDER = "$"


class Rung(FrozenModel):
    """One rung: what is done to the model, by which engine it answers, in how many instances.

    `like` takes over recipes, engine, options, instances and environment of an earlier rung unless they are
    said; `then` adds recipes to the end. `over` is what it is compared with: the rung before, if nothing is
    said.
    """

    name: str
    over: str = ""
    like: str = ""
    recipes: tuple[dict[str, Any], ...] = ()
    then: tuple[dict[str, Any], ...] = ()
    engine: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    instances: int | str = 1
    environment: dict[str, str] = Field(default_factory=dict)
    """Variables that its process, and its instances, are started with (`worker/environment.py`)."""
    optional: bool = False
    """Whether it is left out, with a word, where its engine cannot run; else the ladder is refused."""
    cascade: tuple[str, ...] = ()
    """Earlier rungs, the cheapest first: each passes on what it is unsure of."""
    stages: tuple[dict[str, Any], ...] = ()
    about: str = ""
    reference: dict[str, Any] | None = None

    @field_validator("environment", mode="before")
    @classmethod
    def _as_words(cls, given: Any) -> Any:  # noqa: ANN401 -- a YAML value
        """Take a number as it is written: YAML has no other way to say it without quotes."""
        if not isinstance(given, Mapping):
            return given
        return {name: str(value) if type(value) is int else value for name, value in given.items()}

    def words(self) -> dict[str, Any]:
        """Return what a worker needs to make the rung's variant, as JSON values."""
        return {
            "name": self.name,
            "about": self.about,
            "recipes": list(self.recipes),
            "engine": self.engine,
            "options": self.options,
            **({"stages": list(self.stages)} if self.stages else {}),
            **({"environment": self.environment} if self.environment else {}),
        }

    def facts(self) -> dict[str, Any]:
        """Return what a record says of the rung, with base names for paths."""
        said = self.model_dump(include={"name", "over", "about", "reference"})
        environment = {name: base_names(value) for name, value in self.environment.items()}
        return {**said, **({"environment": environment} if environment else {})}

    def count(self, cores: int) -> int:
        """Return the instances on so many cores."""
        return cores if self.instances == CORES else int(self.instances)


class Ladder(FrozenModel):
    """Rungs in order; `parameters` are the values that stood for its `$names`."""

    name: str
    rungs: tuple[Rung, ...]
    roofline: bool = False
    """Whether the cores' arithmetic limit is measured with it, for each rung's share of it."""
    parameters: dict[str, Any] = Field(default_factory=dict)

    def rung(self, name: str) -> Rung:
        """Return the rung of this name; UsageError with the nearest names if there is none."""
        for rung in self.rungs:
            if rung.name == name:
                return rung
        raise unknown_name("rung", name, [rung.name for rung in self.rungs])

    def only(self, names: tuple[str, ...]) -> "Ladder":
        """Return the ladder with these rungs alone, in its order, each compared with one that is left."""
        for name in names:
            self.rung(name)
        kept: list[Rung] = []
        for rung in self.rungs:
            if rung.name in names:
                over = (
                    rung.over if rung.over in {one.name for one in kept} else (kept[-1].name if kept else "")
                )
                kept.append(rung.model_copy(update={"over": over}))
        return self.model_copy(update={"rungs": tuple(kept)})

    def facts(self) -> dict[str, Any]:
        """Return what a record says of the ladder: names, order and parameters, with base names for paths."""
        rungs = [rung.facts() for rung in self.rungs]
        shown = {name: _base_name(value) for name, value in self.parameters.items()}
        return {"name": self.name, "parameters": shown, "rungs": rungs}


def parse_ladder(words: Mapping[str, Any], where: str, parameters: Mapping[str, Any]) -> Ladder:
    """Return the ladder of these words, `parameters` in place of its own; UsageError if it is none."""
    words = dict(words)
    known = dict(_mapping(words.pop("parameters", {}), where, "parameters"))
    for name in parameters:
        if name not in known:
            raise unknown_name("parameter of the ladder", name, known)
    known.update(parameters)
    try:
        ladder = Ladder(**_filled(words, known, where), parameters=known)
    except (ValidationError, TypeError) as problem:
        raise UsageError(_first(problem, Rung if "rungs" in str(problem) else Ladder), where=where) from None
    return ladder.model_copy(update={"rungs": _resolved(ladder.rungs, where)})


def read_ladder(path: Path, parameters: Mapping[str, Any]) -> Ladder:
    """Read a ladder from a YAML file; UsageError says what is wrong with it."""
    import yaml

    try:
        words = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UsageError(f"cannot be read: {problem.strerror}.", where=str(path)) from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise UsageError(f"not YAML ({problem}).", where=str(path)) from None
    return parse_ladder(_mapping(words, path.name, "the ladder"), path.name, parameters)


def parse_parameters(settings: tuple[str, ...]) -> dict[str, Any]:
    """Return `name=value` words as values, read as YAML reads them."""
    import yaml

    found = {}
    for each in settings:
        name, equals, value = each.partition("=")
        if not (name and equals):
            raise UsageError(f"{each!r} is no NAME=VALUE.", where="--set")
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UsageError(f"the value of {name} cannot be read.", where="--set") from None
    return found


def _mapping(found: Any, where: str, what: str) -> Mapping[str, Any]:  # noqa: ANN401 -- a YAML value
    if not isinstance(found, Mapping):
        raise UsageError(f"{what} must be a mapping.", where=where, remedy="docs/ladder.md has an example.")
    return found


def _filled(found: Any, known: Mapping[str, Any], where: str) -> Any:  # noqa: ANN401 -- YAML values
    """Put parameters in place of `$name`, wherever it stands alone."""
    if isinstance(found, Mapping):
        return {key: _filled(value, known, where) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_filled(value, known, where) for value in found]
    if isinstance(found, str) and found.startswith(_PLACEHOLDER):
        name = found.removeprefix(_PLACEHOLDER)
        if name not in known:
            raise unknown_name("parameter of the ladder", name, known)
        return known[name]
    return found


def _resolved(rungs: tuple[Rung, ...], where: str) -> tuple[Rung, ...]:
    if not rungs:
        raise UsageError("a ladder needs at least one rung.", where=where)
    made: dict[str, Rung] = {}
    for rung in rungs:
        if not _NAME.fullmatch(rung.name):
            raise UsageError(
                f"{rung.name!r} cannot be the name of a rung.",
                where=where,
                remedy="Use up to 40 letters, digits, blanks and + % _ . - after a letter or digit.",
            )
        if rung.name in made:
            raise UsageError(f"two rungs are named {rung.name!r}.", where=where)
        for named in filter(None, (rung.like, rung.over)):
            if named not in made:
                raise unknown_name(f"earlier rung (in {rung.name!r})", named, made)
        if rung.stages:
            raise UsageError(f"rung {rung.name!r} names its stages as `cascade`.", where=where)
        made[rung.name] = _cascade(rung, made, where) if rung.cascade else _whole(rung, made, where)
    return tuple(made.values())


def _whole(rung: Rung, made: Mapping[str, Rung], where: str) -> Rung:
    """Return a rung with what it takes over from the one it is like."""
    said = rung.model_fields_set
    like = made[rung.like] if rung.like else Rung(name=rung.name)
    taken = {
        name: getattr(rung if name in said else like, name)
        for name in ("recipes", "engine", "options", "instances", "environment")
    }
    if not taken["engine"]:
        raise UsageError(f"rung {rung.name!r} has no engine.", where=where, remedy="For instance onnx-int8.")
    count = taken["instances"]
    if count != CORES and (not isinstance(count, int) or count < 1):
        raise UsageError(
            f"rung {rung.name!r} has {count!r} instances.", where=where, remedy=f"A number, or {CORES}."
        )
    taken["recipes"] = (*taken["recipes"], *rung.then)
    over = rung.over or (list(made)[-1] if made else "")
    own = {"about": rung.about, "reference": rung.reference, "optional": rung.optional or like.optional}
    return Rung(name=rung.name, over=over, **own, **taken)


def _cascade(rung: Rung, made: Mapping[str, Rung], where: str) -> Rung:
    """Return a rung whose stages are earlier rungs, by value, so that a worker can make them."""
    for name in rung.cascade:
        if name not in made:
            raise unknown_name(f"earlier rung (in {rung.name!r})", name, made)
        if made[name].cascade:
            raise UsageError(f"stage {name!r} of {rung.name!r} is a cascade itself.", where=where)
        if made[name].environment:
            raise UsageError(
                f"stage {name!r} of {rung.name!r} has an environment of its own.",
                where=where,
                remedy="Stages share one process: say `environment` at the cascade.",
            )
    if rung.recipes or rung.then or rung.engine or rung.like:
        raise UsageError(
            f"rung {rung.name!r} is a cascade: its stages say recipes and engines.",
            where=where,
            remedy="Leave out recipes, then, engine and like.",
        )
    over = rung.over or rung.cascade[-1]
    return rung.model_copy(
        update={"over": over, "stages": tuple(made[name].words() for name in rung.cascade)}
    )


def _first(problem: Exception, model: type[FrozenModel]) -> str:
    """Say the first thing that is wrong, with the nearest word where one is unknown."""
    if not isinstance(problem, ValidationError):
        return f"{problem}."
    error = problem.errors()[0]
    place = ".".join(map(str, error["loc"]))
    if error["type"] != "extra_forbidden":
        return f"{place}: {error['msg']}."
    wrong = unknown_name("word", str(error["loc"][-1]), model.model_fields)
    return f"{place}: {wrong.message} {wrong.remedy}"


def _base_name(value: Any) -> Any:  # noqa: ANN401 -- a parameter
    return Path(value).name if isinstance(value, str) and ("/" in value or "\\" in value) else value
