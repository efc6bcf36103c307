"""The embedded encoder: its recipe learns, what it writes loads everywhere, and what ships answers."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from baselines import embedded as shipped
from baselines.finetune import Tick
from baselines.scratch import STAGES, quality, train_embedded
from baselines.scratch_data import MAX_LENGTH, Settings, Stage, build_tokenizer, encode, heads, pair_of, plan
from baselines.scratch_model import predict_rows
from harness.data import embedded as data
from harness.errors import CheckpointError, UsageError

LABELS = {
    "boolq": ["false", "true"],
    "cb": ["entailment", "contradiction", "neutral"],
    "rte": ["entailment", "not_entailment"],
}
BUDGET_BYTES = 2_621_440  # 2.5 MiB, so that the wheel stays small


class TinySource:
    """The embedded data with every split cut to a few rows."""

    VERSION = data.VERSION

    def rows(
        self, task: str, split: str, limit: int | None = None, *, max_sentences: int | None = None
    ) -> Iterator[dict[str, object]]:
        return data.rows(task, split, min(limit or 64, 640), max_sentences=max_sentences)

    def fingerprint(self, task: str, split: str) -> str:
        return f"{task}-{split}"


@pytest.fixture(scope="module")
def shipped_folder() -> Path:
    """Find the folder of the shipped files."""
    return Path(str(files(shipped)))


def answer(folder: Path, pairs: list[tuple[str, str]]) -> list[str]:
    """Classify pairs with a checkpoint folder as any user of transformers would."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    first, second = zip(*pairs, strict=True)
    inputs = tokenizer(list(first), list(second), padding=True, truncation="only_first", return_tensors="pt")
    assert "token_type_ids" in inputs
    with torch.inference_mode():
        columns = model(**inputs).logits.argmax(dim=-1).tolist()
    return [model.config.id2label[column] for column in columns]


def test_a_few_steps_lower_the_loss_and_leave_a_checkpoint(tmp_path: Path) -> None:
    """Twenty-four steps on the same short texts lower their loss, and each task's head has its shape."""
    import torch
    from transformers import AutoModelForSequenceClassification

    told: list[Tick] = []
    stages = (*[Stage({"boolq": 64}, 2)] * 24, Stage({"cb": 64, "rte": 64}, 4))
    record = train_embedded(
        tmp_path / "made",
        data=TinySource(),
        stages=stages,
        settings=Settings(warmup_steps=2, log_every=1),
        progress=told.append,
    )
    losses = [tick.loss for tick in told if tick.loss is not None]
    # a step is told of before its own loss is known: the last of the 26 is not among them
    assert record["steps"] == len(losses) + 1 == 26
    assert losses[23] < losses[0] - 0.05
    assert record["quality"]["boolq"]["n"] == 64
    for task, labels in LABELS.items():
        model = AutoModelForSequenceClassification.from_pretrained(
            shipped.unpack(tmp_path / "made", task, tmp_path / task)
        )
        assert model(torch.ones(1, 8, dtype=torch.long)).logits.shape == (1, len(labels))
    assert not (tmp_path / "made.part").exists()


