"""CTranslate2 computes the same model for every family that it supports; int8 stays within the CPU's sums."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import encoders
import numpy as np
import pytest
import tiny

from baselines.checkpoints import optional_packages
from baselines.encoding.batching import Padded
from baselines.engines import ctranslate2, pytorch
from baselines.engines.ctranslate2_weights import FULL_RANGE, SEVEN_BITS, ClassifierHead, require_supported
from baselines.models.transformers_settings import quiet_transformers
from harness.common.errors import CheckpointError, DeviceError
from harness.systems.interface import Placement, Predictions, Request, Settings, offsets_of
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Logits
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.graphs.candidates import CandidateTimer
from optimized.quantization import weight_range
from optimized.quantization.ctranslate2_int8 import CTranslate2Int8Variant

(FP32,) = ctranslate2.VARIANTS
CB, WIC = get_task("cb"), get_task("wic")
needs_ctranslate2 = pytest.mark.skipif(FP32.unavailable() is not None, reason="extra ctranslate2")


def answers(variant: Any, folder: Path, cache: Path, task: Task = BOOLQ, batch: int = 1) -> Logits:
    """Prepare, load and answer six examples."""
    settings = Settings(max_length=48 if task is BOOLQ else 128, batch=batch)
    system = tiny.opened(variant, task, folder, cache, settings)
    examples = tiny.examples(6) if task is BOOLQ else tiny.task_examples(task, 6)
    predictions = system.predict(system.encode(examples)).logits
    system.close()
    logits: Logits = predictions
    return logits


def roberta(folder: Path) -> Path:
    """Write a random RoBERTa: positions from the padding's id + 1, one kind of segment."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    config = RobertaConfig(
        vocab_size=len(tiny.vocabulary()), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=66, type_vocab_size=1, pad_token_id=0,
        initializer_range=0.4, id2label={0: "false", 1: "true"},
    )  # fmt: skip
    with quiet_transformers():
        RobertaForSequenceClassification(config).save_pretrained(folder)
    tiny.write_tokenizer(folder)
    return folder


def distilbert(folder: Path) -> Path:
    """Write a random DistilBERT, whose head has its own dense layer and which has no segments."""
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    config = DistilBertConfig(
        vocab_size=len(tiny.vocabulary()), dim=32, n_layers=2, n_heads=2, hidden_dim=64,
        max_position_embeddings=64, initializer_range=0.4, id2label={0: "false", 1: "true"},
    )  # fmt: skip
    with quiet_transformers():
        DistilBertForSequenceClassification(config).save_pretrained(folder)
    tiny.write_tokenizer(folder)
    return folder


@needs_ctranslate2
@pytest.mark.parametrize(
    "make", [tiny.tiny_checkpoint, roberta, distilbert], ids=["bert", "roberta", "distilbert"]
)
@pytest.mark.parametrize("batch", [1, 4])
def test_every_supported_family_is_the_same_model(tmp_path: Path, make: Any, batch: int) -> None:
    """Alone, and together where shorter ones are padded."""
    folder = make(tmp_path / "model")
    exact = answers(pytorch.VARIANTS[1], folder, tmp_path / "cache")
    assert np.ptp(exact[:, 0]) > 0.05, "answers that do not vary cannot show an order"
    np.testing.assert_allclose(answers(FP32, folder, tmp_path / "cache", batch=batch), exact, atol=1e-4)


@needs_ctranslate2
@pytest.mark.parametrize("kind", ["xlm-roberta", "mpnet", "nomic_bert", "eurobert"])
@pytest.mark.parametrize("task", [CB, WIC], ids=["sequence", "span"])
def test_other_families_are_the_same_model_where_its_format_has_their_facts(
    tmp_path: Path, kind: str, task: Task
) -> None:
    """A relative position bias, rotations, gates, norms before, and the mean of all tokens' logits."""
    folder = encoders.saved(encoders.model_of(kind, task), tmp_path / "model")
    exact = answers(pytorch.VARIANTS[1], folder, tmp_path / "cache", task, batch=4)
    assert np.ptp(exact[:, 0]) > 0.05
    np.testing.assert_allclose(answers(FP32, folder, tmp_path / "cache", task, batch=4), exact, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "lacking"),
    [
        ("modernbert", "windowed attention"),
        ("deberta-v3", "disentangled attention"),
        ("electra", "projection of narrower embeddings"),
        ("albert", "projection of narrower embeddings"),
    ],
)
def test_what_the_format_has_no_field_for_is_refused_with_the_fact(kind: str, lacking: str) -> None:
    """From config.json alone."""
    with pytest.raises(CheckpointError, match=f"CTranslate2 has no {lacking}"):
        require_supported(encoders.config_of(kind).to_dict(), "mine")


