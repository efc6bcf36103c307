"""A checkpoint is compared with transformers alone: inputs, padding and finite numbers."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from other_families import family_checkpoint

from baselines.engines.pytorch import VARIANTS
from baselines.models.checks.comparison import compare_with_library
from baselines.models.transformers_settings import quiet_transformers
from harness.common.errors import CheckpointError
from harness.systems.interface import Settings
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Logits
from harness.workload.tasks.superglue.boolq import BOOLQ

FIXED, DYNAMIC = VARIANTS
LENGTH = 48
TEXTS = tiny.examples(12, longest=24)


def checked(folder: Path) -> dict[str, Any]:
    return compare_with_library(folder, folder.name, TEXTS, LENGTH)


def refusal(folder: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        checked(folder)
    assert caught.value.remedy
    return caught.value


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def transformers_alone(folder: Path) -> Logits:
    """Return the logits of each text as transformers' documentation computes them, one text at a time."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with quiet_transformers(), torch.inference_mode():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
        rows = []
        for example in TEXTS:
            text = example.inputs[0]
            inputs = tokenizer(text.first, text.second, return_tensors="pt")
            rows.append(model(**inputs).logits.numpy())
    return np.concatenate(rows)


def ours(folder: Path, cache: Path, variant: Any, batch: int = 1) -> Logits:
    system = tiny.opened(variant, BOOLQ, folder, cache, Settings(LENGTH, batch))
    logits: Logits = system.predict(system.encode(TEXTS)).logits
    return logits


def test_bert_is_checked_and_padding_changes_nothing(boolq_folder: Path) -> None:
    """The facts name how many texts were encoded, and by how much padding changed a logit."""
    facts = checked(boolq_folder)
    assert facts["texts"] == 12
    assert facts["library"] == {"differing_texts": 0, "max_logit_difference": 0.0}
    assert 0 <= facts["padding"]["max_logit_difference"] < 1e-5


def test_gpt2_without_a_padding_id_is_refused(tmp_path: Path) -> None:
    """Padded, it reads its answer at the padding: transformers alone gives other logits."""
    folder = family_checkpoint(tmp_path / "gpt2", "gpt2", padding_token=None)
    wrong = np.abs(ours(folder, tmp_path, FIXED) - transformers_alone(folder)).max()
    assert wrong > 0.1, "the fault must show for the check to find it"
    problem = refusal(folder)
    assert problem.message.startswith("padding gives wrong answers: transformers refuses a padded batch")
    assert "Set pad_token_id in config.json" in str(problem.remedy)


def test_the_remedy_for_gpt2_works(tmp_path: Path) -> None:
    """With a padding id, padded and unpadded answers are those of transformers alone."""
    folder = family_checkpoint(tmp_path / "gpt2", "gpt2", padding_token=None)
    edit(folder / "config.json", pad_token_id=3)
    assert checked(folder)["padding"]["max_logit_difference"] < 1e-4
    expected = transformers_alone(folder)
    for variant, batch in ((FIXED, 1), (FIXED, 4), (DYNAMIC, 4)):
        np.testing.assert_allclose(ours(folder, tmp_path, variant, batch), expected, atol=1e-4)


def test_a_family_that_is_padded_on_the_left_is_refused(tmp_path: Path) -> None:
    """XLNet reads its answer at the last token, which is padding if that is on the right."""
    folder = family_checkpoint(tmp_path / "xlnet", "xlnet", padding_side="left")
    assert "transformers' own padding gives others" in refusal(folder).message


def test_a_family_whose_answers_change_with_padding_by_nature_is_measured_with_a_fact(tmp_path: Path) -> None:
    """FNet mixes all tokens, padding too; transformers' own padding changes its logits in the same way."""
    folder = family_checkpoint(tmp_path / "fnet", "fnet", types=True)
    facts = checked(folder)
    expected = np.abs(ours(folder, tmp_path, FIXED) - transformers_alone(folder)).max()
    assert facts["padding"]["max_logit_difference"] > facts["limit"]
    assert facts["padding"]["max_logit_difference"] <= expected + 1e-4


def test_token_types_that_transformers_does_not_pass_are_found(boolq_folder: Path, tmp_path: Path) -> None:
    """model_input_names without token_type_ids: transformers gives every token the first type."""
    folder = Path(shutil.copytree(boolq_folder, tmp_path / "untyped"))
    edit(folder / "tokenizer_config.json", model_input_names=["input_ids", "attention_mask"])
    difference = np.abs(ours(folder, tmp_path, DYNAMIC) - transformers_alone(folder)).max()
    message = refusal(folder).message
    assert "token ids or types differ in 12 of 12 training texts; logits differ by up to" in message
    assert float(message.partition("by up to ")[2].split()[0]) <= difference * 1.01


def test_token_types_that_only_transformers_passes_are_found(tmp_path: Path) -> None:
    """GPT-2 adds the embedding of the type's number as if it were a token."""
    folder = family_checkpoint(tmp_path / "gpt2", "gpt2", types=True, pad_token_id=0)
    difference = np.abs(ours(folder, tmp_path, DYNAMIC) - transformers_alone(folder)).max()
    assert difference > 0.01, "the fault must show for the check to find it"
    problem = refusal(folder)
    assert "it passes token types" in problem.message
    assert "remove token_type_ids from model_input_names" in str(problem.remedy)


def test_weights_that_are_not_numbers_are_named(boolq_folder: Path, tmp_path: Path) -> None:
    """One NaN in a row of the embeddings, which no text here uses, is enough."""
    for value in (np.nan, np.inf):
        folder = tiny.with_weight(
            boolq_folder, tmp_path / str(value), "bert.embeddings.word_embeddings.weight", value
        )
        message = refusal(folder).message
        assert message.startswith("its weights are not finite numbers")
        assert "bert.embeddings.word_embeddings.weight" in message


def test_activations_that_overflow_are_refused_though_weights_are_finite(
    boolq_folder: Path, tmp_path: Path
) -> None:
    """float32 ends at 3.4e38: two such weights make an infinite logit."""
    folder = tiny.with_weight(boolq_folder, tmp_path / "huge", "classifier.weight", 3e38, every=True)
    assert "its logits are not finite numbers" in refusal(folder).message


def test_a_tokenizer_that_transformers_cannot_load_is_a_reason_and_no_refusal(
    boolq_folder: Path, tmp_path: Path
) -> None:
    """Uncertain is not wrong: the manifest has the reason, and padding is compared all the same."""
    folder = Path(shutil.copytree(boolq_folder, tmp_path / "unknown"))
    edit(folder / "tokenizer_config.json", added_tokens_decoder={"no number": {}})
    facts = checked(folder)
    assert facts["library"].startswith("unavailable, because transformers cannot load the tokenizer")
    assert facts["padding"]["max_logit_difference"] < 1e-5


@pytest.mark.parametrize("name", ["wic", "copa", "record"])
def test_every_head_is_compared_with_transformers(tmp_path: Path, name: str) -> None:
    """Spans that a short maximum length cuts off are left out, and dozens of candidates too."""
    task = get_task(name)
    folder = tiny.task_checkpoint(tmp_path / name, task)
    facts = compare_with_library(folder, name, tiny.task_examples(task, 20), 24 if name == "wic" else 128)
    assert 0 < facts["texts"] <= 64
    assert facts["library"]["max_logit_difference"] == 0.0
