"""Fixtures: a tiny checkpoint for BoolQ and its exported graph, each written once a session."""

from pathlib import Path

import pytest
import tiny

from baselines.engines.onnx.runtime import OnnxVariant
from harness.workload.tasks.superglue.boolq import BOOLQ


@pytest.fixture(scope="session")
def boolq_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random BERT with a head for false and true."""
    return tiny.tiny_checkpoint(tmp_path_factory.mktemp("checkpoints") / "boolq-tiny")


@pytest.fixture(scope="session")
def exported(boolq_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache with the exported graph, for tests of what is prepared from it."""
    root = tmp_path_factory.mktemp("exported")
    OnnxVariant().prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(root))
    return root
