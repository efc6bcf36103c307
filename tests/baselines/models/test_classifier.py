"""A checkpoint whose weights are not those that its config.json describes is refused, not completed."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baselines.models.classifier import load_classifier
from harness.common.errors import CheckpointError


@pytest.fixture
def folder(boolq_folder: Path, tmp_path: Path) -> Path:
    """Copy the checkpoint: a copy that a test may change."""
    return Path(shutil.copytree(boolq_folder, tmp_path / "mine"))


def configure(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_tensors(folder: Path, **changes: "np.ndarray[Any, Any] | None") -> None:
    """Replace or remove tensors; __ stands for the dot in their names."""
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors |= {name.replace("__", "."): tensor for name, tensor in changes.items()}
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_classifier(folder)
    assert caught.value.remedy
    return str(caught.value)


def test_a_head_with_other_rows_than_labels_is_refused_with_both_numbers(folder: Path) -> None:
    """Three labels by config.json, two rows in the weights."""
    names = ("false", "true", "maybe")
    configure(folder, id2label=dict(enumerate(names)), label2id={name: at for at, name in enumerate(names)})
    message = refusal(folder)
    assert (
        "is 2 x 32 in the weights, and 3 x 32 by config.json" in message or "is 2 in the weights" in message
    )
    assert "a row for each label of id2label" in message


def test_embeddings_with_other_rows_than_the_vocabulary_are_refused(folder: Path) -> None:
    """vocab_size was changed and the weights were not."""
    configure(folder, vocab_size=999)
    assert "by config.json" in refusal(folder)


def test_a_head_that_would_be_random_is_refused(folder: Path) -> None:
    """The library fills it with random numbers and logs a warning."""
    change_tensors(folder, classifier__weight=None)
    assert "tensors of the model are not in its weights: classifier.weight" in refusal(folder)


def test_layers_that_the_configuration_leaves_out_are_refused(folder: Path) -> None:
    """num_hidden_layers 1 for weights of two: transformers would run half of the model."""
    configure(folder, num_hidden_layers=1)
    message = refusal(folder)
    assert "its weights hold layers that config.json does not describe" in message
    assert "bert.encoder.layer.1." in message


def test_tensors_of_another_head_beside_it_do_not_matter(folder: Path) -> None:
    """The head of pretraining is often left in the file."""
    change_tensors(folder, cls__predictions__bias=np.zeros(3, dtype=np.float32))
    assert not load_classifier(folder).training
