from typing import Any

from records import a_failure, a_record

from harness.records.record import Record
from reports import CostFactors, build_report, render_records
from reports.report import tables_of

PROTOCOL = {"configuration": {"protocol": {"name": "sustainlp2020", "pue": 1.58}}}


def whole(variant: str, joules: float, **changes: Any) -> Record:
    """Return a record of whole processes over 100 examples, with so many joules each."""
    facts: dict[str, Any] = {
        "wall_ms": (1000,) * 7,
        "joules": (joules,) * 7,
        "latency": {},
        **PROTOCOL,
        **changes,
    }
    cell = {"scenario": "offline", "boundary": "process", **changes.get("cell", {})}
    return a_record(variant, **{**facts, "cell": cell})


def test_kilowatt_hours_stand_in_a_table_of_their_own_beside_ours() -> None:
    """72 J are 72 / 3.6e6 x 1.58 = 3.16e-5 kWh; the scale is named with what it is not."""
    records = [whole("pytorch-fixed", 72.0), whole("onnx-int8", 18.0)]
    _speed, table = tables_of(build_report(records, CostFactors()))
    assert table.title == "SustaiNLP 2020 scale: energy of a whole process"
    assert [row[0].text for row in table.rows] == ["boolq: pytorch-fixed", "boolq: onnx-int8"]
    assert [cell.text for cell in table.rows[0][1:]] == ["100", "72.0", "0.0000316"]
    assert "unit and coverage alike, attribution not" in table.remarks[0]
    assert "x 1.58 (PUE)" in table.remarks[0]


def test_tasks_are_added_up_where_a_variant_was_measured_on_all() -> None:
    """36 J and 36 J are 3.16e-5 kWh; a variant that lacks a task has no total."""
    other = {"cell": {"task": "cb", "group": "cb-cpu"}}
    records = [whole("pytorch-fixed", 36.0), whole("null", 1.0), whole("pytorch-fixed", 36.0, **other)]
    tables = tables_of(build_report(records, CostFactors()), ("protocol",))
    assert [cell.text for cell in tables[0].rows[-1]] == [
        "all 2 tasks: pytorch-fixed",
        "200",
        "",
        "0.0000316",
    ]


def test_modelled_joules_are_called_so_here_too() -> None:
    """A kWh hides its origin well."""
    table = tables_of(
        build_report([whole("null", 1.0, reading={"grade": "modelled"})], CostFactors()), ("protocol",)
    )[0]
    assert table.remarks[-1] == "Joules are modelled: CPU time in other units."


def test_a_program_that_failed_says_why() -> None:
    """And no zero stands in its place."""
    failed = a_failure("onnx-int8").model_copy(update=PROTOCOL)
    (table,) = tables_of(build_report([whole("null", 1.0), failed], CostFactors()), ("protocol",))
    assert [cell.text for cell in table.rows[1][1:]] == ["", "n/a", "n/a"]
    assert "ran out of memory" in table.notes[0]


def test_without_the_protocol_there_is_no_such_table() -> None:
    """Ordinary reports are as they were."""
    assert "SustaiNLP" not in render_records([a_record()], "text")
