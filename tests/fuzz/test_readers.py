"""Every reader of foreign bytes, on bytes that nobody should have written.

In the suite each reader gets some cases. With FUZZ_SECONDS=3600 (`tox -e fuzz`) all together take that long,
and a line for each counts the cases.
"""

import os
import shutil
import time
from itertools import count
from pathlib import Path

import pytest
from fuzzing.mutations import hostile_bytes
from fuzzing.target import Target, bounded_memory
from fuzzing.targets import targets
from hypothesis import HealthCheck, given, settings

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
CASES = 40
"""Cases of each reader in the suite."""

TARGETS = targets()


def cases(target: Target, folder: Path, number: int) -> int:
    """Try a reader on so many cases; return how many there were."""
    tried = count()
    own = folder / "case"

    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(content=hostile_bytes(target.sound))
    def any_bytes_are_read_or_refused(content: bytes) -> None:
        next(tried)
        shutil.rmtree(own, ignore_errors=True)  # what a case that failed has left
        own.mkdir()
        target.try_read(own, content)

    with bounded_memory():
        any_bytes_are_read_or_refused()
    return next(tried)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_sound_files_are_read(target: Target, tmp_path: Path) -> None:
    """Otherwise the cases of a reader would all be refused at the first byte."""
    for number, content in enumerate(target.sound):
        folder = tmp_path / str(number)
        folder.mkdir()
        target.read(folder, content)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_any_bytes_are_read_or_refused(target: Target, tmp_path: Path) -> None:
    """With one message of a BenchError: no other exception, no hang, no memory without end."""
    if not SECONDS:
        cases(target, tmp_path, CASES)
        return
    total, end = 0, time.monotonic() + SECONDS / len(TARGETS)
    while time.monotonic() < end:
        total += cases(target, tmp_path, 500)
    print(f"{target.name}: {total:,} cases")  # noqa: T201 -- the count of `tox -e fuzz`
