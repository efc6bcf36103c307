"""Methods for few examples do what their sources say, and a training without them is as it was."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from encoders import DESCRIBED, model_of, saved
from other_families import family_checkpoint

from baselines.encoding.batching import pad
from baselines.encoding.tokenizer import TextEncoder
from baselines.models.classifier import input_names, load_classifier, tensors_of
from baselines.models.families.layers import encoder_of, pooling_of, stacked_layers
from baselines.training import trainer
from baselines.training.average import WeightAverage
from baselines.training.callbacks import LengthGroupedSampler, no_longer_rises
from baselines.training.consistency import symmetric_divergence, training_objective
from baselines.training.datasets import (
    EncodedExamples,
    TrainingItem,
    TrainingProgress,
    TrainingSettings,
    first_share,
    split_for_selection,
    training_items,
)
from baselines.training.finetune import finetune
from baselines.training.label_transfer import output_layer
from baselines.training.layers import parameter_groups, rate_factors, reinitialise
from baselines.training.objective import LabelObjective
from harness.common.errors import UnsupportedError, UsageError
from harness.workload.tasks.superglue.boolq import BOOLQ

QUICK = TrainingSettings(epochs=2, batch=8, max_length=32, bf16=False)
ALL = replace(
    QUICK, epochs=3, learning_rate=1e-3, layer_decay=0.8, reinit_layers=1, r_drop=1.0, average=0.9, patience=2
)
LN3 = float(np.log(3))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Make the order of sums the same in every run."""
    torch.set_num_threads(1)


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """Make an encoder without a head."""
    return tiny.tiny_checkpoint(tmp_path / "encoder", head=False, spread=0.1)


def train(folder: Path, output: Path, tuning: TrainingSettings, **options: Any) -> dict[str, Any]:
    return finetune(
        BOOLQ, tiny.examples(48), (), tiny.checkpoint_of(folder), output, tuning=tuning, **options
    )


