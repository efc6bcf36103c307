"""The embedded encoder: its recipe learns, what it writes loads everywhere, and what ships answers."""

import json
from array import array
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from baselines.checkpoints import embedded as shipped
from baselines.training.datasets import TrainingProgress
from baselines.training.scratch.data import (
    BATCH,
    MAX_LENGTH,
    CompactSequence,
    MultiTaskItem,
    PretrainingSettings,
    Stage,
    build_tokenizer,
    encode_items,
    head_sizes,
    label_rows,
    parse_examples,
    plan_batches,
)
from baselines.training.scratch.pretrain import STAGES, quality, train_embedded
from harness.common.errors import CheckpointError, UsageError
from harness.workload import synthetic as data
from harness.workload.tasks import SUPERGLUE, TASKS, get_task
from harness.workload.tasks.base import reported_split

BUDGET_BYTES = 4 * 2**20  # so that the wheel stays small
EVERY = ("boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc")


class TinySource:
    """The embedded data with every split cut to a few rows, fewer still where all rows are requested."""

    VERSION = data.VERSION

    def rows(
        self, task: str, split: str, limit: int | None = None, *, max_sentences: int | None = None
    ) -> Iterator[dict[str, object]]:
        few = 8 if limit is None or limit > 640 else limit
        return data.rows(task, split, few, max_sentences=max_sentences)

    def fingerprint(self, task: str, split: str) -> str:
        return f"{task}-{split}"


@pytest.fixture(scope="module")
def shipped_folder() -> Path:
    """Find the folder of the shipped files."""
    return Path(str(files(shipped)))


def test_a_few_steps_lower_the_loss_and_leave_a_checkpoint(tmp_path: Path) -> None:
    """Twelve steps on the same short texts lower their loss, and each task's head has its shape."""
    from baselines.models.classifier import load_classifier

    ticks: list[TrainingProgress] = []
    others = {"cb": 16, "rte": 16, "copa": 16, "multirc": 4, "record": 4, "wic": 16, "wsc": 16}
    stages = (*[Stage({"boolq": 64}, 2)] * 12, Stage(others, 4))
    record = train_embedded(
        tmp_path / "made",
        data=TinySource(),
        stages=stages,
        settings=PretrainingSettings(learning_rate=1e-3, warmup_steps=2, log_every=1),
        progress=ticks.append,
    )
    losses = [tick.loss for tick in ticks if tick.loss is not None]
    # a step is reported before its own loss is logged: the last is not among them
    assert record["steps"] == len(losses) + 1 > 13
    assert losses[11] < losses[0] - 0.05
    assert record["quality"]["boolq"]["n"] == 8
    assert set(record["quality"]) == set(TASKS)
    for task in SUPERGLUE:
        model = load_classifier(shipped.unpack(tmp_path / "made", task.name, tmp_path / task.name))
        assert model.classifier.out_features == len(task.labels)
    assert not (tmp_path / "made.part").exists()


