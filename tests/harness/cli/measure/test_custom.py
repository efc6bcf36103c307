import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score
from tiny import Shelf, tiny_checkpoint
from worlds import World

from baselines.encoding.tokenizer import TextEncoder
from baselines.models.resolve import resolve_classifier
from harness.catalog import Training
from harness.cli.app import call
from harness.common.errors import CheckpointError
from harness.records.store import Store
from harness.systems.interface import Checkpoint
from harness.testing.system import FakeVariant
from harness.testing.world import FakeMachine, altered
from harness.workload.data import load_split
from harness.workload.data.user.task_files import UserData, own_data

COLUMNS = ("--text", "review", "--label", "stars")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def bench(world: World, command: str, *words: str) -> int:
    return call([command, "-q", "--task", "custom", *words], world.context())


def reviews(root: Path, rows: int = 200, labels: tuple[str, ...] = ("bad", "good")) -> str:
    """Row i has 2 + i % 40 words; labels take turns."""
    path = root / "reviews.csv"
    lines = [f'"review {i}, {"word " * (i % 40)}",{labels[i % len(labels)]}' for i in range(rows)]
    path.write_text("\n".join(["review,stars", *lines]) + "\n")
    return str(path)


def records(world: World) -> list[Any]:
    store = Store(world.store)
    found, unreadable = store.records([store.run("latest")])
    assert unreadable == []
    return found


def test_a_file_of_ones_own_is_measured_like_any_task(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole command: the table, whose rows they are, the F1's label, and the warning that fits."""
    assert bench(world, "run", "--data", reviews(world.root), *COLUMNS, "--metric", "f1") == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "custom on cpu, single-stream, encoded, 2 threads, batch 1, at most 256 tokens, within one process\n"
    )
    text = " ".join(out.split())
    assert "custom/val, local" in text
    assert "F1 of 'good', from" in text
    assert "rows of reviews.csv, held out by seed 0 (--held-out 0.2)" in text
    assert "Compare it only with scores on these rows" in text