def weights_of(folder: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    weights: dict[str, Any] = load_file(folder / "model.safetensors")
    return weights


def same_weights(first: Path, second: Path) -> bool:
    weights, others = weights_of(first), weights_of(second)
    return weights.keys() == others.keys() and all(
        np.array_equal(weights[name], others[name]) for name in weights
    )


def test_a_training_without_them_is_adamw_with_warm_up_bit_for_bit(tmp_path: Path) -> None:
    """A loop of torch alone makes the same weights; dropout is off, since its random numbers differ."""
    from transformers import get_linear_schedule_with_warmup

    dropout = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.0)
    folder = tiny.tiny_checkpoint(tmp_path / "encoder", head=False, spread=0.1, **dropout)
    tuning = replace(QUICK, epochs=1)
    record = train(folder, tmp_path / "made", tuning)
    kept, _ = split_for_selection(tiny.examples(48), 0)
    requests = EncodedExamples(kept, TextEncoder(folder, 32).encode(kept))
    items = training_items(BOOLQ, (0, 1), requests)
    model = trainer.new_classifier(folder, BOOLQ.labels, head="sequence", seed=0).train()
    plain = [name for name, _ in model.named_parameters() if "bias" in name or "LayerNorm" in name]
    named = dict(model.named_parameters())
    groups = [
        {"params": [named[name] for name in named if name not in plain], "weight_decay": 0.01},
        {"params": [named[name] for name in plain], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=3e-5, eps=1e-8, fused=True)
    schedule = get_linear_schedule_with_warmup(optimizer, -(-6 * 6 // 100), 6)
    order = list(LengthGroupedSampler([item.tokens for item in items], 8, 0))
    for start in range(0, len(order), 8):
        batch = [items[index] for index in order[start : start + 8]]
        inputs = tensors_of(pad([item.sequences[0] for item in batch], 0), input_names(model))
        LabelObjective("sequence").loss(
            model, {**inputs, **LabelObjective("sequence").targets(batch)}
        ).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    trained = weights_of(tmp_path / "made")
    assert all(np.array_equal(trained[name], tensor.numpy()) for name, tensor in model.state_dict().items())
    assert sorted(record["tuning"]) == [
        "batch", "bf16", "clip", "epochs", "learning_rate", "max_length", "seed", "warmup_ratio",
        "weight_decay",
    ]  # fmt: skip


def test_the_rate_falls_from_layer_to_layer_towards_the_text(tmp_path: Path) -> None:
    """Of two layers: head and pooler 1, then a half, a quarter, and an eighth for the embeddings."""
    model = load_classifier(tiny.tiny_checkpoint(tmp_path / "bert"))
    factors = rate_factors(model, 0.5)
    by_place = {
        "classifier": 1, "bert.pooler": 1, "layer.1": 0.5, "layer.0": 0.25, "bert.embeddings": 0.125,
    }  # fmt: skip
    for place, factor in by_place.items():
        assert {value for name, value in factors.items() if place in name} == {factor}, place
    groups = parameter_groups(model, {"classifier.weight"}, replace(QUICK, layer_decay=0.5))
    assert sum(len(group["params"]) for group in groups) == len(factors)
    assert {(group["lr"] / 3e-5, group["weight_decay"]) for group in groups} == {
        (1.0, 0.0), (1.0, 0.01), (0.5, 0.0), (0.25, 0.0), (0.125, 0.0),
    }  # fmt: skip


@pytest.mark.parametrize("family", sorted(DESCRIBED))
def test_every_family_has_its_words_lowest_and_its_labels_highest(family: str) -> None:
    """What all layers read, such as MPNet's relative position bias, has the rate of the words."""
    model = model_of(family, BOOLQ)
    factors = rate_factors(model, 0.5)
    embeddings = encoder_of(model).get_input_embeddings()
    named = {id(parameter): name for name, parameter in model.named_parameters()}
    lowest, highest = min(factors.values()), factors[named[id(output_layer(model).weight)]]
    assert factors[named[id(embeddings.weight)]] == lowest == 0.5 ** (len(stacked_layers(model)) + 1)
    assert highest == 1
    shared = {value for name, value in factors.items() if "relative_attention_bias" in name}
    assert shared <= {lowest}


def test_the_head_for_two_spans_has_the_full_rate(tmp_path: Path) -> None:
    """It is no part of the encoder, as WiC has it."""
    spans = rate_factors(load_classifier(tiny.span_checkpoint(tmp_path / "spans")), 0.5)
    assert {value for name, value in spans.items() if name.startswith("classifier")} == {1}
    assert min(spans.values()) == 0.125


def test_layers_with_a_small_rate_hardly_move(encoder: Path, tmp_path: Path) -> None:
    """With a factor of a hundredth, embeddings move a millionth of what the head's rate would move them."""
    before = weights_of(encoder)["embeddings.word_embeddings.weight"]
    moved = []
    for decay in (1.0, 0.01):
        output = tmp_path / f"decay{decay}"
        train(encoder, output, replace(QUICK, layer_decay=decay, learning_rate=1e-3))
        after = weights_of(output)["bert.embeddings.word_embeddings.weight"]
        moved.append(float(np.abs(after - before).max()))
    assert 0 < moved[1] < 1e-4 * moved[0]


def test_top_layers_begin_anew_and_the_others_stay(encoder: Path, tmp_path: Path) -> None:
    """Layer 1 of two and the pooler are drawn as transformers draws them: biases 0, norms 1."""
    train(encoder, tmp_path / "made", replace(QUICK, epochs=0, reinit_layers=1))
    before, after = weights_of(encoder), weights_of(tmp_path / "made")
    new = {name for name in before if not np.array_equal(before[name], after[f"bert.{name}"])}
    drawn = {name for name in before if name.startswith(("encoder.layer.1", "pooler"))}
    assert new == {name for name in drawn if name.endswith("weight") and "LayerNorm" not in name}
    assert all(not after[f"bert.{name}"].any() for name in drawn if name.endswith("bias"))
    again = replace(QUICK, epochs=0, reinit_layers=1)
    train(encoder, tmp_path / "again", again)
    assert same_weights(tmp_path / "made", tmp_path / "again")
    train(encoder, tmp_path / "other", replace(again, seed=1))
    assert not same_weights(tmp_path / "made", tmp_path / "other")


@pytest.mark.parametrize("family", sorted(DESCRIBED))
def test_of_every_family_the_top_layer_and_what_pools_are_drawn_anew(family: str, tmp_path: Path) -> None:
    """All their matrices, and nothing else. ALBERT's layers are one."""
    folder = saved(model_of(family, BOOLQ), tmp_path / family)
    model = trainer.new_classifier(folder, BOOLQ.labels, head="sequence", seed=0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    reinitialise(model, 1)
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(before[name], tensor)}
    top = [stacked_layers(model)[-1], pooling_of(model)[0]]
    inside = {id(parameter) for module in top for parameter in module.parameters()}
    names = {name for name, parameter in model.named_parameters() if id(parameter) in inside}
    assert {name for name in names if dict(model.named_parameters())[name].dim() > 1} <= changed <= names


class Alternating(torch.nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """A model whose passes return these logits in turn."""

    def __init__(self, *logits: list[list[float]]) -> None:
        super().__init__()
        self._logits = [torch.tensor(rows) for rows in logits]
        self._passes = 0

    def forward(self, **_: Any) -> Any:
        self._passes += 1
        return SimpleNamespace(logits=self._logits[(self._passes - 1) % len(self._logits)])


def test_r_drop_adds_the_divergence_of_two_passes() -> None:
    """Passes 3/4, 1/4 and 1/2, 1/2, the label is the first.

    Cross-entropies ln(4/3) and ln 2: mean 0.490415. KL of the first from the second 0.75 ln 1.5 + 0.25 ln 0.5
    = 0.130812, the other way (ln(2/3) + ln 2) / 2 = 0.143841: mean 0.137327. With a weight of 2: 0.765068.
    """
    objective = training_objective(BOOLQ, 2.0)
    item = TrainingItem((SimpleNamespace(),), (0,))  # type: ignore[arg-type]
    loss = objective.loss(Alternating([[LN3, 0.0]], [[0.0, 0.0]]), objective.targets([item]))
    assert float(loss) == pytest.approx(0.765068, abs=1e-6)
    equal = objective.loss(Alternating([[LN3, 0.0]]), objective.targets([item]))
    assert float(equal) == pytest.approx(float(np.log(4 / 3)), abs=1e-6)


@pytest.mark.parametrize(
    ("head", "first", "second", "expected"),
    [
        # two candidates, 3/4, 1/4 and 1/2, 1/2, then a choice of one candidate, which cannot differ
        ("choice", [[LN3], [0.0], [5.0]], [[0.0], [0.0], [-5.0]], 0.137327 / 2),
        # the first label holds with 3/4 and with 1/2, the second with 1/2 in both
        ("multi_label", [[LN3, 0.0]], [[0.0, 0.0]], 0.137327 / 2),
        ("span", [[LN3, 0.0], [1.0, 1.0]], [[0.0, 0.0], [2.0, 2.0]], 0.137327 / 2),
    ],
)
def test_the_divergence_is_over_what_a_head_decides(
    head: Any, first: list[list[float]], second: list[list[float]], expected: float
) -> None:
    """Over the candidates of a choice, over each label by itself, or over the labels."""
    divergence = symmetric_divergence(torch.tensor(first), torch.tensor(second), head, [2, 1])
    assert float(divergence) == pytest.approx(expected, abs=1e-6)


def test_the_average_begins_with_the_first_step_and_follows() -> None:
    """Weights 1, 3, 3 with a decay of a half: 1, 2, 2.5."""
    model = torch.nn.Linear(1, 1, bias=False)
    average, seen = WeightAverage(model, 0.5), []
    for weight in (1.0, 3.0, 3.0):
        model.weight.data.fill_(weight)
        average.on_step_end(None, None, None, model=model)
        seen.append(float(average.model.weight.detach()))
    assert seen == [1.0, 2.0, 2.5]


def test_the_average_is_scored_and_kept(encoder: Path, tmp_path: Path) -> None:
    """The kept weights differ from those without an average by no more than the steps moved them."""
    plain = replace(QUICK, epochs=1, learning_rate=1e-3)
    train(encoder, tmp_path / "plain", plain)
    record = train(encoder, tmp_path / "average", replace(plain, average=0.9))
    assert record["tuning"]["average"] == 0.9
    assert not list((tmp_path / "average").glob("average*"))
    name = "bert.encoder.layer.0.output.dense.weight"
    begin, plain_end, average_end = (
        weights_of(encoder)[name.removeprefix("bert.")],
        weights_of(tmp_path / "plain")[name],
        weights_of(tmp_path / "average")[name],
    )
    assert 0 < np.abs(average_end - begin).mean() < np.abs(plain_end - begin).mean()


@pytest.mark.parametrize(
    ("scores", "patience", "ended"),
    [
        ((), 1, False), ((0.5,), 1, False), ((0.5, 0.5), 1, True), ((0.5, 0.6), 1, False),
        ((0.5, 0.6, 0.6), 2, False), ((0.5, 0.6, 0.6, 0.5), 2, True), ((0.5, 0.4, 0.3, 0.6), 3, False),
        ((0.5, 0.4, 0.3), 0, False),
    ],
)  # fmt: skip
def test_training_ends_when_the_score_no_longer_rises(
    scores: tuple[float, ...], patience: int, *, ended: bool
) -> None:
    """After so many epochs without a better score; never with a patience of 0. Losses are no scores."""
    log = [entry for score in scores for entry in ({"loss": 9.0}, {"eval_selection": score})]
    assert no_longer_rises(log, patience) is ended


STILL = replace(QUICK, epochs=6, learning_rate=1e-12, patience=2)


def test_a_training_that_ended_early_does_not_go_on_when_it_is_resumed(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rate of almost nothing never improves: three epochs of six. The first try ends before it is saved."""
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "save", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(encoder, tmp_path / "made", STILL)
    resumed = train(encoder, tmp_path / "made", STILL)
    whole = train(encoder, tmp_path / "whole", STILL)
    assert (resumed["session_steps"], whole["session_steps"]) == ([18, 18], [0, 18])
    names = ("steps", "steps_planned", "selection", "kept_step")
    assert [resumed[name] for name in names] == [whole[name] for name in names]
    assert (whole["steps"], whole["steps_planned"], whole["kept_step"]) == (18, 36, 6)
    assert same_weights(tmp_path / "made", tmp_path / "whole")


class StopError(Exception):
    pass


def stop_after(fraction: float) -> Callable[[TrainingProgress], None]:
    def stop(tick: TrainingProgress) -> None:
        if tick.fraction > fraction:
            raise StopError

    return stop


def test_with_all_of_them_a_resumed_training_ends_with_the_same_weights(
    encoder: Path, tmp_path: Path
) -> None:
    """Stopped in the third epoch, it begins with the second one's checkpoint and its average."""
    with pytest.raises(StopError):
        train(encoder, tmp_path / "cut", ALL, progress=stop_after(0.8))
    resumed = train(encoder, tmp_path / "cut", ALL)
    assert resumed["session_steps"] == [12, 18]
    whole = train(encoder, tmp_path / "whole", ALL)
    assert same_weights(tmp_path / "cut", tmp_path / "whole")
    assert resumed["selection"] == whole["selection"]
    settings = ("layer_decay", "reinit_layers", "r_drop", "average", "patience")
    assert all(whole["tuning"][name] == getattr(ALL, name) for name in settings)


def test_shares_of_train_contain_one_another_and_keep_the_held_out_part(
    encoder: Path, tmp_path: Path
) -> None:
    """48 examples, 5 held out: of 43 a quarter is 11 and a half 22, whatever the share."""
    kept, held_out = split_for_selection(tiny.examples(48), 7)
    shares = [first_share(kept, share) for share in (0.25, 0.5, 1.0)]
    assert [len(part) for part in shares] == [11, 22, 43]
    assert shares[0] == shares[1][:11] == shares[2][:11]
    assert not set(shares[2]) & set(held_out)
    record = train(encoder, tmp_path / "made", replace(QUICK, train_share=0.25, split_seed=7))
    assert record["examples"] == {"trained_on": 11, "held_out": 5, "val": 0}
    assert (record["tuning"]["train_share"], record["tuning"]["split_seed"]) == (0.25, 7)


def test_what_a_family_or_an_encoder_lacks_is_refused_before_training(encoder: Path, tmp_path: Path) -> None:
    """BART's layers are not described; of two layers, three cannot begin anew."""
    bart = family_checkpoint(tmp_path / "bart", "bart", labels=("a", "b"), pad_token_id=0)
    for tuning in (replace(QUICK, layer_decay=0.9), replace(QUICK, reinit_layers=1)):
        with pytest.raises(UnsupportedError, match="need layers that are described; the family bart"):
            train(bart, tmp_path / "made", tuning)
    with pytest.raises(UsageError, match="3 layers cannot begin anew: the encoder has 2"):
        train(encoder, tmp_path / "made", replace(QUICK, reinit_layers=3))
    assert not list(tmp_path.glob("made*"))
