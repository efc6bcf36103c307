"""Early exit: where requests stop, which stage's answers they get, training of heads, and refusals."""

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
from optimized.adaptive.criteria import CRITERIA, NEVER, confidence_scores, run_length, run_lengths
from optimized.adaptive.early_exit import exit_heads
from optimized.adaptive.early_exit.staged_system import StagedSystem
from optimized.adaptive.early_exit.variant import ExitsVariant
from optimized.ladders.rung import variant_of

_, DYNAMIC = VARIANTS
LAYERS = 4  # as in conftest.py
EXITS = ExitsVariant(exits=(1, 2), steps=40)
INT8 = replace(EXITS, name="onnx-exits-int8", weights="int8")


def system(variant: ExitsVariant, folder: Path, cache: Path) -> StagedSystem:
    """Prepare the variant for BoolQ and load it."""
    artifact = variant.prepare(
        BOOLQ, tiny.trained_sources(folder), tiny.SHORT, tiny.preparation_context(cache)
    )
    return variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)


class CountedSession:
    """A session that counts how often it is run."""

    def __init__(self, session: Any) -> None:
        self.session, self.runs = session, 0

    def run(self, *arguments: Any) -> Any:
        """Run it."""
        self.runs += 1
        return self.session.run(*arguments)


def count_runs(system: StagedSystem) -> list[CountedSession]:
    """Wrap the sessions of a system in counters."""
    counters = [CountedSession(stage.session) for stage in system._stages]
    system._stages = tuple(
        replace(stage, session=counter) for stage, counter in zip(system._stages, counters, strict=True)
    )
    return counters


def whole_logits(folder: Path, cache: Path) -> np.ndarray[Any, Any]:
    """Return the whole model's logits of ten examples, in PyTorch."""
    whole = tiny.opened(DYNAMIC, BOOLQ, folder, cache / "whole", tiny.SHORT)
    return whole.predict(whole.encode(tiny.examples(10))).logits


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("variant", [EXITS, INT8], ids=["fp32", "int8"])
def test_at_never_all_answers_are_those_of_the_whole_model(
    variant: ExitsVariant, criterion: str, deep_folder: Path, shelf: Path, tmp_path: Path
) -> None:
    """To 1e-4 of a logit in float32, and within the bound of every int8 variant in int8."""
    never = replace(variant, thresholds=("never",), criterion=criterion)
    staged = system(never, deep_folder, shelf)
    predictions = staged.predict(staged.encode(tiny.examples(10)))
    exact = whole_logits(deep_folder, tmp_path)
    int8_bound = max(0.5, 0.5 * float(np.abs(exact).max()))
    np.testing.assert_allclose(predictions.logits, exact, atol=1e-4 if variant is EXITS else int8_bound)
    assert predictions.costs["layers"].tolist() == [LAYERS] * 10


def test_at_0_the_first_exit_answers_all_and_no_later_stage_is_run(deep_folder: Path, shelf: Path) -> None:
    """Ten requests: ten runs of the first session, none of the others."""
    staged = system(replace(EXITS, thresholds=(0.0, 0.0)), deep_folder, shelf)
    sessions = count_runs(staged)
    predictions = staged.predict(staged.encode(tiny.examples(10)))
    assert [session.runs for session in sessions] == [10, 0, 0]
    assert predictions.costs["layers"].tolist() == [1.0] * 10


@pytest.mark.parametrize("criterion", ["confidence", "entropy"])
def test_an_answer_is_that_of_the_exit_where_the_request_stopped(
    criterion: str, deep_folder: Path, shelf: Path
) -> None:
    """It stops at the first exit whose score reaches the threshold."""
    never = system(replace(EXITS, thresholds=("never",), criterion=criterion), deep_folder, shelf)
    requests = never.encode(tiny.examples(12))
    by_stage = never.predict_all_stages(requests)
    scores = [confidence_scores(BOOLQ, stage.logits, stage.offsets, criterion) for stage in by_stage]
    medians = [float(np.median(stage)) for stage in scores[:-1]]
    predictions = never.with_thresholds(medians).predict(requests)
    for row in range(12):
        stop = next((stage for stage in range(2) if scores[stage][row] >= medians[stage]), 2)
        assert predictions.costs["layers"][row] == (1, 2, LAYERS)[stop]
        np.testing.assert_array_equal(predictions.logits[row], by_stage[stop].logits[row])
    assert len(set(predictions.costs["layers"])) > 1


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_with_patience_a_request_stops_where_so_many_in_a_row_agree(
    patience: int, deep_folder: Path, shelf: Path
) -> None:
    """Exits after every layer but the last; a request has the logits of the exit where it stopped."""
    staged = system(ExitsVariant(criterion="patience", thresholds=(patience,), steps=4), deep_folder, shelf)
    requests = staged.encode(tiny.examples(12))
    by_stage = staged.predict_all_stages(requests)
    answers = [BOOLQ.decide(stage.logits, stage.offsets) for stage in by_stage]
    predictions = staged.predict(requests)
    for row in range(12):
        own = [stage[row] for stage in answers]
        agreed = (number for number in range(LAYERS - 1) if run_length(own[: number + 1]) >= patience)
        stop = next(agreed, LAYERS - 1)
        assert predictions.costs["layers"][row] == stop + 1
        np.testing.assert_array_equal(predictions.logits[row], by_stage[stop].logits[row])


