"""A tiny random BERT with a WordPiece tokenizer as a checkpoint folder, and what else variants need."""

import json
import shutil
import string
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from baselines.models.transformers_settings import quiet_transformers
from harness.systems.interface import (
    Artifact,
    Checkpoint,
    Placement,
    PreparationContext,
    PreparationSources,
    Settings,
    System,
    Variant,
)
from harness.workload import synthetic
from harness.workload.tasks.base import Task, reported_split
from harness.workload.tasks.custom import CustomTaskDefinition, custom_task
from harness.workload.tasks.example import Example, TextInput
from harness.workload.tasks.multi_label import MultiLabelTask

SENTENCE = "is the lake frozen in winter a passage says it freezes each year and people skate"
WORDS = tuple(SENTENCE.split())
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def vocabulary() -> list[str]:
    """Return special tokens, whole words, and every ASCII letter, digit and mark, alone and continuing."""
    marks = string.ascii_lowercase + string.digits + string.punctuation
    words = list(dict.fromkeys(word for word in WORDS if len(word) > 1))
    return [*SPECIAL, *words, *marks, *(f"##{mark}" for mark in marks)]


def tiny_checkpoint(
    folder: Path,
    labels: Sequence[str] = ("false", "true"),
    *,
    seed: int = 0,
    head: bool = True,
    spread: float = 0.4,
    **config: Any,
) -> Path:
    """Write a random BERT of 2 layers, 32 wide, whose logits vary with the text; return its folder."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertModel

    folder.mkdir(parents=True, exist_ok=True)
    names = dict(enumerate(labels))
    settings = {
        "vocab_size": len(vocabulary()),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "initializer_range": spread,
        "id2label": names,
        "label2id": {name: column for column, name in names.items()},
    }
    torch.manual_seed(seed)
    kind = BertForSequenceClassification if head else BertModel
    with quiet_transformers():
        kind(BertConfig(**{**settings, **config})).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def span_checkpoint(
    folder: Path, labels: Sequence[str] = ("false", "true"), *, seed: int = 0, **config: Any
) -> Path:
    """Write a random BERT like `tiny_checkpoint`'s with the head for two spans; return its folder."""
    import torch
    from transformers import AutoModel

    from baselines.models.span_classifier import SpanClassifier

    tiny_checkpoint(folder, labels, seed=seed, head=False, **config)
    torch.manual_seed(seed)
    with quiet_transformers():
        SpanClassifier(AutoModel.from_pretrained(folder), len(labels)).save_pretrained(folder)
    return folder


def task_checkpoint(folder: Path, task: Task, **config: Any) -> Path:
    """Write a random checkpoint with the head and the labels of a task, and 128 positions."""
    make = span_checkpoint if task.head == "span" else tiny_checkpoint
    return make(folder, task.labels, max_position_embeddings=128, **config)


def multi_label_task(
    threshold: float = 0.5, labels: Sequence[str] = ("lake", "winter", "people")
) -> MultiLabelTask:
    """Return a task of pairs for which any number of labels may hold."""
    definition = CustomTaskDefinition(
        tuple(labels), "micro-f1", pair=True, multi_label=True, threshold=threshold
    )
    task = custom_task(definition)
    assert isinstance(task, MultiLabelTask)
    return task


def multi_label_checkpoint(
    folder: Path, labels: Sequence[str] = ("lake", "winter", "people"), **config: Any
) -> Path:
    """Write a random BERT like `tiny_checkpoint`'s for any number of labels; return its folder."""
    return tiny_checkpoint(folder, labels, problem_type="multi_label_classification", **config)


def task_examples(task: Task, count: int = 4) -> list[Example]:
    """Return at least `count` labelled examples of a task, from its embedded rows if it has any."""
    if task.head == "multi_label":
        return examples(count, gold=("101", "000", "011"))
    split = "train" if "train" in task.splits else reported_split(task)
    rows = synthetic.rows(task.name, split, count)
    return [
        example
        for number, row in enumerate(rows, 1)
        for example in task.parse(row, f"rows:{number}", labelled=True)
    ]


