"""Whatever is changed in a sealed record is found by its hash and, as far as figures tell, without it."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import Heard, World, boolq_folder

from harness.analysis.verification import SealedRecord, VerificationCheck, verify_run
from harness.analysis.verification.reading import read_sealed
from harness.records.record import PlacementFacts, Quality, Record, Round, sealed_sha256
from harness.records.store import RunFolder, Store
from harness.runs.execution.run import execute, start
from harness.runs.planning.options import RunOptions
from harness.workload.data import Data, Split, load_split
from harness.workload.tasks import get_task

README = Path(__file__).parents[4] / "results" / "README.md"


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
    found, unreadable = read_sealed(folder)
    assert not unreadable
    return found


def wrong(checks: list[VerificationCheck]) -> dict[str, list[str]]:
    return {check.name: check.wrong for check in checks if check.wrong}


def leaves(words: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every number, word and yes or no below, with the way to it."""
    if isinstance(words, dict):
        for name, value in words.items():
            yield from leaves(value, (*path, name))
    elif isinstance(words, list):
        for place, value in enumerate(words):
            yield from leaves(value, (*path, place))
    elif words is not None:
        yield path, words


def other(value: Any) -> Any:
    """Return another value of the same kind, far enough away to be no rounding."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value * 2 + 1
    return f"{value}x"


def changed(words: Any, path: tuple[Any, ...]) -> Any:
    copy = json.loads(json.dumps(words))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = other(place[path[-1]])
    return copy


def general(path: tuple[Any, ...]) -> str:
    """Name a field as the documentation does: `rounds.cpu_ns`, `latency.value_ns`."""
    return ".".join(str(step) for step in path if not isinstance(step, int))


def test_a_run_as_it_was_sealed_agrees_with_its_samples_and_its_data(
    folder: RunFolder, sealed: list[SealedRecord], split: Split
) -> None:
    """Every group of checks compares something and finds nothing."""
    checks = verify_run(folder.name, sealed, lambda _one: split)
    assert wrong(checks) == {}
    assert {check.verdict for check in checks} == {"yes"}


def test_any_field_of_a_record_that_is_changed_is_found_by_its_hash(sealed: list[SealedRecord]) -> None:
    """Whichever it is, read back as JSON says it."""
    one = sealed[0]
    for path, _ in leaves(one.words):
        assert sealed_sha256(changed(one.words, path)) != one.record.content_sha256 or path == (
            "content_sha256",
        )


def test_a_change_with_a_new_hash_is_found_by_the_figures_but_for_what_is_documented(
    folder: RunFolder, sealed: list[SealedRecord], split: Split
) -> None:
    """A forger who makes the hash again too is caught wherever raw samples or other fields tell otherwise.

    results/README.md names each field for which they do not.
    """
    one, rest = sealed[0], sealed[1:]
    held, found = set(), set()
    for path, _ in leaves({**one.words, "content_sha256": None}):
        words = changed(one.words, path)
        words["content_sha256"] = sealed_sha256(words)
        try:
            record = Record.model_validate(json.loads(json.dumps(words)))
        except ValueError:  # no such value exists: reading refuses it
            found.add(path)
            continue
        forged = replace(one, words=words, record=record)
        told = wrong(verify_run(folder.name, [forged, *rest], lambda _one: split))
        (found if told else held).add(path)
    undetected = {general(path) for path in held}
    only_hashed = documented()
    assert {field for field in undetected if not within(field, only_hashed)} == set()
    assert len(found) > len(held)


def within(field: str, documented: set[str]) -> bool:
    """Say whether a field, or a part that it belongs to, is documented."""
    return any(field == one or field.startswith(f"{one}.") for one in documented)


def documented() -> set[str]:
    """Return the fields that results/README.md lists as protected by the hash alone."""
    text = README.read_text(encoding="utf-8")
    section = text.partition("## Fields protected by the hash alone")[2].partition("\n## ")[0]
    return set(section.split("`")[1::2]) - {"content_sha256", "wall_ns"}


def test_every_field_that_is_documented_so_is_one_of_the_record() -> None:
    """The list names parts of a record, or fields of its parts."""
    parts = {"rounds": Round, "placement": PlacementFacts, "quality": Quality}
    for one in documented():
        part, _, name = one.partition(".")
        assert part in Record.model_fields
        assert not name or name in parts[part].model_fields


@pytest.mark.parametrize("name", ["call_ns", "timed_example", "timed_answer", "answer", "answered", "counts"])
def test_any_array_of_the_samples_that_is_changed_is_found(
    folder: RunFolder, sealed: list[SealedRecord], split: Split, name: str
) -> None:
    """Even if the file's hash is made again: the figures no longer follow from it."""
    one = sealed[0]
    assert one.arrays is not None
    array = np.array(one.arrays[name])
    if array.dtype.kind == "U":
        array[0] = "false" if array[0] == "true" else "true"
    elif array.dtype.kind == "b":
        array[0] = not array[0]
    else:
        array.flat[0] = array.flat[0] * 2 + 1
    forged = replace(one, arrays={**one.arrays, name: array})
    assert wrong(verify_run(folder.name, [forged, *sealed[1:]], lambda _one: split))


def test_samples_that_are_cut_off_or_gone_are_named(
    folder: RunFolder, sealed: list[SealedRecord], tmp_path: Path
) -> None:
    """Reading tells, and does not raise; what needs them is not checked."""
    copy = tmp_path / folder.name
    copy.mkdir()
    for path in folder.path.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    first, second = (copy / one.record.samples.file for one in sealed if one.record.samples)
    first.write_bytes(first.read_bytes()[:-10])
    second.unlink()
    found, _ = read_sealed(RunFolder(copy))
    told = wrong(verify_run(folder.name, found, lambda _one: "no data"))
    assert any("not the ones that were sealed" in line for line in told["samples"])
    assert any("No such file" in line for line in told["samples"])


def test_a_record_without_a_hash_of_itself_says_so(folder: RunFolder, sealed: list[SealedRecord]) -> None:
    """Records of earlier versions are checked by their figures alone."""
    words = {**sealed[0].words, "content_sha256": None}
    old = replace(sealed[0], words=words, record=sealed[0].record.model_copy(update={"content_sha256": None}))
    content, *_ = verify_run(folder.name, [old], lambda _one: "no data")
    assert (content.verdict, len(content.unchecked)) == ("not checked", 1)


def test_data_that_are_not_those_that_were_measured_are_refused(
    folder: RunFolder, sealed: list[SealedRecord], tmp_path: Path
) -> None:
    """By their fingerprint, and nothing else is compared with them."""
    strange = load_split(get_task("boolq"), Data("local", boolq_folder(tmp_path, rows=50)), "val")
    told = wrong(verify_run(folder.name, sealed, lambda _one: strange))
    assert [len(lines) for lines in told.values()] == [2]
    assert "data.fingerprint" in told["data"][0]


def test_the_archive_of_samples_is_made_alike_each_time() -> None:
    """So a run that was killed between samples and record finds its own again."""
    first, second = io.BytesIO(), io.BytesIO()
    for buffer in (first, second):
        np.savez_compressed(buffer, call_ns=np.arange(9))
    assert first.getvalue() == second.getvalue()


def test_every_published_run_verifies() -> None:
    """What results/ shows follows from its samples, in each version of the record."""
    store = Store(README.parent)
    for run in store.runs():
        published, unreadable = read_sealed(run)
        assert not unreadable
        assert wrong(verify_run(run.name, published, lambda _one: "the data are not here")) == {}
