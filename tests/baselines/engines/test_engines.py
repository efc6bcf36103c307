"""Every engine gives the same answers, by name and in order, and reports its actual settings."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from baselines.encoding.batching import Padded
from baselines.engines import pytorch
from baselines.engines.agreement import probes, require_agreement
from baselines.engines.null import NullVariant
from baselines.engines.onnx.runtime import OnnxVariant
from baselines.registry import variants
from harness.common.errors import CheckpointError, DeviceError, UsageError
from harness.systems.interface import Placement, Settings
from harness.workload.tasks.example import Example, Logits, TextInput
from harness.workload.tasks.superglue.boolq import BOOLQ

FIXED, DYNAMIC = pytorch.VARIANTS
GROUPED = [
    *tiny.examples(5),
    Example("g", tuple(TextInput("the lake is frozen", word) for word in ("winter", "year", "people"))),
    *tiny.examples(2),
]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the module, so that a graph is exported once."""
    return tmp_path_factory.mktemp("shelf")


def logits_of(
    variant: Any,
    folder: Path,
    cache: Path,
    batch: int = 1,
    requests: Sequence[Example] = GROUPED,
    length: int = 32,
) -> Logits:
    """Prepare, load and answer all requests in one call."""
    settings = Settings(max_length=length, batch=batch)
    artifact = variant.prepare(
        BOOLQ, tiny.sources(folder), settings, tiny.preparation_context(cache / folder.name)
    )
    system = variant.load(BOOLQ, artifact, tiny.CPU, settings)
    predictions = system.predict(system.encode(requests))
    system.close()
    assert predictions.logits.dtype == np.float32
    assert predictions.offsets[-1] == len(predictions.logits)
    logits: Logits = predictions.logits
    return logits


@pytest.fixture(scope="module")
def reference(boolq_folder: Path, shelf: Path) -> Logits:
    """Return the baseline's answers, one sequence at a time."""
    return logits_of(FIXED, boolq_folder, shelf)


@pytest.mark.parametrize("batch", [1, 3, 20])
@pytest.mark.parametrize("variant", [FIXED, DYNAMIC, OnnxVariant()], ids=lambda variant: variant.name)
def test_engines_and_batch_sizes_agree_in_order(
    boolq_folder: Path, shelf: Path, reference: Logits, variant: Any, batch: int
) -> None:
    """Padded or not, in chunks of one, three or all: the same logits in the order of the requests."""
    logits = logits_of(variant, boolq_folder, shelf, batch)
    assert logits.shape == (10, 2)
    assert np.ptp(reference[:, 0]) > 0.1, "answers that do not vary cannot show an order"
    np.testing.assert_allclose(logits, reference, atol=1e-4)


def test_offsets_say_which_rows_belong_to_which_request(boolq_folder: Path, tmp_path: Path) -> None:
    """The sixth request has three sequences: rows 5 to 8."""
    artifact = DYNAMIC.prepare(
        BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(tmp_path)
    )
    system = DYNAMIC.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    assert system.predict(system.encode(GROUPED)).offsets.tolist() == [0, 1, 2, 3, 4, 5, 8, 9, 10]
    assert system.predict([]).logits.shape == (0, 2)


