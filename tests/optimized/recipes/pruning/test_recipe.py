"""Pruning: it keeps what matters most, says what it did, and refuses what cannot be done."""

import dataclasses
from pathlib import Path
from typing import Any

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
    """Importance that is known."""

    heads: Any = ((1.0, 4.0, 2.0, 3.0), (9.0, 30.0, 20.0, 10.0))
    units: Any = (tuple(range(24)), tuple(range(24)))


def apply(
    recipe: Prune,
    task: Task,
    folder: Path,
    shop: PreparationContext,
    examples: list[Example] | None = None,
    **changed: Any,
) -> RecipeOutput:
    """Prune the checkpoint in a folder with these training examples."""
    training = tiny.task_examples(task, 12) if examples is None else examples
    parent = dataclasses.replace(tiny.checkpoint_of(folder), **changed)
    return recipe.apply(task, [parent], PreparationSources(parent, (), lambda: training), tiny.LONG, shop)


def answers_of(variant: Any, task: Task, checkpoint: Checkpoint, cache: Path) -> Logits:
    system = tiny.opened(variant, task, checkpoint.folder, cache)
    logits: Logits = system.predict(system.encode(tiny.task_examples(task))).logits
    return logits


def plant(model: Any, heads: list[list[int]], units: list[list[int]]) -> None:
    """Leave only these heads and units of each layer anything to say."""
    import torch

    from baselines.models.resize import layers_of

    for layer, mine, others in zip(layers_of(model), heads, units, strict=True):
        columns = torch.arange(layer.out.in_features) // layer.head_size
        with torch.no_grad():
            layer.out.weight[:, ~torch.isin(columns, torch.tensor(mine))] = 0.0
            layer.down.weight[:, [at for at in range(encoders.UNITS) if at not in others]] = 0.0


@every_family
@every_head
def test_pruning_keeps_exactly_what_matters(family: str, task: Task, tmp_path: Path) -> None:
    """Two planted heads and five units a layer are found and kept, so the logits stay, in every engine."""
    heads, units = [[0, 3], [1, 2]], [[2, 3, 11, 17, 23], [0, 1, 8, 9, 10]]
    model = encoders.model_of(family, task)
    plant(model, heads, units)
    folder = encoders.saved(model, tmp_path / "whole")
    shop = tiny.workshop(tmp_path / "cache")
    made = apply(Prune(heads=2, ffn=5), task, folder, shop)
    assert made.artifact.manifest["heads_kept"] == heads
    assert shape_of(read_config(made.checkpoint.folder)) == EncoderShape(32, 8, (2, 2), (5, 5), "gelu")
    wanted = answers_of(DYNAMIC, task, tiny.checkpoint_of(folder), tmp_path / "cache")
    assert np.ptp(wanted) > 0.1
    for variant in (DYNAMIC, OnnxVariant()):
        found = answers_of(variant, task, made.checkpoint, tmp_path / "cache")
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert made.artifact.manifest["selection"] == made.artifact.manifest["selection_before"]


def test_a_global_budget_finds_what_matters_wherever_it_is(tmp_path: Path) -> None:
    """Three heads of one layer and one of the other; two and ten units: neither share is asked for."""
    heads, units = [[0, 1, 3], [2]], [[4, 5], [0, 2, 3, 5, 7, 11, 13, 17, 19, 23]]
    model = encoders.model_of("bert", CB)
    plant(model, heads, units)
    folder = encoders.saved(model, tmp_path / "whole")
    shop = tiny.workshop(tmp_path / "cache")
    made = apply(Prune(heads=0.5, ffn=6, budget="global"), CB, folder, shop)
    assert made.artifact.manifest["heads_kept"] == heads
    assert shape_of(read_config(made.checkpoint.folder)).ffn == (2, 10)
    found = answers_of(OnnxVariant(), CB, made.checkpoint, tmp_path / "cache")
    wanted = answers_of(DYNAMIC, CB, tiny.checkpoint_of(folder), tmp_path / "cache")
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_each_layer_keeps_its_own_best() -> None:
    """Of known scores, the two largest in each layer, in their old order."""
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


