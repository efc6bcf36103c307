"""What variants lack for the checkpoint, which its config.json tells before anything is prepared.

a variant that was named      --> a row of the table with the reason, and exit code 5
one of the default variants   --> left out, with the reason below the table
"""

from collections.abc import Sequence
from dataclasses import replace

from harness.catalog import Catalog
from harness.common.json_types import JsonObject
from harness.common.progress import ProgressReporter
from harness.records.inputs import ModelPlan
from harness.records.plan import Plan
from harness.runs.planning.options import RunOptions
from harness.workload.tasks.base import Task


def unsupported_variants(plan: Plan, catalog: Catalog) -> dict[str, str]:
    """Return the reason for each variant of a plan that cannot run its checkpoint; none for two sides."""
    if plan.sides:
        return {}
    checkpoint, reasons = plan.model.checkpoint(), {}
    for part in plan.parts():
        for variant in part.variants:
            reason = catalog.unsupported(variant, part.rung_definition(variant), plan.asked, checkpoint)
            if reason:
                reasons[variant] = reason
    return reasons


def without_unsupported(
    options: RunOptions, catalog: Catalog, task: Task, model: ModelPlan, narrator: ProgressReporter
) -> RunOptions:
    """Return the options without default variants and optional rungs that cannot run the checkpoint."""

    def reason_of(name: str, rung: JsonObject | None) -> str | None:
        return catalog.unsupported(name, rung, task, model.checkpoint())

    optional: dict[str, JsonObject | None]
    if options.ladder:
        optional = {rung.name: rung.words() for rung in options.ladder.rungs if rung.optional}
    else:
        served = {server.name for server in options.servers}
        names = options.variants or () if options.left_out is not None else ()
        optional = {name: None for name in names if name not in served}
    reasons = {name: reason for name, rung in optional.items() if (reason := reason_of(name, rung))}
    for name, reason in reasons.items():
        narrator.warn(f"{name} is left out: {reason}")
    if not reasons:
        return options
    return _without(options, tuple(name for name in options.variants or () if name not in reasons), reasons)


def _without(options: RunOptions, names: Sequence[str], reasons: dict[str, str]) -> RunOptions:
    ladder = options.ladder.only(tuple(names)) if options.ladder else None
    left_out = {**(options.left_out or {}), **reasons}
    return replace(options, variants=tuple(names), ladder=ladder, left_out=left_out)
