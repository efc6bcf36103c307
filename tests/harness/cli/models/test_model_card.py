import hashlib
import json
from pathlib import Path

import numpy as np
from huggingface_hub import ModelCard
from records import three_variants

from harness.cli.models.model_card import NO_RECORD, add_model_card
from harness.records.record import Record
from harness.records.store import RunFolder, Store


def store_of(root: Path, *records: Record) -> Store:
    for record in records:
        folder = RunFolder(root / "runs" / record.run)
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.seal(record, {"call_ns": np.array([20e6])})
    return Store(root)


def exported(folder: Path, record: Record, **changes: str) -> dict[str, object]:
    """Write what an export writes, as far as the card needs it, and return its facts."""
    folder.mkdir()
    (folder / "README.md").write_text("# Served\n")
    facts = {
        "variant": record.cell.variant,
        "task": record.cell.task,
        "model": {"fingerprint": record.model.fingerprint},
        "files": {"README.md": {"bytes": 9, "sha256": "0" * 64}},
        **changes,
    }
    (folder / "manifest.json").write_text(json.dumps(facts))
    return facts


def test_the_figures_of_the_newest_run_stand_above_the_readme(tmp_path: Path) -> None:
    """The Hub's own reader reads them; the text below is as it was, and the manifest has the new hash."""
    record = three_variants()[2]
    newer = record.model_copy(update={"run": "r2"})
    store = store_of(tmp_path / "store", *three_variants(), newer)
    folder = tmp_path / "out"
    facts = exported(folder, record)
    assert (
        add_model_card(folder, store, facts)
        == "Model card: the figures of run r2 are at the top of README.md"
    )
    text = (folder / "README.md").read_text()
    card = ModelCard(text)
    assert card.data.model_name == f"{record.model.name} ({record.cell.variant})"
    assert card.text.strip() == "# Served"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["files"]["README.md"]["sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_without_a_record_of_the_variant_and_the_model_nothing_is_written(tmp_path: Path) -> None:
    """Of another model, another task or another variant."""
    record = three_variants()[2]
    store = store_of(tmp_path / "store", *three_variants())
    for number, changes in enumerate(({"variant": "other"}, {"task": "cb"}, {"model": {"fingerprint": "0"}})):
        folder = tmp_path / f"out-{number}"
        facts = {**exported(folder, record), **changes}
        assert add_model_card(folder, store, facts) == NO_RECORD
        assert (folder / "README.md").read_text() == "# Served\n"
