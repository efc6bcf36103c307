"""Records of a run that is not finished, made from its journal for a report: they are never stored.

plan, journal --unfinished_records--> records with status `unfinished` and the rounds that are finished
"""

from harness.common.errors import MeasurementError, UsageError
from harness.common.progress import NoProgress
from harness.records.facts import UNFINISHED
from harness.records.journal import cell_journal
from harness.records.journal_entries import RoundEntry, from_lines
from harness.records.record import Failure, Record
from harness.records.store import RunFolder
from harness.runs.execution.preparation import Prepared
from harness.runs.execution.record_assembly import seal_cell
from harness.runs.execution.run import Run, shared_facts
from harness.runs.execution.surroundings import RunConditions
from harness.runs.planning.schedule import cells_of, read_split
from harness.runs.services import Machine


def unfinished_records(folder: RunFolder, machine: Machine) -> list[Record]:
    """Return a record of each cell: the sealed one, or one from the finished rounds, marked as unfinished.

    The conditions at the end, memory of the machine and sizes of artifacts are unknown before the run ends.
    UsageError on another machine or with other data, MeasurementError if no round is finished.
    """
    plan = folder.plan()
    entries = from_lines(folder.entries())
    if not any(isinstance(entry, RoundEntry) for entry in entries):
        raise MeasurementError(
            "no round of the run is finished yet.",
            where=folder.name,
            remedy=f"`bench run --resume {folder.name}` continues it.",
        )
    host = plan.host or machine.host()
    if host.fingerprint != plan.host_fingerprint:
        raise UsageError(
            "the run is not finished, and began on another machine, or this one has changed since.",
            where=folder.name,
            remedy="Report it there, or finish it there with `bench run --resume`.",
        )
    others = tuple(Prepared({}, {}) for _ in plan.others)
    run = Run(plan, Prepared({}, {}), folder, machine, folder.path, NoProgress(), others)
    split, conditions, sealed = read_split(plan), RunConditions(host, (), None, None), folder.sealed()
    records = []
    for part in run.parts():
        shared = shared_facts(part, split, conditions)
        for cell in cells_of(part.plan):
            if cell.id in sealed:
                records.append(folder.record(cell.id))
            else:
                record, _ = seal_cell(shared, cell, cell_journal(entries, cell.id))
                records.append(_marked(record, folder.name))
    return records


def _marked(record: Record, run: str) -> Record:
    """Return the record with a status that no stored record has, unless the cell failed by itself."""
    if record.failure and record.failure.kind != "InterruptedRun":
        return record
    failure = Failure(
        kind="UnfinishedRun",
        message=f"the run is not finished: {len(record.rounds)} of {record.rounds_planned} rounds are.",
        remedy=f"`bench run --resume {run}` finishes it.",
    )
    status = UNFINISHED if record.rounds else "failed"
    return record.model_copy(update={"status": status, "failure": failure})
