"""A variant that wraps any other and answers the requests of a call in batches of similar length.

    requests --sorted by length--> batches within a budget of tokens --one engine call each--> ordered answers

On a CPU one request at a time is hard to beat: its activations stay in the cache, and nothing is padded. So
preparation times several budgets and one at a time on training examples, all in one call. One at a time is
kept unless a budget is faster by more than `MARGIN`. The manifest holds all times, and how far answers change
with their batch mates. A call with one request is answered without batching.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, cast

from baselines.checkpoints.artifacts import cache_key, find_or_make, link_all
from baselines.encoding.batching import check_budget
from baselines.models.families import unsupported_of
from harness.common.errors import UsageError
from harness.common.json_types import JsonObject
from harness.systems.interface import (
    Artifact,
    Placement,
    PreparationContext,
    PreparationSources,
    Settings,
    System,
    Variant,
)
from harness.workload.tasks.base import Task
from optimized.batching.grouping import (
    ONE_AT_A_TIME,
    BatchedSystem,
    ShapeCompiler,
    SingleCallSystem,
    batch_label,
    batch_sizes,
)
from optimized.graphs.candidates import CandidateTimer
from optimized.graphs.closeness import batch_dependence

Rule = Literal["auto", "sorted"]
RULES: tuple[Rule, ...] = ("auto", "sorted")

BUDGETS = (512, 1024, 2048)
"""Budgets to time, in tokens with padding: three to fifteen texts of BoolQ's length."""

MARGIN = 0.03
"""A budget must be this much faster than one at a time: less does not justify its effect on answers."""

_VERSION = 1
_FOLDER = "system"


@dataclass(frozen=True, slots=True)
class BatchedVariant:
    """`engine` with batches by `rule`: of `tokens` (sorted), or of the fastest budget (auto)."""

    engine: Variant
    rule: Rule = "auto"
    tokens: int = 0
    name: str = ""
    summary: str = ""

    def __post_init__(self) -> None:
        """Derive name and summary from the engine; UsageError for an unknown rule or a misplaced budget."""
        where = "option batching"
        if self.rule not in RULES:
            choices = " or ".join(RULES)
            raise UsageError(
                f"batching must be {choices}, got {self.rule!r}.", where=where, remedy=f"Use {choices}."
            )
        if (self.rule == "sorted") != (self.tokens > 0):
            raise UsageError(
                "batching `sorted` needs a budget of tokens, and `auto` takes none.",
                where=where,
                remedy="Write `batching: sorted, tokens: 1024`, or `batching: auto`.",
            )
        object.__setattr__(self, "name", self.name or f"{self.engine.name}-batched")
        object.__setattr__(
            self, "summary", self.summary or f"{self.engine.name}, batched where that is faster"
        )

    def unavailable(self) -> str | None:
        """Return why the engine cannot run here."""
        return self.engine.unavailable()

    def unsupported(self, task: Task, config: JsonObject) -> str | None:
        """Return what the engine lacks for the encoder of a checkpoint."""
        return unsupported_of(self.engine, task, config)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Prepare the engine and choose its budget; UsageError for a budget below the maximum length."""
        if self.tokens:
            check_budget(self.tokens, settings.max_length)
        parent = self.engine.prepare(task, sources, settings, context)
        timer = CandidateTimer.of(self.name, task, sources, settings, context)
        options = {"rule": self.rule, "tokens": self.tokens, "budgets": BUDGETS, "margin": MARGIN}
        key = cache_key("batched", _VERSION, task, [parent.key], **options, **timer.key_parts())

        def make(folder: Path) -> JsonObject:
            link_all(parent.folder, folder / _FOLDER)
            inherited = dict(parent.manifest)
            inherited.pop("batch_dependence", None)
            return {
                **inherited,
                "recipe": f"{inherited.get('recipe', self.engine.name)}, batched",
                "version": _VERSION,
                "parents": [parent.key],
                **self._choose(parent, timer),
                _FOLDER: {**parent.manifest, "key": parent.key},
            }

        return find_or_make(context.cache, key, make, energy=context.energy)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> System:
        """Load the engine with the budget of the manifest."""
        manifest = artifact.manifest[_FOLDER]
        parent = Artifact(artifact.folder / _FOLDER, manifest["key"], manifest)
        return self._load(artifact.manifest["batching"]["tokens"], task, parent, placement, settings)

    def _load(
        self, tokens: int, task: Task, parent: Artifact, placement: Placement, settings: Settings
    ) -> System:
        if not tokens:
            return self.engine.load(task, parent, placement, replace(settings, batch=1))
        # no batch has more requests than tokens, so each goes through the engine in one call
        system = self.engine.load(task, parent, placement, replace(settings, batch=tokens))
        if isinstance(system, ShapeCompiler):
            system.compile_for(lambda width: batch_sizes(width, tokens))
        return BatchedSystem(system, tokens)

    def _choose(self, parent: Artifact, timer: CandidateTimer) -> JsonObject:
        """Return the choice (0 tokens: one at a time), its reason, all times, and its effect on answers."""
        seconds = self._time(parent, timer) if self.rule == "auto" and len(timer.trial) > 1 else {}
        tokens, reason = fastest_budget(seconds) if self.rule == "auto" else (self.tokens, "as configured")
        batching = {
            "rule": self.rule,
            "tokens": tokens,
            "chosen": batch_label(tokens),
            "chosen_because": reason,
            "seconds_per_request": seconds or "not measured",
            "examples": len(timer.trial),
        }
        return {"batching": batching, **(self._dependence(tokens, parent, timer) if tokens else {})}

    def _time(self, parent: Artifact, timer: CandidateTimer) -> dict[str, float]:
        budgets = [0, *(budget for budget in BUDGETS if budget >= timer.settings.max_length)]
        timer.context.progress(f"timing {self.engine.name} {', or '.join(map(batch_label, budgets))}")

        def opener(tokens: int) -> System:
            return cast("System", SingleCallSystem(self._candidate(tokens, parent, timer)))

        return timer.time({batch_label(tokens): partial(opener, tokens) for tokens in budgets})

    def _dependence(self, tokens: int, parent: Artifact, timer: CandidateTimer) -> JsonObject:
        """Return how far answers differ from those of one request at a time."""
        system = self._candidate(tokens, parent, timer)
        try:
            count = len(timer.trial)
            return {
                "batch_dependence": batch_dependence(
                    timer.task, system, timer.trial, batch_label(tokens), count
                )
            }
        finally:
            system.close()

    def _candidate(self, tokens: int, parent: Artifact, timer: CandidateTimer) -> System:
        return self._load(tokens, timer.task, parent, timer.context.placement, timer.settings)


def fastest_budget(seconds: Mapping[str, float]) -> tuple[int, str]:
    """Return the fastest budget, 0 for one at a time, and the reason; ties go to one at a time."""
    if not seconds:
        return 0, "nothing could be timed"
    alone = seconds[ONE_AT_A_TIME]
    best = min(seconds, key=seconds.__getitem__)
    if seconds[best] >= alone * (1 - MARGIN):
        return 0, f"no budget was faster than one at a time by more than {100 * MARGIN:.0f} %"
    return next(budget for budget in BUDGETS if batch_label(budget) == best), "the lowest median time"
