from pathlib import Path

import pytest
import tiny


@pytest.fixture(scope="module")
def deep_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a random BERT of four layers."""
    return tiny.tiny_checkpoint(tmp_path_factory.mktemp("deep") / "tiny", num_hidden_layers=4)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one cache for the tests of a module: heads are trained and graphs written once."""
    return tmp_path_factory.mktemp("cache")