def test_a_training_that_was_cut_off_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    """Stopped after 2 of 4 steps, the next call takes 2 and ends with the weights of an unbroken run."""
    from safetensors.numpy import load_file

    stages = (Stage({"boolq": 256}, 2),)
    settings: dict[str, Any] = {
        "data": TinySource(),
        "stages": stages,
        "settings": PretrainingSettings(save_every=2, log_every=1),
    }
    train_embedded(tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        train_embedded(tmp_path / "cut", **settings, progress=_stop_at(3 / 4))
    assert not (tmp_path / "cut").exists()
    ticks: list[TrainingProgress] = []
    record = train_embedded(tmp_path / "cut", **settings, progress=ticks.append)
    assert record["resumed"]
    assert [round(4 * tick.fraction) for tick in ticks] == [3, 4]
    whole, cut = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert all((whole[name] == cut[name]).all() for name in whole)


def _stop_at(fraction: float) -> Callable[[TrainingProgress], None]:
    def progress(tick: TrainingProgress) -> None:
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
    batches = plan_batches(TinySource(), tokenizer, stages, seed=3)
    longest = [max(item.longest for item in batch) for batch in batches]
    assert [len(batch) for batch in batches] == [BATCH] * (2 + 4)
    assert max(longest[:2]) < 100
    assert max(longest[2:]) > 150
    assert min(longest[2:]) < 90
    assert batches == plan_batches(TinySource(), tokenizer, stages, seed=3)
    assert batches != plan_batches(TinySource(), tokenizer, stages, seed=4)


def test_a_choice_is_never_torn_apart() -> None:
    """ReCoRD's candidates are one item; a batch closes a little early rather than split one."""
    tokenizer = build_tokenizer(TinySource(), 64)
    batches = plan_batches(TinySource(), tokenizer, (Stage({"record": 64}, None),), seed=0)
    sizes = [sum(len(item.sequences) for item in batch) for batch in batches]
    assert all(BATCH - 8 < size <= BATCH for size in sizes)
    items = [item for batch in batches for item in batch]
    assert all(len(item.sequences) == len(item.targets) and sum(item.targets) > 0 for item in items)


def test_every_label_of_every_task_has_its_own_row() -> None:
    """Eleven rows of the classifier and four of the span classifier, in the order of the tasks."""
    assert tuple(label_rows()) == EVERY
    assert head_sizes() == (11, 4)
    spans = [row for task in ("wic", "wsc") for row in label_rows()[task].values()]
    others = [row for task in EVERY if task not in ("wic", "wsc") for row in label_rows()[task].values()]
    assert (others, spans) == (list(range(11)), list(range(4)))


def test_an_item_learns_from_the_rows_of_its_own_task() -> None:
    """Worked by hand: two labels with equal logits cost ln 2, two candidates scored 0 and 0 cost ln 2.

    However large the logits of other tasks' rows are, they change nothing.
    """
    import math

    import torch

    from baselines.training.scratch.model import collate, shared_loss

    sequence = CompactSequence(array("H", [2, 7, 3]), array("H", [0, 0, 0]), ((1, 2), (1, 2)))
    rows = label_rows()
    items = [
        MultiTaskItem("boolq", (sequence,), (rows["boolq"]["true"],)),
        MultiTaskItem("copa", (sequence, sequence), (0, 1)),
        MultiTaskItem("wsc", (sequence,), (rows["wsc"]["true"],)),
    ]
    inputs = collate(items)
    logits = torch.full((4, 15), 50.0)
    for at, own in enumerate((rows["boolq"], rows["copa"], rows["copa"])):
        logits[at, list(own.values())] = 0.0
    logits[3, [11 + row for row in rows["wsc"].values()]] = 0.0
    assert float(shared_loss(logits, inputs)) == pytest.approx(math.log(2))


def test_the_shipped_files_are_small_and_complete(shipped_folder: Path) -> None:
    """Weights, tokenizer, heads and the record of training, within the budget."""
    names = {"config.json", "heads.json", "model.safetensors"}
    names |= {"tokenizer.json", "tokenizer_config.json", "training.json"}
    kept = [path for path in shipped_folder.iterdir() if path.suffix in {".json", ".safetensors"}]
    sizes = {path.name: path.stat().st_size for path in kept}
    assert set(sizes) == names
    assert sum(sizes.values()) <= BUDGET_BYTES


def test_the_shipped_weights_were_trained_on_this_data(shipped_folder: Path) -> None:
    """The record names the stages of the recipe, and the version and sums that the generator has now."""
    record = json.loads((shipped_folder / "training.json").read_text(encoding="utf-8"))
    assert record["stages"] == [asdict(stage) for stage in STAGES]
    assert record["data"]["version"] == data.VERSION
    for task, sums in record["data"]["fingerprints"].items():
        assert sums == {split: data.fingerprint(task, split) for split in ("train", "val")}


@pytest.mark.parametrize("name", list(TASKS))
def test_the_shipped_encoder_scores_as_recorded(name: str, shipped_folder: Path) -> None:
    """On the first rows it is right as often as over all of them, less three standard errors at most."""
    record = json.loads((shipped_folder / "training.json").read_text(encoding="utf-8"))
    recorded = record["quality"][name]
    metric = get_task(name).scoring.metrics[0]
    rows = 40
    # a share over 40 independent units; a task without an error still gets the room of one
    error = max(recorded[metric] * (1 - recorded[metric]) / rows, 0.01 / rows) ** 0.5
    assert quality(shipped_folder, data, rows, (name,))[name][metric] >= recorded[metric] - 3 * error


@pytest.mark.parametrize("name", list(TASKS))
def test_an_unpacked_checkpoint_is_an_ordinary_one(name: str, tmp_path: Path) -> None:
    """It has the task's head and labels; all but the span head load with transformers alone."""
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

    task = get_task(name)
    folder = shipped.materialise(task.model_task, tmp_path / "checkpoint")
    assert tuple(AutoConfig.from_pretrained(folder).id2label.values()) == task.labels
    kind = AutoModel if task.head == "span" else AutoModelForSequenceClassification
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    assert model.config.hidden_size == 128
    assert not [key for key in info["missing_keys"] if "pooler" not in key]


def test_unpacking_fills_an_empty_folder_and_refuses_an_unknown_task(tmp_path: Path) -> None:
    """An empty folder is filled; a task without a head is named together with those that have one."""
    assert shipped.materialise("rte", tmp_path) == tmp_path
    assert (tmp_path / "model.safetensors").is_file()
    with pytest.raises(CheckpointError, match=r"ax-b.*boolq, cb, copa"):
        shipped.materialise("ax-b", tmp_path / "none")


def test_the_tokenizer_knows_every_word_of_what_is_reported_and_spells_the_others() -> None:
    """No reported text needs [UNK] or is cut; an unknown word becomes characters."""
    tokenizer = build_tokenizer(data, 1200)
    unknown = tokenizer.token_to_id("[UNK]")
    for task in SUPERGLUE:
        examples = parse_examples(task, data.rows(task.name, reported_split(task)))
        sequences = [
            sequence for item in encode_items(tokenizer, task, examples) for sequence in item.sequences
        ]
        assert all(unknown not in sequence.ids and len(sequence.ids) <= MAX_LENGTH for sequence in sequences)
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
