"""Encoders of any shape: what is taken out, what is built, saved and opened again, and what is refused."""

import json
from pathlib import Path
from typing import Any

import encoders
import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from baselines.checkpoints.folder import read_config
from baselines.engines.agreement import probes
from baselines.engines.onnx.runtime import OnnxVariant
from baselines.engines.pytorch import VARIANTS
from baselines.models.shape import EncoderShape, is_narrow, shape_fields, shape_of
from harness.common.errors import CheckpointError
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Logits

TASKS = {"sequence": get_task("cb"), "span": get_task("wic")}
every_family = pytest.mark.parametrize("family", encoders.ARCHITECTURES)
both_heads = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)

HEADS = [[0, 2, 3], [1]]
"""What stays of 4 heads a layer: another count in each, so that a mixed-up layer shows."""
UNITS = [[0, 5, 7, 20], list(range(4, 24))]


def probe_logits(model: Any, folder: Path) -> list[Logits]:
    """Return the logits for every probe: one to 128 tokens, one row and ragged ones."""
    from baselines.models.classifier import runner

    run = runner(model)
    return [run(probe) for probe in probes(read_config(folder))]


def silence(model: Any) -> None:
    """Make all heads and units that are not kept contribute nothing."""
    import torch

    from baselines.models.resize import layers_of

    for layer, heads, units in zip(layers_of(model), HEADS, UNITS, strict=True):
        size = layer.head_size
        lost = [head * size + at for head in range(layer.heads) if head not in heads for at in range(size)]
        with torch.no_grad():
            layer.out.weight[:, lost] = 0.0
            layer.down.weight[:, [unit for unit in range(encoders.UNITS) if unit not in units]] = 0.0


@every_family
@both_heads
def test_what_contributes_nothing_can_be_removed_without_a_trace(
    family: str, task: Task, tmp_path: Path
) -> None:
    """The logits stay, in memory and after loading with either attention."""
    from baselines.models.classifier import load_classifier
    from baselines.models.resize import narrow

    model = encoders.model_of(family, task)
    untouched = probe_logits(model, encoders.saved(model, tmp_path / "whole"))
    silence(model)
    folder = encoders.saved(model, tmp_path / "whole")
    expected = probe_logits(model, folder)
    assert np.ptp(np.concatenate(expected)) > 0.1
    assert max(np.abs(before - after).max() for before, after in zip(expected, untouched, strict=True)) > 0.01
    narrow(model, HEADS, UNITS)
    smaller = encoders.saved(model, tmp_path / "narrow")
    opened = [load_classifier(smaller, "eager"), load_classifier(smaller)]
    assert [loaded.config._attn_implementation for loaded in opened] == ["eager", "sdpa"]
    for loaded in (model, *opened):
        for logits, expected_logits in zip(probe_logits(loaded, folder), expected, strict=True):
            np.testing.assert_allclose(logits, expected_logits, atol=1e-5)
    assert shape_of(read_config(smaller)).heads == (3, 1)
    assert shape_of(read_config(smaller)).ffn == (4, 20)


@every_family
@both_heads
def test_the_graph_of_a_narrow_model_agrees_at_every_length(family: str, task: Task, tmp_path: Path) -> None:
    """Exported, checked against PyTorch at five shapes, and run on real examples."""
    from baselines.models.resize import narrow

    model = encoders.model_of(family, task)
    narrow(model, HEADS, UNITS)
    folder = encoders.saved(model, tmp_path / "narrow")
    _, dynamic = VARIANTS
    answers = []
    for variant in (dynamic, OnnxVariant()):
        system = tiny.opened(variant, task, folder, tmp_path / "cache")
        answers.append(system.predict(system.encode(tiny.task_examples(task))).logits)
    assert np.ptp(answers[0]) > 0.01
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-4)
    manifest = OnnxVariant().prepare(
        task, tiny.sources(folder), tiny.LONG, tiny.preparation_context(tmp_path / "cache")
    )
    assert len(manifest.manifest["agreement"]["shapes"]) == 5


