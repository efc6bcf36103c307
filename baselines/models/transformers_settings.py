"""Silence for libraries that talk on stderr while they load, export or quantise.

What they say is either known and handled here, or comes back as an exception; each function restores what it
changed, so a caller's own logging stays as it was.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_logging() -> Iterator[None]:
    """Hold back log records below ERROR, and keep `logging.warning` from installing a handler for good."""
    before = logging.root.manager.disable
    silent = logging.NullHandler()
    logging.root.addHandler(silent)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
        logging.root.removeHandler(silent)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers from printing progress bars and load reports."""
    from transformers.utils import logging as chatter

    bars = chatter.is_progress_bar_enabled()
    chatter.disable_progress_bar()
    try:
        with quiet_logging():
            yield
    finally:
        if bars:
            chatter.enable_progress_bar()


@contextmanager
def without_warnings(*expected: tuple[type[Warning], str]) -> Iterator[None]:
    """Ignore warnings of these categories whose text starts like these patterns; all others still pass."""
    with warnings.catch_warnings():
        for category, message in expected:
            warnings.filterwarnings("ignore", message=message, category=category)
        yield


LOCAL: dict[str, bool] = {"local_files_only": True, "trust_remote_code": False}
SAFE: dict[str, bool] = {**LOCAL, "use_safetensors": True}