rows = st.lists(st.floats(0, 1e6), min_size=4, max_size=4).map(tuple)


@given(st.tuples(rows, rows), st.integers(1, 4), st.sampled_from(["layer", "global"]), st.booleans())
def test_whatever_the_scores_the_budget_is_spent(
    heads: Any, count: int, budget: Any, normalise: bool
) -> None:
    """As many heads as asked for, none twice, at least one in each layer, none worse than one left out."""
    recipe = Prune(heads=count, budget=budget, normalise=normalise)
    kept, units = recipe.choose(SHAPE, Scores(heads))
    assert sum(map(len, kept)) == 2 * count
    assert all(layer and list(layer) == sorted(set(layer)) for layer in kept)
    for layer, mine in zip(heads, kept, strict=True):
        lost = [score for at, score in enumerate(layer) if at not in mine]
        assert not lost or min(layer[at] for at in mine) >= max(lost)
    assert units == [list(range(24))] * 2


@pytest.mark.parametrize(
    ("recipe", "kept"),
    [
        (Prune(heads=0.75, ffn=0.75), ((9,) * 4, (900,) * 4)),
        (Prune(heads=8, ffn=0.5), ((8,) * 4, (600,) * 4)),
        (Prune(heads=1, ffn=1.0), ((1,) * 4, (1200,) * 4)),
    ],
)
def test_a_share_is_of_each_layer_and_a_count_is_itself(recipe: Prune, kept: Any) -> None:
    """The paper's 4L-312 pruned by a quarter, and to two thirds and a half; 1 is one, 1.0 is all."""
    assert recipe.counts(EncoderShape(312, 26, (12,) * 4, (1200,) * 4, "gelu")) == kept


@pytest.mark.parametrize("name", ["heads", "ffn"])
@pytest.mark.parametrize("value", [0, 0.0, 0.01, -1, -0.5, 25, 1.1, float("nan"), float("inf"), True, "all"])
@pytest.mark.parametrize("budget", ["layer", "global"])
def test_counts_that_the_model_does_not_have_are_refused(name: str, value: Any, budget: Any) -> None:
    """With the limits: 4 heads and 24 units."""
    with pytest.raises(
        UsageError, match=f"prune: {name} .* is not what can be kept of {4 if name == 'heads' else 24}\\."
    ) as caught:
        Prune(**{name: value}, budget=budget).check(SHAPE)
    assert f"a count of 1 to {4 if name == 'heads' else 24}" in str(caught.value.remedy)


def test_layers_that_differ_are_limited_by_the_least_or_by_their_sum() -> None:
    """2 and 4 heads: three in each there are not, six in all there are."""
    shape = EncoderShape(32, 8, (2, 4), (24, 24), "gelu")
    with pytest.raises(UsageError, match="kept of 2 to 4") as caught:
        Prune(heads=3, ffn=2).check(shape)
    assert "1 to 2," in str(caught.value.remedy)
    Prune(heads=3, ffn=2, budget="global").check(shape)
    with pytest.raises(UsageError, match="kept of 2 to 4"):
        Prune(heads=4, ffn=2, budget="global").check(shape)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Prune(), "nothing would be removed"),
        (Prune(heads=4, ffn=24, hidden=32, activation="gelu"), "nothing would be removed"),
        (Prune(heads=2, hidden=0), "hidden 0"),
        (Prune(heads=2, hidden=33), "kept of 32"),
        (Prune(heads=2, hidden=1.5), "hidden 1.5"),
        (Prune(heads=2, budget="both"), "no budget 'both'"),  # type: ignore[arg-type]
        (Prune(heads=2, activation="softplus"), "no activation 'softplus'"),
        (Prune(heads=2, examples=0), "examples is 0"),
    ],
)
def test_what_makes_no_sense_is_refused_before_work_begins(recipe: Prune, message: str) -> None:
    """Each with a way on."""
    with pytest.raises(UsageError, match=message) as caught:
        recipe.check(SHAPE)
    assert caught.value.remedy


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One random BERT with CB's labels."""
    return encoders.saved(encoders.model_of("bert", CB), tmp_path_factory.mktemp("whole"))


