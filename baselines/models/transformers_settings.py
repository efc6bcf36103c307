"""Settings for transformers: safe loading, and no output on stderr while models load, export or quantise.

Messages of the libraries are either expected, or errors that also raise an exception. Each context manager
restores what it changed, so that the caller's own logging stays as it was.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_logging() -> Iterator[None]:
    """Suppress log records below ERROR; the null handler keeps `logging.warning` from installing another."""
    previous_level = logging.root.manager.disable
    null_handler = logging.NullHandler()
    logging.root.addHandler(null_handler)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(previous_level)
        logging.root.removeHandler(null_handler)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Suppress transformers' progress bars and load reports."""
    from transformers.utils import logging as transformers_logging

    had_bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        with quiet_logging():
            yield
    finally:
        if had_bars:
            transformers_logging.enable_progress_bar()


@contextmanager
def without_warnings(*expected: tuple[type[Warning], str]) -> Iterator[None]:
    """Ignore warnings of these categories whose text begins with these patterns; others are still shown."""
    with warnings.catch_warnings():
        for category, message in expected:
            warnings.filterwarnings("ignore", message=message, category=category)
        yield


LOCAL: dict[str, bool] = {"local_files_only": True, "trust_remote_code": False}
"""Arguments of `from_pretrained` that forbid the network and code from the checkpoint."""

SAFE: dict[str, bool] = {**LOCAL, "use_safetensors": True}
"""The same, and weights from safetensors only."""
