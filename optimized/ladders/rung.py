"""Rungs of ladders as variants: a chain of recipes, an engine, and a number of instances.

    the user's model --recipe--> checkpoint --recipe--> checkpoint --engine--> artifact --load--> system(s)

Every step writes an artifact of its own into the cache, so rungs with the same first steps share them.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from baselines.models.families import unsupported_of
from baselines.registry import variants as baseline_variants
from harness.common.errors import UsageError, unknown_name
from harness.common.json_types import JsonObject, JsonValue
from harness.systems.interface import (
    Artifact,
    Cache,
    Placement,
    PreparationContext,
    PreparationSources,
    Settings,
    System,
    Variant,
)
from harness.workload.tasks.base import Task
from optimized.adaptive.cascade import CascadeVariant
from optimized.batching.batched import BatchedVariant
from optimized.ladders.typed_values import typed_values
from optimized.recipes.base import Recipe
from optimized.recipes.registry import RECIPES
from optimized.registry import variants as optimized_variants

_BATCHING_OPTIONS = ("batching", "tokens")
_CASCADE_OPTIONS = ("loss", "thresholds", "criterion")


@dataclass(frozen=True, slots=True)
class RungVariant:
    """A rung of a ladder as a variant; `config` is the rung's JSON object, as in the plan."""

    name: str
    summary: str
    recipes: tuple[Recipe, ...]
    engine: Variant
    config: Mapping[str, Any]

    @property
    def reads_checkpoint(self) -> bool:
        """Whether the engine reads a checkpoint; `null` and programs do not."""
        return bool(getattr(self.engine, "reads_checkpoint", True))

    def unavailable(self) -> str | None:
        """Return why the engine cannot run here, or None if it can."""
        return self.engine.unavailable()

    def unsupported(self, task: Task, config: JsonObject) -> str | None:
        """Return what the first recipe, or without recipes the engine, lacks for a checkpoint.

        Later ones get another checkpoint, and refuse it when they are reached.
        """
        return unsupported_of(self.recipes[0] if self.recipes else self.engine, task, config)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Apply the recipes in order, then let the engine prepare the last checkpoint.

        `preparation` is added to the manifest: every artifact of the chain with the cost of making it.
        """
        chain = [sources.checkpoint]
        artifacts: list[Artifact] = []
        for recipe in self.recipes:
            output = recipe.apply(task, chain, sources, settings, context)
            chain.append(output.checkpoint)
            artifacts.append(output.artifact)
        engine_sources = replace(sources, checkpoint=chain[-1])
        artifact = self.engine.prepare(task, engine_sources, settings, context)
        selections = [step.manifest["selection"] for step in artifacts if "selection" in step.manifest]
        artifacts.append(artifact)
        manifest = {**artifact.manifest, "preparation": _preparation_costs(artifacts, context.cache)}
        if selections:
            manifest["selection"] = selections[-1]
        fresh = any(step.fresh for step in artifacts)
        return replace(artifact, manifest={**manifest, "key": artifact.key}, fresh=fresh)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> System:
        """Load the engine's system, or a pool of systems if the placement has several instances."""
        # each stage of a cascade loads a pool of its own
        if placement.instances == 1 or isinstance(self.engine, CascadeVariant):
            return self.engine.load(task, artifact, placement, settings)
        from optimized.parallel.pool import PoolSystem

        return PoolSystem(self.config, task, artifact, placement, settings)


def variant_of(config: Mapping[str, Any]) -> RungVariant:
    """Return the variant of a rung's JSON object; UsageError for an unknown recipe, engine or option."""
    if config.get("stages"):
        return _cascade_of(config)
    recipes = tuple(recipe_of(step) for step in config["recipes"])
    engine = engine_of(config["engine"], config.get("options", {}))
    return RungVariant(config["name"], config.get("about") or engine.summary, recipes, engine, config)


