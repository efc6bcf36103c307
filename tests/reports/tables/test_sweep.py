from records import a_host, a_record, three_variants

from reports.tables.hosts import host_tables
from reports.tables.sweep import sweep_tables
from reports.values.figures import figures_of_group, groups


def group_at(threads: int, wall: float, **changes: object) -> list:
    """Return baseline and int8 of one group; the baseline takes five times as long."""
    cell = {"threads": threads, "group": f"g{threads}", **dict(changes.pop("cell", {}))}  # type: ignore[call-overload]
    return [
        a_record("pytorch-fixed", (5 * wall,) * 7, cell={**cell, "id": f"fixed-{threads}"}, **changes),
        a_record("onnx-int8", (wall,) * 7, cell={**cell, "id": f"int8-{threads}"}, **changes),
    ]


def groups_of(records: list) -> list:
    return [figures_of_group(group) for group in groups(records)]


def test_a_sweep_is_a_row_for_each_setting_of_each_variant() -> None:
    """400 ms for 100 requests: 4 ms each, 250 a second. Speed-ups are within the group."""
    (table,) = sweep_tables(groups_of([*group_at(1, 400.0), *group_at(2, 250.0)]))
    rows = [[cell.text for cell in row] for row in table.rows]
    assert table.title == "Sweep: boolq on cpu, single-stream, encoded"
    assert [row[:2] for row in rows] == [
        ["pytorch-fixed", "1"],
        ["pytorch-fixed", "2"],
        ["onnx-int8", "1"],
        ["onnx-int8", "2"],
    ]
    assert rows[2][4:7] == ["4.00", "250", "5.00x"]
    assert table.records[2] == "r1/int8-1"
    assert "are not paired, so they have no ratio" in table.remarks[0]


def test_one_setting_is_not_a_sweep() -> None:
    """Neither are two tasks, machines or models."""
    assert sweep_tables(groups_of(three_variants())) == []
    assert sweep_tables(groups_of([*group_at(1, 1.0), *group_at(2, 1.0, cell={"task": "cb"})])) == []
    other = a_host().model_copy(update={"fingerprint": "e" * 64})
    assert sweep_tables(groups_of([*group_at(1, 1.0), *group_at(2, 1.0, host=other)])) == []


def test_a_sweep_of_several_grades_has_a_note_for_each() -> None:
    """A remark marks modelled joules too."""
    (table,) = sweep_tables(
        groups_of([*group_at(1, 400.0), *group_at(2, 250.0, reading={"grade": "modelled"})])
    )
    assert table.columns[-1].heading == "mJ/request"
    assert {table.notes[(row[-1].note or 0) - 1] for row in table.rows} == {"measured", "modelled"}
    assert table.remarks[-1] == "Joules are modelled: CPU time in other units."


def test_hosts_have_columns_and_no_ratio_between_them() -> None:
    """Each speed-up is over the baseline on the same host; the last run on each host counts."""
    other = a_host(cpu_model="Other").model_copy(update={"fingerprint": "e" * 64})
    early = group_at(1, 900.0, run="r0", created="2025-01-01T00:00:00+00:00")
    (table,) = host_tables(
        groups_of([*early, *group_at(1, 400.0), *group_at(1, 200.0, host=other, run="r2")])
    )
    assert [cell.text for cell in table.rows[1]] == [
        *("onnx-int8", "4.00", "5.00x", "80.0"),
        *("2.00", "5.00x", "40.0"),
    ]
    assert table.columns[1].heading == "host 1 (Example CPU), ms/request"
    assert table.columns[4].heading == "host 2 (Other), ms/request"
    assert [fact.label for fact in table.facts] == ["host 1 (Example CPU)", "host 2 (Other)"]
    assert [fact.text.rpartition("; ")[2] for fact in table.facts] == ["run r1", "run r2"]
    assert "Other" in table.facts[1].text
    assert "Ratios are never computed across hosts" in table.remarks[0]


def test_a_variant_missing_on_a_host_has_a_note() -> None:
    """A single host makes no table."""
    other = a_host().model_copy(update={"fingerprint": "e" * 64})
    (table,) = host_tables(groups_of([*group_at(1, 400.0), *group_at(1, 200.0, host=other, run="r2")[:1]]))
    assert [cell.text for cell in table.rows[1][4:]] == ["n/a", "n/a", "n/a"]
    assert table.notes[(table.rows[1][4].note or 0) - 1] == "because it was not measured there."
    assert host_tables(groups_of(group_at(1, 400.0))) == []