def test_the_record_names_columns_and_never_texts_or_paths(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its configuration says what was asked; the file has its base name."""
    data = reviews(world.root)
    assert bench(world, "run", "--data", data, *COLUMNS, "--held-out", "0.5", "--json") == 0
    capsys.readouterr()
    found = records(world)
    assert {record.configuration["data"] for record in found} == {"reviews.csv"}
    assert found[0].configuration["custom"] == {
        "text": ["review"],
        "label": "stars",
        "labels": ["bad", "good"],
        "metric": "accuracy",
        "held_out": 0.5,
    }
    assert found[0].data.name == "custom"
    assert found[0].data.official is None
    assert (found[0].quality.primary, found[0].data.tier) == ("accuracy", "local")
    for path in (world.store / "runs").glob("*/*.json"):
        assert str(world.root) not in path.read_text()
        assert "word word" not in path.read_text()


def test_another_metric_or_order_of_labels_is_another_cell(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """All variants of a run share their group; runs that ask something else do not."""
    data = reviews(world.root)
    groups, ids = set(), set()
    for number, words in enumerate(([], ["--metric", "mcc"], ["--labels", "good,bad"], [])):
        world.machine = altered(world.machine, suffix=lambda number=number: f"000{number}")
        assert bench(world, "run", "--data", data, *COLUMNS, "--rounds", "3", *words) == 0
        found = records(world)
        assert len({record.cell.group for record in found}) == 1
        groups.add(found[0].cell.group)
        ids |= {record.cell.id for record in found}
    capsys.readouterr()
    assert len(groups) == 3
    assert len(ids) == 3 * 4


def test_an_interrupted_run_goes_on_from_its_plan(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the task is said again, and the user's file may be gone."""
    from harness.runs.execution import group

    visit, seen = group.Group._visit, []

    def interrupted(self: Any, *words: Any) -> Any:
        seen.append(words)
        if len(seen) == 10:  # in the third round of four cells
            raise KeyboardInterrupt
        return visit(self, *words)

    monkeypatch.setattr(group.Group, "_visit", interrupted)
    data = reviews(world.root)
    labels = ("--labels", "good,bad", "--metric", "mcc")
    assert bench(world, "run", "--data", data, *COLUMNS, *labels) == 130
    Path(data).unlink()
    assert call(["run", "-q", "--resume", "latest"], world.context()) == 0
    assert "22 of 22" in capsys.readouterr().out
    assert {record.quality.primary for record in records(world)} == {"mcc"}
    assert records(world)[0].configuration["custom"]["labels"] == ["good", "bad"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--text", "reviews", "--label", "stars"],
            "'reviews' is missing.\nFields of this row: review, stars.\n",
        ),
        (
            ["--text", "review", "--label", "star"],
            "reviews.csv:2: the field 'star' is missing.\nFields of this row",
        ),
        (["--text", "review"], "the column of the label is missing.\nName it with --label COLUMN.\n"),
        (["--label", "stars"], "Add --data FILE --text COLUMN (or A,B for a pair) --label COLUMN."),
        (
            [*COLUMNS, "--labels", "good,fair"],
            'reviews.csv:2: the label must be one of good, fair, got "bad".',
        ),
        ([*COLUMNS, "--metric", "auc"], "'auc' is not one of 'accuracy', 'f1', 'mcc'"),
        ([*COLUMNS, "--held-out", "2"], "--held-out must be between 0 and 1, got 2.\n"),
        ([*COLUMNS, "--split", "test"], "the data has no test split.\nIts splits: train, val, all.\n"),
        ([*COLUMNS, "--task", "boolq"], "--text, --label describe data of your own, and boolq reads the"),
        (
            ["--task", "boolq"],
            "reviews.csv: expected a folder, got a file. A file of your own is read with --task custom.",
        ),
        (["--task", "costum"], "Did you mean custom?"),
    ],
)
def test_what_cannot_be_is_one_message_with_a_remedy_and_exit_code_2(
    world: World, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    """Before anything is measured or stored."""
    assert bench(world, "run", "--data", reviews(world.root), *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert not world.store.exists()


def test_a_custom_task_without_data_says_what_it_needs(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no embedded sample of it."""
    assert bench(world, "run") == 2
    assert "the task custom needs your data" in capsys.readouterr().err


def test_every_row_of_a_file_is_answered(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """`bench predict` needs no label column where the labels are named; idx is the row's place, from 0."""
    path = world.root / "new.jsonl"
    path.write_text("".join(json.dumps({"review": f"text {i}"}) + "\n" for i in range(7)))
    out = world.root / "out"
    words = ["--data", str(path), "--text", "review", "--labels", "bad,good", "-o", str(out)]
    assert bench(world, "predict", *words) == 0
    assert capsys.readouterr().out == f"7 rows: {out / 'custom.jsonl'}\n"
    rows = [json.loads(line) for line in (out / "custom.jsonl").read_text().splitlines()]
    assert [row["idx"] for row in rows] == list(range(7))
    assert {row["label"] for row in rows} <= {"bad", "good"}


def test_a_program_from_outside_answers_a_custom_task_too(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """At boundary text; its cell shares the group of ours."""
    fake = FakeVariant("command", world.clock, 2000, wrong=10, labels_only=True)
    world.catalog = replace(world.catalog, variants={**world.catalog.variants, "command": fake})
    world.machine = FakeMachine(world.catalog, world.clock)
    words = ["--boundary", "text", "--system-command", "./mine"]
    assert bench(world, "run", "--data", reviews(world.root), *COLUMNS, *words) == 0
    capsys.readouterr()
    assert len({record.cell.group for record in records(world)}) == 1


def test_training_learns_from_what_is_not_held_out(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever its seed: the rows that `bench run` scores are never among them."""
    asked: dict[str, Any] = {}

    def finetune(task: Any, train: Any, val: Any, model: Any, output: Path, **words: Any) -> Any:
        words["progress"](SimpleNamespace(fraction=1.0, loss=None, scoring=False))
        asked.update(labels=task.labels, train={one.id for one in train}, val=len(val))
        return {"seconds": 1.0, "energy": None, "output": output.name, "model": model.name}

    training = Training(
        lambda model, _task, _cache: Checkpoint(model, Path(model), "local", "f" * 64),
        finetune,
        lambda **settings: settings,
        lambda *_words, **_more: {},
        lambda *_words, **_more: None,
    )
    data = reviews(world.root)
    words = ["--task", "custom", "--data", data, *COLUMNS, "-o", str(world.root / "m"), "--seed", "7"]
    assert call(["train", "-q", *words], replace(world.context(), training=lambda: training)) == 0
    capsys.readouterr()
    found = own_data(Path(data), UserData(("review",), "stars"), world.cache)
    scored = {example.id for example in load_split(found.task, found.data, "val").examples}
    assert asked == {"labels": ("bad", "good"), "train": {str(i) for i in range(200)} - scored, "val": 0}


def test_a_checkpoint_without_label_names_needs_labels(tmp_path: Path) -> None:
    """LABEL_0 and LABEL_1 mean nothing until the user says which is which; their number must fit."""
    folder, data = tiny_checkpoint(tmp_path / "m", ("LABEL_0", "LABEL_1")), Path(reviews(tmp_path))
    shelf = Shelf(tmp_path / "shelf")
    unnamed = own_data(data, UserData(("review",), "stars"), tmp_path / "cache").task
    with pytest.raises(CheckpointError, match="Name them with --labels NAME") as refused:
        resolve_classifier(str(folder), unnamed, shelf)
    assert "LABEL_0 to LABEL_1" in str(refused.value)
    named = own_data(data, UserData(("review",), "stars", labels=("good", "bad")), tmp_path / "cache").task
    assert resolve_classifier(str(folder), named, shelf).folder == folder
    three = own_data(
        data, UserData(("review",), "stars", labels=("good", "bad", "fair")), tmp_path / "cache"
    ).task
    with pytest.raises(CheckpointError, match=r"expected 2 names in --labels, .* got 3"):
        resolve_classifier(str(folder), three, shelf)


def test_one_text_is_encoded_alone_and_cut_at_its_end(tmp_path: Path) -> None:
    """[CLS] text [SEP], all of segment 0."""
    encoder = TextEncoder(tiny_checkpoint(tmp_path / "m"), 16)
    found = own_data(Path(reviews(tmp_path)), UserData(("review",), "stars"), tmp_path / "cache", split="all")
    requests = encoder.encode(load_split(found.task, found.data, "all").examples)
    assert all(request.sequences[0].segments.max() == 0 for request in requests)
    assert max(request.tokens for request in requests) == 16
    assert any(request.sequences[0].cut for request in requests)


# Any number of labels per example

SEVERAL = ("--text", "comment", "--label", "toxic,insult,threat")


def comments(root: Path, rows: int = 200) -> str:
    """Row i is toxic if i is even, an insult if 3 divides it, a threat if 5 does."""
    path = root / "comments.csv"
    lines = [
        f"comment {i} {'word ' * (i % 30)},{int(i % 2 == 0)},{int(i % 3 == 0)},{int(i % 5 == 0)}"
        for i in range(rows)
    ]
    path.write_text("\n".join(["comment,toxic,insult,threat", *lines]) + "\n")
    return str(path)


def test_any_number_of_labels_is_measured_and_verified(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """All three metrics with intervals, what decides a label, and every figure from the samples again."""
    data = comments(world.root)
    assert bench(world, "run", "--data", data, *SEVERAL, "--threshold", "0.3") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(metric in text for metric in ("micro-F1", "macro-F1", "subset"))
    assert "quality a label holds from probability 0.3, from" in text
    found = records(world)
    assert found[0].configuration["custom"] == {
        "text": ["comment"],
        "label": "toxic,insult,threat",
        "labels": ["toxic", "insult", "threat"],
        "metric": "micro-f1",
        "held_out": 0.2,
        "multi_label": True,
        "threshold": 0.3,
    }
    quality = found[0].quality
    assert (quality.primary, set(quality.metrics)) == (
        "micro_f1",
        {"micro_f1", "macro_f1", "subset_accuracy"},
    )
    assert all(metric.low < metric.value < metric.high for metric in quality.metrics.values())
    assert call(["verify", "latest", "--data", data, *SEVERAL], world.context()) == 0
    assert call(["report", "latest", "--format", "json"], world.context()) == 0
    assert '"micro_f1"' in capsys.readouterr().out


def test_the_scores_of_a_run_are_scikit_learns(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Recomputed from the stored answers and the user's own file."""
    data = comments(world.root)
    assert bench(world, "run", "--data", data, *SEVERAL) == 0
    capsys.readouterr()
    folder = next((world.store / "runs").glob("*"))
    (record, *_) = records(world)
    with np.load(folder / record.samples.file) as samples:
        answers = [list(map(int, answer)) for answer in samples["answer"]]
    found = own_data(Path(data), UserData(("comment",), "toxic,insult,threat"), world.cache)
    ids = [int(example.id) for example in load_split(found.task, found.data, "val").examples]
    gold = [[int(i % 2 == 0), int(i % 3 == 0), int(i % 5 == 0)] for i in ids]
    values = {name: metric.value for name, metric in record.quality.metrics.items()}
    assert values == pytest.approx(
        {
            "micro_f1": f1_score(gold, answers, average="micro"),
            "macro_f1": f1_score(gold, answers, average="macro"),
            "subset_accuracy": accuracy_score(gold, answers),
        }
    )
    assert values["micro_f1"] < 1


def test_predictions_of_any_number_of_labels_are_scored(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """`bench predict` lists the labels that hold; `bench score` reads them and has the primary metric."""
    data, out = comments(world.root), world.root / "out"
    assert bench(world, "predict", "--data", data, *SEVERAL, "-o", str(out)) == 0
    rows = [json.loads(line) for line in (out / "custom.jsonl").read_text().splitlines()]
    assert rows[0] == {"idx": 0, "label": ["toxic", "insult", "threat"]}
    assert rows[1] == {"idx": 1, "label": []}
    capsys.readouterr()
    words = ["--task", "custom", "--data", data, *SEVERAL, "--metric", "macro-f1", "--json"]
    assert call(["score", str(out / "custom.jsonl"), *words], world.context()) == 0
    facts = json.loads(capsys.readouterr().out)
    assert list(facts["metrics"]) == ["macro_f1", "micro_f1", "subset_accuracy"]
    assert facts["score"] == facts["metrics"]["macro_f1"]["value"] < 1


def test_rows_without_labels_need_only_their_names(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing in the data shows that any number may hold, so an option does."""
    path = world.root / "new.jsonl"
    path.write_text("".join(json.dumps({"comment": f"text {i}"}) + "\n" for i in range(5)))
    words = ["--data", str(path), "--text", "comment", "--multi-label", "--labels", "toxic,insult"]
    assert bench(world, "predict", *words, "-o", str(world.root / "out")) == 0
    capsys.readouterr()
    rows = [json.loads(line) for line in (world.root / "out" / "custom.jsonl").read_text().splitlines()]
    assert [row["label"] for row in rows] == [[]] * 5


def test_a_calibrated_threshold_is_part_of_every_record(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """It comes from the held-out part of train; the fake is certain, so that one half is as good as any."""
    data = comments(world.root)
    assert bench(world, "run", "--data", data, *SEVERAL, "--threshold", "calibrated") == 0
    assert "0.5 (calibrated on 17 held-out training examples)" in " ".join(capsys.readouterr().out.split())
    for record in records(world):
        custom = record.configuration["custom"]
        assert custom["threshold"] == 0.5
        calibration = custom["threshold_calibration"]
        assert (calibration["split"], calibration["metric"]) == ("train, held out", "micro_f1")
        assert calibration["examples"] == 17
        assert calibration["score"] == calibration["score_at_half"] > 0.9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--split", "all"], "the threshold is calibrated on training examples, and there are none."),
        (["--split", "train"], "the training split is the one that is reported"),
    ],
)
def test_a_threshold_is_never_calibrated_on_what_is_reported(
    world: World, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    """Nothing is stored, and the remedy is another split or a number."""
    data = comments(world.root)
    assert bench(world, "run", "--data", data, *SEVERAL, "--threshold", "calibrated", *words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "as a number" in err
    assert not list(world.store.glob("runs/*"))


def test_another_threshold_is_another_cell_that_can_be_compared(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its answers may differ; the change of quality is paired by example."""
    data = comments(world.root)
    for number, threshold in enumerate(("0.5", "0.99")):
        world.machine = altered(world.machine, suffix=lambda number=number: f"000{number}")
        assert bench(world, "run", "--data", data, *SEVERAL, "--threshold", threshold) == 0
    runs = sorted(folder.name for folder in (world.store / "runs").glob("*"))
    ids = [{path.name for path in (world.store / "runs" / run).glob("*.json")} for run in runs]
    assert not ids[0] & ids[1]
    capsys.readouterr()
    assert call(["compare", *runs], world.context()) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "micro_f1, paired by example" in text


def test_a_program_from_outside_answers_a_digit_for_each_label(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """At boundary text; an empty set is an answer."""
    fake = FakeVariant("command", world.clock, 2000, wrong=10, labels_only=True)
    world.catalog = replace(world.catalog, variants={**world.catalog.variants, "command": fake})
    world.machine = FakeMachine(world.catalog, world.clock)
    words = ["--boundary", "text", "--system-command", "./mine"]
    assert bench(world, "run", "--data", comments(world.root), *SEVERAL, *words) == 0
    capsys.readouterr()
    assert all(record.quality.metrics["micro_f1"].value < 1 for record in records(world))
