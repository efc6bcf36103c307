"""One tiny checkpoint for BoolQ's labels, made once."""

from pathlib import Path

import pytest
import tiny


@pytest.fixture(scope="session")
def boolq_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a random BERT with a head for false and true."""
    return tiny.tiny_checkpoint(tmp_path_factory.mktemp("checkpoints") / "boolq-tiny")
