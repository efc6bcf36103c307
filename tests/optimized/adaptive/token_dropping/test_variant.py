"""Token dropping: which tokens are kept, the costs, the answers, and refusals."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import encoders
import numpy as np
import pytest
import tiny
import torch

from baselines.engines.pytorch import VARIANTS
from baselines.models.classifier import load_classifier
from baselines.models.flops import work_of
from harness.common.errors import BenchError, CheckpointError, DataError, UsageError
from harness.systems.interface import PreparationSources
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.adaptive.token_dropping.budget import ALL, FAMILY, budget_of, kept
from optimized.adaptive.token_dropping.length_dropout import draw_examples
from optimized.adaptive.token_dropping.model import TokenDroppingModel
from optimized.adaptive.token_dropping.system import TokenSystem
from optimized.adaptive.token_dropping.variant import TokensVariant

_, DYNAMIC = VARIANTS
LAYERS = 4  # as in conftest.py
PLAIN = TokensVariant(steps=0)
INT8 = replace(PLAIN, name="onnx-tokens-int8", weights="int8")


def system(variant: TokensVariant, folder: Path, cache: Path) -> TokenSystem:
    """Prepare the variant for BoolQ and load it."""
    artifact = variant.prepare(
        BOOLQ, tiny.trained_sources(folder), tiny.SHORT, tiny.preparation_context(cache)
    )
    return variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)


def test_kept_tokens_are_rounded_up_to_at_least_one() -> None:
    """60 % of 10 are 6, of 7 they are 4.2 and so 5; 1 % of 3 is one token."""
    assert [kept(10, 60), kept(7, 60), kept(3, 1), kept(5, ALL)] == [6, 5, 1, 5]


def test_a_budget_counts_tokens_and_operations_by_layer() -> None:
    """Two layers, width 4, one head of 4, 8 units; 10 tokens, 50 % kept by the first.

    Layer 1: 4 products of 4 x 4 for 10 tokens, 2 of 4 x 8 for 5, attention of 10 on 10:
    2 * (640 + 320) + 4 * 4 * 100 = 3,520. Layer 2: keys and values of 5, query and output of 1, 2 of 4 x 8
    for 1, attention of 1 on 5: 2 * (160 + 32 + 64) + 4 * 4 * 5 = 592.
    """
    config = {
        "model_type": "bert",
        "hidden_size": 4,
        "num_hidden_layers": 2,
        "num_attention_heads": 1,
        "intermediate_size": 8,
        "hidden_act": "gelu",
    }
    budget = budget_of(config, (1,), 50)
    assert budget.entering(10) == [10, 5]
    assert budget.mean_tokens(10) == 7.5
    assert budget.operations(10) == 3520 + 592
    everything, work = budget_of(config, (1,), ALL), work_of(config)
    assert work is not None
    # except in the last layer, with one query instead of ten
    saved = 9 * 2 * (2 * 16 + 2 * 32) + 4 * 4 * 90
    assert everything.operations(10) == work.per_token * 10 + work.per_pair * 100 - saved


@pytest.mark.parametrize("variant", [PLAIN, INT8], ids=["fp32", "int8"])
def test_with_all_tokens_the_answers_are_those_of_the_whole_model(
    variant: TokensVariant, deep_folder: Path, shelf: Path, tmp_path: Path
) -> None:
    """To 1e-4 of a logit in float32, and within the bound of every int8 variant in int8."""
    token_system = system(replace(variant, keep="all"), deep_folder, shelf)
    requests = token_system.encode(tiny.examples(10))
    predictions = token_system.predict(requests)
    whole = tiny.opened(DYNAMIC, BOOLQ, deep_folder, tmp_path, tiny.SHORT)
    exact = whole.predict(whole.encode(tiny.examples(10))).logits
    int8_bound = max(0.5, 0.5 * float(np.abs(exact).max()))
    np.testing.assert_allclose(predictions.logits, exact, atol=1e-4 if variant is PLAIN else int8_bound)
    assert predictions.costs["tokens"].tolist() == [request.tokens for request in requests]


def test_the_tokens_with_least_attention_are_dropped_and_the_first_is_kept(deep_folder: Path) -> None:
    """By attention summed over heads and tokens, computed from the model's own attention weights."""
    model = load_classifier(deep_folder, "eager")
    dropping = TokenDroppingModel(model, (1,)).eval()
    ids = torch.tensor([[2, 9, 17, 30, 11, 25, 8, 3]])
    with torch.no_grad():
        output = model(ids, output_attentions=True, output_hidden_states=True)
        received = output.attentions[0].sum((1, 2))[0]
        received[0] = torch.inf
        kept_indices = received.topk(4).indices
        inputs: list[torch.Tensor] = []
        dropping.modules_of_layers[1].attention.self.key.register_forward_hook(
            lambda _module, arguments, _output: inputs.append(arguments[0])
        )
        dropping(ids, torch.zeros_like(ids), [50])
    torch.testing.assert_close(inputs[0][0], output.hidden_states[1][0][kept_indices], atol=1e-5, rtol=0)
    assert kept_indices[0] == 0


