"""Token reduction: which tokens stay, what that costs, whose answers come of it, and what is refused."""

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
from optimized.adaptive.token_dropping.length_dropout import drawn
from optimized.adaptive.token_dropping.model import TokenDroppingModel
from optimized.adaptive.token_dropping.system import TokenSystem
from optimized.adaptive.token_dropping.variant import TokensVariant

_, DYNAMIC = VARIANTS
LAYERS = 4
PLAIN = TokensVariant(steps=0)
INT8 = replace(PLAIN, name="onnx-tokens-int8", weights="int8")


@pytest.fixture(scope="module")
def deep_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a random BERT of four layers."""
    return tiny.tiny_checkpoint(tmp_path_factory.mktemp("deep") / "tiny", num_hidden_layers=LAYERS)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one cache for all tests: the graph is written once."""
    return tmp_path_factory.mktemp("cache")


def trained(folder: Path, task: Task | None = None) -> PreparationSources:
    """Return sources with a training split of 60 examples."""
    examples = tiny.examples(60) if task is None else tiny.task_examples(task, 30)
    return replace(tiny.sources(folder, task=task), training=lambda: examples, training_sha256="c" * 64)


def system(variant: TokensVariant, folder: Path, cache: Path) -> TokenSystem:
    """Prepare the variant for BoolQ and load it."""
    artifact = variant.prepare(BOOLQ, trained(folder), tiny.SHORT, tiny.workshop(cache))
    return variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)


def test_what_is_kept_is_rounded_up_and_never_nothing() -> None:
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
    # but for the last layer, where one token is asked instead of ten
    spared = 9 * 2 * (2 * 16 + 2 * 32) + 4 * 4 * 90
    assert everything.operations(10) == work.per_token * 10 + work.per_pair * 100 - spared


@pytest.mark.parametrize("variant", [PLAIN, INT8], ids=["fp32", "int8"])
def test_with_all_tokens_every_answer_is_the_whole_models(
    variant: TokensVariant, deep_folder: Path, shelf: Path, tmp_path: Path
) -> None:
    """To 1e-4 of a logit in float32, and within the bound of every int8 variant in int8."""
    made = system(replace(variant, keep="all"), deep_folder, shelf)
    requests = made.encode(tiny.examples(10))
    found = made.predict(requests)
    whole = tiny.opened(DYNAMIC, BOOLQ, deep_folder, tmp_path, tiny.SHORT)
    exact = whole.predict(whole.encode(tiny.examples(10))).logits
    loose = max(0.5, 0.5 * float(np.abs(exact).max()))
    np.testing.assert_allclose(found.logits, exact, atol=1e-4 if variant is PLAIN else loose)
    assert found.costs["tokens"].tolist() == [request.tokens for request in requests]


def test_tokens_that_get_least_attention_go_and_the_first_stays(deep_folder: Path) -> None:
    """As the layer's own attention says, summed over heads and tokens: worked out from the model's."""
    model = load_classifier(deep_folder, "eager")
    thinned = TokenDroppingModel(model, (1,)).eval()
    ids = torch.tensor([[2, 9, 17, 30, 11, 25, 8, 3]])
    with torch.no_grad():
        said = model(ids, output_attentions=True, output_hidden_states=True)
        received = said.attentions[0].sum((1, 2))[0]
        received[0] = torch.inf
        stay = received.topk(4).indices
        seen: list[torch.Tensor] = []
        thinned.modules_of_layers[1].attention.self.key.register_forward_hook(
            lambda _module, given, _made: seen.append(given[0])
        )
        thinned(ids, torch.zeros_like(ids), [50])
    torch.testing.assert_close(seen[0][0], said.hidden_states[1][0][stay], atol=1e-5, rtol=0)
    assert stay[0] == 0


def test_a_padded_batch_loses_of_each_sequence_what_it_would_lose_alone(deep_folder: Path) -> None:
    """Padding is not kept in place of tokens, and its attention does not count."""
    thinned = TokenDroppingModel(load_classifier(deep_folder, "eager"), (1, 2, 3)).eval()
    ids = torch.randint(5, 60, (3, 17), generator=torch.Generator().manual_seed(0))
    lengths = (17, 9, 1)
    mask = torch.tensor([[1] * length + [0] * (17 - length) for length in lengths])
    with torch.no_grad():
        both = thinned(ids, torch.zeros_like(ids), [70, 60, 50], mask)
        for row, length in enumerate(lengths):
            own = ids[row : row + 1, :length]
            alone = thinned(own, torch.zeros_like(own), [70, 60, 50])
            torch.testing.assert_close(both[row : row + 1], alone, atol=1e-4, rtol=0)


def test_requests_are_answered_alike_together_and_alone(deep_folder: Path, shelf: Path) -> None:
    """One sequence at a time in any case, so company changes nothing; fewer tokens change answers."""
    made = system(replace(PLAIN, keep=0.5), deep_folder, shelf)
    requests = made.encode(tiny.examples(6))
    alone = np.concatenate([made.predict([each]).logits for each in requests])
    np.testing.assert_array_equal(made.predict(requests).logits, alone)
    assert not np.allclose(alone, made.keeping(ALL).predict(requests).logits, atol=1e-3)
    assert made.predict([]).logits.shape == (0, 2)