def test_equal_answers_are_counted_back_from_the_last() -> None:
    """a, b, b: one, one, two. PABEE counts from 0, this project from 1."""
    assert run_length(["a", "b", "b"]) == 2
    lengths = run_lengths([["a", "x"], ["b", "x"], ["b", "x"]])
    assert [classifier.tolist() for classifier in lengths] == [[1, 1], [1, 2], [2, 3]]


def test_patience_is_calibrated_as_one_number(deep_folder: Path, shelf: Path) -> None:
    """The curve has every patience with its mean number of layers."""
    variant = ExitsVariant(criterion="patience", steps=4)
    artifact = variant.prepare(
        BOOLQ, tiny.trained_sources(deep_folder), tiny.SHORT, tiny.preparation_context(shelf)
    )
    calibration = artifact.manifest["calibration"]
    assert (calibration["criterion"], calibration["depths"]) == ("patience", [1, 2, 3, LAYERS])
    patience = [point["thresholds"] for point in calibration["curve"]]
    assert all(len(set(values)) == 1 and values[0] in (1, 2, 3, NEVER) for values in patience)
    opened = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    assert opened.describe()["criterion"] == "patience"


def test_requests_are_answered_alike_together_and_alone(deep_folder: Path, shelf: Path) -> None:
    """Requests run one at a time, so others do not change the answer."""
    staged = system(replace(EXITS, thresholds=(0.7, 0.7)), deep_folder, shelf)
    requests = staged.encode(tiny.examples(6))
    alone = np.concatenate([staged.predict([request]).logits for request in requests])
    np.testing.assert_array_equal(staged.predict(requests).logits, alone)
    assert staged.predict([]).logits.shape == (0, 2)


def test_training_lowers_the_loss_of_a_head_against_the_last_layer(deep_folder: Path) -> None:
    """The loss over all examples falls, and the layers do not change."""
    model = load_classifier(deep_folder, "eager")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    stages = exit_heads.split_at_exits(model, (1, 2))
    from baselines.encoding.tokenizer import TextEncoder
    from harness.systems.interface import sequences_of

    encoder = TextEncoder(deep_folder, 32)
    sequences = list(sequences_of(encoder.encode(tiny.examples(40))))
    vectors, logits = exit_heads.compute_head_inputs(stages, sequences, encoder.pad_id)
    assert [tuple(inputs.shape) for inputs in vectors] == [(40, 32), (40, 32)]
    with torch.no_grad():
        padded = encoder.encode(tiny.examples(40))[7].sequences[0]
        ids = torch.tensor(padded.ids[None], dtype=torch.int64)
        segments = torch.tensor(padded.segments[None], dtype=torch.int64)
        alone = model(ids, torch.ones_like(ids), segments).logits[0]
    torch.testing.assert_close(logits[7], alone, atol=1e-4, rtol=0)
    first, last = exit_heads.train(stages[0].head, vectors[0], logits, steps=60, seed=0)
    assert 0 < last < first / 2
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_manifest_has_the_curve_in_layers(deep_folder: Path, shelf: Path) -> None:
    """The quality of each exit alone on the held-out tenth, and the layers of the chosen thresholds."""
    artifact = EXITS.prepare(
        BOOLQ, tiny.trained_sources(deep_folder), tiny.SHORT, tiny.preparation_context(shelf)
    )
    calibration = artifact.manifest["calibration"]
    assert calibration["examples"] == len(split_for_selection(tiny.examples(60), 0)[1]) == 6
    assert calibration["depths"] == [1, 2, LAYERS]
    assert len(calibration["stages_alone"]) == len(calibration["seconds_alone"]) == 3
    assert calibration["full_seconds"] == sum(calibration["seconds_alone"])
    assert 1 <= calibration["chosen"]["layers_per_request"] <= LAYERS
    costs = [point["layers_per_request"] for point in calibration["curve"]]
    assert costs == sorted(costs)
    losses = artifact.manifest["training"]["loss"]
    assert artifact.manifest["training"]["examples"] == 54
    assert set(losses) == {"1", "2"}
    assert all(after < before for before, after in losses.values())
    assert artifact.manifest["agreement"]["max_logit_difference"] <= 1e-4