def test_a_padded_batch_drops_the_same_tokens_as_single_sequences(deep_folder: Path) -> None:
    """Padding is never kept in place of tokens, and its attention does not count."""
    dropping = TokenDroppingModel(load_classifier(deep_folder, "eager"), (1, 2, 3)).eval()
    ids = torch.randint(5, 60, (3, 17), generator=torch.Generator().manual_seed(0))
    lengths = (17, 9, 1)
    mask = torch.tensor([[1] * length + [0] * (17 - length) for length in lengths])
    with torch.no_grad():
        both = dropping(ids, torch.zeros_like(ids), [70, 60, 50], mask)
        for row, length in enumerate(lengths):
            own = ids[row : row + 1, :length]
            alone = dropping(own, torch.zeros_like(own), [70, 60, 50])
            torch.testing.assert_close(both[row : row + 1], alone, atol=1e-4, rtol=0)


def test_requests_are_answered_alike_together_and_alone(deep_folder: Path, shelf: Path) -> None:
    """Sequences run one at a time, so others do not change the answer; fewer tokens do."""
    token_system = system(replace(PLAIN, keep=0.5), deep_folder, shelf)
    requests = token_system.encode(tiny.examples(6))
    alone = np.concatenate([token_system.predict([request]).logits for request in requests])
    np.testing.assert_array_equal(token_system.predict(requests).logits, alone)
    assert not np.allclose(alone, token_system.keeping(ALL).predict(requests).logits, atol=1e-3)
    assert token_system.predict([]).logits.shape == (0, 2)


def test_the_schedule_is_chosen_on_held_out_examples(deep_folder: Path, shelf: Path) -> None:
    """The cheapest schedule within the allowed loss is chosen; fewer tokens are cheaper here."""
    times = {str(keep): keep / ALL for keep in FAMILY}
    for loss in (0.0, 100.0):
        variant = replace(PLAIN, loss=loss)
        artifact = variant.prepare(
            BOOLQ, tiny.trained_sources(deep_folder), tiny.SHORT, tiny.preparation_context(shelf, times)
        )
        calibration = artifact.manifest["calibration"]
        family = {point["keep"]: point for point in calibration["family"]}
        assert calibration["examples"] == 6
        assert len(family) == len(FAMILY)
        allowed = [
            keep for keep, point in family.items() if point["quality"] >= calibration["full"] - loss / 100
        ]
        assert calibration["chosen"] == family[min(allowed)]
        assert artifact.manifest["kept_percent"] == round(ALL * min(allowed))
        tokens = [point["tokens_per_request"] for point in calibration["family"]]
        assert tokens == sorted(tokens, reverse=True)
    assert artifact.manifest["agreement"]["max_logit_difference_at_60_percent"] <= 1e-4


def test_the_graph_is_exported_from_the_checkpoint_of_length_dropout(
    deep_folder: Path, tmp_path: Path
) -> None:
    """It has the same tensors with other values; the loss is against the model before."""
    context = tiny.preparation_context(tmp_path)
    variant = replace(PLAIN, steps=2, learning_rate=1e-3)
    artifact = variant.prepare(BOOLQ, tiny.trained_sources(deep_folder), tiny.SHORT, context)
    artifacts = [context.cache.find(key) for key in context.cache.made]  # type: ignore[attr-defined]
    assert [step.manifest["recipe"] for step in artifacts] == ["length-drop", "tokens", "onnx-tokens"]
    before, after = (load_classifier(path).state_dict() for path in (deep_folder, artifacts[0].folder))
    assert set(before) == set(after)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("layer.0.attention" in name for name in changed)
    assert any("classifier" in name for name in changed)
    training = artifacts[0].manifest
    assert (training["steps"], training["examples"], training["scores"]["held_out"]) == (2, 32, 6)
    assert artifact.manifest["calibration"]["full"] == pytest.approx(training["scores"]["before"]["accuracy"])
    again = variant.prepare(BOOLQ, tiny.trained_sources(deep_folder), tiny.SHORT, context)
    assert (again.key, len(context.cache.made)) == (artifact.key, 3)  # type: ignore[attr-defined]


