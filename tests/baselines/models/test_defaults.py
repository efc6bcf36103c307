"""config.json is read as transformers reads it: with its family's defaults, or refused with what is wrong."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from other_families import family_checkpoint

from baselines.checkpoints.folder import read_config
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.pytorch import VARIANTS
from baselines.models.defaults import missing_defaults
from baselines.models.resolve import resolve_classifier
from harness.common.errors import CheckpointError, UsageError
from harness.systems.interface import PreparationSources, Settings
from harness.workload.tasks.superglue.boolq import BOOLQ


@pytest.fixture
def folder(boolq_folder: Path, tmp_path: Path) -> Path:
    """Copy the checkpoint: a copy that a test may change."""
    return Path(shutil.copytree(boolq_folder, tmp_path / "mine"))


def rewrite(folder: Path, *removed: str, **changes: Any) -> None:
    config = {**json.loads((folder / "config.json").read_text()), **changes}
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k not in removed}))


def refusal(folder: Path, tmp_path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        resolve_classifier(str(folder), BOOLQ, tiny.Shelf(tmp_path / "cache"))
    assert caught.value.remedy
    return str(caught.value)


def test_a_complete_configuration_lacks_nothing(boolq_folder: Path, tmp_path: Path) -> None:
    """The folder itself is used, and nothing is copied."""
    assert missing_defaults(boolq_folder) == {}
    checkpoint = resolve_classifier(str(boolq_folder), BOOLQ, tiny.Shelf(tmp_path))
    assert checkpoint.folder == boolq_folder


def test_what_a_configuration_leaves_out_is_its_familys_default(folder: Path, tmp_path: Path) -> None:
    """Without pad_token_id, type_vocab_size, activation and architectures: as transformers reads it."""
    from transformers import BertConfig

    rewrite(folder, "pad_token_id", "type_vocab_size", "hidden_act", "architectures")
    assert missing_defaults(folder) == {
        name: getattr(BertConfig(), name) for name in ("pad_token_id", "type_vocab_size", "hidden_act")
    }
    checkpoint = resolve_classifier(str(folder), BOOLQ, tiny.Shelf(tmp_path / "cache"))
    assert read_config(checkpoint.folder)["pad_token_id"] == 0
    assert "pad_token_id" not in read_config(folder), "the user's folder stays as it was"


def test_positions_count_whatever_the_family_calls_them(tmp_path: Path) -> None:
    """GPT-2 has n_positions: a longer maximum length is refused before it fails with an IndexError."""
    folder = family_checkpoint(tmp_path / "gpt2", "gpt2", pad_token_id=0)
    checkpoint = resolve_classifier(str(folder), BOOLQ, tiny.Shelf(tmp_path / "cache"))
    assert read_config(checkpoint.folder)["max_position_embeddings"] == 64
    with pytest.raises(UsageError, match="maximum length 65 does not fit this model"):
        TextEncoder(checkpoint.folder, 65)


def test_a_family_without_a_limit_of_positions_gets_none(tmp_path: Path) -> None:
    """XLNet counts relative positions; its class refuses a number."""
    assert "max_position_embeddings" not in missing_defaults(family_checkpoint(tmp_path / "xlnet", "xlnet"))


def test_a_random_head_is_called_so_also_without_a_fast_tokenizer(folder: Path, tmp_path: Path) -> None:
    """training.json of the user's folder counts, not that of the copy."""
    (folder / "training.json").write_text(json.dumps({"trained": False}))
    (folder / "tokenizer.json").unlink()
    assert not resolve_classifier(str(folder), BOOLQ, tiny.Shelf(tmp_path / "cache")).trained


BROKEN: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "unknown model type": ({"model_type": "nobody-has-this"}, (), "names the model type 'nobody-has-this'"),
    "no model type": ({}, ("model_type",), "config.json has no model_type"),
    "a field of the wrong type": ({"hidden_size": "wide"}, (), "transformers cannot read config.json"),
    "quantised weights": ({"quantization_config": {"quant_method": "gptq"}}, (), "its weights are quantised"),
    "labels by name": ({"id2label": {"false": 0, "true": 1}}, (), "id2label in config.json must map numbers"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_configuration_that_transformers_refuses_is_refused_before_anything_runs(
    folder: Path, tmp_path: Path, case: str
) -> None:
    """With the field, and what to do about it."""
    changes, removed, message = BROKEN[case]
    rewrite(folder, *removed, **changes)
    assert message in refusal(folder, tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\ufeff{}", "null"])
def test_a_file_that_is_no_json_object_is_refused(folder: Path, tmp_path: Path, text: str) -> None:
    """Empty, cut, a list, with a byte order mark: where and what to do."""
    (folder / "config.json").write_text(text, encoding="utf-8")
    assert "config.json" in refusal(folder, tmp_path) or "JSON" in refusal(folder, tmp_path)


def test_half_precision_weights_are_computed_in_float32_on_a_cpu(boolq_folder: Path, tmp_path: Path) -> None:
    """A checkpoint that was saved as bfloat16 or float16 answers as transformers does in float32."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from baselines.models.transformers_settings import quiet_transformers

    examples = tiny.examples(4)
    for name in ("bfloat16", "float16"):
        folder = Path(shutil.copytree(boolq_folder, tmp_path / name))
        with quiet_transformers(), torch.inference_mode():
            model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=getattr(torch, name))
            model.save_pretrained(folder)
            tokenizer = AutoTokenizer.from_pretrained(folder)
            exact = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
            texts = [example.inputs[0] for example in examples]
            expected = [
                exact(**tokenizer(text.first, text.second, return_tensors="pt")).logits[0].numpy()
                for text in texts
            ]
        checkpoint = resolve_classifier(str(folder), BOOLQ, tiny.Shelf(tmp_path / "cache"))
        artifact = VARIANTS[1].prepare(
            BOOLQ, PreparationSources(checkpoint), Settings(64), tiny.preparation_context(tmp_path)
        )
        system = VARIANTS[1].load(BOOLQ, artifact, tiny.CPU, Settings(64))
        np.testing.assert_allclose(system.predict(system.encode(examples)).logits, expected, atol=1e-5)