def test_the_schedule_is_chosen_on_what_is_held_out(deep_folder: Path, shelf: Path) -> None:
    """The cheapest of the family that loses no more than was asked for; fewer tokens are cheaper here."""
    times = {str(keep): keep / ALL for keep in FAMILY}
    for loss in (0.0, 100.0):
        variant = replace(PLAIN, loss=loss)
        artifact = variant.prepare(BOOLQ, trained(deep_folder), tiny.SHORT, tiny.workshop(shelf, times))
        found = artifact.manifest["calibration"]
        family = {point["keep"]: point for point in found["family"]}
        assert found["examples"] == 6
        assert len(family) == len(FAMILY)
        good = [keep for keep, point in family.items() if point["quality"] >= found["full"] - loss / 100]
        assert found["chosen"] == family[min(good)]
        assert artifact.manifest["kept_percent"] == round(ALL * min(good))
        tokens = [point["tokens_per_request"] for point in found["family"]]
        assert tokens == sorted(tokens, reverse=True)
    assert artifact.manifest["agreement"]["max_logit_difference_at_60_percent"] <= 1e-4


def test_length_drop_out_makes_a_checkpoint_that_the_graph_is_of(deep_folder: Path, tmp_path: Path) -> None:
    """Same tensors, other values; the loss counts from the model as it was before."""
    shop = tiny.workshop(tmp_path)
    variant = replace(PLAIN, steps=2, learning_rate=1e-3)
    artifact = variant.prepare(BOOLQ, trained(deep_folder), tiny.SHORT, shop)
    made = [shop.cache.find(key) for key in shop.cache.made]  # type: ignore[attr-defined]
    assert [each.manifest["recipe"] for each in made] == ["length-drop", "tokens", "onnx-tokens"]
    before, after = (load_classifier(each).state_dict() for each in (deep_folder, made[0].folder))
    assert set(before) == set(after)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("layer.0.attention" in name for name in moved)
    assert any("classifier" in name for name in moved)
    said = made[0].manifest
    assert (said["steps"], said["examples"], said["scores"]["held_out"]) == (2, 32, 6)
    assert artifact.manifest["calibration"]["full"] == pytest.approx(said["scores"]["before"]["accuracy"])
    again = variant.prepare(BOOLQ, trained(deep_folder), tiny.SHORT, shop)
    assert (again.key, len(shop.cache.made)) == (artifact.key, 3)  # type: ignore[attr-defined]


def test_training_takes_all_examples_before_any_comes_again() -> None:
    """Seven of five: each once, then two of them again, in an order that the seed decides."""
    examples = tiny.examples(5)
    found = drawn(examples, 7, seed=1)
    assert {each.id for each in found[:5]} == {each.id for each in examples}
    assert found == drawn(examples, 7, seed=1)
    assert found != drawn(examples, 7, seed=2)


@pytest.mark.parametrize("family", ["roberta", "distilbert"])
def test_other_families_lose_tokens_too(family: str, tmp_path: Path) -> None:
    """The graph agrees with the model with all tokens and with fewer, or it would be refused."""
    folder = encoders.saved(encoders.model_of(family, BOOLQ), tmp_path / family)
    made = system(replace(PLAIN, keep=0.6), folder, tmp_path / "cache")
    assert len(made.predict(made.encode(tiny.examples(4))).logits) == 4


def test_of_several_sequences_each_loses_its_own(tmp_path: Path) -> None:
    """MultiRC: what a request costs is the sum over its sequences."""
    task = get_task("multirc")
    folder = encoders.saved(encoders.model_of("bert", task), tmp_path / "bert")
    variant = replace(PLAIN, keep=0.5)
    artifact = variant.prepare(task, trained(folder, task), tiny.LONG, tiny.workshop(tmp_path / "cache"))
    made = variant.load(task, artifact, tiny.CPU, tiny.LONG)
    requests = made.encode(tiny.task_examples(task, 3))
    found = made.predict(requests)
    assert len(found.logits) == sum(len(request.sequences) for request in requests)
    entering = [[(n + kept(n, 50)) / 2 for n in map(len, (s.ids for s in r.sequences))] for r in requests]
    assert found.costs["tokens"].tolist() == [sum(each) for each in entering]


def test_a_system_describes_its_schedule(deep_folder: Path, shelf: Path) -> None:
    """Layers, share, threads, weights and the arithmetic of the whole model."""
    said = system(replace(INT8, keep=0.7), deep_folder, shelf).describe()
    assert (said["thinned_after"], said["kept_percent"], said["batch"]) == ([1, 2, 3], 70, 1)
    assert said["weights"].startswith("int8")
    assert said["work"]["hidden"] == 32
    json.dumps(said)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"after": (0,)}, "names no layers"),
        ({"after": (2, 1)}, "names no layers"),
        ({"after": (1.5,)}, "names no layers"),
        ({"keep": 0}, "no share"),
        ({"keep": 1.5}, "no share"),
        ({"keep": "some"}, "no share"),
        ({"loss": -1.0}, "loss"),
        ({"steps": -1}, "steps"),
    ],
)
def test_schedules_that_are_none_are_refused(words: dict[str, Any], message: str) -> None:
    """Before anything is prepared."""
    with pytest.raises(UsageError, match=message):
        TokensVariant(**words)


def refusal(variant: TokensVariant, task: Task, sources: PreparationSources, root: Path) -> BenchError:
    """Return the error with which it is refused; nothing is left in the cache."""
    shop = tiny.workshop(root)
    with pytest.raises(BenchError) as caught:
        variant.prepare(task, sources, tiny.SHORT, shop)
    assert shop.cache.made == []  # type: ignore[attr-defined]
    return caught.value


def test_what_cannot_lose_tokens_is_refused(deep_folder: Path, tmp_path: Path) -> None:
    """Too few layers, an untrained model, spans, choices, and data that must not be learned from."""
    sources = trained(deep_folder)
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