def test_the_manifest_says_what_was_done_and_the_second_time_costs_nothing(
    whole: Path, tmp_path: Path
) -> None:
    """Parents, parameters, what was scored and kept, and both scores; another seed is another artifact."""
    told: list[str] = []
    shop = tiny.workshop(tmp_path, told=told)
    recipe = Prune(heads=3, ffn=12, examples=5)
    made = apply(recipe, CB, whole, shop)
    manifest = made.artifact.manifest
    assert manifest["recipe"] == "prune"
    assert manifest["parents"] == [tiny.checkpoint_of(whole).fingerprint]
    assert {name: manifest[name] for name in dataclasses.asdict(recipe)} == dataclasses.asdict(recipe)
    assert manifest["scored"]["examples"] == manifest["scored"]["lessons"] == 5
    alike = {"head_size": 8, "hidden": 32, "activation": "gelu"}
    assert manifest["parent_shape"] == {**alike, "heads": [4, 4], "ffn": [24, 24]}
    assert manifest["shape"] == {**alike, "heads": [3, 3], "ffn": [12, 12]}
    # a layer of 32 with 4 heads of 8 and 24 units: 4 * (32 * 32 + 32) + 2 * 32 * 24 + 24 + 32 = 5,816;
    # with 3 heads and 12 units: 3 * (32 * 24 + 24) + 24 * 32 + 32 + 2 * 32 * 12 + 12 + 32 = 3,988
    assert manifest["share_left"]["layers"] == pytest.approx(3988 / 5816)
    # 12 examples: two, a tenth rounded up, are held out
    assert manifest["selection_examples"] == 2
    for name in ("selection", "selection_before"):
        assert set(manifest[name]) == {"accuracy", "macro_f1"}
    assert manifest["seconds"] > 0
    assert told[-1] == "scoring heads and units of tiny: 100%"
    assert made.checkpoint.name == "tiny-pruned"
    assert made.artifact.fresh
    assert not apply(recipe, CB, whole, shop).artifact.fresh
    others = (
        dataclasses.replace(recipe, seed=1),
        dataclasses.replace(recipe, heads=2),
        dataclasses.replace(recipe, examples=4),
    )
    keys = {apply(each, CB, whole, shop).artifact.key for each in (recipe, *others)}
    assert len(keys) == 4
    assert apply(recipe, CB, whole, shop, tiny.task_examples(CB, 9)).artifact.fresh, "other data"


