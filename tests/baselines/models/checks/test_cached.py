"""The check of a checkpoint is made once, and is left out where answers mean nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny

from baselines.models.checks.cached import check_checkpoint
from harness.common.errors import CheckpointError
from harness.systems.artifact_cache import ArtifactCache
from harness.systems.interface import Settings
from harness.workload.tasks import get_task
from harness.workload.tasks.superglue.boolq import BOOLQ


def test_a_checkpoint_is_checked_once_for_each_length(boolq_folder: Path, tmp_path: Path) -> None:
    """The second time the facts come from the cache, without a message."""
    messages: list[str] = []
    context = tiny.preparation_context(tmp_path, told=messages)
    sources = tiny.sources(boolq_folder)
    first = check_checkpoint(BOOLQ, sources, tiny.SHORT, context)
    assert check_checkpoint(BOOLQ, sources, tiny.SHORT, context) == first
    assert messages == ["checking tiny against transformers"]
    assert first["check"]["texts"] == 6
    check_checkpoint(BOOLQ, sources, Settings(64, 1), context)
    assert len(messages) == 2


def test_a_refused_checkpoint_is_refused_again(boolq_folder: Path, tmp_path: Path) -> None:
    """Only what passed is kept, and it is called by the user's name for it."""
    folder = tiny.with_weight(boolq_folder, tmp_path / "diverged", "classifier.weight", np.nan)
    cache = ArtifactCache(tmp_path / "cache")
    context = replace(tiny.preparation_context(tmp_path), cache=cache)
    for _ in range(2):
        with pytest.raises(CheckpointError, match=r"classifier\.weight") as caught:
            check_checkpoint(BOOLQ, tiny.sources(folder), tiny.SHORT, context)
        assert caught.value.where == "tiny"


def test_an_untrained_model_is_not_checked(boolq_folder: Path, tmp_path: Path) -> None:
    """Its answers mean nothing."""
    sources = tiny.sources(boolq_folder)
    untrained = replace(sources, checkpoint=replace(sources.checkpoint, trained=False))
    assert check_checkpoint(BOOLQ, untrained, tiny.SHORT, tiny.preparation_context(tmp_path)) == {}


@pytest.mark.parametrize("name", ["boolq", "wic", "copa"])
def test_a_task_without_training_texts_is_checked_on_neutral_ones(tmp_path: Path, name: str) -> None:
    """Labels of a sequence, spans and choices alike."""
    task = get_task(name)
    folder = tiny.task_checkpoint(tmp_path / "model", task)
    sources = replace(tiny.sources(folder, task=task), trial=())
    facts = check_checkpoint(task, sources, tiny.SHORT, tiny.preparation_context(tmp_path))["check"]
    assert facts["texts"] == 2
    assert facts["padding"]["max_logit_difference"] < 1e-5
    assert facts["library"]["differing_texts"] == 0
