"""Teacher-labelled texts come from several files, and none of them is a text of the reported split."""

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import tiny

from harness.common.errors import DataError, UnsupportedError, UsageError
from harness.systems.artifact_cache import ArtifactCache
from harness.systems.interface import Checkpoint, PreparationSources
from harness.workload.tasks.example import Example, TextInput, text_hashes
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.recipes.base import RecipeOutput
from optimized.recipes.distillation.recipe import Distil

QUICK = Distil("student", epochs=1, batch=8, learning_rate=2e-3, bf16=False)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Make the order of sums the same in every run."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def teacher(boolq_folder: Path) -> Checkpoint:
    """Return the tiny BoolQ checkpoint."""
    return tiny.checkpoint_of(boolq_folder)


@pytest.fixture(autouse=True)
def student(tmp_path: Path) -> Path:
    """Make a narrower encoder of one layer without a head."""
    return tiny.tiny_checkpoint(
        tmp_path / "student", head=False, seed=5, spread=0.1, hidden_size=16, num_hidden_layers=1
    )


def distil(recipe: Distil, teacher: Checkpoint, root: Path, *reported: Example) -> RecipeOutput:
    """Apply the recipe where these examples are reported."""
    sources = PreparationSources(
        teacher,
        training=lambda: tiny.examples(64),
        training_sha256="d",
        reported_sha256="e" * 64,
        reported_texts=lambda: frozenset().union(*map(text_hashes, reported)),
        resolve=lambda name: tiny.checkpoint_of(root.parent / name),
    )
    context = replace(tiny.preparation_context(root), cache=ArtifactCache(root))
    return recipe.apply(BOOLQ, [teacher], sources, tiny.SHORT, context)


def rows_of(path: Path, *passages: str) -> str:
    rows: list[Mapping[str, Any]] = [
        {"idx": number, "passage": text, "question": f"is it {number}"}
        for number, text in enumerate(passages)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


LAKE = Example("v", (TextInput("The lake is frozen.", "does it freeze"),), ("true",))


@pytest.mark.parametrize(
    "text", ["The lake is frozen.", "the LAKE  is frozen", "The lake is frozen?!", "Does it freeze?"]
)
def test_a_text_of_the_reported_split_is_refused_by_its_row(
    teacher: Checkpoint, tmp_path: Path, text: str
) -> None:
    """Whatever its case, punctuation and blanks, as first or second text; nothing is made."""
    extra = rows_of(tmp_path / "extra.jsonl", "people skate", text)
    with pytest.raises(DataError, match=r"1 of its examples hold a text.*\(idx 1\)(.|\n)*Remove these rows"):
        distil(replace(QUICK, extra_text=extra), teacher, tmp_path / "cache", LAKE)
    assert ArtifactCache(tmp_path / "cache").artifacts() == []


def test_a_student_in_the_cache_is_refused_where_another_split_is_reported(
    teacher: Checkpoint, tmp_path: Path
) -> None:
    """Made where nothing forbade its texts, it must not be measured on them."""
    recipe = replace(QUICK, extra_text=rows_of(tmp_path / "extra.jsonl", "The lake is frozen"))
    assert distil(recipe, teacher, tmp_path / "cache").artifact.fresh
    with pytest.raises(DataError, match="hold a text of the split that is reported"):
        distil(recipe, teacher, tmp_path / "cache", LAKE)


def test_many_refused_rows_are_counted_and_some_are_named(teacher: Checkpoint, tmp_path: Path) -> None:
    """Eight rows: the first five, and that there are more."""
    extra = rows_of(tmp_path / "extra.jsonl", *["the lake is frozen"] * 8)
    with pytest.raises(DataError, match=r"8 of its examples.*idx 4, \.\.\.\)"):
        distil(replace(QUICK, extra_text=extra), teacher, tmp_path / "cache", LAKE)


def test_several_files_are_labelled_by_the_teacher_and_the_manifest_holds_no_reported_split(
    teacher: Checkpoint, tmp_path: Path
) -> None:
    """57 of train and 8 more: 9 steps. Each file is labelled once, and identified by its content."""
    names = [
        rows_of(tmp_path / "one.jsonl", "frozen people", "people say", "it says"),
        rows_of(tmp_path / "two.jsonl", "winter lake", "lake winter", "a passage", "each year", "and skate"),
    ]
    made = distil(replace(QUICK, extra_text=names), teacher, tmp_path / "cache", LAKE).artifact
    assert made.manifest["examples"] == {"trained_on": 57, "held_out": 7, "extra": 8}
    assert made.manifest["steps"] == 9
    assert len(made.manifest["teacher_logits"]) == 3
    written = (made.folder / "manifest.json").read_text()
    assert "e" * 64 not in written
    assert str(tmp_path) not in written
    alone = distil(replace(QUICK, extra_text=names[0]), teacher, tmp_path / "cache", LAKE).artifact
    assert alone.key != made.key
    assert alone.manifest["teacher_logits"][1] == made.manifest["teacher_logits"][1]
    assert (
        distil(replace(QUICK, extra_text=tuple(names)), teacher, tmp_path / "cache").artifact.key == made.key
    )


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (["a.jsonl", "none.jsonl"], DataError, "no such file: extra_text"),
        (["a.jsonl", "b.jsonl"], UsageError, "names the same texts twice"),
        (7, UsageError, "a file or a list of files, not 7"),
        ([7], UsageError, r"a file or a list of files, not \[7\]"),
    ],
)
def test_what_is_no_list_of_files_is_refused(
    teacher: Checkpoint, tmp_path: Path, names: Any, error: type[Exception], message: str
) -> None:
    """A file that is not there, the same content twice, and values of another type."""
    rows_of(tmp_path / "a.jsonl", "people skate")
    rows_of(tmp_path / "b.jsonl", "people skate")
    extra = [str(tmp_path / name) if isinstance(name, str) else name for name in names] if names != 7 else 7
    with pytest.raises(error, match=message):
        distil(replace(QUICK, extra_text=extra), teacher, tmp_path / "cache")


