"""Rungs as variants: a chain of recipes, an engine, and instances of it.

    the user's model --recipe--> checkpoint --recipe--> checkpoint --engine--> artifact --load--> system(s)

Every step is an artifact of its own in the cache, so rungs that share a beginning share its work.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from baselines.registry import variants as plain
from harness.common.errors import UsageError, unknown_name
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
from optimized.recipes.base import Recipe
from optimized.recipes.registry import RECIPES
from optimized.registry import variants as faster

_RULE = ("batching", "tokens")


@dataclass(frozen=True, slots=True)
class RungVariant:
    """A rung of a ladder as a variant; `words` are what it was made from."""

    name: str
    summary: str
    recipes: tuple[Recipe, ...]
    engine: Variant
    words: Mapping[str, Any]

    def unavailable(self) -> str | None:
        """Say what the engine lacks."""
        return self.engine.unavailable()

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Apply the recipes in turn, then let the engine prepare what came of them.

        The manifest gains `preparation`: each artifact on the way, with what it cost when it was made.
        """
        chain = [sources.checkpoint]
        steps: list[Artifact] = []
        for recipe in self.recipes:
            made = recipe.apply(task, chain, sources, settings, workshop)
            chain.append(made.checkpoint)
            steps.append(made.artifact)
        mine = replace(sources, checkpoint=chain[-1])
        artifact = self.engine.prepare(task, mine, settings, workshop)
        manifest = {**artifact.manifest, "preparation": _preparation([*steps, artifact], workshop.cache)}
        selection = [step.manifest["selection"] for step in steps if "selection" in step.manifest]
        if selection:
            manifest["selection"] = selection[-1]
        key = artifact.key
        return replace(artifact, manifest={**manifest, "key": key}, fresh=_fresh([*steps, artifact]))

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> System:
        """Load the engine's system, or a pool of them where there are several instances."""
        # the stages of a cascade are pools of their own
        if placement.instances == 1 or isinstance(self.engine, CascadeVariant):
            return self.engine.load(task, artifact, placement, settings)
        from optimized.parallel.pool import PoolSystem

        return PoolSystem(self.words, task, artifact, placement, settings)


def variant_of(words: Mapping[str, Any]) -> RungVariant:
    """Return the variant that a rung's words describe; UsageError for what no recipe or engine knows."""
    if words.get("stages"):
        return _cascade_of(words)
    recipes = tuple(recipe_of(each) for each in words["recipes"])
    engine = engine_of(words["engine"], words.get("options", {}))
    return RungVariant(words["name"], words.get("about") or engine.summary, recipes, engine, words)


def _cascade_of(words: Mapping[str, Any]) -> RungVariant:
    """Return a rung whose engine is a cascade of other rungs' variants."""
    allowed = ("loss", "thresholds", "criterion")
    options = dict(words.get("options", {}))
    for name in options:
        if name not in allowed:
            raise unknown_name("option of a cascade", name, allowed)
    stages = tuple(variant_of({**stage, "options": stage.get("options", {})}) for stage in words["stages"])
    about = words.get("about") or "a cascade of " + ", ".join(stage.name for stage in stages)
    given = options.get("thresholds", ())
    thresholds = tuple(given) if isinstance(given, list | tuple) else (given,)
    criterion = str(options.get("criterion", "confidence"))
    engine = CascadeVariant(
        words["name"], about, stages, float(options.get("loss", 0.5)), thresholds, criterion
    )
    return RungVariant(words["name"], about, (), engine, words)


def recipe_of(words: Mapping[str, Any]) -> Recipe:
    """Return the recipe of `{kind: {parameter: value}}`."""
    if len(words) != 1:
        raise UsageError(f"a step of a ladder is one recipe, not {', '.join(words) or 'nothing'}.")
    kind, parameters = next(iter(words.items()))
    if kind not in RECIPES:
        raise unknown_name("recipe", kind, RECIPES)
    made: Recipe = _made(RECIPES[kind], parameters or {}, f"recipe {kind}")
    return made


def engine_of(name: str, options: Mapping[str, Any]) -> Variant:
    """Return the engine of this name with these of its fields changed."""
    known = {variant.name: variant for variant in (*plain(), *faster())}
    if name not in known:
        raise unknown_name("engine", name, known)
    engine = known[name]
    if not options:
        return engine
    if "batching" in options:
        return _batched(name, options)
    known_fields = getattr(engine, "__dataclass_fields__", {})
    allowed = [each for each in known_fields if each not in ("name", "summary")]
    for option in options:
        if option not in allowed:
            raise unknown_name(f"option of {name}", option, allowed)
    frozen = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    changed: Variant = replace(engine, **frozen)  # type: ignore[type-var]  # variants are dataclasses
    return changed


def _batched(name: str, options: Mapping[str, Any]) -> Variant:
    """Return an engine that batches by a rule, which any may be given (optimized/batching/batched.py)."""
    rule, rest = options["batching"], {key: value for key, value in options.items() if key not in _RULE}
    tokens = options.get("tokens", 0)
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
        raise UsageError(
            f"{tokens!r} is no number of tokens.", where="option tokens", remedy="Use 1024, say."
        )
    return BatchedVariant(engine_of(name, rest), rule, tokens)


def _made(kind: type[Any], parameters: Any, where: str) -> Any:  # noqa: ANN401 -- a recipe and YAML values
    if not isinstance(parameters, Mapping):
        raise UsageError("its parameters must be a mapping.", where=where)
    allowed = [name for name in inspect.signature(kind).parameters if name != "kind"]
    for name in parameters:
        if name not in allowed:
            raise unknown_name(f"parameter of {where}", name, allowed)
    try:
        return kind(**parameters)
    except (TypeError, ValueError) as problem:
        raise UsageError(f"{problem}.", where=where) from None


def _preparation(artifacts: Sequence[Artifact], cache: Cache) -> list[dict[str, Any]]:
    """Return what every artifact, and what it was made from, cost when it was made, once each."""
    found: dict[str, dict[str, Any]] = {}
    for artifact in artifacts:
        for stage in artifact.manifest.get("stages", ()):  # of a cascade, each with its own way
            found |= {step["key"]: step for step in stage.get("preparation", ())}
        for one in _with_parents(artifact, cache):
            known = {name: one.manifest.get(name) for name in ("recipe", "seconds", "energy")}
            found.setdefault(one.key, {"key": one.key, **known})
    return [step for step in found.values() if step["seconds"]]


def _with_parents(artifact: Artifact, cache: Cache) -> Iterator[Artifact]:
    """Yield what an artifact was made from, as far as the cache holds it, before the artifact itself."""
    for key in artifact.manifest.get("parents", ()):
        parent = cache.find(key)
        if parent:
            yield from _with_parents(parent, cache)
    yield artifact


def _fresh(artifacts: Sequence[Artifact]) -> bool:
    return any(artifact.fresh for artifact in artifacts)
