"""Any change in a sealed record is detected by its hash and, where figures allow, without it."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attacks import ATTACKS, flip_a_prediction_with_its_hashes
from tampering import Attack, found_by, read_run
from worlds import Heard, World, boolq_folder

from harness.analysis.verification import SealedRecord, VerificationCheck, verify_run
from harness.analysis.verification.reading import read_sealed
from harness.analysis.verification.trust import trusted_parts
from harness.records.record import (
    EnergyFacts,
    OfferedLoad,
    PlacementFacts,
    Quality,
    Record,
    Round,
    sealed_sha256,
)
from harness.records.store import RunFolder, Store
from harness.runs.execution.run import execute, start
from harness.runs.planning.options import RunOptions
from harness.workload.data import Data, Split, load_split
from harness.workload.tasks import get_task

README = Path(__file__).parents[4] / "results" / "README.md"
RUNS = README.parent / "runs"
HEADLINE, LADDER = "20261122-142644-boolq-2ee5", "20261128-232101-boolq-18c9"
"""The runs of the tables in the project's README: the first version of the record, and the present one."""

LADDER_FINDS = {"tokens of one round +1": "rounds", "size of a graph halved": None}
"""All rounds of the ladder answer one slice, so that each confirms the lengths of the others."""

UNTRAINED = {"metric +1 point", "latency +1 %"}
"""Attacks on figures that the ladder's first record lacks: it is offline, and its model untrained."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def folder(world: World) -> RunFolder:
    boolq_folder(world.root, rows=90)
    wanted = RunOptions(
        "boolq", data=world.root / "data", variants=("pytorch-fixed", "onnx-int8"), rounds=3, sample=80
    )
    run = start(wanted, world.catalog, Store(world.store), world.cache, world.machine, Heard())
    execute(run)
    return run.folder


@pytest.fixture(scope="module")
def split(world: World) -> Split:
    return load_split(get_task("boolq"), Data("local", world.root / "data"), "val")


@pytest.fixture(scope="module")
def sealed(folder: RunFolder) -> list[SealedRecord]:
    records, unreadable = read_sealed(folder)
    assert not unreadable
    return records


def wrong(checks: list[VerificationCheck]) -> dict[str, list[str]]:
    return {check.name: check.wrong for check in checks if check.wrong}


def leaves(payload: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every number, text and boolean of a JSON value, with its path."""
    if isinstance(payload, dict):
        for name, value in payload.items():
            yield from leaves(value, (*path, name))
    elif isinstance(payload, list):
        for place, value in enumerate(payload):
            yield from leaves(value, (*path, place))
    elif payload is not None:
        yield path, payload


def other(value: Any) -> Any:
    """Return another value of the same kind, beyond any rounding error."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value * 2 + 1
    return f"{value}x"


def changed(payload: Any, path: tuple[Any, ...]) -> Any:
    copy = json.loads(json.dumps(payload))
    parent = copy
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = other(parent[path[-1]])
    return copy


def general(path: tuple[Any, ...]) -> str:
    """Name a field as the documentation does: `rounds.cpu_ns`, `latency.value_ns`."""
    return ".".join(str(step) for step in path if not isinstance(step, int))


def test_a_run_as_it_was_sealed_agrees_with_its_samples_and_its_data(
    folder: RunFolder, sealed: list[SealedRecord], split: Split
) -> None:
    """Every group of checks compares something and finds no problem."""
    checks = verify_run(folder.name, sealed, lambda _sealed: split)
    assert wrong(checks) == {}
    assert {check.verdict for check in checks} == {"yes"}


def test_any_changed_field_of_a_record_is_detected_by_its_hash(sealed: list[SealedRecord]) -> None:
    """The hash covers every value of the JSON."""
    first = sealed[0]
    for path, _ in leaves(first.words):
        assert sealed_sha256(changed(first.words, path)) != first.record.content_sha256 or path == (
            "content_sha256",
        )


def test_a_change_with_a_new_hash_is_detected_by_the_figures_except_for_documented_fields(
    folder: RunFolder, sealed: list[SealedRecord], split: Split
) -> None:
    """A forged hash does not help where raw samples or other fields contradict the change.

    What nothing contradicts is in the list of what is on trust.
    """
    first, rest = sealed[0], sealed[1:]
    undetected, detected = set(), set()
    for path, _ in leaves({**first.words, "content_sha256": None}):
        payload = changed(first.words, path)
        payload["content_sha256"] = sealed_sha256(payload)
        try:
            record = Record.model_validate(json.loads(json.dumps(payload)))
        except ValueError:  # the value is not valid: the record cannot be read
            detected.add(path)
            continue
        forged = replace(first, words=payload, record=record)
        problems = wrong(verify_run(folder.name, [forged, *rest], lambda _sealed: split))
        (detected if problems else undetected).add(path)
    on_trust = {field for part in trusted_parts() if not part.together for field in part.fields}
    assert {field for field in map(general, undetected) if not within(field, on_trust)} == set()
    assert len(detected) > len(undetected)


def within(field: str, documented: set[str]) -> bool:
    """Return whether a field, or a part that it belongs to, is documented."""
    return any(field == name or field.startswith(f"{name}.") for name in documented)


def test_the_data_dictionary_lists_what_is_on_trust() -> None:
    """results/README.md has each field of the code's list, and no other."""
    text = README.read_text(encoding="utf-8")
    section = text.partition("## What is on trust")[2].partition("\n## ")[0]
    documented = {
        name for row in section.splitlines() if row.startswith("|") for name in row.split("`")[1::2]
    }
    assert documented == {field for part in trusted_parts() for field in part.fields}


