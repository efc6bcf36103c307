"""Pruning keeps what has the highest importance, records what it did, and refuses impossible targets."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import encoders
import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from baselines.checkpoints.folder import read_config
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.onnx.runtime import OnnxVariant
from baselines.engines.pytorch import VARIANTS
from baselines.models.shape import EncoderShape, shape_of
from baselines.training.datasets import split_for_selection
from harness.common.errors import CheckpointError, UsageError
from harness.systems.interface import Checkpoint, PreparationContext, PreparationSources
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Logits
from optimized.recipes.base import RecipeOutput
from optimized.recipes.pruning.recipe import Prune

_, DYNAMIC = VARIANTS
CB = get_task("cb")
TASKS = {"sequence": CB, "span": get_task("wic"), "choice": get_task("copa")}
every_family = pytest.mark.parametrize("family", encoders.ARCHITECTURES)
every_head = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
SHAPE = EncoderShape(32, 8, (4, 4), (24, 24), "gelu")


@dataclasses.dataclass(frozen=True)
class Scores:
    """Importance with given scores."""

    heads: Any = ((1.0, 4.0, 2.0, 3.0), (9.0, 30.0, 20.0, 10.0))
    units: Any = (tuple(range(24)), tuple(range(24)))


def apply(
    recipe: Prune,
    task: Task,
    folder: Path,
    context: PreparationContext,
    examples: list[Example] | None = None,
    **changed: Any,
) -> RecipeOutput:
    """Prune the checkpoint in a folder with these training examples."""
    training = tiny.task_examples(task, 12) if examples is None else examples
    parent = dataclasses.replace(tiny.checkpoint_of(folder), **changed)
    return recipe.apply(task, [parent], PreparationSources(parent, (), lambda: training), tiny.LONG, context)


def answers_of(variant: Any, task: Task, checkpoint: Checkpoint, cache: Path) -> Logits:
    system = tiny.opened(variant, task, checkpoint.folder, cache)
    logits: Logits = system.predict(system.encode(tiny.task_examples(task))).logits
    return logits


def plant(model: Any, heads: list[list[int]], units: list[list[int]]) -> None:
    """Set the output weights of all other heads and units of each layer to zero."""
    import torch

    from baselines.models.resize import layers_of

    for layer, kept_heads, kept_units in zip(layers_of(model), heads, units, strict=True):
        columns = torch.arange(layer.out.in_features) // layer.head_size
        with torch.no_grad():
            layer.out.weight[:, ~torch.isin(columns, torch.tensor(kept_heads))] = 0.0
            layer.down.weight[:, [unit for unit in range(encoders.UNITS) if unit not in kept_units]] = 0.0


@every_family
@every_head
def test_pruning_keeps_exactly_the_heads_and_units_that_affect_the_output(
    family: str, task: Task, tmp_path: Path
) -> None:
    """Two planted heads and five units a layer are found and kept, so the logits stay, in every engine."""
    heads, units = [[0, 3], [1, 2]], [[2, 3, 11, 17, 23], [0, 1, 8, 9, 10]]
    model = encoders.model_of(family, task)
    plant(model, heads, units)
    folder = encoders.saved(model, tmp_path / "whole")
    context = tiny.preparation_context(tmp_path / "cache")
    output = apply(Prune(heads=2, ffn=5), task, folder, context)
    assert output.artifact.manifest["heads_kept"] == heads
    assert shape_of(read_config(output.checkpoint.folder)) == EncoderShape(32, 8, (2, 2), (5, 5), "gelu")
    expected = answers_of(DYNAMIC, task, tiny.checkpoint_of(folder), tmp_path / "cache")
    assert np.ptp(expected) > 0.1
    for variant in (DYNAMIC, OnnxVariant()):
        logits = answers_of(variant, task, output.checkpoint, tmp_path / "cache")
        np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert output.artifact.manifest["selection"] == output.artifact.manifest["selection_before"]


def test_a_global_budget_finds_important_heads_and_units_in_any_layer(tmp_path: Path) -> None:
    """Three heads of one layer and one of the other; two and ten units: no layer keeps the mean."""
    heads, units = [[0, 1, 3], [2]], [[4, 5], [0, 2, 3, 5, 7, 11, 13, 17, 19, 23]]
    model = encoders.model_of("bert", CB)
    plant(model, heads, units)
    folder = encoders.saved(model, tmp_path / "whole")
    context = tiny.preparation_context(tmp_path / "cache")
    output = apply(Prune(heads=0.5, ffn=6, budget="global"), CB, folder, context)
    assert output.artifact.manifest["heads_kept"] == heads
    assert shape_of(read_config(output.checkpoint.folder)).ffn == (2, 10)
    logits = answers_of(OnnxVariant(), CB, output.checkpoint, tmp_path / "cache")
    expected = answers_of(DYNAMIC, CB, tiny.checkpoint_of(folder), tmp_path / "cache")
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_each_layer_keeps_its_own_best() -> None:
    """Of given scores, the largest in each layer, ascending by index."""
    heads, units = Prune(heads=2, ffn=3).choose(SHAPE, Scores())
    assert heads == [[1, 3], [1, 2]]
    assert units == [[21, 22, 23], [21, 22, 23]]


def test_a_global_budget_keeps_the_best_of_all_and_one_of_each_layer() -> None:
    """Scores of the second layer are ten times the first's: all but one head come from there.

    Divided by each layer's norm, sqrt(30) = 5.5 and sqrt(1481) = 38.5, they are 0.18 0.73 0.37 0.55 and
    0.23 0.78 0.52 0.26: the best four are then two of each.
    """
    recipe = Prune(heads=2, ffn=1, budget="global", normalise=False)
    heads, units = recipe.choose(SHAPE, Scores())
    assert heads == [[1], [1, 2, 3]]
    assert units == [[23], [23]]
    heads, _ = dataclasses.replace(recipe, normalise=True).choose(SHAPE, Scores())
    assert heads == [[1, 3], [1, 2]]


# scores are float32: float64 keeps their order when they are normalised, the smallest ones included
rows = st.lists(st.floats(0, 1e6, width=32), min_size=4, max_size=4).map(tuple)


@given(st.tuples(rows, rows), st.integers(1, 4), st.sampled_from(["layer", "global"]), st.booleans())
def test_the_budget_is_spent_for_all_scores(heads: Any, count: int, budget: Any, normalise: bool) -> None:
    """As many heads as asked for, none twice, at least one in each layer, none worse than one left out."""
    recipe = Prune(heads=count, budget=budget, normalise=normalise)
    kept, units = recipe.choose(SHAPE, Scores(heads))
    assert sum(map(len, kept)) == 2 * count
    assert all(layer and list(layer) == sorted(set(layer)) for layer in kept)
    for layer, indices in zip(heads, kept, strict=True):
        removed = [score for index, score in enumerate(layer) if index not in indices]
        assert not removed or min(layer[index] for index in indices) >= max(removed)
    assert units == [list(range(24))] * 2


@pytest.mark.parametrize(
    ("recipe", "kept"),
    [
        (Prune(heads=0.75, ffn=0.75), ((9,) * 4, (900,) * 4)),
        (Prune(heads=8, ffn=0.5), ((8,) * 4, (600,) * 4)),
        (Prune(heads=1, ffn=1.0), ((1,) * 4, (1200,) * 4)),
    ],
)
def test_a_float_is_a_share_of_each_layer_and_an_integer_a_count(recipe: Prune, kept: Any) -> None:
    """The paper's 4L-312 pruned by a quarter, and to two thirds and a half; 1 is one, 1.0 is all."""
    assert recipe.counts(EncoderShape(312, 26, (12,) * 4, (1200,) * 4, "gelu")) == kept


