from typing import Any

from records import a_failure, a_record

from harness.records.record import Record
from reports import CostFactors, build_report, render_records
from reports.report import tables_of

PROTOCOL = {"configuration": {"protocol": {"name": "sustainlp2020", "pue": 1.58}}}


def whole(variant: str, joules: float, **changes: Any) -> Record:
    """Return a record of whole processes over 100 examples, with these joules each."""
    facts: dict[str, Any] = {
        "wall_ms": (1000,) * 7,
        "joules": (joules,) * 7,
        "latency": {},
        **PROTOCOL,
        **changes,
    }
    cell = {"scenario": "offline", "boundary": "process", **changes.get("cell", {})}
    return a_record(variant, **{**facts, "cell": cell})


def test_kilowatt_hours_have_a_table_of_their_own() -> None:
    """72 J are 72 / 3.6e6 x 1.58 = 3.16e-5 kWh; a remark names the scale and its limits."""
    records = [whole("pytorch-fixed", 72.0), whole("onnx-int8", 18.0)]
    _speed, table, terms = tables_of(build_report(records, CostFactors()))
    assert table.title == "SustaiNLP 2020 scale: energy of a whole process"
    assert [row[0].text for row in table.rows] == ["boolq: pytorch-fixed", "boolq: onnx-int8"]
    row = [cell.text for cell in table.rows[0][1:]]
    assert row == ["100", "72.0", "not read", "not read", "not recorded", "0.0000316"]
    assert [column.heading for column in table.columns[2:5]] == [
        "processor, J/start, measured",
        "dram, energy/start",
        "board, energy/start",
    ]
    assert "over a window that also holds the imports" in table.remarks[0]
    assert "1.58 (PUE) / 3.6e6 x ((package - dram) x CPU share" in table.remarks[0]
    values = {row[0].text: row[3].text for row in terms.rows}
    assert values["package"] == "18.0 to 72.0 J"
    assert (values["dram"], values["boards"], values["PUE"]) == ("not read", "not read", "1.58")


def test_a_variant_measured_on_all_tasks_has_a_total() -> None:
    """36 J and 36 J are 3.16e-5 kWh; a variant without one of the tasks has none."""
    other = {"cell": {"task": "cb", "group": "cb-cpu"}}
    records = [whole("pytorch-fixed", 36.0), whole("null", 1.0), whole("pytorch-fixed", 36.0, **other)]
    tables = tables_of(build_report(records, CostFactors()), ("protocol",))
    assert [cell.text for cell in tables[0].rows[-1]] == [
        "all 2 tasks: pytorch-fixed",
        "200",
        *[""] * 4,
        "0.0000316",
    ]


def test_a_remark_marks_modelled_joules() -> None:
    """A kWh does not show where it comes from."""
    table = tables_of(
        build_report([whole("null", 1.0, reading={"grade": "modelled"})], CostFactors()), ("protocol",)
    )[0]
    assert table.remarks[-1] == "Joules are modelled: CPU time in other units."


def test_a_failed_program_has_its_reason() -> None:
    """It is not shown as zero."""
    failed = a_failure("onnx-int8").model_copy(update=PROTOCOL)
    table, _ = tables_of(build_report([whole("null", 1.0), failed], CostFactors()), ("protocol",))
    assert [cell.text for cell in table.rows[1][1:]] == ["", *["n/a"] * 5]
    assert "ran out of memory" in table.notes[0]


def test_without_the_protocol_there_is_no_such_table() -> None:
    """Other reports do not change."""
    assert "SustaiNLP" not in render_records([a_record()], "text")


def test_each_term_that_is_not_the_trackers_is_named() -> None:
    """The window is longer, memory's share is not recorded, and boards are whole."""
    _, terms = tables_of(build_report([whole("null", 1.0)], CostFactors()), ("protocol",))
    here = {row[0].text: row[2].text for row in terms.rows}
    assert [*here] == ["package", "CPU share", "dram", "memory share", "boards", "window", "PUE"]
    assert "imports and argument parsing are in it" in here["window"]
    assert here["CPU share"] == "not recorded: taken as 1, as if nothing else had run"
    assert here["boards"] == "no board was read; right only for programs that use none"
