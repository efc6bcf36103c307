"""What runs which family of encoders: a cell is a family and an engine or a recipe, and is tried.

    tiny random checkpoint --engine, or recipe and export--> answers, compared with `pytorch-dynamic`'s

A cell is "equal" (float32: every answer, and logits within a bound), a share of equal answers (int8), or
"refused" with the reason that the variant itself gives from config.json.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import encoders
import numpy as np
import tiny

from baselines.checkpoints.folder import read_config
from baselines.models.families import unsupported_of
from harness.common.errors import UnsupportedError
from harness.systems.interface import Predictions, Settings, Variant
from harness.workload.tasks import get_task

TASK = get_task("boolq")
SETTINGS = Settings(max_length=48, batch=4)
EXAMPLES = 60
LEAST_EQUAL = 0.98
BOUND = 1e-3
"""The largest difference of a logit in float32."""

KINDS: Mapping[str, str] = {
    "bert": "BERT, MiniLM",
    "roberta": "RoBERTa",
    "xlm-roberta": "XLM-R",
    "camembert": "CamemBERT",
    "distilbert": "DistilBERT",
    "electra": "ELECTRA",
    "mpnet": "MPNet",
    "modernbert": "ModernBERT (head on the first token)",
    "modernbert-mean": "ModernBERT (mean, with biases)",
    "nomic_bert": "NomicBERT",
    "eurobert": "EuroBERT",
    "deberta-v3": "DeBERTa-v3",
    "deberta-v2": "DeBERTa-v2 (with its convolution)",
    "albert": "ALBERT",
}
_RIDGE = 0.01
_WIDE = {"hidden_size": 64, "intermediate_size": 96}
ENGINES = ("onnx-fp32", "onnx-int8", "native-int8", "ctranslate2-fp32", "ctranslate2-int8")


@dataclass(frozen=True, slots=True)
class Cell:
    """The outcome: the share of equal answers, or why the checkpoint is refused."""

    equal: float = 0.0
    difference: float = 0.0
    refused: str = ""

    def __str__(self) -> str:
        return f"refused: {self.refused}" if self.refused else f"{self.equal:.1%} equal"


@dataclass(frozen=True, slots=True)
class Workshop:
    """A folder with the checkpoint of a family, its cache, and the answers of PyTorch."""

    root: Path
    kind: str

    @property
    def folder(self) -> Path:
        """The checkpoint, written when it is first needed."""
        folder = self.root / self.kind
        if not folder.exists():
            sizes = {"dim": 64, "hidden_dim": 96} if self.kind == "distilbert" else _WIDE
            model = encoders.model_of(self.kind, TASK, initializer_range=0.2, **sizes)
            fit_labels(model, encoders.saved(model, folder))
            encoders.saved(model, folder)
        return folder

    def answers(self, variant: Variant, folder: Path) -> Predictions:
        """Return the predictions of a variant of a checkpoint."""
        system = tiny.opened(variant, TASK, folder, self.root / "cache", SETTINGS)
        try:
            return system.predict(system.encode(tiny.examples(EXAMPLES)))
        finally:
            system.close()

    def compare(self, variant: Variant, folder: Path, other: Path) -> Cell:
        """Compare a variant of one checkpoint with PyTorch's answers of another, or of the same."""
        expected, given = self.answers(variants()["pytorch-dynamic"], other), self.answers(variant, folder)
        sides = [np.array(TASK.decide(each.logits, each.offsets)) for each in (expected, given)]
        difference = float(np.abs(expected.logits - given.logits).max())
        return Cell(float((sides[0] == sides[1]).mean()), difference)


def fit_labels(model: Any, folder: Path) -> None:
    """Fit the layer of the labels to tell long texts from short, by ridge regression.

    Answers of random labels lie so close together that the noise of int8 swaps some of them.
    """
    import torch

    from baselines.encoding.batching import pad
    from baselines.encoding.tokenizer import TextEncoder
    from baselines.models.classifier import runner
    from baselines.models.families.layers import pooling_of

    _, labels = pooling_of(model)
    rows: list[torch.Tensor] = []
    hook = labels.register_forward_pre_hook(
        lambda _module, inputs: rows.append(inputs[0].flatten(0, -2).mean(0))
    )
    requests = TextEncoder(folder, SETTINGS.max_length).encode(tiny.examples(EXAMPLES))
    run = runner(model)
    for request in requests:
        run(pad(request.sequences, 0))
    hook.remove()
    lengths = torch.tensor([float(request.tokens) for request in requests])
    targets = (lengths > lengths.median()).float() * 2 - 1
    vectors = torch.stack(rows)
    mean = vectors.mean(0)
    centred = vectors - mean
    ridge = centred.T @ centred + _RIDGE * len(rows) * torch.eye(centred.shape[1])
    weight = torch.linalg.solve(ridge, centred.T @ targets)
    with torch.no_grad():
        labels.weight.copy_(torch.stack([-weight, weight]))
        labels.bias.copy_(torch.stack([weight @ mean, -weight @ mean]))


