"""What a run measures, in which order: cells, slices of the timed sample, settings and placement.

Plan --cells_of--> cells    Plan, examples --slices_of--> slices of the timed sample, and the rest
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.catalog import COMMAND
from harness.common.errors import UsageError
from harness.records.cell import Cell
from harness.records.plan import Plan
from harness.runs.planning.offered_load import loads_of
from harness.runs.planning.sampling import cut_slices, draw_sample, slice_count, units_of
from harness.systems.interface import Placement, Settings
from harness.systems.server import is_server
from harness.workload.data import Data, Split, load_split
from harness.workload.tasks.example import Example


def settings(plan: Plan, batch: int = 1) -> Settings:
    """Return the settings that all systems of the plan have in common."""
    return Settings(max_length=plan.max_length, batch=batch, command=plan.command)


def placement(plan: Plan, variant: str) -> Placement:
    """Return where a variant's system runs: its instances share the threads evenly."""
    instances = plan.instances(variant)
    return Placement(plan.device, plan.cpus, max(1, plan.threads // instances), instances)


def read_split(plan: Plan) -> Split:
    """Read the plan's split; UsageError if it is not what it was when the run began."""
    split = load_split(plan.asked, Data(plan.data.tier, Path(plan.data.folder)), plan.data.split)
    if split.fingerprint != plan.data.fingerprint:
        raise UsageError(
            f"the data changed since the run began: sha256 {plan.data.fingerprint[:16]}, now "
            f"{split.fingerprint[:16]}.",
            where=f"{plan.task}/{plan.data.split}",
            remedy="Restore the file, or start a new run: rounds over different data are never joined.",
        )
    return split


def cells_of(plan: Plan) -> list[Cell]:
    """Return every cell of a plan of one device, group by group."""
    return [
        replace(_cell(plan, scenario, variant), batch=load.batch, rate=load.rate, slo=load.slo, twin=twin)
        for scenario in plan.scenarios
        for load in loads_of(scenario, plan.batches, plan.rates, plan.slo)
        for variant in plan.variants
        for twin in range(plan.copies if plan.null_test else 1)
    ]


def _cell(plan: Plan, scenario: str, variant: str) -> Cell:
    """Return the cell of a variant, still without its load; one of the catalog runs once, on all cores."""
    cell = Cell(
        task=plan.task,
        variant=variant,
        device=plan.device,
        scenario=scenario,
        threads=plan.threads,
        max_length=plan.max_length,
        boundary=plan.boundary,
        command=_program_sha256(plan, variant),
        definition=plan.definition_sha256,
        data=plan.data.fingerprint,
        model=plan.model_of(variant).fingerprint,
    )
    rung = plan.rung_definition(variant)
    if rung is None or is_server(rung):
        return cell
    placed = placement(plan, variant)
    return replace(
        cell,
        rung=_sha256(json.dumps(rung, sort_keys=True)),
        threads=placed.threads,
        instances=placed.instances,
        cores=plan.threads,
    )


def _program_sha256(plan: Plan, variant: str) -> str:
    """Return what tells programs and servers from one another; empty for a variant of ours."""
    if server := plan.server(variant):
        return server.sha256
    return _sha256(plan.command) if variant == COMMAND else ""


def is_completed(plan: Plan, cell: Cell) -> bool:
    """Return whether an untimed pass over the rest follows; a ladder has one, in its first scenario."""
    return plan.quality == "full" and (plan.ladder is None or cell.scenario == plan.scenarios[0])


def slices_of(plan: Plan, examples: Sequence[Example]) -> tuple[list[list[int]], list[int]]:
    """Return the slices of the timed sample, and the examples that are not timed, by index.

    Slices are stratified by characters, so no tokenizer is needed. Where examples are drawn in clusters, as
    many clusters are drawn as hold about the sample.
    """
    lengths = [
        sum(len(text.first) + len(text.second or "") for text in example.inputs) for example in examples
    ]
    units = units_of([example.cluster for example in examples], together=plan.boundary == "process")
    sizes = [sum(lengths[index] for index in unit) for unit in units]
    size = max(1, round(plan.profile.sample * len(units) / len(examples)))
    sample = draw_sample(sizes, size, plan.seed)
    timed = {index for unit in sample for index in units[unit]}
    count = min(slice_count(len(timed), plan.profile.rounds, plan.profile.slice_at_least), len(sample))
    slices = cut_slices(sizes, sample, count, plan.seed)
    rest = [index for index in range(len(examples)) if index not in timed]
    return [[index for unit in part for index in units[unit]] for part in slices], rest


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