@every_family
def test_a_head_size_of_its_own_loads_again(family: str, tmp_path: Path) -> None:
    """3 heads of 7 for a width of 32, which 3 does not divide; ReLU stays ReLU."""
    from baselines.models.classifier import load_classifier

    names = {"distilbert": ("n_heads", "activation")}
    heads, activation = names.get(family, ("num_attention_heads", "hidden_act"))
    sizes = {heads: 3, activation: "relu", "attention_head_size": 7}
    model = encoders.model_of(family, TASKS["sequence"], **sizes)
    folder = encoders.saved(model, tmp_path)
    shape = shape_of(read_config(folder))
    assert shape == EncoderShape(32, 7, (3, 3), (24, 24), "relu")
    opened = load_classifier(folder)
    assert type(opened).__name__ == type(model).__name__
    assert read_config(folder)["architectures"] == [type(model).__name__]
    for logits, expected in zip(probe_logits(opened, folder), probe_logits(model, folder), strict=True):
        np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_what_is_built_is_as_random_as_a_stock_model() -> None:
    """Every matrix has the configured spread and every bias is zero; one seed, one model."""
    import torch

    from baselines.models import resize as narrow

    config = encoders.config_of("bert", hidden_size=200, num_attention_heads=3, attention_head_size=26)
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        model = narrow.build(config)
        states.append(model.state_dict())
    for layer in narrow.layers_of(model):
        for linear in (layer.query, layer.key, layer.value, layer.out, layer.up, layer.down):
            assert float(linear.weight.detach().std()) == pytest.approx(0.3, rel=0.1)
            assert not linear.bias.any()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


@pytest.mark.parametrize(
    "sizes", [{"num_attention_heads": 3, "attention_head_size": 8}, {"ffn_per_layer": [5, 24]}]
)
def test_stock_transformers_refuses_a_narrow_folder(sizes: dict[str, Any], tmp_path: Path) -> None:
    """It never gets as far as wrong answers: the layers that it builds are of other sizes."""
    from transformers import AutoModelForSequenceClassification

    from baselines.models.transformers_settings import quiet_transformers

    folder = encoders.saved(encoders.model_of("bert", TASKS["sequence"], **sizes), tmp_path)
    with quiet_transformers(), pytest.raises((ValueError, RuntimeError)):
        AutoModelForSequenceClassification.from_pretrained(folder)


def test_a_shape_that_transformers_can_build_opens_there(tmp_path: Path) -> None:
    """Fewer units in every layer, all heads: no field of our own, and stock transformers answers alike."""
    from transformers import AutoModelForSequenceClassification

    from baselines.models.resize import narrow

    model = encoders.model_of("bert", TASKS["sequence"])
    narrow(model, [range(4)] * 2, [[1, 2, 3], [4, 5, 6]])
    folder = encoders.saved(model, tmp_path)
    assert "attention_head_size" not in read_config(folder)
    stock = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    for logits, expected in zip(probe_logits(stock, folder), probe_logits(model, folder), strict=True):
        np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_a_tensor_of_another_size_is_no_narrow_checkpoint(tmp_path: Path) -> None:
    """The configuration has one head more than the tensors."""
    from baselines.models.classifier import load_classifier

    folder = encoders.saved(
        encoders.model_of("bert", TASKS["sequence"], num_attention_heads=3, attention_head_size=8), tmp_path
    )
    config = read_config(folder)
    (folder / "config.json").write_text(json.dumps({**config, "num_attention_heads": 5}))
    with pytest.raises(CheckpointError, match="is 32 x 24 in the weights, and 32 x 40 by config"):
        load_classifier(folder)


@pytest.mark.parametrize("field", ["heads_per_layer", "ffn_per_layer"])
@pytest.mark.parametrize("value", [[1], [1, 2, 3], [0, 1]])
def test_layers_that_the_model_does_not_have_are_refused(field: str, value: list[int]) -> None:
    """Both lists hold a positive number for each of the two layers."""
    config = encoders.config_of("bert").to_dict()
    with pytest.raises(CheckpointError, match="for each of 2 layers"):
        shape_of({**config, field: value})


@pytest.mark.parametrize("family", ["longformer", "fnet", "deberta"])
def test_another_family_is_refused_by_name_with_those_that_work(family: str) -> None:
    """Nothing is guessed about layers of other families; the technique is the one that asked."""
    with pytest.raises(
        CheckpointError, match=f"mine: pruning does not support the family {family}"
    ) as caught:
        shape_of({"model_type": family}, "mine", "pruning")
    assert caught.value.where == "mine"
    assert "BERT, RoBERTa, XLM-R" in str(caught.value.remedy)


def test_a_head_size_that_another_family_calls_its_own_stays_its_own() -> None:
    """DeBERTa's configuration has the field too; its checkpoints load as before."""
    own = {"hidden_size": 128, "num_attention_heads": 2, "attention_head_size": 64}
    assert not is_narrow({"model_type": "deberta-v2", **own})
    # FastFormers writes it for stock shapes: 312 / 12 = 26
    stock = {"hidden_size": 312, "num_attention_heads": 12, "num_hidden_layers": 1, "intermediate_size": 9}
    written = {"model_type": "bert", "hidden_act": "relu", "attention_head_size": 26, **stock}
    assert not is_narrow(written)
    assert is_narrow({**written, "num_attention_heads": 8})


sizes = st.integers(1, 40)
layers = st.lists(st.tuples(sizes, sizes), min_size=1, max_size=4)
"""Heads and units of each layer."""


