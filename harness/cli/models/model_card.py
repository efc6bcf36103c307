"""The metadata of a model card at the top of an exported folder's README.md, from records of the store."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.common.json_types import JsonObject
    from harness.records.record import Record
    from harness.records.store import Store

README, MANIFEST = "README.md", "manifest.json"

NO_RECORD = (
    "No model card: the store has no record of this variant and model for the task (`bench run` makes one)"
)


def add_model_card(folder: Path, store: "Store", facts: "JsonObject") -> str:
    """Put the figures of the newest run that measured the exported variant above README.md.

    `facts` are those of the export's manifest, where the hash of README.md is changed too. Returns a sentence
    on what was done. StoreError if the folder cannot be written.
    """
    from harness.cli.output.delivery import write_file
    from reports import CostFactors, Style, build_report, write_report

    run, records = _newest(store, facts)
    if not records:
        return NO_RECORD
    card = write_report(build_report(records, CostFactors()), "model-card", Style())
    text = card + (folder / README).read_text(encoding="utf-8")
    write_file(folder / README, text.encode())
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    manifest["files"][README] = {"bytes": len(text.encode()), "sha256": digest}
    write_file(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    return f"Model card: the figures of run {run} are at the top of {README}"


def _newest(store: "Store", facts: "JsonObject") -> "tuple[str, list[Record]]":
    """Return the newest run that measured the exported variant, and its records of the variant."""
    for run in reversed(store.runs()):
        records = [record for record in store.records([run])[0] if _is_exported(record, facts)]
        if records:
            return run.name, records
    return "", []


def _is_exported(record: "Record", facts: "JsonObject") -> bool:
    same = (record.cell.variant, record.cell.task) == (facts["variant"], facts["task"])
    return same and record.model.fingerprint == facts["model"]["fingerprint"] and record.status == "complete"
