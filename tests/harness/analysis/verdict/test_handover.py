import shlex
from typing import Any

import pytest
from records import a_record

from harness.analysis.verdict.handover import ExportPaths, export_command
from harness.records.estimate import Unavailable
from harness.records.record import ModelFacts, PlacementFacts, Record

ONNX = {"engine": "onnxruntime", "threads": 2}


def a_variant(variant: str = "onnx-int8", effective: dict[str, Any] | None = None, **changes: Any) -> Record:
    placement = PlacementFacts(cpus=(0, 1), threads_requested=2, effective=effective or ONNX)
    facts = {"placement": placement, "configuration": {"data": "superglue"}, **changes}
    return a_record(variant, **facts)


def test_the_command_has_the_task_data_model_and_split_of_the_run() -> None:
    """As a shell reads it, with the paths as the run named them."""
    command = export_command(a_variant(), ExportPaths("my data", "m/boolq"))
    assert isinstance(command, str)
    assert shlex.split(command) == [
        *("bench", "export", "onnx-int8", "--task", "boolq", "--data", "my data", "--split", "val"),
        *("--model", "m/boolq", "--output", "served/boolq-onnx-int8"),
    ]


def test_a_record_alone_holds_base_names_so_the_folders_are_left_to_the_reader() -> None:
    """The reader sees what to fill in."""
    command = str(export_command(a_variant(cell={"max_length": 128})))
    assert "--data PATH/TO/superglue --split val --model PATH/TO/bert-base-boolq --max-length 128" in command


def test_the_embedded_default_needs_no_paths() -> None:
    """Neither data nor model is named."""
    model = ModelFacts(name="embedded", tier="embedded", fingerprint="b" * 64, trained=True)
    command = export_command(a_variant(model=model, data={"tier": "embedded"}))
    assert command == "bench export onnx-int8 --task boolq --split val --output served/boolq-onnx-int8"


def test_a_rung_is_exported_from_its_ladder_with_its_parameters() -> None:
    """The ladder's file as the command named it; a record knows its name alone."""
    ladder = {"name": "mine", "parameters": {"epochs": 3}, "rungs": [{"name": "int8 x"}]}
    record = a_variant("int8 x", configuration={"data": "d", "ladder": ladder})
    command = str(export_command(record, ExportPaths("d", "m", "l/mine.yaml", {"epochs": 3})))
    assert "bench export 'int8 x'" in command
    assert "--ladder l/mine.yaml --set epochs=3 --output served/boolq-int8-x" in command
    assert "--ladder mine --set epochs=3" in str(export_command(record))


def test_the_columns_of_a_file_of_ones_own_are_in_the_command() -> None:
    """As `bench run` took them, and as `bench export` takes them."""
    custom = {"text": ["title", "body"], "label": "topic", "labels": ["a", "b"], "metric": "macro-f1"}
    configuration = {"data": "x.csv", "custom": {**custom, "held_out": 0.2, "truncate": "first"}}
    command = str(export_command(a_variant(cell={"task": "custom"}, configuration=configuration)))
    options = "--text title,body --label topic --labels a,b --metric macro-f1 --held-out 0.2 --truncate first"
    assert options in command


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (a_variant("x", {"engine": "pytorch"}), "runs in PyTorch"),
        (a_variant("x", {"engine": "other"}), "its engine is other"),
        (a_variant("x", ONNX | {"exits": 3}), "the rule by which it decides"),
        (
            a_variant("x", {"engine": "cascade of native, native", "stages": []}),
            "the rule by which it decides",
        ),
        (a_variant("x", cell={"device": "cuda"}), "serves on CPUs"),
        (a_variant("command"), "a program of your own"),
    ],
)
def test_what_cannot_be_exported_has_a_reason(record: Record, reason: str) -> None:
    """The sentence states it in place of a command."""
    command = export_command(record)
    assert isinstance(command, Unavailable)
    assert reason in command.reason