def test_what_scores_the_outcome_was_never_looked_at_for_importance(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Importance sees the part of train that trains, the score the part held out; together they are all."""
    from optimized.recipes.pruning import prune

    seen: list[int] = []
    measure = prune.measure_importance

    def watched(model: Any, lessons: Any, *rest: Any) -> Any:
        seen.extend(hash(lesson.sequences[0].ids.tobytes()) for lesson in lessons)
        return measure(model, lessons, *rest)

    monkeypatch.setattr(prune, "measure_importance", watched)
    training = tiny.task_examples(CB, 12)
    apply(Prune(heads=3), CB, whole, tiny.workshop(tmp_path), training)
    encoder = TextEncoder(whole, tiny.LONG.max_length)
    kept, held_out = split_for_selection(training, 0)
    assert sorted(seen) == sorted(hash(each.sequences[0].ids.tobytes()) for each in encoder.encode(kept))
    assert not set(seen) & {hash(each.sequences[0].ids.tobytes()) for each in encoder.encode(held_out)}


def test_importance_is_measured_with_the_activation_that_the_outcome_has(whole: Path, tmp_path: Path) -> None:
    """A unit that only ReLU needs is kept for ReLU: what is scored is what is run."""
    import torch

    from baselines.models.classifier import load_classifier, runner
    from baselines.models.resize import layers_of

    made = apply(Prune(ffn=10, activation="relu"), CB, whole, tiny.workshop(tmp_path))
    config = read_config(made.checkpoint.folder)
    assert config["hidden_act"] == "relu"
    opened = load_classifier(made.checkpoint.folder)
    # by hand: the parent opened as a ReLU model and pruned without a change of activation
    relu = tmp_path / "relu"
    encoders.saved(load_classifier(whole), relu)
    (relu / "config.json").write_text((relu / "config.json").read_text().replace('"gelu"', '"relu"'))
    by_hand = load_classifier(apply(Prune(ffn=10), CB, relu, tiny.workshop(tmp_path)).checkpoint.folder)
    for one, other in zip(layers_of(opened), layers_of(by_hand), strict=True):
        assert torch.equal(one.up.weight, other.up.weight)
    from baselines.engines.agreement import probes

    for probe in probes(config):
        np.testing.assert_allclose(runner(opened)(probe), runner(by_hand)(probe), atol=1e-5)


@every_family
@every_head
def test_a_narrower_width_runs_in_every_engine(family: str, task: Task, tmp_path: Path) -> None:
    """20 of 32 components with 3 heads of 8 and 10 units: loaded, exported, and equal at every length."""
    folder = encoders.saved(encoders.model_of(family, task), tmp_path / "whole")
    made = apply(Prune(heads=3, ffn=10, hidden=0.625), task, folder, tiny.workshop(tmp_path / "cache"))
    assert shape_of(read_config(made.checkpoint.folder)) == EncoderShape(20, 8, (3, 3), (10, 10), "gelu")
    wanted = answers_of(DYNAMIC, task, made.checkpoint, tmp_path / "cache")
    found = answers_of(OnnxVariant(), task, made.checkpoint, tmp_path / "cache")
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_pruning_goes_on_from_what_pruning_made(whole: Path, tmp_path: Path) -> None:
    """Layers that came to differ are pruned again, to the same count."""
    shop = tiny.workshop(tmp_path)
    first = apply(Prune(heads=3, ffn=12, budget="global", normalise=False), CB, whole, shop).checkpoint
    second = apply(Prune(heads=1, ffn=2), CB, first.folder, shop).checkpoint
    assert shape_of(read_config(second.folder)) == EncoderShape(32, 8, (1, 1), (2, 2), "gelu")


def test_a_model_without_training_has_no_score(whole: Path, tmp_path: Path) -> None:
    """Its shape can be measured; its answers mean nothing, down the chain."""
    made = apply(Prune(heads=3), CB, whole, tiny.workshop(tmp_path), trained=False)
    assert not made.checkpoint.trained
    for name in ("selection", "selection_before"):
        assert made.artifact.manifest[name] == "unavailable, because the model is untrained"


def test_without_training_examples_nothing_is_pruned(whole: Path, tmp_path: Path) -> None:
    """A clear message, and nothing in the cache."""
    shop = tiny.workshop(tmp_path)
    with pytest.raises(UsageError, match="no training examples"):
        apply(Prune(heads=3), CB, whole, shop, [])
    assert shop.cache.made == []  # type: ignore[attr-defined]


def test_the_head_of_another_task_is_refused(whole: Path, tmp_path: Path) -> None:
    """CB's three labels are not BoolQ's two."""
    with pytest.raises(CheckpointError, match="boolq needs"):
        apply(Prune(heads=3), get_task("boolq"), whole, tiny.workshop(tmp_path))


def test_another_family_is_refused_by_name(tmp_path: Path) -> None:
    """ELECTRA looks like BERT, and is not one of those that were tested."""
    from transformers import ElectraConfig, ElectraForSequenceClassification

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}
    config = ElectraConfig(
        vocab_size=len(tiny.vocabulary()), embedding_size=16, max_position_embeddings=128,
        id2label=dict(enumerate(CB.labels)), **sizes,
    )  # fmt: skip
    folder = encoders.saved(ElectraForSequenceClassification(config), tmp_path / "electra")
    with pytest.raises(CheckpointError, match="family electra cannot be narrowed") as caught:
        apply(Prune(heads=3), CB, folder, tiny.workshop(tmp_path / "cache"))
    assert "BERT, RoBERTa, DistilBERT, MiniLM" in str(caught.value.remedy)