@pytest.mark.parametrize("name", ["heads", "ffn"])
@pytest.mark.parametrize("value", [0, 0.0, 0.01, -1, -0.5, 25, 1.1, float("nan"), float("inf"), True, "all"])
@pytest.mark.parametrize("budget", ["layer", "global"])
def test_counts_that_the_model_does_not_have_are_refused(name: str, value: Any, budget: Any) -> None:
    """With the limits: 4 heads and 24 units."""
    size = 4 if name == "heads" else 24
    with pytest.raises(
        UsageError, match=f"prune: {name} cannot be .*, with {size} in each layer\\."
    ) as caught:
        Prune(**{name: value}, budget=budget).check(SHAPE)
    assert f"a count of 1 to {size}" in str(caught.value.remedy)


def test_counts_of_unequal_layers_are_limited_by_the_smallest_or_by_their_sum() -> None:
    """2 and 4 heads: not three in each layer, but six in total."""
    shape = EncoderShape(32, 8, (2, 4), (24, 24), "gelu")
    with pytest.raises(UsageError, match="with 2 to 4 in each layer") as caught:
        Prune(heads=3, ffn=2).check(shape)
    assert "1 to 2," in str(caught.value.remedy)
    Prune(heads=3, ffn=2, budget="global").check(shape)
    with pytest.raises(UsageError, match="with 2 to 4 in each layer"):
        Prune(heads=4, ffn=2, budget="global").check(shape)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Prune(), "nothing would be removed"),
        (Prune(heads=4, ffn=24, hidden=32, activation="gelu"), "nothing would be removed"),
        (Prune(heads=2, hidden=0), "hidden cannot be 0"),
        (Prune(heads=2, hidden=33), "with 32 in each layer"),
        (Prune(heads=2, hidden=1.5), "hidden cannot be 1.5"),
        (Prune(heads=2, budget="both"), "expected the budget layer or global, got 'both'"),  # type: ignore[arg-type]
        (Prune(heads=2, activation="softplus"), "unknown activation 'softplus'"),
        (Prune(heads=2, examples=0), "examples must be 1 or more, got 0"),
    ],
)
def test_impossible_targets_are_refused_before_work_begins(recipe: Prune, message: str) -> None:
    """Each with a remedy."""
    with pytest.raises(UsageError, match=message) as caught:
        recipe.check(SHAPE)
    assert caught.value.remedy


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One random BERT with CB's labels."""
    return encoders.saved(encoders.model_of("bert", CB), tmp_path_factory.mktemp("whole"))


