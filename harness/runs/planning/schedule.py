"""What a run measures, in which order: cells, slices of the timed sample, settings and placement."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.catalog import COMMAND
from harness.common.errors import UsageError
from harness.records.cell import Cell
from harness.records.plan import Plan
from harness.runs.planning.offered_load import loads_of
from harness.runs.planning.sampling import cut_slices, draw_sample, slice_count, units_of
from harness.workload.data import Data, Split, load_split
from harness.workload.tasks.example import Example


def settings(plan: Plan, batch: int = 1) -> dict[str, Any]:
    """Return what every system of the plan is asked to do alike, as the worker reads it."""
    return {"max_length": plan.max_length, "batch": batch, "command": plan.command}


def placement(plan: Plan, variant: str) -> dict[str, Any]:
    """Return where a variant's system runs, as the worker reads it: instances share the threads evenly."""
    instances = plan.instances(variant)
    threads = max(1, plan.threads // instances)
    return {"device": plan.device, "cpus": plan.cpus, "threads": threads, "instances": instances}


def read_split(plan: Plan) -> Split:
    """Read the plan's split; UsageError if it is not what it was when the run began."""
    split = load_split(plan.asked, Data(plan.data.tier, Path(plan.data.folder)), plan.data.split)
    if split.fingerprint != plan.data.fingerprint:
        raise UsageError("the data changed since the run began.", where=f"{plan.task}/{plan.data.split}")
    return split


def cells_of(plan: Plan) -> list[Cell]:
    """Return every cell of a plan of one device, group by group."""
    return [
        Cell(
            task=plan.task,
            variant=variant,
            device=plan.device,
            scenario=scenario,
            **load,
            **_use_of_cores(plan, variant),
            max_length=plan.max_length,
            boundary=plan.boundary,
            command=_sha256(plan.command) if variant == COMMAND else "",
            definition=plan.definition_sha256,
            twin=twin,
            data=plan.data.fingerprint,
            model=plan.model_of(variant).fingerprint,
        )
        for scenario in plan.scenarios
        for load in loads_of(scenario, plan.batches, plan.rates, plan.slo)
        for variant in plan.variants
        for twin in range(2 if plan.null_test else 1)
    ]


def _use_of_cores(plan: Plan, variant: str) -> dict[str, Any]:
    """Return how a variant uses the plan's cores; a variant of the catalog runs once, on all of them."""
    words = plan.rung_words(variant)
    if words is None:
        return {"threads": plan.threads}
    placed = placement(plan, variant)
    shared = {"rung": _sha256(json.dumps(words, sort_keys=True)), "cores": plan.threads}
    return {"threads": placed["threads"], "instances": placed["instances"], **shared}


def is_completed(plan: Plan, cell: Cell) -> bool:
    """Say whether an untimed pass over the rest follows; a ladder needs one, not one a scenario."""
    return plan.quality == "full" and (plan.ladder is None or cell.scenario == plan.scenarios[0])


def slices_of(plan: Plan, examples: Sequence[Example]) -> tuple[list[list[int]], list[int]]:
    """Return the slices, stratified by characters so that no tokenizer is needed, and who is left out.

    Where examples are drawn in clusters, as many clusters are drawn as hold about the sample.
    """
    lengths = [sum(len(text.first) + len(text.second or "") for text in e.inputs) for e in examples]
    units = units_of([example.cluster for example in examples], together=plan.boundary == "process")
    sizes = [sum(lengths[index] for index in unit) for unit in units]
    size = max(1, round(plan.profile.sample * len(units) / len(examples)))
    sample = draw_sample(sizes, size, plan.seed)
    timed = {index for unit in sample for index in units[unit]}
    count = min(slice_count(len(timed), plan.profile.rounds, plan.profile.slice_at_least), len(sample))
    cut = cut_slices(sizes, sample, count, plan.seed)
    rest = [index for index in range(len(examples)) if index not in timed]
    return [[index for unit in part for index in units[unit]] for part in cut], rest


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