def test_artifacts_are_cached_and_shared_between_variants(deep_folder: Path, tmp_path: Path) -> None:
    """Another loss and int8 need no second training."""
    context = tiny.preparation_context(tmp_path)
    for variant in (EXITS, replace(EXITS, loss=3.0), INT8, EXITS):
        variant.prepare(BOOLQ, tiny.trained_sources(deep_folder), tiny.SHORT, context)
    recipes = [context.cache.find(key).manifest["recipe"] for key in context.cache.made]  # type: ignore[attr-defined, union-attr]
    assert recipes == ["exits", "onnx-exits", "onnx-exits", "onnx-exits-int8"]


@pytest.mark.parametrize(
    ("family", "name"), [("roberta", "boolq"), ("distilbert", "wic"), ("bert", "multirc")]
)
def test_other_families_and_heads_exit_early_too(family: str, name: str, tmp_path: Path) -> None:
    """RoBERTa, DistilBERT; two spans, and several sequences a request. All stages agree with the model."""
    task = get_task(name)
    folder = encoders.saved(encoders.model_of(family, task), tmp_path / family)
    variant = ExitsVariant(thresholds=(0.6,), steps=2)
    artifact = variant.prepare(
        task, tiny.trained_sources(folder, task), tiny.LONG, tiny.preparation_context(tmp_path / "cache")
    )
    staged = variant.load(task, artifact, tiny.CPU, tiny.LONG)
    examples = tiny.task_examples(task, 5)
    predictions = staged.predict(staged.encode(examples))
    assert len(predictions.costs["layers"]) == len(examples)
    assert set(predictions.costs["layers"]) <= {1.0, 2.0}
    assert len(task.decide(predictions.logits, predictions.offsets)) == len(examples)


def test_layers_and_exits_can_be_trained_together(deep_folder: Path, tmp_path: Path) -> None:
    """The result is a checkpoint with the same tensors; at `never` the answers are its own."""
    context = tiny.preparation_context(tmp_path)
    variant = replace(EXITS, joint=True, thresholds=("never",), steps=2)
    artifact = variant.prepare(BOOLQ, tiny.trained_sources(deep_folder), tiny.SHORT, context)
    artifacts = [context.cache.find(key) for key in context.cache.made]  # type: ignore[attr-defined]
    assert [step.manifest["recipe"] for step in artifacts] == ["joint-exits", "exits", "onnx-exits"]
    assert set(load_classifier(artifacts[0].folder).state_dict()) == set(
        load_classifier(deep_folder).state_dict()
    )
    assert artifacts[0].manifest["scores"]["held_out"] == 6
    opened = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    whole = tiny.opened(DYNAMIC, BOOLQ, artifacts[0].folder, tmp_path / "whole", tiny.SHORT)
    requests = opened.encode(tiny.examples(5))
    np.testing.assert_allclose(opened.predict(requests).logits, whole.predict(requests).logits, atol=1e-4)


