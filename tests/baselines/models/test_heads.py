"""Every head: labels for a sequence, one score a candidate, labels for two spans."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from baselines.encoding import batching
from baselines.encoding.batching import Batching, Padded, chunks, pad
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.agreement import probes
from baselines.engines.onnx.runtime import OnnxVariant
from baselines.engines.pytorch import VARIANTS
from baselines.models.resolve import resolve_classifier
from baselines.training.datasets import EncodedExamples, TrainingSettings, training_items
from baselines.training.finetune import finetune
from harness.common.errors import CheckpointError, UsageError
from harness.systems.interface import EncodedSequence, PreparationSources, Request, Settings, System
from harness.workload.tasks import TASKS, get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Logits
from optimized.quantization.onnx_dynamic import Int8Variant

FIXED, DYNAMIC = VARIANTS
HEADS = ("boolq", "cb", "multirc", "copa", "record", "wic", "wsc")
every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


def _name(task: Task) -> str:
    return task.name


one_of_each_head = pytest.mark.parametrize("task", [TASKS[name] for name in ("cb", "copa", "wic")], ids=_name)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for checkpoints and caches, so that each is made once."""
    return tmp_path_factory.mktemp("heads")


def checkpoint(shelf: Path, task: Task) -> Path:
    """Return the tiny checkpoint of a task's model."""
    folder = shelf / task.model_task
    return folder if folder.exists() else tiny.task_checkpoint(folder, task)


def opened(variant: Any, shelf: Path, task: Task, batch: int = 1) -> System:
    return tiny.opened(variant, task, checkpoint(shelf, task), shelf / "cache", Settings(128, batch))


def logits_of(system: System, requests: list[Request]) -> Logits:
    logits: Logits = system.predict(requests).logits
    return logits


@every_task
def test_onnx_answers_as_pytorch_does(shelf: Path, task: Task) -> None:
    """The same logits, one row a sequence, for real requests of every task."""
    examples = tiny.task_examples(task)
    plain, graph = opened(FIXED, shelf, task), opened(OnnxVariant(), shelf, task)
    expected, logits = logits_of(plain, plain.encode(examples)), logits_of(graph, graph.encode(examples))
    assert expected.shape == (sum(len(example.inputs) for example in examples), len(task.labels))
    assert np.ptp(expected[:, 0]) > 1e-2, "answers that do not vary cannot show a difference"
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@every_task
def test_int8_stays_close_to_fp32(shelf: Path, task: Task) -> None:
    """Within the bound that it is accepted by, tried on examples of the task itself."""
    folder = checkpoint(shelf, task)
    shop = tiny.preparation_context(shelf / "cache")
    artifact = Int8Variant().prepare(task, tiny.sources(folder, task=task), tiny.LONG, shop)
    agreement = artifact.manifest["agreement"]
    assert 0 < agreement["relative_error"] <= agreement["bound"]
    system = Int8Variant().load(task, artifact, tiny.CPU, tiny.LONG)
    examples = tiny.task_examples(task)
    predictions = system.predict(system.encode(examples))
    answers = task.decide(predictions.logits, predictions.offsets)
    assert all(task.valid(answer, example) for answer, example in zip(answers, examples, strict=True))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("variant", [DYNAMIC, OnnxVariant()], ids=lambda variant: variant.name)
@pytest.mark.parametrize("name", ["copa", "multirc", "record", "wsc"])
def test_answers_do_not_depend_on_the_other_requests_of_a_call(
    shelf: Path, name: str, variant: Any, batch: int
) -> None:
    """One request a call, or all in one call in chunks of `batch`."""
    task = get_task(name)
    system = opened(variant, shelf, task, batch)
    requests = list(system.encode(tiny.task_examples(task)))
    together = system.predict(requests)
    apart = np.concatenate([logits_of(system, [request]) for request in requests])
    np.testing.assert_allclose(together.logits, apart, atol=1e-4)
    sizes = [len(request.sequences) for request in requests]
    assert together.offsets.tolist() == np.cumsum([0, *sizes]).tolist()


