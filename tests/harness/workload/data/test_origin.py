import json
from pathlib import Path

from harness.workload.data import load_split, local_data
from harness.workload.data.folds import cut_folds
from harness.workload.tasks import get_task


def test_a_fold_is_not_official_and_has_a_note(tmp_path: Path) -> None:
    """Also with as many rows as the official file: the note of the folder goes first."""
    folder = tmp_path / "data" / "CB"
    folder.mkdir(parents=True)
    rows = [{"premise": f"p {i}", "hypothesis": "h", "label": "neutral", "idx": i} for i in range(112)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    # 112 different premises in two folds: 56 each, as many as the official val has
    cut_folds(tmp_path / "data", "CB", tmp_path / "folds", folds=2, seed=4)
    split = load_split(get_task("cb"), local_data(tmp_path / "folds" / "fold-1"))
    assert len(split.examples) == 56
    assert split.official is False
    assert split.note == "fold 1 of 2 of CB/train, seed 4: not the official val"