def test_settings_that_are_off_are_in_no_key() -> None:
    """What was made before they existed is still found; set, each makes another key."""
    names = {field.name for field in fields(Distil)}
    without = {"student", "teacher", "extra_text", "max_length", "patience", "average", "quantization_aware"}
    assert set(QUICK.key_parameters()) == names - without
    for name, value in (("patience", 2), ("average", 0.9), ("quantization_aware", True)):
        assert replace(QUICK, **{name: value}).key_parameters()[name] == value


def test_patience_average_and_rounding_shape_the_student(teacher: Checkpoint, tmp_path: Path) -> None:
    """A rate of almost nothing ends after three epochs of six; each setting makes another student."""
    still = replace(QUICK, epochs=6, learning_rate=1e-12, patience=2)
    manifest = distil(still, teacher, tmp_path / "cache").artifact.manifest
    assert (manifest["steps"], manifest["steps_planned"]) == (24, 48)
    others = [QUICK, replace(QUICK, average=0.9), replace(QUICK, quantization_aware=True)]
    made = [distil(recipe, teacher, tmp_path / "cache") for recipe in others]
    assert len({output.checkpoint.fingerprint for output in made}) == len(others)
    assert made[2].artifact.manifest["parameters"]["quantization_aware"] is True


def test_rounding_is_learned_in_float32(teacher: Checkpoint, tmp_path: Path) -> None:
    """Bfloat16 has 8 bits of its own; it is used where it is asked for."""
    rounding = replace(QUICK, quantization_aware=True, bf16=None)
    assert distil(rounding, teacher, tmp_path / "cache").artifact.manifest["precision"] == "float32"
    assert rounding.student_bf16 is False
    assert (replace(rounding, bf16=True).student_bf16, replace(QUICK, bf16=None).student_bf16) == (True, None)


def test_rounding_needs_layers_that_are_described(teacher: Checkpoint, tmp_path: Path) -> None:
    """BART is refused before the teacher reads a text."""
    from other_families import family_checkpoint

    family_checkpoint(tmp_path / "student-bart", "bart", labels=BOOLQ.labels, pad_token_id=0)
    recipe = replace(QUICK, student="student-bart", quantization_aware=True)
    with pytest.raises(UnsupportedError, match="quantization_aware needs layers that are described"):
        distil(recipe, teacher, tmp_path / "cache")
    assert ArtifactCache(tmp_path / "cache").artifacts() == []