def test_a_request_of_many_candidates_is_answered_in_bounded_parts(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven candidates at most two at a time: the same answers, and no part is larger."""
    task = get_task("record")
    system = opened(DYNAMIC, shelf, task)
    requests = list(system.encode(tiny.task_examples(task)[:1]))
    whole = logits_of(system, requests)
    monkeypatch.setattr(batching, "SEQUENCES_AT_ONCE", 2)
    assert [len(part) for part in chunks(requests, 1)] == [2] * (len(whole) // 2) + [1] * (len(whole) % 2)
    np.testing.assert_allclose(logits_of(system, requests), whole, atol=1e-4)


@given(
    sizes=st.lists(st.integers(1, 100), max_size=12),
    batch=st.integers(1, 80),
)
def test_parts_hold_every_sequence_once_and_are_bounded(sizes: list[int], batch: int) -> None:
    """At most 32 sequences, or `batch` where that is more; never of more than `batch` requests."""
    token = np.zeros(1, dtype=np.int64)
    requests = [
        Request(str(at), tuple(EncodedSequence(token + at, token) for _ in range(size)))
        for at, size in enumerate(sizes)
    ]
    parts = [[int(sequence.ids[0]) for sequence in part] for part in chunks(requests, batch)]
    assert [number for part in parts for number in part] == np.repeat(np.arange(len(sizes)), sizes).tolist()
    assert all(0 < len(part) <= max(batch, batching.SEQUENCES_AT_ONCE) for part in parts)
    assert all(part[-1] // batch == part[0] // batch for part in parts)


def test_a_batch_of_single_sequences_is_as_large_as_requested(shelf: Path) -> None:
    """The bound is for requests with many candidates: 64 examples in batches of 64 are one engine call."""
    task = get_task("boolq")
    system = opened(DYNAMIC, shelf, task)
    requests = list(system.encode(tiny.examples(64)))
    sizes: list[int] = []

    def run(padded: Padded) -> Logits:
        sizes.append(len(padded.ids))
        return np.zeros((len(padded.ids), 2), dtype=np.float32)

    Batching(64, 0, (0, 1)).answer(requests, run)
    assert sizes == [64]


def test_the_span_head_is_pooling_and_one_linear_layer(shelf: Path) -> None:
    """By hand: the largest value of each feature over a span's tokens, both spans side by side, W x + b."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModel

    task = get_task("wic")
    folder = checkpoint(shelf, task)
    system = opened(DYNAMIC, shelf, task, batch=8)
    requests = list(system.encode(tiny.task_examples(task)))
    head = load_file(folder / "model.safetensors")
    encoder = AutoModel.from_pretrained(folder).eval()
    expected = []
    for request in requests:
        (sequence,) = request.sequences
        with torch.inference_mode():
            hidden = encoder(
                input_ids=torch.tensor([sequence.ids.tolist()]),
                token_type_ids=torch.tensor([sequence.segments.tolist()]),
            ).last_hidden_state[0]
        pooled = torch.cat([hidden[start:end].max(dim=0).values for start, end in sequence.spans])
        expected.append((head["classifier.weight"] @ pooled + head["classifier.bias"]).numpy())
    np.testing.assert_allclose(logits_of(system, requests), np.stack(expected), atol=1e-5)


def test_what_lies_outside_a_span_is_not_pooled() -> None:
    """Hidden states 1 to 5 by position, spans 1..3 and 4..5: maxima 3 and 5, also where padding is larger."""
    import torch

    from baselines.models.span_classifier import SpanClassifier

    class Counting(torch.nn.Module):
        config = type("Config", (), {"hidden_size": 1})()

        def forward(self, input_ids: torch.Tensor) -> Any:
            return type("Found", (), {"last_hidden_state": input_ids.unsqueeze(-1).float()})()

    model = SpanClassifier(Counting(), 2)
    model.classifier.weight.data = torch.eye(2)
    model.classifier.bias.data.zero_()
    spans = torch.tensor([[[1, 3], [4, 5]], [[0, 1], [0, 1]]])
    logits = model(spans, input_ids=torch.tensor([[1, 2, 3, 4, 5, 99], [-7, 1, 1, 1, 1, 1]]))
    assert logits.tolist() == [[3, 5], [-7, -7]]


@pytest.mark.parametrize("variant", [DYNAMIC, OnnxVariant()], ids=lambda variant: variant.name)
def test_moving_a_span_changes_the_answer(shelf: Path, variant: Any) -> None:
    """The spans reach the engine, and not only their number."""
    task = get_task("wsc")
    system = opened(variant, shelf, task)
    (request, *_) = system.encode(tiny.task_examples(task))
    (sequence,) = request.sequences
    moved = EncodedSequence(sequence.ids, sequence.segments, ((1, 2), (3, 4)))
    before, after = (logits_of(system, [Request("0", (spanned,))]) for spanned in (sequence, moved))
    assert np.abs(before - after).max() > 1e-3


def test_probes_of_a_span_checkpoint_have_spans_inside_their_sequences(shelf: Path) -> None:
    """Engines are compared on inputs that the head can read."""
    config = json.loads((checkpoint(shelf, get_task("wic")) / "config.json").read_text())
    for padded in probes(config):
        assert padded.spans is not None
        assert padded.spans.shape == (len(padded.ids), 2, 2)
        lengths = padded.mask.sum(axis=1)[:, None]
        assert (padded.spans[..., 0] < padded.spans[..., 1]).all()
        assert (padded.spans[..., 1] <= lengths).all()


def test_spans_are_padded_with_their_sequences() -> None:
    """One row of two spans a sequence; without spans there is no such array."""
    token = np.ones(3, dtype=np.int64)
    with_spans = EncodedSequence(token, token, ((0, 1), (1, 3)))
    assert pad([with_spans, with_spans], 0, 5).arrays()["spans"].tolist() == [[[0, 1], [1, 3]]] * 2
    assert "spans" not in pad([EncodedSequence(token, token)], 0).arrays()


def test_a_checkpoint_with_another_head_is_refused(shelf: Path, tmp_path: Path) -> None:
    """A head for spans is not used for a sequence, nor the reverse; both messages name the task to train."""
    for task, other in (("boolq", "wic"), ("wic", "boolq")):
        folder = checkpoint(shelf, get_task(other))
        with pytest.raises(CheckpointError, match=f"has no head for {task}(.|\n)*bench train --task {task}"):
            resolve_classifier(str(folder), get_task(task), tiny.Shelf(tmp_path))


def test_the_diagnostics_are_answered_by_a_checkpoint_of_rte(shelf: Path, tmp_path: Path) -> None:
    """Its labels are theirs, by name; a checkpoint of CB is refused with the task to train."""
    folder = checkpoint(shelf, get_task("rte"))
    assert resolve_classifier(str(folder), get_task("ax-b"), tiny.Shelf(tmp_path)).trained
    with pytest.raises(CheckpointError, match="bench train --task rte"):
        resolve_classifier(str(checkpoint(shelf, get_task("cb"))), get_task("ax-g"), tiny.Shelf(tmp_path))


QUICK = TrainingSettings(epochs=1, batch=4, learning_rate=1e-3, max_length=128, bf16=False)


@pytest.fixture(scope="module")
def encoder(shelf: Path) -> Path:
    """Make an encoder without a head."""
    return tiny.tiny_checkpoint(shelf / "encoder", head=False, spread=0.1, max_position_embeddings=128)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Train on one thread, as everything here runs."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", HEADS)
