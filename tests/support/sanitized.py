"""A plug-in of pytest for tests under a sanitizer (`-p sanitized`): weights apart, and clean child processes.

The compiled encoder's arrays lie in one block, where a read beyond the end of one is a read of the next. Here
each has memory of its own, with one cache line behind it: as much as C may read.
"""

import ctypes
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from optimized.native import build, engine

LINE = 64


def apart(arrays: engine.Arrays, _model: object) -> dict[str, npt.NDArray[Any]]:
    """Return copies, each in memory of its own."""
    return {name: _copied(array) for name, array in arrays.items()}


def _copied(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    size = array.nbytes + LINE
    allocate = ctypes.CDLL(None).memalign
    allocate.restype = ctypes.c_void_p
    allocate.argtypes = (ctypes.c_size_t, ctypes.c_size_t)
    # never freed: the tests' models are small, and an array may outlive its engine
    memory = np.frombuffer((ctypes.c_char * size).from_address(allocate(LINE, size)), np.uint8)
    memory[:] = 0
    copy = memory[: array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def pytest_configure(config: pytest.Config) -> None:
    """Take the preloaded runtime from child processes, and a wheel's library: neither is instrumented."""
    del config
    build.PREBUILT = Path("none")
    os.environ.pop("LD_PRELOAD", None)
    engine._contiguous = apart