def test_a_system_describes_its_exits(deep_folder: Path, shelf: Path) -> None:
    """Exits, thresholds, layers, threads, weights and the arithmetic of the whole model."""
    description = system(replace(INT8, thresholds=(0.5, "never")), deep_folder, shelf).describe()
    assert (description["exits"], description["layers"], description["batch"], description["threads"]) == (
        [1, 2],
        LAYERS,
        1,
        1,
    )
    assert description["thresholds"][0] == 0.5
    assert description["weights"].startswith("int8")
    assert description["work"]["hidden"] == 32
    assert description["rests_between_calls"], "a stage's threads would occupy the cores of the next"
    json.dumps(description)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exits": (0,)}, "exits must be up to 3 layers, counted from 1, in rising order"),
        ({"exits": (2, 1)}, "exits must be up to 3 layers, counted from 1, in rising order"),
        ({"exits": (2, 2)}, "exits must be up to 3 layers, counted from 1, in rising order"),
        ({"exits": (1.5,)}, "exits must be up to 3 layers, counted from 1, in rising order"),
        ({"exits": ("two",)}, "exits must be up to 3 layers, counted from 1, in rising order"),
        ({"exits": (1, 2, 3, 4)}, "exits must be up to 3 layers, counted from 1, in rising order"),
        ({"exits": (1, 2), "thresholds": (0.5,)}, "2 for 3 stages; got 1"),
        ({"exits": (1,), "thresholds": (1.5,)}, "expected a threshold from 0 to 1, or never"),
        ({"loss": -1.0}, "loss must be from 0 to 100 points, got -1.0"),
        ({"steps": -1}, "steps must be 0 or more, got -1"),
        ({"criterion": "confidance"}, "criterion"),
        ({"exits": (1, 2), "criterion": "patience", "thresholds": (3,)}, "expected a patience from 1 to 2"),
        ({"exits": (1, 2), "criterion": "patience", "thresholds": (0.5,)}, "expected a patience from 1 to 2"),
        ({"exits": (1, 2), "criterion": "patience", "thresholds": (1, 2)}, "expected a patience from 1 to 2"),
    ],
)
def test_invalid_options_are_refused(options: dict[str, Any], message: str) -> None:
    """Before anything is prepared."""
    with pytest.raises(UsageError, match=message):
        ExitsVariant(**options)


def refusal(variant: ExitsVariant, task: Task, sources: PreparationSources, root: Path) -> BenchError:
    """Return the error of `prepare`, after which the cache is empty."""
    context = tiny.preparation_context(root)
    with pytest.raises(BenchError) as caught:
        variant.prepare(task, sources, tiny.SHORT, context)
    assert context.cache.made == []  # type: ignore[attr-defined]
    return caught.value


def test_unsupported_models_are_refused(deep_folder: Path, tmp_path: Path) -> None:
    """Too few layers, another family, an untrained model."""
    sources = tiny.trained_sources(deep_folder)
    late = refusal(ExitsVariant(exits=(2, LAYERS)), BOOLQ, sources, tmp_path)
    assert "4 layers" in late.message
    copy = tiny.tiny_checkpoint(tmp_path / "copy", num_hidden_layers=LAYERS)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "squeezebert"}))
    other = refusal(EXITS, BOOLQ, tiny.trained_sources(copy), tmp_path)
    assert isinstance(other, CheckpointError)
    assert "early exit does not support the family squeezebert" in other.message
    assert "BERT, RoBERTa, XLM-R" in str(other.remedy)
    untrained = replace(sources, checkpoint=replace(sources.checkpoint, trained=False))
    assert "untrained" in refusal(EXITS, BOOLQ, untrained, tmp_path).message


def test_unsupported_data_and_tasks_are_refused(deep_folder: Path, tmp_path: Path) -> None:
    """No training examples, the reported file as training split, and a task with choices."""
    sources = tiny.trained_sources(deep_folder)
    assert "none" in refusal(EXITS, BOOLQ, replace(sources, training=tuple), tmp_path).message
    same = refusal(EXITS, BOOLQ, replace(sources, reported_sha256="c" * 64), tmp_path)
    assert isinstance(same, DataError)
    assert "choice" in refusal(EXITS, get_task("copa"), sources, tmp_path).message


def test_the_ladder_of_the_documentation_is_valid() -> None:
    """All its rungs, the student of half the depth among them."""
    page = (Path(__file__).parents[4] / "docs" / "explanation" / "exits.md").read_text(encoding="utf-8")
    config = yaml.safe_load(page.partition("```yaml")[2].partition("```")[0])
    variants = {rung.name: variant_of(rung.words()) for rung in parse_ladder(config, "exits.yaml", {}).rungs}
    assert [variant.engine.name for variant in variants.values()] == [
        "onnx-int8",
        "onnx-exits-int8",
        "onnx-int8",
    ]
    assert variants["half"].recipes[0].kind == "distil"


def test_exits_are_options_of_a_rung(deep_folder: Path) -> None:
    """As a list, as one number, and with thresholds as one word."""
    rung = {"name": "x", "recipes": [], "engine": "onnx-exits-int8"}
    engine: Any = variant_of({**rung, "options": {"exits": [1, 3], "loss": 1}}).engine
    assert (engine.exits, engine.loss, engine.weights) == ((1, 3), 1, "int8")
    engine = variant_of({**rung, "options": {"exits": [1, 2], "thresholds": "never"}}).engine
    assert engine.thresholds == ("never", "never")
    with pytest.raises(UsageError, match="option of onnx-exits-int8"):
        variant_of({**rung, "options": {"exit": 2}})
    del deep_folder