def test_every_head_is_trained_and_the_result_has_the_recorded_score(
    encoder: Path, tmp_path: Path, name: str
) -> None:
    """One epoch on a few examples; the folder loads again and gives the recorded score in float32."""
    task = get_task(name)
    examples = tiny.task_examples(task, 8)
    output = tmp_path / "made"
    model = tiny.checkpoint_of(encoder)
    record = finetune(task, examples[:8], examples, model, output, tuning=QUICK)
    assert record["trained"]
    assert record["steps"] > 0
    trained = resolve_classifier(str(output), task, tiny.Shelf(tmp_path / "cache"))
    assert trained.trained
    shop = tiny.preparation_context(tmp_path / "cache")
    artifact = DYNAMIC.prepare(task, PreparationSources(trained), tiny.LONG, shop)
    system = DYNAMIC.load(task, artifact, tiny.CPU, tiny.LONG)
    predictions = system.predict(system.encode(examples))
    assert task.scoring(examples, task.decide(predictions.logits, predictions.offsets)) == record["val"]


@one_of_each_head
def test_a_head_is_trained_and_not_only_its_encoder(encoder: Path, tmp_path: Path, task: Task) -> None:
    """The classifier's weights move away from where the same seed starts them."""
    from safetensors.numpy import load_file

    heads = []
    for epochs in (0, 1):
        tuning = TrainingSettings(epochs=epochs, batch=4, learning_rate=1e-2, max_length=128, bf16=False)
        output = tmp_path / str(epochs)
        examples = tiny.task_examples(task, 8)
        finetune(task, examples, [], tiny.checkpoint_of(encoder), output, tuning=tuning)
        heads.append(load_file(output / "model.safetensors")["classifier.weight"])
    assert heads[0].shape == heads[1].shape
    assert np.abs(heads[0] - heads[1]).max() > 1e-3


