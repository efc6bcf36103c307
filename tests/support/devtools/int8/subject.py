"""The model that a table is about, its texts, and how far rounded answers are from exact ones."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tiny

from baselines.encoding.batching import Padded, pad
from baselines.encoding.tokenizer import TextEncoder
from harness.systems.interface import EncodedSequence, Settings, sequences_of
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Logits

CALIBRATION = 16
"""Training examples whose activations are looked at."""

_RIDGE = 0.01


@dataclass(frozen=True, slots=True)
class Changes:
    """How far logits are from exact ones.

    The largest and the mean change of a logit, the root mean square of the changes as a share of the spread
    of the exact ones, and how many answers are equal.
    """

    largest: float
    mean: float
    error: float
    equal: int
    of: int


@dataclass(frozen=True, slots=True)
class Subject:
    """A classifier's folder, and the examples of a task: for training, and to answer."""

    task: Task
    folder: Path
    training: tuple[Example, ...]
    answered: tuple[Example, ...]
    settings: Settings
    cache: Path

    def sequences(self, examples: Sequence[Example]) -> list[EncodedSequence]:
        """Encode examples with the model's tokenizer."""
        return list(sequences_of(TextEncoder(self.folder, self.settings.max_length).encode(examples)))

    def calibration(self) -> list[Padded]:
        """Return the inputs whose activations are looked at."""
        return [pad([one], 0) for one in self.sequences(spaced(self.training, CALIBRATION))]

    def changes(self, exact: Logits, rounded: Logits) -> Changes:
        """Compare the logits of the answered examples."""
        offsets = np.arange(len(exact) + 1)
        decided = [self.task.decide(logits, offsets) for logits in (exact, rounded)]
        difference, centred = np.abs(rounded - exact), exact - exact.mean(axis=1, keepdims=True)
        change = (rounded - rounded.mean(axis=1, keepdims=True)) - centred
        spread = np.sqrt(np.square(centred - centred.mean(axis=0)).sum() / (len(exact) - 1) / exact.shape[1])
        equal = sum(first == second for first, second in zip(*decided, strict=True))
        error = float(np.sqrt(np.mean(np.square(change))) / spread)
        return Changes(float(difference.max()), float(difference.mean()), error, equal, len(exact))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which model and which texts."""
    parser.add_argument("--model", default="embedded", help="a folder, or a name as in `bench run`")
    parser.add_argument("--task", default="rte")
    parser.add_argument(
        "--data", type=Path, help="a folder in the official layout; the embedded sample without"
    )
    parser.add_argument("--answers", type=int, default=48, help="examples of the validation split")
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--as-bert", action="store_true", help="an MPNet's layers without its relative bias")
    parser.add_argument(
        "--fit-head",
        type=int,
        default=0,
        metavar="N",
        help="give an encoder without a head for the task one, fitted to N training examples",
    )


def subject_of(options: argparse.Namespace, root: Path) -> Subject:
    """Return the model and the texts that the options name."""
    from baselines.models.resolve import resolve, resolve_classifier
    from harness.workload.data import embedded_data, load_split, local_data
    from harness.workload.tasks import get_task
    from optimized.recipes.random_shape import is_shape, resolve_shape

    task, shelf = get_task(options.task), tiny.Shelf(root / "cache")
    data = local_data(options.data) if options.data else embedded_data(root, task)
    training, validation = (load_split(task, data, name).examples for name in ("train", "val"))
    settings = Settings(max_length=options.max_length, batch=1)
    if is_shape(options.model):
        folder = resolve_shape(options.model, task, shelf).folder
    else:
        folder = (resolve if options.fit_head else resolve_classifier)(options.model, task, shelf).folder
    if options.as_bert:
        folder = mpnet_as_bert(folder, root / "as-bert")
    if options.fit_head:
        examples = spaced(training, options.fit_head)
        folder = with_fitted_head(folder, root / "fitted", task, examples, settings)
    answered = spaced(validation, options.answers)
    return Subject(task, folder, tuple(training), tuple(answered), settings, root / "cache")


def spaced(examples: Sequence[Example], count: int) -> list[Example]:
    """Return `count` examples at equal distances, or all."""
    size = min(count, len(examples))
    return [examples[index * len(examples) // size] for index in range(size)]


_BERT_NAMES = {
    "attention.attn.q": "attention.self.query",
    "attention.attn.k": "attention.self.key",
    "attention.attn.v": "attention.self.value",
    "attention.attn.o": "attention.output.dense",
    "attention.LayerNorm": "attention.output.LayerNorm",
}


def mpnet_as_bert(folder: Path, target: Path) -> Path:
    """Write an MPNet's weights as a BERT, whose feed-forward parts then have far larger units."""
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    from baselines.checkpoints.folder import read_config
    from baselines.models.transformers_settings import quiet_transformers
    from baselines.training.finetune import copy_tokenizer

    config = read_config(folder)
    same = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
    positions = int(config["max_position_embeddings"]) - 2
    model = BertModel(
        BertConfig(
            **{name: config[name] for name in same},
            max_position_embeddings=positions,
            layer_norm_eps=config["layer_norm_eps"],
            pad_token_id=1,
        ),
        add_pooling_layer=False,
    )
    weights = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        for old, new in _BERT_NAMES.items():
            name = name.replace(old, new)  # noqa: PLW2901
        weights[name] = tensor
    weights["embeddings.position_embeddings.weight"] = weights["embeddings.position_embeddings.weight"][2:]
    weights["embeddings.token_type_embeddings.weight"] = weights["embeddings.word_embeddings.weight"][:2] * 0
    unused = model.load_state_dict(weights, strict=False)
    if unused.missing_keys:
        raise SystemExit(f"not an MPNet: {', '.join(unused.missing_keys[:4])}")
    with quiet_transformers():
        model.save_pretrained(target)
    copy_tokenizer(folder, target)
    return target