def test_the_manifest_records_what_was_done_and_the_artifact_is_cached(whole: Path, tmp_path: Path) -> None:
    """Parents, parameters, what was scored and kept, and both scores; another seed is another artifact."""
    lines: list[str] = []
    context = tiny.preparation_context(tmp_path, told=lines)
    recipe = Prune(heads=3, ffn=12, examples=5)
    output = apply(recipe, CB, whole, context)
    manifest = output.artifact.manifest
    assert manifest["recipe"] == "prune"
    assert manifest["parents"] == [tiny.checkpoint_of(whole).fingerprint]
    assert {name: manifest[name] for name in dataclasses.asdict(recipe)} == dataclasses.asdict(recipe)
    assert manifest["scored"]["examples"] == manifest["scored"]["lessons"] == 5
    shared = {"head_size": 8, "hidden": 32, "activation": "gelu"}
    assert manifest["parent_shape"] == {**shared, "heads": [4, 4], "ffn": [24, 24]}
    assert manifest["shape"] == {**shared, "heads": [3, 3], "ffn": [12, 12]}
    # a layer of 32 with 4 heads of 8 and 24 units: 4 * (32 * 32 + 32) + 2 * 32 * 24 + 24 + 32 = 5,816;
    # with 3 heads and 12 units: 3 * (32 * 24 + 24) + 24 * 32 + 32 + 2 * 32 * 12 + 12 + 32 = 3,988
    assert manifest["share_left"]["layers"] == pytest.approx(3988 / 5816)
    # 12 examples: two, a tenth rounded up, are held out
    assert manifest["selection_examples"] == 2
    for name in ("selection", "selection_before"):
        assert set(manifest[name]) == {"accuracy", "macro_f1"}
    assert manifest["seconds"] > 0
    assert lines[-1] == "scoring heads and units of tiny: 100%"
    assert output.checkpoint.name == "tiny-pruned"
    assert output.artifact.fresh
    assert not apply(recipe, CB, whole, context).artifact.fresh
    others = (
        dataclasses.replace(recipe, seed=1),
        dataclasses.replace(recipe, heads=2),
        dataclasses.replace(recipe, examples=4),
    )
    keys = {apply(changed, CB, whole, context).artifact.key for changed in (recipe, *others)}
    assert len(keys) == 4
    assert apply(recipe, CB, whole, context, tiny.task_examples(CB, 9)).artifact.fresh, "other data"


