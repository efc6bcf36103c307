"""Random-weight encoders of a given shape, to measure speed and energy without training.

    Shape            a recipe: the next checkpoint of a chain has this shape and its parent's tokenizer
    SHAPES           the paper's architectures (FastFormers, Table 3), by name (family_shapes.py: others)
    resolve_shape    `shape:12L-768` as a model: that shape, with a tokenizer that makes each word one token

The speed of an encoder depends on its shape and on the lengths of its requests, not on the values of its
weights. Its answers are random: `trained` is False for it and for every checkpoint made from it, and quality
is unavailable. Words are numbers, each its own token id, as in `harness/workload/data/lengths.py`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from baselines.checkpoints.artifacts import cache_key, find_or_make, library_versions
from baselines.checkpoints.folder import TOKENIZER, fingerprint, read_config
from baselines.checkpoints.labels import problem_type_of
from baselines.encoding.tokenizer import check_length
from baselines.training.datasets import RECORD
from baselines.training.finetune import copy_tokenizer
from harness.common.errors import UsageError, unknown_name
from harness.systems.interface import (
    Artifact,
    Cache,
    Checkpoint,
    EnergyProbe,
    PreparationContext,
    PreparationSources,
    Settings,
)
from harness.workload.tasks.base import Task
from optimized.recipes.base import RecipeOutput, output_of
from optimized.recipes.family_shapes import FAMILY_SHAPES, FamilyShape

PREFIX = "shape:"
"""The prefix of model names that `resolve_shape` resolves."""

_KIND, _VERSION = "shape", 2
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True, slots=True)
class Shape:
    """A BERT of this shape with random weights.

    With `head_size` None it is hidden / heads, as in stock models. Pruning does not change the size of heads.
    """

    layers: int
    hidden: int
    heads: int
    ffn: int
    head_size: int | None = None
    activation: Literal["gelu", "relu"] = "gelu"
    positions: int = 512
    vocabulary: int = 30_522
    seed: int = 0

    @property
    def kind(self) -> str:
        """The recipe's name in a ladder."""
        return _KIND

    @property
    def name(self) -> str:
        """Layers, width, heads and units in the paper's notation: 4L-312-12h-1200."""
        other = "" if self.activation == "gelu" else f"-{self.activation}"
        return f"{self.layers}L-{self.hidden}-{self.heads}h-{self.ffn}{other}"

    @property
    def inner(self) -> int:
        """The total width of all heads."""
        return self.heads * (self.head_size or self.hidden // self.heads)

    @property
    def weight_macs(self) -> int:
        """Multiply-adds with weights for each token: in each layer four projections and two of the FFN."""
        return self.layers * (4 * self.hidden * self.inner + 2 * self.hidden * self.ffn)

    def apply(
        self,
        task: Task,
        chain: Sequence[Checkpoint],
        sources: PreparationSources,
        settings: Settings,
        context: PreparationContext,
    ) -> RecipeOutput:
        """Write the checkpoint, or find it in the cache; it needs no data, and only the parent's tokenizer.

        UsageError for an impossible shape, or one too small for the tokenizer or the maximum length.
        """
        del sources
        parent = chain[-1]
        self.check(settings.max_length, _count_ids(parent.folder))
        context.progress(f"writing {self.name} with random weights")
        artifact = _artifact(self, task, context.cache, parent, context.energy)
        output = output_of(artifact, PREFIX + self.name, parent)
        return replace(output, checkpoint=replace(output.checkpoint, trained=False, trained_on=""))

    def check(self, max_length: int, ids: int) -> None:
        """Raise UsageError unless the shape is possible, with `max_length` positions and `ids` token ids."""
        sizes = {name: value for name, value in asdict(self).items() if name not in ("activation", "seed")}
        wrong = [name for name, value in sizes.items() if value is not None and not _is_size(value)]
        if wrong or self.activation not in ("gelu", "relu"):
            name, expected = (
                (wrong[0], "an integer of 1 or more") if wrong else ("activation", "gelu or relu")
            )
            raise UsageError(
                f"shape: {name} must be {expected}, got {getattr(self, name)!r}.",
                remedy="Change it in the ladder.",
            )
        if self.head_size is None and self.hidden % self.heads:
            raise UsageError(
                f"shape: {self.heads} heads do not divide a width of {self.hidden}.",
                remedy="Set the size of a head: head_size.",
            )
        if ids > self.vocabulary:
            raise UsageError(
                f"shape: the parent's tokenizer has {ids:,} tokens, and vocabulary is {self.vocabulary:,}.",
                remedy=f"Set vocabulary to {ids}.",
            )
        check_length({"max_position_embeddings": self.positions}, max_length)


SHAPES: Mapping[str, Shape] = {
    "12L-768": Shape(layers=12, hidden=768, heads=12, ffn=3072),
    "6L-384": Shape(layers=6, hidden=384, heads=12, ffn=1536),
    "4L-312": Shape(layers=4, hidden=312, heads=12, ffn=1200),
    # pruning keeps the size of a head (312 / 12), and FastFormers replaces GELU by ReLU when it prunes
    "4L-312-9h-900": Shape(layers=4, hidden=312, heads=9, ffn=900, head_size=26, activation="relu"),
    "4L-312-8h-600": Shape(layers=4, hidden=312, heads=8, ffn=600, head_size=26, activation="relu"),
}
"""The encoders of FastFormers' Table 3 (BERT-base, the student, two pruned students), and MiniLM's."""


def is_shape(model: str) -> bool:
    """Return whether `resolve_shape` resolves this model name."""
    return model.startswith(PREFIX)


def resolve_shape(model: str, task: Task, cache: Cache) -> Checkpoint:
    """Return the untrained checkpoint called, say, `shape:12L-768`; UsageError for an unknown shape."""
    name = model.removeprefix(PREFIX)
    shapes: Mapping[str, Shape | FamilyShape] = {**SHAPES, **FAMILY_SHAPES}
    if name not in shapes:
        raise unknown_name("shape", name, shapes)
    folder = _artifact(shapes[name], task, cache).folder
    return Checkpoint(PREFIX + name, folder, "embedded", fingerprint(folder), trained=False)


def _artifact(
    shape: Shape | FamilyShape,
    task: Task,
    cache: Cache,
    parent: Checkpoint | None = None,
    energy: EnergyProbe | None = None,
) -> Artifact:
    facts = {
        **asdict(shape),
        "task_head": task.head,
        "libraries": library_versions("torch", "transformers", "tokenizers"),
    }
    parents = [parent.fingerprint] if parent else []
    record = {
        "recipe": _KIND,
        "version": _VERSION,
        "parents": parents,
        "parent_name": parent.name if parent else "",
        **facts,
        "weight_macs": shape.weight_macs,
        "trained": False,
        "selection": "unavailable, because the model is untrained",
    }

    def make(folder: Path) -> dict[str, Any]:
        _write_text_side(folder, parent, shape)
        _write_model(folder, task, shape, _config(shape, task, pad_id=_pad_id(parent)))
        (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return record

    return find_or_make(cache, cache_key(_KIND, _VERSION, task, parents, **facts), make, energy=energy)


def _config(shape: Shape | FamilyShape, task: Task, pad_id: int) -> Any:  # noqa: ANN401 -- no types
    from transformers import AutoConfig, BertConfig

    common = {
        "vocab_size": shape.vocabulary,
        "pad_token_id": pad_id,
        "id2label": dict(enumerate(task.labels)),
        "label2id": {label: column for column, label in enumerate(task.labels)},
        "problem_type": problem_type_of(task.head),
    }
    if isinstance(shape, FamilyShape):
        special = {f"{name}_token_id": _SPECIAL.index(f"[{name.upper()}]") for name in ("cls", "sep")}
        return AutoConfig.for_model(shape.model_type, **{**special, **shape.fields, **common})
    return BertConfig(
        **common,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.ffn,
        hidden_act=shape.activation,
        max_position_embeddings=shape.positions,
        attention_head_size=shape.inner // shape.heads,
    )


def _write_model(folder: Path, task: Task, shape: Shape | FamilyShape, config: Any) -> None:  # noqa: ANN401
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification

    from baselines.models.resize import build
    from baselines.models.span_classifier import SpanClassifier
    from baselines.models.transformers_settings import quiet_transformers

    def of_kind(auto: Any) -> Any:  # noqa: ANN401
        return auto.from_config(config) if isinstance(shape, FamilyShape) else build(config, auto)

    with torch.random.fork_rng(devices=[]), quiet_transformers():
        torch.manual_seed(shape.seed)
        if task.head == "span":
            model = SpanClassifier(of_kind(AutoModel), len(task.labels))
        else:
            model = of_kind(AutoModelForSequenceClassification)
        model.save_pretrained(folder)


def _write_text_side(folder: Path, parent: Checkpoint | None, shape: Shape | FamilyShape) -> None:
    """Copy the parent's tokenizer, so that lengths are the same; without a parent, words are numbers."""
    if parent is None:
        write_tokenizer(folder, shape)
    else:
        copy_tokenizer(parent.folder, folder)


def write_tokenizer(folder: Path, shape: Shape | FamilyShape) -> None:
    """Write a tokenizer of the shape's vocabulary in which a word is the decimal number of its token.

    Other words are unknown. A pair is encoded as BERT's, [CLS] first [SEP] second [SEP]: three tokens more
    than it has words.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = [*_SPECIAL, *map(str, range(len(_SPECIAL), shape.vocabulary))]
    ids = {word: number for number, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))  # noqa: S106 -- a token of text
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    tokenizer.add_special_tokens(list(_SPECIAL))
    tokenizer.save(str(folder / TOKENIZER))
    special = {f"{token.strip('[]').lower()}_token": token for token in _SPECIAL}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        "model_max_length": shape.positions,
        **special,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _count_ids(folder: Path) -> int:
    """Return one more than the largest token id of a tokenizer, which may leave ids unused."""
    from tokenizers import Tokenizer

    ids = Tokenizer.from_file(str(folder / TOKENIZER)).get_vocab(with_added_tokens=True)
    return max(ids.values()) + 1


def _pad_id(parent: Checkpoint | None) -> int:
    return int(read_config(parent.folder).get("pad_token_id") or 0) if parent else 0


def _is_size(value: object) -> bool:
    return type(value) is int and value >= 1


def describe_shapes() -> dict[str, str]:
    """Return a line on each shape, by the name that `--model` takes."""
    return {
        PREFIX + name: f"{shape.layers} layers of {shape.hidden}, {shape.heads} heads, {shape.ffn:,} units, "
        "random weights: for speed only"
        for name, shape in SHAPES.items()
    }