@given(st.sampled_from(["bert", "roberta", "distilbert"]), sizes, sizes, layers)
def test_a_shape_written_into_a_configuration_is_read_again(
    family: str, hidden: int, head_size: int, layers: list[tuple[int, int]]
) -> None:
    """Whatever its sizes, and narrow exactly if transformers could not build it."""
    heads, units = zip(*layers, strict=True)
    shape = EncoderShape(hidden, head_size, heads, units, "relu")
    config = {"model_type": family}
    written = {name: value for name, value in shape_fields(config, shape).items() if value is not None}
    assert shape_of({**config, **written}) == shape
    assert is_narrow({**config, **written}) == (not shape.stock)


def test_the_encoders_weights_are_those_of_its_layers() -> None:
    """Of the paper's pruned student, a layer with 8 heads of 26, a width of 312 and 600 units.

    Query, key, value: 3 * (312 * 208 + 208) = 195,312; output: 208 * 312 + 312 = 65,208;
    up: 312 * 600 + 600 = 187,800; down: 600 * 312 + 312 = 187,512; together 635,832, four times.
    """
    shape = EncoderShape(312, 26, (8,) * 4, (600,) * 4, "relu")
    assert shape.encoder_weights == 4 * 635_832


@every_family
def test_fewer_components_of_the_width_are_a_narrower_model(family: str, tmp_path: Path) -> None:
    """20 of 32 stay, heads of 8 keep their size: it loads again and its graph agrees, with either head."""
    from baselines.models.classifier import load_classifier
    from baselines.models.resize import narrow_width

    keep = [at for at in range(32) if at % 8 < 5]
    for name, task in TASKS.items():
        model = encoders.model_of(family, task)
        narrow_width(model, keep, keep)
        folder = encoders.saved(model, tmp_path / name)
        assert shape_of(read_config(folder)) == EncoderShape(20, 8, (4, 4), (24, 24), "gelu")
        for logits, expected in zip(
            probe_logits(load_classifier(folder), folder), probe_logits(model, folder), strict=True
        ):
            np.testing.assert_allclose(logits, expected, atol=1e-5)
        tiny.opened(OnnxVariant(), task, folder, tmp_path / "cache")


def test_the_width_that_stays_is_the_one_that_was_named() -> None:
    """Rows and columns of one layer and of the head, against indexing by hand."""
    import torch

    from baselines.models.resize import layers_of, narrow_width, pooling_of

    whole, part = (encoders.model_of("bert", TASKS["sequence"]) for _ in range(2))
    keep, pooled = [1, 4, 31], [0, 2, 9]
    narrow_width(part, keep, pooled)
    wide, thin = layers_of(whole)[1], layers_of(part)[1]
    assert torch.equal(thin.query.weight, wide.query.weight[:, keep])
    assert torch.equal(thin.down.weight, wide.down.weight[keep])
    assert torch.equal(thin.down.bias, wide.down.bias[keep])
    assert torch.equal(pooling_of(part)[0].weight, pooling_of(whole)[0].weight[pooled][:, keep])
    assert torch.equal(pooling_of(part)[1].weight, pooling_of(whole)[1].weight[:, pooled])
    assert torch.equal(
        part.bert.embeddings.word_embeddings.weight, whole.bert.embeddings.word_embeddings.weight[:, keep]
    )


def test_the_span_head_keeps_both_spans_columns() -> None:
    """Columns 1 and 4 of each span's 32: 1, 4, 33 and 36."""
    import torch

    from baselines.models.resize import narrow_width

    whole, part = (encoders.model_of("bert", TASKS["span"]) for _ in range(2))
    narrow_width(part, [1, 4], [])
    assert torch.equal(part.classifier.weight, whole.classifier.weight[:, [1, 4, 33, 36]])


@both_heads
def test_a_narrow_model_trains_on_in_its_shape(task: Task, tmp_path: Path) -> None:
    """After one epoch the folder has the same shape and the recorded score."""
    from baselines.training.datasets import TrainingSettings
    from baselines.training.finetune import finetune

    folder = encoders.saved(
        encoders.model_of("bert", task, heads_per_layer=[3, 1], ffn_per_layer=[4, 20]), tmp_path / "narrow"
    )
    examples = tiny.task_examples(task, 8)
    quick = TrainingSettings(epochs=1, batch=4, learning_rate=1e-3, max_length=128, bf16=False)
    record = finetune(task, examples, examples, tiny.checkpoint_of(folder), tmp_path / "made", tuning=quick)
    output = tmp_path / "made"
    assert shape_of(read_config(output)) == shape_of(read_config(folder))
    _, dynamic = VARIANTS
    system = tiny.opened(dynamic, task, output, tmp_path)
    predictions = system.predict(system.encode(examples))
    assert task.scoring(examples, task.decide(predictions.logits, predictions.offsets)) == record["val"]