@one_of_each_head
def test_no_epochs_leave_a_checkpoint_that_is_recorded_as_untrained(
    encoder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], task: Task
) -> None:
    """For studies of speed: it loads and answers, its answers mean nothing, and nothing is printed."""
    examples = tiny.task_examples(task)
    output = tmp_path / "made"
    untrained = TrainingSettings(epochs=0, batch=4, max_length=128, bf16=False)
    record = finetune(task, examples, examples, tiny.checkpoint_of(encoder), output, tuning=untrained)
    assert capfd.readouterr() == ("", "")
    assert (record["trained"], record["steps"]) == (False, 0)
    assert record["val"] == "unavailable, because the model is untrained"
    checkpoint = resolve_classifier(str(output), task, tiny.Shelf(tmp_path / "cache"))
    assert not checkpoint.trained
    system = tiny.opened(DYNAMIC, task, checkpoint.folder, tmp_path / "cache")
    assert len(system.predict(system.encode(examples)).logits) == sum(
        len(example.inputs) for example in examples
    )
    assert not (tmp_path / "made.part").exists()


def test_a_choice_is_one_item_and_labels_are_one_each(encoder: Path) -> None:
    """The candidates of a choice compete, so they stay together; MultiRC's answers do not."""
    text = TextEncoder(encoder, 128)
    for name, whole in (("record", True), ("multirc", False)):
        task = get_task(name)
        examples = tiny.task_examples(task, 1)
        encoded = EncodedExamples(examples, text.encode(examples))
        items = training_items(task, list(range(len(task.labels))), encoded)
        sizes = [len(example.inputs) for example in examples]
        assert [len(item.sequences) for item in items] == (sizes if whole else [1] * sum(sizes))
        targets = [target for example in examples for target in task.targets(example)]
        assert [target for item in items for target in item.targets] == targets


def test_the_loss_of_a_choice_is_what_its_right_candidates_lack() -> None:
    """Scores 0, log 2, log 3 of which the last two are right: minus log of (2 + 3) / 6.

    A second choice of scores 0 and 0, the first right: minus log of 1/2. The loss is their mean.
    """
    import torch

    from baselines.training.objective import choice_loss

    scores = torch.tensor([1.0, 2.0, 3.0, 1.0, 1.0]).log()
    loss = choice_loss(scores, torch.tensor([0, 1, 1, 1, 0]), [3, 2])
    assert float(loss) == pytest.approx((np.log(6 / 5) + np.log(2)) / 2, abs=1e-6)


def test_a_choice_without_a_right_candidate_teaches_nothing() -> None:
    """It is left out of the mean; where there is no other, the loss is 0 and still has a gradient."""
    import torch

    from baselines.training.objective import choice_loss

    scores = torch.tensor([3.0, 5.0, 0.0, 0.0], requires_grad=True)
    assert float(choice_loss(scores, torch.tensor([0, 0, 1, 0]), [2, 2]).detach()) == pytest.approx(np.log(2))
    nothing = choice_loss(scores, torch.tensor([0, 0, 0, 0]), [2, 2])
    nothing.backward()
    assert float(nothing.detach()) == 0
    assert scores.grad is not None
    assert scores.grad.tolist() == [0, 0, 0, 0]


def test_training_on_hidden_labels_names_the_example(encoder: Path) -> None:
    """For choices too."""
    task = get_task("record")
    (first, *_) = tiny.task_examples(task, 1)
    hidden = Example(first.id, first.inputs, (), first.candidates, first.cluster)
    with pytest.raises(UsageError, match=f"example {first.id} has no label"):
        training_items(task, [0], EncodedExamples([hidden], TextEncoder(encoder, 128).encode([hidden])))
