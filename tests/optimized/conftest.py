"""One tiny checkpoint for BoolQ's labels and its graph, made once."""

from pathlib import Path

import pytest
import tiny

from baselines.engines.onnx.runtime import OnnxVariant
from harness.workload.tasks.superglue.boolq import BOOLQ


@pytest.fixture(scope="session")
def boolq_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a random BERT with a head for false and true."""
    return tiny.tiny_checkpoint(tmp_path_factory.mktemp("checkpoints") / "boolq-tiny")


@pytest.fixture(scope="session")
def exported(boolq_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export that checkpoint; return the folder to lend to workshops whose subject is what comes after."""
    root = tmp_path_factory.mktemp("exported")
    OnnxVariant().prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.workshop(root))
    return root
