"""What a worker does beside timing: it chooses the tokenizer, and reports what truncation removed."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.records.store import Store
from harness.systems.interface import LIBRARY_ONLY
from harness.workload.tasks.example import Example

REASON = "the fast tokenizer gives other ids for 1 of 200 texts"


def test_a_split_that_needs_the_librarys_tokenizer_is_encoded_by_it_and_the_record_has_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Preparation sees the reported texts; every worker that opens the artifact turns the fast one off."""
    monkeypatch.setenv(LIBRARY_ONLY, "")
    world, compared = World(tmp_path), []

    def needs_library(task: Any, _: Path, examples: Callable[[], Sequence[Example]], *rest: Any) -> str:
        compared.append((task.name, len(examples()), rest[0]))
        return REASON

    world.catalog = replace(world.catalog, needs_library=needs_library)
    world.machine = type(world.machine)(world.catalog, world.clock)  # type: ignore[call-arg]
    assert (
        call(["run", "-q", "--data", str(boolq_folder(tmp_path)), "--quality", "full"], world.context()) == 0
    )
    assert set(compared) == {("boolq", 100, 256)}
    assert os.environ[LIBRARY_ONLY] == "library"
    store = Store(world.store)
    records, _ = store.records([store.run("latest")])
    for record in records:
        assert record.artifact.manifest["tokenizer"] == f"the library, because {REASON}"


def test_a_split_that_the_fast_tokenizer_encodes_leaves_it_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is set, and nothing is written down."""
    monkeypatch.setenv(LIBRARY_ONLY, "")
    world = World(tmp_path)
    assert call(["run", "-q", "--data", str(boolq_folder(tmp_path))], world.context()) == 0
    assert os.environ[LIBRARY_ONLY] == ""
    store = Store(world.store)
    records, _ = store.records([store.run("latest")])
    assert not any("tokenizer" in record.artifact.manifest for record in records)