def test_a_training_that_was_cut_off_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    """Stopped after 4 of 6 steps, the next call takes 2 and ends with the weights of an unbroken run."""
    from safetensors.numpy import load_file

    stages = (Stage({"boolq": 384}, 2),)
    settings: dict[str, Any] = {
        "data": TinySource(),
        "stages": stages,
        "settings": Settings(save_every=2, log_every=1),
    }
    train_embedded(tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        train_embedded(tmp_path / "cut", **settings, progress=_stop_at(5 / 6))
    assert not (tmp_path / "cut").exists()
    told: list[Tick] = []
    record = train_embedded(tmp_path / "cut", **settings, progress=told.append)
    assert record["resumed"]
    assert [round(6 * tick.fraction) for tick in told] == [5, 6]
    whole, cut = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert all((whole[name] == cut[name]).all() for name in whole)


def _stop_at(fraction: float) -> Callable[[Tick], None]:
    def progress(tick: Tick) -> None:
        if tick.fraction >= fraction:
            raise KeyboardInterrupt

    return progress


def test_training_never_writes_over_a_folder(tmp_path: Path) -> None:
    """An output that exists is refused before anything is made."""
    with pytest.raises(UsageError, match="exists"):
        train_embedded(tmp_path, data=TinySource())


def test_the_order_of_training_is_a_curriculum_of_full_batches() -> None:
    """Stages follow one another, a batch holds texts of similar length, and a seed gives one order."""
    tokenizer = build_tokenizer(TinySource(), 64)
    stages = (Stage({"boolq": 150}, 2), Stage({"boolq": 192, "rte": 64}, None))
    examples = plan(TinySource(), tokenizer, stages, seed=3)
    lengths = [len(example.input_ids) for example in examples]
    assert len(lengths) == 2 * 64 + 4 * 64
    assert max(lengths[:128]) < 100
    assert max(lengths[128:]) > 150
    assert min(max(lengths[at : at + 64]) for at in range(128, 384, 64)) < 90
    assert examples == plan(TinySource(), tokenizer, stages, seed=3)
    assert examples != plan(TinySource(), tokenizer, stages, seed=4)


def test_every_label_of_every_task_has_its_own_row() -> None:
    """Seven labels, rows 0 to 6, in the order of the tasks."""
    assert {task: list(labels) for task, labels in heads().items()} == LABELS
    assert [row for labels in heads().values() for row in labels.values()] == list(range(7))


def test_the_shipped_files_are_small_and_complete(shipped_folder: Path) -> None:
    """Weights, tokenizer, heads and the record of training, within the budget."""
    names = {"config.json", "heads.json", "model.safetensors"}
    names |= {"tokenizer.json", "tokenizer_config.json", "training.json"}
    kept = [path for path in shipped_folder.iterdir() if path.suffix in {".json", ".safetensors"}]
    found = {path.name: path.stat().st_size for path in kept}
    assert set(found) == names
    assert sum(found.values()) <= BUDGET_BYTES


def test_the_shipped_weights_were_trained_on_this_data(shipped_folder: Path) -> None:
    """The record names the stages of the recipe, and the version and sums that the generator has now."""
    record = json.loads((shipped_folder / "training.json").read_text(encoding="utf-8"))
    assert record["stages"] == [asdict(stage) for stage in STAGES]
    assert record["data"]["version"] == data.VERSION
    for task, sums in record["data"]["fingerprints"].items():
        assert sums == {split: data.fingerprint(task, split) for split in ("train", "val")}


@pytest.mark.parametrize("task", data.TASKS)
def test_the_shipped_encoder_answers_what_its_record_says(task: str, shipped_folder: Path) -> None:
    """On 100 val rows it is right as often as over all of them, less three standard errors at most."""
    record = json.loads((shipped_folder / "training.json").read_text(encoding="utf-8"))
    said = record["quality"][task]["accuracy"]
    # a share of 0.87 over 100 rows: 3 * sqrt(0.87 * 0.13 / 100) = 0.10
    # a task without a single error still gets the room of one error in 100
    error = max(said * (1 - said) / 100, 0.01 / 100) ** 0.5
    assert said > 0.8
    assert quality(shipped_folder, data, 100)[task]["accuracy"] >= said - 3 * error


def test_the_shipped_encoder_is_right_on_four_of_five_questions(shipped_folder: Path) -> None:
    """Of the first 100 val questions of BoolQ more than 80 are answered rightly; about 62 are true."""
    assert quality(shipped_folder, data, 100)["boolq"]["accuracy"] > 0.8


@pytest.mark.parametrize("task", data.TASKS)
def test_an_unpacked_checkpoint_is_an_ordinary_one(task: str, shipped_folder: Path, tmp_path: Path) -> None:
    """With transformers alone it loads, names its labels, and gives the answers of the shipped files."""
    from tokenizers import Tokenizer
    from transformers import AutoConfig, BertForSequenceClassification

    folder = shipped.materialise(task, tmp_path / "checkpoint")
    assert list(AutoConfig.from_pretrained(folder).id2label.values()) == LABELS[task]
    rows = list(data.rows(task, "val", 30))
    tokenizer = Tokenizer.from_file(str(shipped_folder / "tokenizer.json"))
    whole = BertForSequenceClassification.from_pretrained(shipped_folder, dtype="float32")
    names = {row: label for labels in heads().values() for label, row in labels.items()}
    wanted = [names[row] for row in predict_rows(whole, encode(tokenizer, task, rows))]
    assert answer(folder, [pair_of(task, row) for row in rows]) == wanted


def test_unpacking_fills_an_empty_folder_and_refuses_an_unknown_task(tmp_path: Path) -> None:
    """An empty folder is filled; a task without a head is named together with those that have one."""
    assert shipped.materialise("rte", tmp_path) == tmp_path
    assert (tmp_path / "model.safetensors").is_file()
    with pytest.raises(CheckpointError, match=r"copa.*boolq, cb, rte"):
        shipped.materialise("copa", tmp_path / "none")


def test_the_tokenizer_knows_every_word_of_val_and_spells_the_others() -> None:
    """No val text needs [UNK] or is cut; an unknown word becomes characters."""
    tokenizer = build_tokenizer(data, 3000)
    unknown = tokenizer.token_to_id("[UNK]")
    for task in data.TASKS:
        for example in encode(tokenizer, task, list(data.rows(task, "val"))):
            assert unknown not in example.input_ids
            assert len(example.input_ids) <= MAX_LENGTH
    assert tokenizer.encode("zyx", add_special_tokens=False).tokens == ["z", "##y", "##x"]


def test_a_pair_is_read_with_segments_and_cut_in_its_first_text(shipped_folder: Path) -> None:
    """[CLS] A [SEP] B [SEP], segments 0 and 1; a long passage is cut and the question stays whole."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(shipped_folder / "tokenizer.json"))
    short = tokenizer.encode("the lake", "is it deep")
    assert short.tokens == ["[CLS]", "the", "lake", "[SEP]", "is", "it", "deep", "[SEP]"]
    assert short.type_ids == [0, 0, 0, 0, 1, 1, 1, 1]
    long = tokenizer.encode("lake " * 400, "is it deep")
    assert len(long.ids) == MAX_LENGTH
    assert long.tokens[-4:] == ["is", "it", "deep", "[SEP]"]
