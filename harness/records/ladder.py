"""A ladder as data: an ordered list of rungs, each naming the one it is compared with.

    YAML or a built-in ladder --parse--> Ladder --rungs--> variants, cells, the order of the table

A rung is a chain of recipes, an engine and a number of instances. This module checks the form of a ladder, so
that a misspelt key is an error; recipes and engines check their own parameters.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from harness.common.errors import UsageError, unknown_name
from harness.common.files import base_names
from harness.common.inputs.yaml_text import parse_yaml, read_yaml
from harness.common.json_types import JsonObject, JsonValue
from harness.records.record import FrozenModel

CORES = "cores"
"""The value of `instances` that stands for one instance per core."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 +%_.-]{0,39}")
_PLACEHOLDER = "$"


class Rung(FrozenModel):
    """One rung: the recipes applied to the model, the engine that runs it, and the number of instances.

    `like` names an earlier rung whose recipes, engine, options, instances and environment this rung inherits
    unless it sets them itself; `then` appends recipes. `over` names the rung that this one is compared with,
    by default the previous one.
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
    """Environment variables of its worker process and its instances (`worker/environment.py`)."""
    optional: bool = False
    """Whether the rung is left out, with a warning, where its engine cannot run; otherwise an error."""
    cascade: tuple[str, ...] = ()
    """Earlier rungs as stages, the cheapest first: each passes requests below its threshold to the next."""
    stages: tuple[dict[str, Any], ...] = ()
    about: str = ""
    reference: dict[str, Any] | None = None

    @field_validator("environment", mode="before")
    @classmethod
    def _numbers_as_text(cls, environment: JsonValue) -> JsonValue:
        """Accept integers without quotes in YAML as the text of a variable."""
        if not isinstance(environment, Mapping):
            return environment
        return {name: str(value) if type(value) is int else value for name, value in environment.items()}

    def words(self) -> JsonObject:
        """Return the JSON object from which a worker builds the rung's variant."""
        return {
            "name": self.name,
            "about": self.about,
            "recipes": list(self.recipes),
            "engine": self.engine,
            "options": self.options,
            **({"stages": list(self.stages)} if self.stages else {}),
            **({"environment": self.environment} if self.environment else {}),
        }

    def facts(self) -> JsonObject:
        """Return the rung as it is stored in a record, with base names in place of paths."""
        fields = self.model_dump(include={"name", "over", "about", "reference"})
        environment = {name: base_names(value) for name, value in self.environment.items()}
        return {**fields, **({"environment": environment} if environment else {})}

    def count(self, cores: int) -> int:
        """Return the number of instances on `cores` cores."""
        return cores if self.instances == CORES else int(self.instances)


class Ladder(FrozenModel):
    """Rungs in order; `parameters` are the values that replaced its `$names`."""

    name: str
    rungs: tuple[Rung, ...]
    roofline: bool = False
    """Whether the compute limit of the cores is measured with it, for each rung's share of that limit."""
    parameters: dict[str, Any] = Field(default_factory=dict)

    def rung(self, name: str) -> Rung:
        """Return the rung with this name; UsageError with the nearest names if there is none."""
        for rung in self.rungs:
            if rung.name == name:
                return rung
        raise unknown_name("rung", name, [rung.name for rung in self.rungs])

    def only(self, names: tuple[str, ...]) -> "Ladder":
        """Return the ladder with these rungs alone, in its order, each compared with a remaining one."""
        for name in names:
            self.rung(name)
        kept: list[Rung] = []
        for rung in self.rungs:
            if rung.name in names:
                previous = kept[-1].name if kept else ""
                over = rung.over if rung.over in {earlier.name for earlier in kept} else previous
                kept.append(rung.model_copy(update={"over": over}))
        return self.model_copy(update={"rungs": tuple(kept)})

    def facts(self) -> JsonObject:
        """Return the ladder as a record holds it: rungs and parameters, with base names in place of paths."""
        rungs = [rung.facts() for rung in self.rungs]
        parameters = {name: _base_name(value) for name, value in self.parameters.items()}
        return {"name": self.name, "parameters": parameters, "rungs": rungs}


def parse_ladder(config: Mapping[str, Any], where: str, parameters: Mapping[str, Any]) -> Ladder:
    """Return the ladder of a parsed YAML mapping; `parameters` override its own values.

    `where` names the source in errors. Raises UsageError if the mapping is not a valid ladder.
    """
    fields = dict(config)
    values = dict(_mapping(fields.pop("parameters", {}), where, "parameters"))
    for name in parameters:
        if name not in values:
            raise unknown_name("parameter of the ladder", name, values)
    values.update(parameters)
    try:
        ladder = Ladder(**_substitute(fields, values), parameters=values)
    except (ValidationError, TypeError) as error:
        model = Rung if "rungs" in str(error) else Ladder
        raise UsageError(_first_problem(error, model), where=where) from None
    return ladder.model_copy(update={"rungs": _resolve(ladder.rungs, where)})


def read_ladder(path: Path, parameters: Mapping[str, Any]) -> Ladder:
    """Read a ladder from a YAML file; UsageError if it is not a valid one."""
    config = read_yaml(path).value
    return parse_ladder(_mapping(config, path.name, "the ladder"), path.name, parameters)