@pytest.mark.parametrize("variant", [DYNAMIC, OnnxVariant()], ids=lambda variant: variant.name)
def test_columns_follow_the_tasks_labels_whatever_the_checkpoints_order(
    boolq_folder: Path, tmp_path: Path, reference: Logits, variant: Any
) -> None:
    """A head with its rows and their names swapped answers the same by name."""
    from safetensors.numpy import load_file, save_file

    folder = Path(shutil.copytree(boolq_folder, tmp_path / "swapped"))
    tensors = load_file(folder / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        tensors[name] = np.ascontiguousarray(tensors[name][::-1])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config |= {"id2label": {"0": "true", "1": "false"}, "label2id": {"true": 0, "false": 1}}
    (folder / "config.json").write_text(json.dumps(config))
    np.testing.assert_allclose(logits_of(variant, folder, tmp_path), reference, atol=1e-4)


def test_segments_reach_a_model_that_has_them(boolq_folder: Path, shelf: Path) -> None:
    """The same tokens without the second segment get other answers, from PyTorch and ONNX alike."""
    for variant in (DYNAMIC, OnnxVariant()):
        artifact = variant.prepare(
            BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(shelf / boolq_folder.name)
        )
        system = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
        (request,) = system.encode([Example("0", (TextInput("the lake", "is"),))])
        before = system.predict([request]).logits
        request.sequences[0].segments[:] = 0
        assert np.abs(system.predict([request]).logits - before).max() > 1e-3


def test_a_family_without_segments_is_exported_and_agrees(tmp_path: Path) -> None:
    """RoBERTa counts positions from the padding id and has one segment; its graph has two inputs."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    from baselines.models.transformers_settings import quiet_transformers

    folder = tmp_path / "roberta"
    config = RobertaConfig(
        vocab_size=len(tiny.vocabulary()), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=66, type_vocab_size=1, pad_token_id=0,
        bos_token_id=2, eos_token_id=3, initializer_range=0.4, id2label={0: "false", 1: "true"},
    )  # fmt: skip
    with quiet_transformers():
        RobertaForSequenceClassification(config).save_pretrained(folder)
    tiny.write_tokenizer(folder)
    sources, shop = tiny.sources(folder), tiny.preparation_context(tmp_path / "roberta-cache")
    manifest = OnnxVariant().prepare(BOOLQ, sources, tiny.SHORT, shop).manifest
    assert manifest["inputs"] == ["input_ids", "attention_mask"]
    both = [logits_of(variant, folder, tmp_path, 4) for variant in (FIXED, OnnxVariant())]
    np.testing.assert_allclose(*both, atol=1e-4)


def test_the_second_preparation_finds_the_first(boolq_folder: Path, tmp_path: Path) -> None:
    """No message, no file, and the same manifest."""
    messages: list[str] = []
    shop = tiny.preparation_context(tmp_path, told=messages)
    first = OnnxVariant().prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop)
    again = OnnxVariant().prepare(BOOLQ, tiny.sources(boolq_folder), Settings(64, 8), shop)
    assert (first.fresh, again.fresh) == (True, False)
    assert len(messages) == 1
    assert again.manifest == first.manifest


def test_the_export_says_how_it_was_made_and_how_far_it_is_from_pytorch(
    boolq_folder: Path, tmp_path: Path
) -> None:
    """Exporter, attention, opset, nodes, size, libraries, parent and agreement, all seen and none assumed."""
    shop = tiny.preparation_context(tmp_path)
    artifact = OnnxVariant().prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop)
    manifest = artifact.manifest
    assert (manifest["exporter"], manifest["attention"], manifest["opset"]) == ("torchscript", "eager", 17)
    assert manifest["parents"] == [tiny.checkpoint_of(boolq_folder).fingerprint]
    assert manifest["bytes"] == (artifact.folder / "model.onnx").stat().st_size
    assert manifest["nodes"] > 50
    assert manifest["fused_nodes"] == 0
    assert 0 < manifest["agreement"]["max_logit_difference"] < 1e-4
    assert manifest["seconds"] > 0
    assert set(manifest["libraries"]) == {"torch", "transformers", "onnx", "onnxruntime"}


def test_a_graph_that_disagrees_is_refused_and_not_kept(boolq_folder: Path, tmp_path: Path) -> None:
    """With no tolerance at all even a good graph is too far, and the cache stays empty."""
    shop = tiny.preparation_context(tmp_path)
    strict = OnnxVariant(tolerance=-1.0)
    with pytest.raises(CheckpointError, match="graph disagrees with its source"):
        strict.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop)
    assert shop.cache.made == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", [0.01, np.nan])
def test_agreement_is_required_of_every_probe(wrong: float) -> None:
    """One bad logit in one of five shapes is enough, also if it is NaN."""
    config = {"vocab_size": 50, "max_position_embeddings": 64}

    def right(padded: Padded) -> Logits:
        return np.zeros((len(padded.ids), 2), dtype=np.float32)

    def almost(padded: Padded) -> Logits:
        logits = right(padded)
        logits[-1, 0] = wrong if padded.ids.shape == (3, 33) else 0.0
        return logits

    assert require_agreement(right, right, probes(config), 1e-4) == 0.0
    with pytest.raises(CheckpointError):
        require_agreement(right, almost, probes(config), 1e-4)


def test_weights_that_are_not_numbers_are_refused_by_the_export_by_name(
    boolq_folder: Path, tmp_path: Path
) -> None:
    """PyTorch gives NaN too, so the message does not send the user there."""
    folder = tiny.with_weight(boolq_folder, tmp_path / "diverged", "bert.pooler.dense.weight", np.nan)
    shop = tiny.preparation_context(tmp_path)
    with pytest.raises(CheckpointError, match=r"not finite numbers.*bert\.pooler\.dense\.weight") as caught:
        OnnxVariant().prepare(BOOLQ, tiny.sources(folder), tiny.SHORT, shop)
    assert "pytorch-dynamic" not in str(caught.value)
    assert shop.cache.made == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_reference_that_is_not_finite_is_no_fault_of_the_graph(wrong: float) -> None:
    """Whatever the candidate gives, even the same: the checkpoint itself is refused."""
    config = {"vocab_size": 50, "max_position_embeddings": 64}

    def broken(padded: Padded) -> Logits:
        return np.full((len(padded.ids), 2), wrong, dtype=np.float32)

    with pytest.raises(CheckpointError, match="the checkpoint itself, in PyTorch") as caught:
        require_agreement(broken, broken, probes(config), 1e-4)
    assert "No engine can mend its weights" in str(caught.value.remedy)


def test_engines_read_back_what_they_use(boolq_folder: Path, shelf: Path) -> None:
    """Threads, precision, kernels and padding come from the engine, not from the request."""
    descriptions = {}
    for variant in (FIXED, DYNAMIC, OnnxVariant(), NullVariant()):
        shop = tiny.preparation_context(shelf / boolq_folder.name)
        artifact = variant.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop)
        descriptions[variant.name] = dict(variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT).describe())
    fixed, onnx = descriptions["pytorch-fixed"], descriptions["onnx-fp32"]
    assert (fixed["threads"], fixed["dtype"], fixed["attention"]) == (1, "float32", "sdpa")
    assert (fixed["padding"], descriptions["pytorch-dynamic"]["padding"]) == (
        "to 32",
        "to the longest of a call",
    )
    assert (onnx["threads"], onnx["interop_threads"], onnx["providers"]) == (1, 1, ["CPUExecutionProvider"])
    assert onnx["graph_optimization"] == "ORT_ENABLE_ALL"
    assert (onnx["spinning"], onnx["rests_between_calls"]) == (True, False)
    assert json.loads(json.dumps(descriptions)) == descriptions, "the record is JSON"


@pytest.mark.parametrize("device", ["cuda:9", "tpu", "cuda:x"])
@pytest.mark.parametrize("variant", [FIXED, OnnxVariant()], ids=lambda variant: variant.name)
def test_a_device_that_is_not_there_is_named(
    boolq_folder: Path, shelf: Path, variant: Any, device: str
) -> None:
    """Before anything is answered, and with what would work."""
    artifact = variant.prepare(
        BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(shelf / boolq_folder.name)
    )
    with pytest.raises(DeviceError, match=device):
        variant.load(BOOLQ, artifact, Placement(device, (0,), 1), tiny.SHORT)


@pytest.mark.parametrize("variant", [FIXED, OnnxVariant()], ids=lambda variant: variant.name)
def test_a_length_the_model_cannot_take_is_refused_at_preparation(
    boolq_folder: Path, tmp_path: Path, variant: Any
) -> None:
    """65 tokens for 64 positions: refused before anything is exported."""
    with pytest.raises(UsageError, match="maximum length 65"):
        variant.prepare(
            BOOLQ, tiny.sources(boolq_folder), Settings(65, 1), tiny.preparation_context(tmp_path)
        )


def test_an_onnx_worker_imports_no_torch(boolq_folder: Path, tmp_path: Path) -> None:
    """A fresh process that loads the artifact and answers has neither torch nor transformers in it."""
    artifact = OnnxVariant().prepare(
        BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(tmp_path)
    )
    code = (
        "import sys, pathlib, json\n"
        "from harness.systems.interface import *\n"
        "from harness.workload.tasks.example import *\n"
        "from harness.workload.tasks.superglue.boolq import BOOLQ\n"
        "from baselines.engines.onnx.runtime import OnnxVariant\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "artifact = Artifact(folder, 'k', json.loads((folder / 'manifest.json').read_text()))\n"
        "system = OnnxVariant().load(BOOLQ, artifact, Placement('cpu', (0,), 1), Settings(32, 1))\n"
        "requests = system.encode([Example('0', (TextInput('the lake', 'is it'),))])\n"
        "assert system.predict(requests).logits.shape == (1, 2)\n"
        "print([name for name in ('torch', 'transformers', 'onnx') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(artifact.folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
    assert done.stderr == ""


def test_the_tables_load_without_any_engine() -> None:
    """`bench list` answers at once: names and summaries need no engine and no tokenizer."""
    code = (
        "import sys\n"
        "from baselines.registry import variants as plain\n"
        "from optimized.registry import variants as faster\n"
        "assert all(each.name and each.summary for each in (*plain(), *faster()))\n"
        "heavy = ('torch', 'transformers', 'onnxruntime', 'onnx', 'tokenizers', 'safetensors')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_table_names_every_variant_once() -> None:
    """Names are what users type; each summary fits one line."""
    names = [variant.name for variant in variants()]
    assert names[:3] == ["pytorch-fixed", "pytorch-dynamic", "onnx-fp32"]
    assert names[-3:] == ["null", "command", "null-server"]
    assert len(set(names)) == len(names)
    needed = [variant for variant in variants() if variant.name in (*names[:3], *names[-2:])]
    assert all(variant.unavailable() is None for variant in needed)
    assert all("\n" not in variant.summary and len(variant.summary) < 100 for variant in variants())


def test_null_answers_every_sequence_with_nothing(boolq_folder: Path, tmp_path: Path) -> None:
    """It has the right shape, so the loop treats it as any system."""
    variant = NullVariant()
    artifact = variant.prepare(
        BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(tmp_path)
    )
    system = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    predictions = system.predict(system.encode(GROUPED))
    assert predictions.logits.shape == (10, 2)
    assert not predictions.logits.any()
    assert BOOLQ.decide(predictions.logits, np.arange(11)) == ["false"] * 10


def transformers_labels(folder: Path, requests: Sequence[Example], threshold: float) -> list[set[str]]:
    """Return the labels whose sigmoid is at least the threshold, by transformers alone."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    labels = []
    for example in requests:
        text = example.inputs[0]
        inputs = tokenizer(text.first, text.second, return_tensors="pt")
        with torch.inference_mode():
            probabilities = model(**inputs).logits[0].sigmoid()
        pairs = zip(model.config.id2label.values(), probabilities, strict=True)
        labels.append({label for label, probability in pairs if probability >= threshold})
    return labels


@pytest.mark.parametrize("threshold", [0.5, 0.3])
@pytest.mark.parametrize("variant", [FIXED, DYNAMIC, OnnxVariant()], ids=lambda variant: variant.name)
def test_any_number_of_labels_holds_as_transformers_decides(
    tmp_path: Path, variant: Any, threshold: float
) -> None:
    """The task lists its labels in another order than the checkpoint; sets are empty, and have several."""
    folder = tiny.multi_label_checkpoint(tmp_path / "several", ("winter", "people", "lake"))
    task, examples = tiny.multi_label_task(threshold), tiny.examples(12, longest=20, gold=("000",))
    context = tiny.preparation_context(tmp_path / "cache")
    artifact = variant.prepare(task, tiny.sources(folder, task=task), tiny.SHORT, context)
    system = variant.load(task, artifact, tiny.CPU, tiny.SHORT)
    predictions = system.predict(system.encode(examples))
    answers = task.decide(predictions.logits, predictions.offsets)
    expected = transformers_labels(folder, examples, threshold)
    assert [set(task.names(answer)) for answer in answers] == expected
    assert len({frozenset(labels) for labels in expected}) > 2, "answers that do not vary show nothing"
