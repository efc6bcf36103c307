"""Early exit: where requests stop, whose answers they get, what heads learn, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import encoders
import numpy as np
import pytest
import tiny
import torch
import yaml

from baselines.engines.pytorch import VARIANTS
from baselines.models.classifier import load_classifier
from baselines.training.datasets import split_for_selection
from harness.common.errors import BenchError, CheckpointError, DataError, UsageError
from harness.records.ladder import parse_ladder
from harness.systems.interface import PreparationSources
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.adaptive.criteria import CRITERIA, NEVER, run_length, run_lengths, sureness
from optimized.adaptive.early_exit import exit_heads
from optimized.adaptive.early_exit.staged_system import StagedSystem
from optimized.adaptive.early_exit.variant import ExitsVariant
from optimized.ladders.rung import variant_of

_, DYNAMIC = VARIANTS
LAYERS = 4
EXITS = ExitsVariant(exits=(1, 2), steps=40)
INT8 = replace(EXITS, name="onnx-exits-int8", weights="int8")


@pytest.fixture(scope="module")
def deep_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a random BERT of four layers."""
    return tiny.tiny_checkpoint(tmp_path_factory.mktemp("deep") / "tiny", num_hidden_layers=LAYERS)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one cache for all tests: heads are trained and stages written once."""
    return tmp_path_factory.mktemp("cache")


def trained(folder: Path, task: Task | None = None) -> PreparationSources:
    """Return sources with a training split of 60 examples."""
    examples = tiny.examples(60) if task is None else tiny.task_examples(task, 30)
    shown = tiny.sources(folder, task=task)
    return replace(shown, training=lambda: examples, training_sha256="c" * 64)


def system(variant: ExitsVariant, folder: Path, cache: Path) -> StagedSystem:
    """Prepare the variant for BoolQ and load it."""
    artifact = variant.prepare(BOOLQ, trained(folder), tiny.SHORT, tiny.workshop(cache))
    return variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)


class Counted:
    """A session that counts how often it is run."""

    def __init__(self, session: Any) -> None:
        self.session, self.runs = session, 0

    def run(self, *given: Any) -> Any:
        """Run it."""
        self.runs += 1
        return self.session.run(*given)


def counted(made: StagedSystem) -> list[Counted]:
    """Let the sessions of a system be counted from now on."""
    counters = [Counted(stage.session) for stage in made._stages]
    made._stages = tuple(
        replace(stage, session=counter) for stage, counter in zip(made._stages, counters, strict=True)
    )
    return counters


def whole_logits(folder: Path, cache: Path) -> np.ndarray[Any, Any]:
    """Return what the whole model says of ten examples, in PyTorch."""
    whole = tiny.opened(DYNAMIC, BOOLQ, folder, cache / "whole", tiny.SHORT)
    return whole.predict(whole.encode(tiny.examples(10))).logits


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("variant", [EXITS, INT8], ids=["fp32", "int8"])
def test_at_never_every_answer_is_the_whole_models(
    variant: ExitsVariant, criterion: str, deep_folder: Path, shelf: Path, tmp_path: Path
) -> None:
    """To 1e-4 of a logit in float32, and within the bound of every int8 variant in int8."""
    never = replace(variant, thresholds=("never",), criterion=criterion)
    made = system(never, deep_folder, shelf)
    found = made.predict(made.encode(tiny.examples(10)))
    exact = whole_logits(deep_folder, tmp_path)
    loose = max(0.5, 0.5 * float(np.abs(exact).max()))
    np.testing.assert_allclose(found.logits, exact, atol=1e-4 if variant is EXITS else loose)
    assert found.costs["layers"].tolist() == [LAYERS] * 10


def test_at_0_the_first_exit_answers_all_and_no_later_stage_is_run(deep_folder: Path, shelf: Path) -> None:
    """Ten requests: ten runs of the first session, none of the others."""
    made = system(replace(EXITS, thresholds=(0.0, 0.0)), deep_folder, shelf)
    sessions = counted(made)
    found = made.predict(made.encode(tiny.examples(10)))
    assert [each.runs for each in sessions] == [10, 0, 0]
    assert found.costs["layers"].tolist() == [1.0] * 10


@pytest.mark.parametrize("criterion", ["confidence", "entropy"])
def test_an_answer_once_given_is_never_changed(criterion: str, deep_folder: Path, shelf: Path) -> None:
    """A request has the logits of the exit where it stopped: the first that is sure enough."""
    never = system(replace(EXITS, thresholds=("never",), criterion=criterion), deep_folder, shelf)
    requests = never.encode(tiny.examples(12))
    said = never.every(requests)
    sure = [sureness(BOOLQ, each.logits, each.offsets, criterion) for each in said]
    middle = [float(np.median(each)) for each in sure[:-1]]
    found = never.deciding(middle).predict(requests)
    for row in range(12):
        stop = next((at for at in range(2) if sure[at][row] >= middle[at]), 2)
        assert found.costs["layers"][row] == (1, 2, LAYERS)[stop]
        np.testing.assert_array_equal(found.logits[row], said[stop].logits[row])
    assert len(set(found.costs["layers"])) > 1


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_with_patience_a_request_stops_where_so_many_in_a_row_agree(
    patience: int, deep_folder: Path, shelf: Path
) -> None:
    """Exits after every layer but the last; whoever stops has the logits of the exit where it stopped."""
    made = system(ExitsVariant(criterion="patience", thresholds=(patience,), steps=4), deep_folder, shelf)
    requests = made.encode(tiny.examples(12))
    said = made.every(requests)
    answers = [BOOLQ.decide(each.logits, each.offsets) for each in said]
    found = made.predict(requests)
    for row in range(12):
        own = [each[row] for each in answers]
        agreed = (at for at in range(LAYERS - 1) if run_length(own[: at + 1]) >= patience)
        stop = next(agreed, LAYERS - 1)
        assert found.costs["layers"][row] == stop + 1
        np.testing.assert_array_equal(found.logits[row], said[stop].logits[row])


def test_rows_of_like_answers_are_counted_back_from_the_last() -> None:
    """a, b, b: one, one, two. PABEE counts from 0, what is counted here from 1."""
    assert run_length(["a", "b", "b"]) == 2
    counted = run_lengths([["a", "x"], ["b", "x"], ["b", "x"]])
    assert [each.tolist() for each in counted] == [[1, 1], [1, 2], [2, 3]]


def test_patience_is_calibrated_as_one_number(deep_folder: Path, shelf: Path) -> None:
    """The curve has every patience, and the layers that each spends."""
    variant = ExitsVariant(criterion="patience", steps=4)
    artifact = variant.prepare(BOOLQ, trained(deep_folder), tiny.SHORT, tiny.workshop(shelf))
    found = artifact.manifest["calibration"]
    assert (found["criterion"], found["depths"]) == ("patience", [1, 2, 3, LAYERS])
    patience = [point["thresholds"] for point in found["curve"]]
    assert all(len(set(each)) == 1 and each[0] in (1, 2, 3, NEVER) for each in patience)
    opened = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    assert opened.describe()["criterion"] == "patience"


def test_requests_are_answered_alike_together_and_alone(deep_folder: Path, shelf: Path) -> None:
    """One request at a time in any case, so company changes nothing."""
    made = system(replace(EXITS, thresholds=(0.7, 0.7)), deep_folder, shelf)
    requests = made.encode(tiny.examples(6))
    alone = np.concatenate([made.predict([each]).logits for each in requests])
    np.testing.assert_array_equal(made.predict(requests).logits, alone)
    assert made.predict([]).logits.shape == (0, 2)


def test_training_brings_a_head_nearer_to_the_last_layer(deep_folder: Path) -> None:
    """The loss over all of it falls, and the layers stay what they were."""
    model = load_classifier(deep_folder, "eager")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    stages = exit_heads.cut(model, (1, 2))
    from baselines.encoding.tokenizer import TextEncoder
    from harness.systems.interface import sequences_of

    encoder = TextEncoder(deep_folder, 32)
    sequences = list(sequences_of(encoder.encode(tiny.examples(40))))
    read, wanted = exit_heads.watch(stages, sequences, encoder.pad_id)
    assert [tuple(each.shape) for each in read] == [(40, 32), (40, 32)]
    with torch.no_grad():
        padded = encoder.encode(tiny.examples(40))[7].sequences[0]
        ids = torch.tensor(padded.ids[None], dtype=torch.int64)
        segments = torch.tensor(padded.segments[None], dtype=torch.int64)
        alone = model(ids, torch.ones_like(ids), segments).logits[0]
    torch.testing.assert_close(wanted[7], alone, atol=1e-4, rtol=0)
    first, last = exit_heads.train(stages[0].head, read[0], wanted, steps=60, seed=0)
    assert 0 < last < first / 2
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_manifest_has_the_curve_in_layers(deep_folder: Path, shelf: Path) -> None:
    """What each exit does alone, on the held-out tenth, and what the chosen thresholds spend."""
    artifact = EXITS.prepare(BOOLQ, trained(deep_folder), tiny.SHORT, tiny.workshop(shelf))
    found = artifact.manifest["calibration"]
    assert found["examples"] == len(split_for_selection(tiny.examples(60), 0)[1]) == 6
    assert found["depths"] == [1, 2, LAYERS]
    assert len(found["stages_alone"]) == len(found["seconds_alone"]) == 3
    assert found["full_seconds"] == sum(found["seconds_alone"])
    assert 1 <= found["chosen"]["layers_per_request"] <= LAYERS
    costs = [point["layers_per_request"] for point in found["curve"]]
    assert costs == sorted(costs)
    lowered = artifact.manifest["training"]["loss"]
    assert artifact.manifest["training"]["examples"] == 54
    assert set(lowered) == {"1", "2"}
    assert all(after < before for before, after in lowered.values())
    assert artifact.manifest["agreement"]["max_logit_difference"] <= 1e-4


def test_what_is_prepared_is_found_again_and_shared(deep_folder: Path, tmp_path: Path) -> None:
    """Another loss and int8 need no second training."""
    shop = tiny.workshop(tmp_path)
    for variant in (EXITS, replace(EXITS, loss=3.0), INT8, EXITS):
        variant.prepare(BOOLQ, trained(deep_folder), tiny.SHORT, shop)
    recipes = [shop.cache.find(key).manifest["recipe"] for key in shop.cache.made]  # type: ignore[attr-defined, union-attr]
    assert recipes == ["exits", "onnx-exits", "onnx-exits", "onnx-exits-int8"]


@pytest.mark.parametrize(
    ("family", "name"), [("roberta", "boolq"), ("distilbert", "wic"), ("bert", "multirc")]
)
def test_other_families_and_heads_stop_too(family: str, name: str, tmp_path: Path) -> None:
    """RoBERTa, DistilBERT; two spans, and several sequences a request. All stages agree with the model."""
    task = get_task(name)
    folder = encoders.saved(encoders.model_of(family, task), tmp_path / family)
    variant = ExitsVariant(thresholds=(0.6,), steps=2)
    artifact = variant.prepare(task, trained(folder, task), tiny.LONG, tiny.workshop(tmp_path / "cache"))
    made = variant.load(task, artifact, tiny.CPU, tiny.LONG)
    asked = tiny.task_examples(task, 5)
    found = made.predict(made.encode(asked))
    assert len(found.costs["layers"]) == len(asked)
    assert set(found.costs["layers"]) <= {1.0, 2.0}
    assert len(task.decide(found.logits, found.offsets)) == len(asked)


def test_layers_and_exits_can_be_trained_together(deep_folder: Path, tmp_path: Path) -> None:
    """A checkpoint of its own comes of it, with the same tensors; at `never` it answers."""
    shop = tiny.workshop(tmp_path)
    variant = replace(EXITS, joint=True, thresholds=("never",), steps=2)
    artifact = variant.prepare(BOOLQ, trained(deep_folder), tiny.SHORT, shop)
    made = [shop.cache.find(key) for key in shop.cache.made]  # type: ignore[attr-defined]
    assert [each.manifest["recipe"] for each in made] == ["joint-exits", "exits", "onnx-exits"]
    assert set(load_classifier(made[0].folder).state_dict()) == set(load_classifier(deep_folder).state_dict())
    assert made[0].manifest["scores"]["held_out"] == 6
    opened = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    whole = tiny.opened(DYNAMIC, BOOLQ, made[0].folder, tmp_path / "whole", tiny.SHORT)
    requests = opened.encode(tiny.examples(5))
    np.testing.assert_allclose(opened.predict(requests).logits, whole.predict(requests).logits, atol=1e-4)


def test_a_system_describes_its_exits(deep_folder: Path, shelf: Path) -> None:
    """Exits, thresholds, layers, threads, weights and the arithmetic of the whole model."""
    said = system(replace(INT8, thresholds=(0.5, "never")), deep_folder, shelf).describe()
    assert (said["exits"], said["layers"], said["batch"], said["threads"]) == ([1, 2], LAYERS, 1, 1)
    assert said["thresholds"][0] == 0.5
    assert said["weights"].startswith("int8")
    assert said["work"]["hidden"] == 32
    assert said["rests_between_calls"], "a stage's threads would keep the cores from the next"
    json.dumps(said)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"exits": (0,)}, "exits"),
        ({"exits": (2, 1)}, "exits"),
        ({"exits": (2, 2)}, "exits"),
        ({"exits": (1.5,)}, "exits"),
        ({"exits": ("two",)}, "exits"),
        ({"exits": (1, 2, 3, 4)}, "exits"),
        ({"exits": (1, 2), "thresholds": (0.5,)}, "2 for 3 stages"),
        ({"exits": (1,), "thresholds": (1.5,)}, "no threshold"),
        ({"loss": -1.0}, "loss"),
        ({"steps": -1}, "steps"),
        ({"criterion": "confidance"}, "criterion"),
        ({"exits": (1, 2), "criterion": "patience", "thresholds": (3,)}, "no patience"),
        ({"exits": (1, 2), "criterion": "patience", "thresholds": (0.5,)}, "no patience"),
        ({"exits": (1, 2), "criterion": "patience", "thresholds": (1, 2)}, "no patience"),
    ],
)
def test_exits_that_are_none_are_refused(words: dict[str, Any], message: str) -> None:
    """Before anything is prepared."""
    with pytest.raises(UsageError, match=message):
        ExitsVariant(**words)


def refusal(variant: ExitsVariant, task: Task, sources: PreparationSources, root: Path) -> BenchError:
    """Return the error with which it is refused; nothing is left in the cache."""
    shop = tiny.workshop(root)
    with pytest.raises(BenchError) as caught:
        variant.prepare(task, sources, tiny.SHORT, shop)
    assert shop.cache.made == []  # type: ignore[attr-defined]
    return caught.value


def test_a_model_that_cannot_stop_early_is_refused(deep_folder: Path, tmp_path: Path) -> None:
    """Too few layers, another family, an untrained model."""
    sources = trained(deep_folder)
    late = refusal(ExitsVariant(exits=(2, LAYERS)), BOOLQ, sources, tmp_path)
    assert "4 layers" in late.message
    copy = tiny.tiny_checkpoint(tmp_path / "copy", num_hidden_layers=LAYERS)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "mpnet"}))
    other = refusal(EXITS, BOOLQ, trained(copy), tmp_path)
    assert isinstance(other, CheckpointError)
    assert "mpnet" in other.message
    assert "BERT, RoBERTa, DistilBERT, MiniLM" in str(other.remedy)
    untrained = replace(sources, checkpoint=replace(sources.checkpoint, trained=False))
    assert "untrained" in refusal(EXITS, BOOLQ, untrained, tmp_path).message


def test_data_that_must_not_be_learned_from_are_refused(deep_folder: Path, tmp_path: Path) -> None:
    """None at all, or the file that is reported; and a task of choices."""
    sources = trained(deep_folder)
    assert "none" in refusal(EXITS, BOOLQ, replace(sources, training=tuple), tmp_path).message
    same = refusal(EXITS, BOOLQ, replace(sources, reported_sha256="c" * 64), tmp_path)
    assert isinstance(same, DataError)
    assert "choice" in refusal(EXITS, get_task("copa"), sources, tmp_path).message


def test_the_ladder_of_the_documentation_can_be_made() -> None:
    """All its rungs, the rival of half the depth among them."""
    page = (Path(__file__).parents[4] / "docs" / "exits.md").read_text(encoding="utf-8")
    words = yaml.safe_load(page.partition("```yaml")[2].partition("```")[0])
    made = {rung.name: variant_of(rung.words()) for rung in parse_ladder(words, "exits.yaml", {}).rungs}
    assert [each.engine.name for each in made.values()] == ["onnx-int8", "onnx-exits-int8", "onnx-int8"]
    assert made["half"].recipes[0].kind == "distil"


def test_a_rung_takes_exits_as_options(deep_folder: Path) -> None:
    """As a list, as one number, and with thresholds as one word."""
    words = {"name": "x", "recipes": [], "engine": "onnx-exits-int8"}
    engine: Any = variant_of({**words, "options": {"exits": [1, 3], "loss": 1}}).engine
    assert (engine.exits, engine.loss, engine.weights) == ((1, 3), 1, "int8")
    engine = variant_of({**words, "options": {"exits": [1, 2], "thresholds": "never"}}).engine
    assert engine.thresholds == ("never", "never")
    with pytest.raises(UsageError, match="option of onnx-exits-int8"):
        variant_of({**words, "options": {"exit": 2}})
    del deep_folder