@cache
def variants() -> Mapping[str, Variant]:
    """Return every variant of the catalog by name."""
    from harness.catalog import load_catalog

    return load_catalog().variants


def refusal(variant: object, config: Mapping[str, Any]) -> str:
    """Return why a variant refuses a family, from config.json; empty if it does not."""
    return unsupported_of(variant, TASK, config) or ""


def engine_cell(name: str, workshop: Workshop) -> Cell:
    """Try an engine."""
    reason = refusal(variants()[name], read_config(workshop.folder))
    if reason:
        return Cell(refused=reason)
    return workshop.compare(variants()[name], workshop.folder, workshop.folder)


def pruned_cell(workshop: Workshop) -> Cell:
    """Prune to half the heads and a third of the units, open it again, export it, and compare."""
    from optimized.recipes.pruning.recipe import Prune

    recipe = Prune(heads=2, ffn=8, examples=8)
    return _recipe_cell(recipe, workshop)


def half_depth_cell(workshop: Workshop) -> Cell:
    """Distil into every second layer for an epoch, open it again, export it, and compare."""
    from optimized.recipes.distillation.recipe import Distil

    return _recipe_cell(Distil(student="layers:half", epochs=1, batch=4, bf16=False), workshop)


def _recipe_cell(recipe: object, workshop: Workshop) -> Cell:
    sources = replace(tiny.trained_sources(workshop.folder), training=lambda: tiny.examples(12))
    context = tiny.preparation_context(workshop.root / "cache")
    try:
        chain = [sources.checkpoint]
        output = recipe.apply(TASK, chain, sources, SETTINGS, context)  # type: ignore[attr-defined]
    except UnsupportedError as problem:
        return Cell(refused=problem.message)
    made = output.checkpoint.folder
    return workshop.compare(variants()["onnx-fp32"], made, made)


def exits_cell(workshop: Workshop) -> Cell:
    """Split into stages after the first layer; every request goes through all of them."""
    from optimized.adaptive.early_exit.variant import ExitsVariant

    return _adaptive_cell(ExitsVariant(exits=(1,), thresholds=("never",), steps=2), workshop)


def tokens_cell(workshop: Workshop) -> Cell:
    """Export the graph that drops tokens, and keep all of them."""
    from optimized.adaptive.token_dropping.variant import TokensVariant

    return _adaptive_cell(TokensVariant(keep="all", steps=0), workshop)


def _adaptive_cell(variant: Variant, workshop: Workshop) -> Cell:
    reason = refusal(variant, read_config(workshop.folder))
    if reason:
        return Cell(refused=reason)
    sources = replace(tiny.trained_sources(workshop.folder), training=lambda: tiny.examples(12))
    artifact = variant.prepare(TASK, sources, SETTINGS, tiny.preparation_context(workshop.root / "cache"))
    system = variant.load(TASK, artifact, tiny.CPU, SETTINGS)
    expected = workshop.answers(variants()["pytorch-dynamic"], workshop.folder)
    given = system.predict(system.encode(tiny.examples(EXAMPLES)))
    system.close()
    sides = [np.array(TASK.decide(each.logits, each.offsets)) for each in (expected, given)]
    return Cell(float((sides[0] == sides[1]).mean()), float(np.abs(expected.logits - given.logits).max()))


RECIPES: Mapping[str, Callable[[Workshop], Cell]] = {
    "pruning": pruned_cell,
    "half the layers": half_depth_cell,
    "early exit": exits_cell,
    "token dropping": tokens_cell,
}
COLUMNS = (*ENGINES, *RECIPES)


def cell(column: str, workshop: Workshop) -> Cell:
    """Try a cell."""
    return RECIPES[column](workshop) if column in RECIPES else engine_cell(column, workshop)