@needs_ctranslate2
def test_the_head_for_spans_reads_the_spans(tmp_path: Path) -> None:
    """Their largest values, side by side."""
    folder = tiny.task_checkpoint(tmp_path / "model", WIC)
    exact = answers(pytorch.VARIANTS[1], folder, tmp_path / "cache", WIC)
    np.testing.assert_allclose(answers(FP32, folder, tmp_path / "cache", WIC), exact, atol=1e-4)


@needs_ctranslate2
@pytest.mark.parametrize("variant", [FP32, CTranslate2Int8Variant()], ids=lambda variant: variant.name)
def test_it_describes_what_it_computes_with(boolq_folder: Path, tmp_path: Path, variant: Any) -> None:
    """Threads, replicas, precision and arithmetic, for the record and the share of the limit."""
    description = tiny.opened(variant, BOOLQ, boolq_folder, tmp_path, tiny.SHORT).describe()
    assert (description["threads"], description["replicas"], description["work"]["hidden"]) == (1, 1, 32)
    assert ("int8" in description["precision"]) == (variant is not FP32)


@needs_ctranslate2
def test_int8_is_close_and_does_not_depend_on_company(boolq_folder: Path, tmp_path: Path) -> None:
    """The manifest holds both, and the system reports the range of the weights."""
    variant = CTranslate2Int8Variant()
    shop = tiny.preparation_context(tmp_path)
    artifact = variant.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop)
    manifest = artifact.manifest
    assert 0 < manifest["agreement"]["max_logit_difference"] < manifest["agreement"]["bound"]
    assert manifest["batch_dependence"]["max_logit_difference"] < 0.05
    description = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT).describe()
    assert description["reduce_range"] == manifest["reduce_range"]


@needs_ctranslate2
def test_a_pruned_encoder_is_taken_as_it_is(tmp_path: Path) -> None:
    """Heads that do not fill the width, layers with unlike units."""
    folder = pruned_checkpoint(tmp_path / "narrow", heads=((0,), (1,)), units=(range(64), range(24)))
    exact = answers(pytorch.VARIANTS[1], folder, tmp_path / "cache")
    np.testing.assert_allclose(answers(FP32, folder, tmp_path / "cache"), exact, atol=1e-4)


def pruned_checkpoint(folder: Path, heads: Any, units: Any) -> Path:
    """Write the tiny BERT with these heads and units of each layer left."""
    from baselines.models import resize
    from baselines.models.classifier import load_classifier

    whole = tiny.tiny_checkpoint(folder.parent / "whole")
    model = load_classifier(whole)
    resize.narrow(model, heads, [list(kept) for kept in units])
    with quiet_transformers():
        model.save_pretrained(folder)
    tiny.write_tokenizer(folder)
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "squeezebert"}, "CTranslate2 does not support the family squeezebert"),
        ({"heads_per_layer": [1, 2], "attention_head_size": 16}, "one number of heads"),
        ({"hidden_act": "gelu_10"}, "no activation gelu_10"),
    ],
    ids=["family", "heads", "activation"],
)
def test_what_it_cannot_compute_is_refused_by_name(
    boolq_folder: Path, tmp_path: Path, change: Mapping[str, Any], message: str
) -> None:
    """Before anything is converted."""
    folder = tmp_path / "model"
    folder.mkdir()
    for path in boolq_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | dict(change)))
    with pytest.raises(CheckpointError, match=message):
        FP32.prepare(BOOLQ, tiny.sources(folder), tiny.SHORT, tiny.preparation_context(tmp_path / "cache"))


@needs_ctranslate2
def test_it_runs_on_the_cpu_only(boolq_folder: Path, tmp_path: Path) -> None:
    """Before a model is opened."""
    artifact = FP32.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(tmp_path))
    with pytest.raises(DeviceError, match="runs on the CPU only"):
        FP32.load(BOOLQ, artifact, Placement("cuda", (0,), 1), tiny.SHORT)