def test_importance_is_not_measured_on_the_held_out_part(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Importance uses the training part of train, the score the held-out part; together they are all."""
    from optimized.recipes.pruning import prune

    hashes: list[int] = []
    measure = prune.measure_importance

    def recorded(model: Any, items: Any, *rest: Any) -> Any:
        hashes.extend(hash(item.sequences[0].ids.tobytes()) for item in items)
        return measure(model, items, *rest)

    monkeypatch.setattr(prune, "measure_importance", recorded)
    training = tiny.task_examples(CB, 12)
    apply(Prune(heads=3), CB, whole, tiny.preparation_context(tmp_path), training)
    encoder = TextEncoder(whole, tiny.LONG.max_length)
    kept, held_out = split_for_selection(training, 0)
    expected, forbidden = (
        [hash(request.sequences[0].ids.tobytes()) for request in encoder.encode(part)]
        for part in (kept, held_out)
    )
    assert sorted(hashes) == sorted(expected)
    assert not set(hashes) & set(forbidden)


def test_importance_is_measured_with_the_activation_of_the_result(whole: Path, tmp_path: Path) -> None:
    """Units are scored with the activation that the pruned model runs."""
    import torch

    from baselines.models.classifier import load_classifier, runner
    from baselines.models.resize import layers_of

    output = apply(Prune(ffn=10, activation="relu"), CB, whole, tiny.preparation_context(tmp_path))
    config = read_config(output.checkpoint.folder)
    assert config["hidden_act"] == "relu"
    pruned = load_classifier(output.checkpoint.folder)
    # by hand: the parent opened as a ReLU model and pruned without a change of activation
    relu = tmp_path / "relu"
    encoders.saved(load_classifier(whole), relu)
    (relu / "config.json").write_text((relu / "config.json").read_text().replace('"gelu"', '"relu"'))
    by_hand = load_classifier(
        apply(Prune(ffn=10), CB, relu, tiny.preparation_context(tmp_path)).checkpoint.folder
    )
    for layer, expected in zip(layers_of(pruned), layers_of(by_hand), strict=True):
        assert torch.equal(layer.up.weight, expected.up.weight)
    from baselines.engines.agreement import probes

    for probe in probes(config):
        np.testing.assert_allclose(runner(pruned)(probe), runner(by_hand)(probe), atol=1e-5)


@every_family
@every_head
def test_a_narrower_width_runs_in_every_engine(family: str, task: Task, tmp_path: Path) -> None:
    """20 of 32 components with 3 heads of 8 and 10 units: with the same logits at every length."""
    folder = encoders.saved(encoders.model_of(family, task), tmp_path / "whole")
    output = apply(
        Prune(heads=3, ffn=10, hidden=0.625), task, folder, tiny.preparation_context(tmp_path / "cache")
    )
    assert shape_of(read_config(output.checkpoint.folder)) == EncoderShape(20, 8, (3, 3), (10, 10), "gelu")
    expected = answers_of(DYNAMIC, task, output.checkpoint, tmp_path / "cache")
    logits = answers_of(OnnxVariant(), task, output.checkpoint, tmp_path / "cache")
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_a_pruned_checkpoint_can_be_pruned_again(whole: Path, tmp_path: Path) -> None:
    """Layers of unequal size are pruned to the same count."""
    context = tiny.preparation_context(tmp_path)
    first = apply(Prune(heads=3, ffn=12, budget="global", normalise=False), CB, whole, context).checkpoint
    second = apply(Prune(heads=1, ffn=2), CB, first.folder, context).checkpoint
    assert shape_of(read_config(second.folder)) == EncoderShape(32, 8, (1, 1), (2, 2), "gelu")


def test_a_model_without_training_has_no_score(whole: Path, tmp_path: Path) -> None:
    """Its shape can be measured; it stays untrained down the chain."""
    output = apply(Prune(heads=3), CB, whole, tiny.preparation_context(tmp_path), trained=False)
    assert not output.checkpoint.trained
    for name in ("selection", "selection_before"):
        assert output.artifact.manifest[name] == "unavailable, because the model is untrained"


def test_pruning_needs_training_examples(whole: Path, tmp_path: Path) -> None:
    """A clear message, and nothing in the cache."""
    context = tiny.preparation_context(tmp_path)
    with pytest.raises(UsageError, match="no training examples"):
        apply(Prune(heads=3), CB, whole, context, [])
    assert context.cache.made == []  # type: ignore[attr-defined]


def test_the_head_of_another_task_is_refused(whole: Path, tmp_path: Path) -> None:
    """CB's three labels are not BoolQ's two."""
    with pytest.raises(CheckpointError, match="boolq needs"):
        apply(Prune(heads=3), get_task("boolq"), whole, tiny.preparation_context(tmp_path))


def test_another_family_is_refused_by_name(tmp_path: Path) -> None:
    """SqueezeBERT resembles BERT, and its layers are not described; the words are those of pruning."""
    from transformers import SqueezeBertConfig, SqueezeBertForSequenceClassification

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}
    config = SqueezeBertConfig(
        vocab_size=len(tiny.vocabulary()), embedding_size=32, max_position_embeddings=128,
        id2label=dict(enumerate(CB.labels)), **sizes,
    )  # fmt: skip
    folder = encoders.saved(SqueezeBertForSequenceClassification(config), tmp_path / "squeezebert")
    with pytest.raises(CheckpointError, match="pruning does not support the family squeezebert") as caught:
        apply(Prune(heads=3), CB, folder, tiny.preparation_context(tmp_path / "cache"))
    assert "BERT, RoBERTa, XLM-R" in str(caught.value.remedy)


TIED = ("mpnet", "albert")
"""Families whose layers have their heads in common."""


@pytest.mark.parametrize("kind", ["mpnet", "modernbert", "deberta-v3", "albert", "eurobert", "electra"])
@pytest.mark.parametrize("budget", ["layer", "global"])
def test_every_described_family_is_pruned_and_opens_again(
    kind: str, budget: Literal["layer", "global"], tmp_path: Path
) -> None:
    """With the counts that were requested; what shares heads keeps the same of them."""
    from baselines.models.classifier import load_classifier

    folder = encoders.saved(encoders.model_of(kind, CB), tmp_path / "whole")
    target = Prune(heads=2, ffn=8, budget=budget, hidden=20 if kind != "eurobert" else 1.0, examples=8)
    output = apply(target, CB, folder, tiny.preparation_context(tmp_path / "cache"))
    shape = shape_of(read_config(output.checkpoint.folder))
    assert (sum(shape.heads), sum(shape.ffn)) == (4, 16)
    assert shape.hidden == (32 if kind == "eurobert" else 20)
    kept = output.artifact.manifest["heads_kept"]
    if kind in TIED:
        assert kept[0] == kept[1]
    load_classifier(output.checkpoint.folder)


def test_heads_that_a_familys_configuration_does_not_allow_are_refused_before_work(tmp_path: Path) -> None:
    """EuroBERT's checks that its heads divide the width: 3 of 4 could not be opened again."""
    folder = encoders.saved(encoders.model_of("eurobert", CB), tmp_path / "whole")
    context = tiny.preparation_context(tmp_path / "cache")
    with pytest.raises(CheckpointError, match="tiny: pruning has no 3 heads in eurobert"):
        apply(Prune(heads=3), CB, folder, context)
    assert context.cache.made == []  # type: ignore[attr-defined]
    grouped = encoders.saved(encoders.model_of("eurobert", CB, num_key_value_heads=2), tmp_path / "grouped")
    with pytest.raises(CheckpointError, match="tiny: pruning has no heads that share keys and values"):
        apply(Prune(heads=2), CB, grouped, context)