def with_fitted_head(
    folder: Path, target: Path, task: Task, examples: Sequence[Example], settings: Settings
) -> Path:
    """Write the encoder with a head for the task: a random dense layer, and labels by ridge regression."""
    import torch
    from transformers import AutoModelForSequenceClassification

    from baselines.models import resize
    from baselines.models.transformers_settings import quiet_transformers
    from baselines.training.finetune import copy_tokenizer

    torch.manual_seed(0)
    names = dict(enumerate(task.labels))
    labels = {"id2label": names, "label2id": {name: column for column, name in names.items()}}
    with quiet_transformers():
        model, _ = resize.load(AutoModelForSequenceClassification, folder, **labels)
    encoder = TextEncoder(folder, settings.max_length)
    inputs = [pad(request.sequences, encoder.pad_id) for request in encoder.encode(examples)]
    _fit(model.eval(), inputs, [task.labels.index(example.gold[0]) for example in examples])
    with quiet_transformers():
        model.save_pretrained(target)
    copy_tokenizer(folder, target)
    return target


def _fit(model: Any, inputs: Sequence[Padded], gold: Sequence[int]) -> None:
    """Fit the layer of the labels, which reads what it read for the inputs."""
    import torch

    from baselines.models.classifier import runner
    from baselines.models.families.layers import pooling_of

    _, labels = pooling_of(model)
    rows: list[torch.Tensor] = []
    hook = labels.register_forward_pre_hook(
        lambda _map, arguments: rows.append(arguments[0].flatten(0, -2).mean(0))
    )
    run = runner(model)
    for padded in inputs:
        run(padded)
    hook.remove()
    vectors = torch.stack(rows)
    targets = torch.nn.functional.one_hot(torch.tensor(gold), labels.out_features).float()
    centred, mean = vectors - vectors.mean(0), vectors.mean(0)
    ridge = centred.T @ centred + _RIDGE * len(rows) * torch.eye(centred.shape[1])
    weight = torch.linalg.solve(ridge, centred.T @ (targets - targets.mean(0))).T
    with torch.no_grad():
        labels.weight.copy_(weight)
        if labels.bias is not None:
            labels.bias.copy_(targets.mean(0) - weight @ mean)