def parse_parameters(settings: tuple[str, ...]) -> JsonObject:
    """Return the values of `name=value` settings, each parsed as YAML; UsageError if one is malformed."""
    values = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not (name and equals):
            raise UsageError(f"expected NAME=VALUE, got {setting!r}.", where="--set")
        try:
            values[name] = parse_yaml(text, "--set").value
        except UsageError as error:
            raise UsageError(f"the value of {name}, {text[:40]!r}: {error.message}", where="--set") from None
    return values


def _mapping(value: JsonValue, where: str, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(
            f"{name} must be a mapping.", where=where, remedy="docs/howto/ladder.md has an example."
        )
    return value


def _substitute(value: JsonValue, parameters: Mapping[str, Any]) -> JsonValue:
    """Replace every string `$name` by the value of that parameter."""
    if isinstance(value, Mapping):
        return {key: _substitute(item, parameters) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_substitute(item, parameters) for item in value]
    if isinstance(value, str) and value.startswith(_PLACEHOLDER):
        name = value.removeprefix(_PLACEHOLDER)
        if name not in parameters:
            raise unknown_name("parameter of the ladder", name, parameters)
        return parameters[name]
    return value


def _resolve(rungs: tuple[Rung, ...], where: str) -> tuple[Rung, ...]:
    """Return the rungs with inherited fields and stages filled in; UsageError if names do not fit."""
    if not rungs:
        raise UsageError("a ladder needs at least one rung.", where=where)
    resolved: dict[str, Rung] = {}
    for rung in rungs:
        if not _NAME.fullmatch(rung.name):
            raise UsageError(
                f"not a valid name of a rung: {rung.name!r}.",
                where=where,
                remedy="Use up to 40 letters, digits, blanks and + % _ . - after a letter or digit.",
            )
        if rung.name in resolved:
            raise UsageError(f"two rungs are named {rung.name!r}.", where=where)
        for earlier in filter(None, (rung.like, rung.over)):
            if earlier not in resolved:
                raise unknown_name(f"earlier rung (in {rung.name!r})", earlier, resolved)
        if rung.stages:
            raise UsageError(f"rung {rung.name!r} must name its stages in `cascade`.", where=where)
        resolved[rung.name] = (_resolve_cascade if rung.cascade else _inherit)(rung, resolved, where)
    return tuple(resolved.values())


def _inherit(rung: Rung, earlier: Mapping[str, Rung], where: str) -> Rung:
    """Return a rung with the fields that it inherits from the rung that `like` names."""
    like = earlier[rung.like] if rung.like else Rung(name=rung.name)
    fields = {
        name: getattr(rung if name in rung.model_fields_set else like, name)
        for name in ("recipes", "engine", "options", "instances", "environment")
    }
    if not fields["engine"]:
        raise UsageError(f"rung {rung.name!r} has no engine.", where=where, remedy="For instance onnx-int8.")
    count = fields["instances"]
    if count != CORES and (not isinstance(count, int) or count < 1):
        raise UsageError(
            f"rung {rung.name!r} has {count!r} instances.",
            where=where,
            remedy=f"Give a number of 1 or more, or {CORES}.",
        )
    fields["recipes"] = (*fields["recipes"], *rung.then)
    over = rung.over or (list(earlier)[-1] if earlier else "")
    own = {"about": rung.about, "reference": rung.reference, "optional": rung.optional or like.optional}
    return Rung(name=rung.name, over=over, **own, **fields)


def _resolve_cascade(rung: Rung, earlier: Mapping[str, Rung], where: str) -> Rung:
    """Return a rung with copies of the earlier rungs that are its stages, so that a worker can build them."""
    for name in rung.cascade:
        if name not in earlier:
            raise unknown_name(f"earlier rung (in {rung.name!r})", name, earlier)
        if earlier[name].cascade:
            raise UsageError(f"stage {name!r} of {rung.name!r} is a cascade itself.", where=where)
        if earlier[name].environment:
            raise UsageError(
                f"stage {name!r} of {rung.name!r} has an environment of its own.",
                where=where,
                remedy="Stages share one process: set `environment` in the cascade.",
            )
    if rung.recipes or rung.then or rung.engine or rung.like:
        raise UsageError(
            f"rung {rung.name!r} is a cascade: its stages define recipes and engines.",
            where=where,
            remedy="Leave out recipes, then, engine and like.",
        )
    over = rung.over or rung.cascade[-1]
    return rung.model_copy(
        update={"over": over, "stages": tuple(earlier[name].words() for name in rung.cascade)}
    )


def _first_problem(error: Exception, model: type[FrozenModel]) -> str:
    """Return the first problem of a validation error, with the nearest key where one is unknown."""
    if not isinstance(error, ValidationError):
        return f"{error}."
    details = error.errors()[0]
    place = ".".join(map(str, details["loc"]))
    if details["type"] != "extra_forbidden":
        return f"{place}: {details['msg']}."
    unknown = unknown_name("key", str(details["loc"][-1]), model.model_fields)
    return f"{place}: {unknown.message} {unknown.remedy}"


def _base_name(value: JsonValue) -> JsonValue:
    return Path(value).name if isinstance(value, str) and ("/" in value or "\\" in value) else value