def test_a_head_is_its_two_layers() -> None:
    """Hidden [2, -2], dense the identity, tanh; labels sum and difference: 0 and 2 tanh 2."""
    weights = {
        "dense.weight": np.eye(2, dtype=np.float32), "dense.bias": np.zeros(2, dtype=np.float32),
        "labels.weight": np.array([[1, 1], [1, -1]], dtype=np.float32),
        "labels.bias": np.zeros(2, dtype=np.float32),
    }  # fmt: skip
    padded = Padded(*(np.zeros((1, 1), dtype=np.int64),) * 3)
    logits = ClassifierHead(weights, np.tanh).logits(np.array([[[2.0, -2.0]]], dtype=np.float32), padded)
    np.testing.assert_allclose(logits, [[0.0, 2 * np.tanh(2.0)]], atol=1e-6)


class ConstantSystem:
    """A system whose logits are all one number."""

    def __init__(self, value: float) -> None:
        self._value = value

    def encode(self, examples: Any) -> Any:
        """Return them."""
        return [Request(example.id, ()) for example in examples]

    def predict(self, requests: Any) -> Any:
        """Answer each with the number."""
        return Predictions(np.full((len(requests), 2), self._value, np.float32), offsets_of(requests))

    def close(self) -> None:
        """Hold nothing."""


@pytest.mark.parametrize(
    ("narrow_sums", "eight", "reduced"),
    [(True, 0.5, False), (True, 0.95, True), (True, 2.0, True), (False, 2.0, False)],
)
def test_eight_bits_are_kept_only_where_they_are_clearly_closer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, narrow_sums: bool, eight: float, reduced: bool
) -> None:
    """7 bits are 1.0 from float32: 0.5 is closer, 0.95 is luck, 2.0 overflowed; wide sums need no trial."""
    monkeypatch.setattr(weight_range, "needs_seven_bits", lambda: narrow_sums)
    bench = CandidateTimer(
        "x", BOOLQ, tuple(tiny.examples(3)), tiny.SHORT, tiny.preparation_context(tmp_path)
    )
    reduce_range, basis = weight_range.choose_range(
        bench, lambda _: ConstantSystem(0.0), lambda seven: lambda _: ConstantSystem(1.0 if seven else eight)
    )
    assert (reduce_range, basis["reduce_range"]) == (reduced, reduced)
    assert ("range_trial" in basis) == narrow_sums


def test_without_examples_seven_bits_are_the_safe_choice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is opened."""
    monkeypatch.setattr(weight_range, "needs_seven_bits", lambda: True)
    bench = CandidateTimer("x", BOOLQ, (), tiny.SHORT, tiny.preparation_context(tmp_path))
    assert weight_range.choose_range(bench, ConstantSystem, ConstantSystem) == (True, {"reduce_range": True})


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({}, "needs ctranslate2: pip install 'ctranslate2>=4.5'"),
        ({"ctranslate2": "3.1"}, "needs ctranslate2>=4.5 (here is 3.1): pip install"),
        ({"ctranslate2": "4.8.5"}, None),
    ],
    ids=["missing", "too old", "installed"],
)
def test_an_engine_that_is_missing_or_too_old_names_its_line(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str], expected: str | None
) -> None:
    """The requirements of the extra are compared with what is installed."""

    def version(name: str) -> str:
        if name in installed:
            return installed[name]
        raise optional_packages.PackageNotFoundError(name)

    monkeypatch.setattr(
        optional_packages, "requires", lambda _: ["numpy>=2", "ctranslate2>=4.5; extra == 'ctranslate2'"]
    )
    monkeypatch.setattr(optional_packages, "version", version)
    reason = optional_packages.missing_extra("ctranslate2")
    assert reason == expected or (expected is not None and reason is not None and reason.startswith(expected))


def test_the_largest_rounded_weights_are_ctranslate2s_own_and_half_of_it() -> None:
    """2 x 255 x 63 = 32,130 is less than 32,767; with 127 it would be 64,770."""
    assert 2 * 255 * SEVEN_BITS < 2**15 - 1 < 2 * 255 * FULL_RANGE