def test_what_is_on_trust_is_a_part_of_a_record() -> None:
    """The list names parts of a record, fields of its parts, or arrays of its samples."""
    parts = {
        "rounds": Round,
        "placement": PlacementFacts,
        "quality": Quality,
        "energy": EnergyFacts,
        "load": OfferedLoad,
    }
    for field in {field for part in trusted_parts() for field in part.fields}:
        part, _, name = field.partition(".")
        assert part == "samples" or part in Record.model_fields
        assert part == "samples" or not name or name in parts[part].__annotations__


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_on_the_readmes_first_run_is_found_or_on_trust(attack: Attack) -> None:
    """All hashes are made anew after the change; the oldest records are checked as deeply as new ones."""
    found = found_by(read_run(RUNS / HEADLINE), attack)
    assert attack.caught in found if attack.caught else found == {}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_on_the_readmes_ladder_is_found_or_on_trust(attack: Attack) -> None:
    """The same over two scenarios and eight rungs."""
    if attack.name in UNTRAINED:
        pytest.skip("its first record has no such figure")
    found = found_by(read_run(RUNS / LADDER), attack)
    caught = LADDER_FINDS.get(attack.name, attack.caught)
    assert caught in found if caught else found == {}


def test_a_flipped_prediction_with_its_hashes_is_found_by_the_counts(
    sealed: list[SealedRecord],
) -> None:
    """Counts have how often each label was answered, since the second version of the record."""
    attack = Attack("flipped", flip_a_prediction_with_its_hashes, "quality")
    assert "counts of answers" in found_by(sealed, attack)["quality"][0]


@pytest.mark.parametrize(
    "name", ["call_ns", "gap_ns", "timed_example", "timed_answer", "answer", "answered", "counts"]
)
def test_any_changed_array_of_the_samples_is_detected(
    folder: RunFolder, sealed: list[SealedRecord], split: Split, name: str
) -> None:
    """Even with a forged hash of the file: the figures do not agree with it."""
    first = sealed[0]
    assert first.arrays is not None
    array = np.array(first.arrays[name])
    if array.dtype.kind == "U":
        array[0] = "false" if array[0] == "true" else "true"
    elif array.dtype.kind == "b":
        array[0] = not array[0]
    else:
        array.flat[0] = array.flat[0] * 2 + 1
    forged = replace(first, arrays={**first.arrays, name: array})
    assert wrong(verify_run(folder.name, [forged, *sealed[1:]], lambda _sealed: split))


def test_truncated_or_missing_samples_are_named(
    folder: RunFolder, sealed: list[SealedRecord], tmp_path: Path
) -> None:
    """Reading returns the problem and does not raise; what needs the samples is not checked."""
    copy = tmp_path / folder.name
    copy.mkdir()
    for path in folder.path.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    first, second = (copy / item.record.samples.file for item in sealed if item.record.samples)
    first.write_bytes(first.read_bytes()[:-10])
    second.unlink()
    records, _ = read_sealed(RunFolder(copy))
    problems = wrong(verify_run(folder.name, records, lambda _sealed: "no data"))
    assert any("not the ones that were sealed" in line for line in problems["samples"])
    assert any("there is no such file" in line for line in problems["samples"])


def test_the_hash_of_a_record_without_one_is_not_checked(
    folder: RunFolder, sealed: list[SealedRecord]
) -> None:
    """Records of earlier versions are checked by their figures alone."""
    payload = {**sealed[0].words, "content_sha256": None}
    record = sealed[0].record.model_copy(update={"content_sha256": None})
    old = replace(sealed[0], words=payload, record=record)
    content, *_ = verify_run(folder.name, [old], lambda _sealed: "no data")
    assert (content.verdict, len(content.unchecked)) == ("not checked", 1)


def test_other_data_than_those_of_the_record_are_refused(
    folder: RunFolder, sealed: list[SealedRecord], tmp_path: Path
) -> None:
    """By their fingerprint, and nothing else is compared with them."""
    other_split = load_split(get_task("boolq"), Data("local", boolq_folder(tmp_path, rows=50)), "val")
    problems = wrong(verify_run(folder.name, sealed, lambda _sealed: other_split))
    assert [len(lines) for lines in problems.values()] == [2]
    assert "data.fingerprint" in problems["data"][0]


def test_the_archive_of_samples_is_reproducible() -> None:
    """A run that was killed between samples and record recognises its own file."""
    first, second = io.BytesIO(), io.BytesIO()
    for buffer in (first, second):
        np.savez_compressed(buffer, call_ns=np.arange(9))
    assert first.getvalue() == second.getvalue()


def test_every_published_run_verifies() -> None:
    """The figures in results/ agree with their samples, in each version of the record."""
    store = Store(README.parent)
    for run in store.runs():
        published, unreadable = read_sealed(run)
        assert not unreadable
        assert wrong(verify_run(run.name, published, lambda _sealed: "no data")) == {}