def write_tokenizer(folder: Path) -> None:
    """Write a lower-casing WordPiece tokenizer as BERT's."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    ids = {token: number for number, token in enumerate(vocabulary())}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps(named))
    (folder / "vocab.txt").write_text("\n".join(vocabulary()) + "\n")


def examples(count: int, *, longest: int = 40, gold: Sequence[str] = ("false", "true")) -> list[Example]:
    """Return examples of different lengths, the first text from 1 to `longest` words."""
    generated = []
    for number in range(count):
        size = 1 + (number * 7) % longest
        first = " ".join(WORDS[(number + place) % len(WORDS)] for place in range(size))
        second = " ".join(WORDS[: 2 + number % 4])
        generated.append(Example(str(number), (TextInput(first, second),), (gold[number % len(gold)],)))
    return generated


@dataclass(frozen=True, slots=True)
class Shelf:
    """A cache in a folder; `made` lists the keys that were written.

    Artifacts that it does not have are looked up in the folder `lent`, which is never written to.
    """

    root: Path
    made: list[str] = field(default_factory=list)
    lent: Path | None = None

    def find(self, key: str) -> Artifact | None:
        """Return the artifact under this key, or None."""
        for root in filter(None, (self.root, self.lent)):
            if (root / key).exists():
                return Artifact(root / key, key, json.loads((root / key / "manifest.json").read_text()))
        return None

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """Yield a folder, which is kept only if the block ends without an error."""
        scratch = self.root / f"{key}.part"
        scratch.mkdir(parents=True)
        yield scratch
        scratch.rename(self.root / key)
        self.made.append(key)

    @contextmanager
    def working(self, key: str) -> Iterator[Path]:
        """Yield a folder, which is removed only if the block ends without an error."""
        folder = self.root / f"{key}.working"
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        shutil.rmtree(folder)


def checkpoint_of(folder: Path) -> Checkpoint:
    """Return the checkpoint in a folder, fingerprinted."""
    from baselines.checkpoints.folder import fingerprint

    return Checkpoint("tiny", folder, "local", fingerprint(folder))


def trained_sources(folder: Path, task: Task | None = None) -> PreparationSources:
    """Return sources with a training split of 60 examples."""
    split = examples(60) if task is None else task_examples(task, 30)
    return replace(sources(folder, task=task), training=lambda: split, training_sha256="c" * 64)


def preparation_context(
    root: Path,
    times: Mapping[str, float] | None = None,
    told: list[str] | None = None,
    lent: Path | None = None,
) -> PreparationContext:
    """Return a context with a cache below `root`; its `measure` returns the seconds in `times`, or 1.0.

    Messages of progress are appended to `told`.
    """

    def measure(systems: Mapping[str, System], trial: Sequence[Example]) -> dict[str, float]:
        for system in systems.values():
            system.predict(system.encode(trial))
        return {name: (times or {}).get(name, 1.0) for name in systems}

    progress = (told if told is not None else []).append
    return PreparationContext(Shelf(root, lent=lent), progress, measure, CPU)


CPU = Placement("cpu", (0,), threads=1)
SHORT = Settings(max_length=32, batch=1)
LONG = Settings(max_length=128, batch=1)
"""The maximum length of the models of `task_checkpoint`."""


def sources(folder: Path, trial: int = 6, task: Task | None = None) -> PreparationSources:
    """Return the checkpoint in a folder with trial examples, of `task` if that is given."""
    trial_examples = examples(trial) if task is None else task_examples(task)
    return PreparationSources(checkpoint_of(folder), tuple(trial_examples))


def opened(
    variant: Variant,
    task: Task,
    folder: Path,
    cache: Path,
    settings: Settings = LONG,
    times: Mapping[str, float] | None = None,
) -> System:
    """Prepare a variant of the checkpoint in a folder and load it."""
    artifact = variant.prepare(task, sources(folder, task=task), settings, preparation_context(cache, times))
    return variant.load(task, artifact, CPU, settings)