def test_all_examples_are_drawn_before_any_is_repeated() -> None:
    """Seven of five: each once, then two of them again, in an order that the seed decides."""
    examples = tiny.examples(5)
    drawn = draw_examples(examples, 7, seed=1)
    assert {example.id for example in drawn[:5]} == {example.id for example in examples}
    assert drawn == draw_examples(examples, 7, seed=1)
    assert drawn != draw_examples(examples, 7, seed=2)


@pytest.mark.parametrize("family", ["roberta", "distilbert"])
def test_other_families_drop_tokens_too(family: str, tmp_path: Path) -> None:
    """The graph agrees with the model with all tokens and with fewer, or it would be refused."""
    folder = encoders.saved(encoders.model_of(family, BOOLQ), tmp_path / family)
    token_system = system(replace(PLAIN, keep=0.6), folder, tmp_path / "cache")
    assert len(token_system.predict(token_system.encode(tiny.examples(4))).logits) == 4


def test_each_sequence_of_a_request_drops_its_own_tokens(tmp_path: Path) -> None:
    """MultiRC: the cost of a request is the sum over its sequences."""
    task = get_task("multirc")
    folder = encoders.saved(encoders.model_of("bert", task), tmp_path / "bert")
    variant = replace(PLAIN, keep=0.5)
    artifact = variant.prepare(
        task, tiny.trained_sources(folder, task), tiny.LONG, tiny.preparation_context(tmp_path / "cache")
    )
    token_system = variant.load(task, artifact, tiny.CPU, tiny.LONG)
    requests = token_system.encode(tiny.task_examples(task, 3))
    predictions = token_system.predict(requests)
    assert len(predictions.logits) == sum(len(request.sequences) for request in requests)
    entering = [[(n + kept(n, 50)) / 2 for n in map(len, (s.ids for s in r.sequences))] for r in requests]
    assert predictions.costs["tokens"].tolist() == [sum(tokens) for tokens in entering]


def test_a_system_describes_its_schedule(deep_folder: Path, shelf: Path) -> None:
    """Layers, share, threads, weights and the arithmetic of the whole model."""
    description = system(replace(INT8, keep=0.7), deep_folder, shelf).describe()
    assert (description["thinned_after"], description["kept_percent"], description["batch"]) == (
        [1, 2, 3],
        70,
        1,
    )
    assert description["weights"].startswith("int8")
    assert description["work"]["hidden"] == 32
    json.dumps(description)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"after": (0,)}, "after must be layers, counted from 1, in rising order"),
        ({"after": (2, 1)}, "after must be layers, counted from 1, in rising order"),
        ({"after": (1.5,)}, "after must be layers, counted from 1, in rising order"),
        ({"keep": 0}, "keep must be a share from 0.01 to 1, or all"),
        ({"keep": 1.5}, "keep must be a share from 0.01 to 1, or all"),
        ({"keep": "some"}, "keep must be a share from 0.01 to 1, or all"),
        ({"loss": -1.0}, "loss must be from 0 to 100 points, got -1.0"),
        ({"steps": -1}, "steps must be 0 or more(.|\n)*got -1"),
    ],
)
def test_invalid_options_are_refused(options: dict[str, Any], message: str) -> None:
    """Before anything is prepared."""
    with pytest.raises(UsageError, match=message):
        TokensVariant(**options)


def refusal(variant: TokensVariant, task: Task, sources: PreparationSources, root: Path) -> BenchError:
    """Return the error of `prepare`, after which the cache is empty."""
    context = tiny.preparation_context(root)
    with pytest.raises(BenchError) as caught:
        variant.prepare(task, sources, tiny.SHORT, context)
    assert context.cache.made == []  # type: ignore[attr-defined]
    return caught.value


def test_unsupported_models_tasks_and_data_are_refused(deep_folder: Path, tmp_path: Path) -> None:
    """Too few layers, an untrained model, spans, choices, no training examples, the reported file."""
    sources = tiny.trained_sources(deep_folder)
    late = refusal(replace(PLAIN, after=(1, LAYERS)), BOOLQ, sources, tmp_path)
    assert isinstance(late, CheckpointError)
    assert "4 layers" in late.message
    untrained = replace(sources, checkpoint=replace(sources.checkpoint, trained=False))
    assert "untrained" in refusal(PLAIN, BOOLQ, untrained, tmp_path).message
    assert "spans" in refusal(PLAIN, get_task("wic"), sources, tmp_path).message
    assert "choice" in refusal(PLAIN, get_task("copa"), sources, tmp_path).message
    assert "none" in refusal(PLAIN, BOOLQ, replace(sources, training=tuple), tmp_path).message
    same = replace(sources, reported_sha256="c" * 64)
    assert isinstance(refusal(PLAIN, BOOLQ, same, tmp_path), DataError)