def _cascade_of(config: Mapping[str, Any]) -> RungVariant:
    """Return a rung whose engine is a cascade of the variants of other rungs."""
    options = config.get("options", {})
    _check_names("option of a cascade", options, _CASCADE_OPTIONS)
    stages = tuple(variant_of({**stage, "options": stage.get("options", {})}) for stage in config["stages"])
    about = config.get("about") or "a cascade of " + ", ".join(stage.name for stage in stages)
    thresholds = options.get("thresholds", ())
    engine = CascadeVariant(
        config["name"],
        about,
        stages,
        loss=float(options.get("loss", 0.5)),
        thresholds=tuple(thresholds) if isinstance(thresholds, list | tuple) else (thresholds,),
        criterion=str(options.get("criterion", "confidence")),
    )
    return RungVariant(config["name"], about, (), engine, config)


def recipe_of(step: Mapping[str, Any]) -> Recipe:
    """Return the recipe of `{kind: {parameter: value}}`; UsageError for anything else."""
    if len(step) != 1:
        raise UsageError(f"expected one recipe in each step of a ladder, got {', '.join(step) or 'none'}.")
    kind, parameters = next(iter(step.items()))
    if kind not in RECIPES:
        raise unknown_name("recipe", kind, RECIPES)
    return _build_recipe(RECIPES[kind], parameters or {}, f"recipe {kind}")


def engine_of(name: str, options: Mapping[str, Any]) -> Variant:
    """Return the engine called `name`, with `options` in place of the defaults of its fields."""
    engines = {variant.name: variant for variant in (*baseline_variants(), *optimized_variants())}
    if name not in engines:
        raise unknown_name("engine", name, engines)
    engine = engines[name]
    if not options:
        return engine
    if "batching" in options:
        return _batched(name, options)
    fields = getattr(engine, "__dataclass_fields__", {})
    names = [field for field in fields if field not in ("name", "summary")]
    _check_names(f"option of {name}", options, names)
    typed = typed_values(type(engine), options, f"options of {name}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in typed.items()}
    changed: Variant = replace(engine, **values)  # type: ignore[type-var]  # variants are dataclasses
    return changed


def _batched(name: str, options: Mapping[str, Any]) -> Variant:
    """Return an engine with a batching rule, an option of every engine (optimized/batching/batched.py)."""
    engine_options = {key: value for key, value in options.items() if key not in _BATCHING_OPTIONS}
    tokens = options.get("tokens", 0)
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
        raise UsageError(
            f"expected 0 or more tokens, got {tokens!r}.",
            where="option tokens",
            remedy="Use 1024, say.",
        )
    return BatchedVariant(engine_of(name, engine_options), options["batching"], tokens)


def _build_recipe(kind: type[Any], parameters: JsonValue, where: str) -> Recipe:
    if not isinstance(parameters, Mapping):
        raise UsageError(f"the parameters must be a mapping, got {parameters!r}.", where=where)
    names = [name for name in inspect.signature(kind).parameters if name != "kind"]
    _check_names(f"parameter of {where}", parameters, names)
    try:
        recipe: Recipe = kind(**typed_values(kind, parameters, where))
    except (TypeError, ValueError) as problem:
        raise UsageError(f"{problem}.", where=where) from None
    return recipe


def _check_names(kind: str, given: Mapping[str, Any], allowed: Sequence[str]) -> None:
    for name in given:
        if name not in allowed:
            raise unknown_name(kind, name, allowed)


def _preparation_costs(artifacts: Sequence[Artifact], cache: Cache) -> list[dict[str, Any]]:
    """Return the cost of making each artifact and its ancestors, each artifact once."""
    costs: dict[str, dict[str, Any]] = {}
    for artifact in artifacts:
        for stage in artifact.manifest.get("stages", ()):  # of a cascade, each with its own preparation
            costs |= {step["key"]: step for step in stage.get("preparation", ())}
        for step in _with_ancestors(artifact, cache):
            cost = {name: step.manifest.get(name) for name in ("recipe", "seconds", "energy")}
            costs.setdefault(step.key, {"key": step.key, **cost})
    return [step for step in costs.values() if step["seconds"]]


def _with_ancestors(artifact: Artifact, cache: Cache) -> Iterator[Artifact]:
    """Yield the ancestors of an artifact that are in the cache, oldest first, then the artifact."""
    for key in artifact.manifest.get("parents", ()):
        parent = cache.find(key)
        if parent:
            yield from _with_ancestors(parent, cache)
    yield artifact
