"""Any variant, answering what is asked together in batches of like lengths, where that was measured to help.

    requests --sorted by length--> parts within a budget of tokens --one engine call each--> answers, in order

On a CPU one request at a time is hard to beat: its activations stay in the cache, and nothing is padded. So
the budgets are tried when the variant is prepared, on training examples asked all at once, beside one at a
time, which stays unless a budget is faster by more than `MARGIN`. What was tried, and how far answers move
with their batch mates, is in the manifest. A request that is asked alone is answered alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from baselines.checkpoints.artifacts import cache_key, find_or_make, link_all
from baselines.encoding.batching import check_budget
from harness.common.errors import UsageError
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
from optimized.batching.grouping import ONE_AT_A_TIME, AllAtOnce, BatchedSystem, Compiles, counts_of, label
from optimized.graphs.candidates import CandidateTimer
from optimized.graphs.closeness import batch_dependence

Rule = Literal["auto", "sorted"]
RULES: tuple[Rule, ...] = ("auto", "sorted")

BUDGETS = (512, 1024, 2048)
"""Tokens with padding that are tried: three to fifteen texts of BoolQ's length."""

MARGIN = 0.03
"""A budget that is kept is so much faster than one at a time: less is not worth what it does to answers."""

_VERSION = 1
_FOLDER = "system"


@dataclass(frozen=True, slots=True)
class BatchedVariant:
    """`inner` with batches by `rule`: of `tokens` (sorted), or of what was fastest here (auto)."""

    inner: Variant
    rule: Rule = "auto"
    tokens: int = 0
    name: str = ""
    summary: str = ""

    def __post_init__(self) -> None:
        """Take name and summary from the inner variant; UsageError for a rule that is none."""
        where = "option batching"
        if self.rule not in RULES:
            raise UsageError(
                f"{self.rule!r} is no batching.", where=where, remedy=f"Use {' or '.join(RULES)}."
            )
        if (self.rule == "sorted") != (self.tokens > 0):
            raise UsageError(
                "batching by length needs a budget of tokens, and only that.",
                where=where,
                remedy="Write `batching: sorted, tokens: 1024`, or `batching: auto`.",
            )
        object.__setattr__(self, "name", self.name or f"{self.inner.name}-batched")
        object.__setattr__(
            self, "summary", self.summary or f"{self.inner.name}, batched where that is faster"
        )

    def unavailable(self) -> str | None:
        """Say what the inner variant lacks."""
        return self.inner.unavailable()

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Prepare the inner variant, and find its budget; UsageError for one that a sequence may exceed."""
        if self.tokens:
            check_budget(self.tokens, settings.max_length)
        made = self.inner.prepare(task, sources, settings, workshop)
        bench = CandidateTimer(self.name, task, sources.trial, settings, workshop)
        tried = {"rule": self.rule, "tokens": self.tokens, "budgets": BUDGETS, "margin": MARGIN}
        key = cache_key("batched", _VERSION, task, [made.key], **tried, **bench.key_parts())

        def make(folder: Path) -> dict[str, Any]:
            link_all(made.folder, folder / _FOLDER)
            kept = dict(made.manifest)
            kept.pop("batch_dependence", None)
            return {
                **kept,
                "recipe": f"{kept.get('recipe', self.inner.name)}, batched",
                "version": _VERSION,
                "parents": [made.key],
                **self._chosen(made, bench),
                _FOLDER: {**made.manifest, "key": made.key},
            }

        return find_or_make(workshop.cache, key, make, energy=workshop.energy)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> System:
        """Load the inner variant, with the batches that were found for it."""
        kept = artifact.manifest[_FOLDER]
        part = Artifact(artifact.folder / _FOLDER, kept["key"], kept)
        return self._with(artifact.manifest["batching"]["tokens"], task, part, placement, settings)

    def _with(
        self, tokens: int, task: Task, part: Artifact, placement: Placement, settings: Settings
    ) -> System:
        if not tokens:
            return self.inner.load(task, part, placement, replace(settings, batch=1))
        # so many that each part goes through the engine in one call
        system = self.inner.load(task, part, placement, replace(settings, batch=tokens))
        if isinstance(system, Compiles):
            system.compile_for(lambda width: counts_of(width, tokens))
        return BatchedSystem(system, tokens)

    def _chosen(self, made: Artifact, bench: CandidateTimer) -> dict[str, Any]:
        """Return what is kept (0 tokens: one at a time), why, what was timed, and what it does to answers."""
        seconds = self._timed(made, bench) if self.rule == "auto" and len(bench.trial) > 1 else {}
        tokens, because = fastest_of(seconds) if self.rule == "auto" else (self.tokens, "as asked")
        batching = {
            "rule": self.rule,
            "tokens": tokens,
            "chosen": label(tokens),
            "chosen_because": because,
            "seconds_per_request": seconds or "not measured",
            "examples": len(bench.trial),
        }
        return {"batching": batching, **(self._moved(tokens, made, bench) if tokens else {})}

    def _timed(self, made: Artifact, bench: CandidateTimer) -> dict[str, float]:
        budgets = [0, *(each for each in BUDGETS if each >= bench.settings.max_length)]
        bench.workshop.progress(f"timing {self.inner.name} {', or '.join(map(label, budgets))}")
        systems: dict[str, System] = {}
        try:
            for tokens in budgets:
                systems[label(tokens)] = cast("System", AllAtOnce(self._tried(tokens, made, bench)))
            return dict(bench.workshop.measure(systems, bench.trial))
        finally:
            for system in systems.values():
                system.close()

    def _moved(self, tokens: int, made: Artifact, bench: CandidateTimer) -> dict[str, Any]:
        """Say how far answers move from those of one at a time."""
        system = self._tried(tokens, made, bench)
        try:
            moved = batch_dependence(bench.task, system, bench.trial, label(tokens), len(bench.trial))
        finally:
            system.close()
        return {"batch_dependence": moved}

    def _tried(self, tokens: int, made: Artifact, bench: CandidateTimer) -> System:
        return self._with(tokens, bench.task, made, bench.workshop.placement, bench.settings)


def fastest_of(seconds: Mapping[str, float]) -> tuple[int, str]:
    """Return the budget of the fastest rule, 0 for one at a time, and why; ties go to one at a time."""
    if not seconds:
        return 0, "nothing could be timed"
    alone = seconds[ONE_AT_A_TIME]
    best = min(seconds, key=seconds.__getitem__)
    if seconds[best] >= alone * (1 - MARGIN):
        return 0, f"no budget was faster than one at a time by more than {100 * MARGIN:.0f} %"
    return next(each for each in BUDGETS if label(each) == best), "the lowest median time"
