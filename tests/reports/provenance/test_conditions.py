import json

from records import a_reading, a_record, three_variants

from harness.records.record import Conditions, HarnessOverhead, IdleEnergy, MachineSnapshot, Record
from reports import as_markdown
from reports.provenance.conditions import beside_lines, parent_line
from reports.render.json_values import as_json
from reports.tables.speed import speed_table
from reports.values.figures import figures

S = 1_000_000_000


def idled(watts: float, after: float | None = None) -> IdleEnergy:
    """Return idle windows of 1 s at these watts."""
    first = (a_reading(round(watts * 1e6), span_ns=S),)
    return IdleEnergy(
        before=first, after=() if after is None else (a_reading(round(after * 1e6), span_ns=S),)
    )


def with_spans(record: Record) -> Record:
    """Return the record with readings that span their windows."""
    turns = tuple(
        turn.model_copy(update={"readings": (a_reading(turn.readings[0].microjoules, span_ns=turn.wall_ns),)})
        for turn in record.rounds
    )
    return record.model_copy(update={"rounds": turns})


def test_net_of_idle_stands_beside_gross_and_never_instead_of_it() -> None:
    """20 W for 20 ms are 0.4 J a request; of 5 W idle 0.1 J, which leaves 0.3 J."""
    records = [with_spans(record) for record in three_variants(idle=idled(5.0, 5.0))]
    (table,) = speed_table(records)
    headings = [column.heading for column in table.columns]
    gross, net = headings.index("mJ/request, measured"), headings.index("net of idle, mJ/request")
    assert net == gross + 1
    assert (table.rows[0][gross].text, table.rows[0][net].text) == ("400", "300")
    assert any(remark.startswith("Net of idle: the energy beside it, less") for remark in table.remarks)


def test_without_measured_idle_there_is_no_such_column_and_the_reason_is_told() -> None:
    """A model of CPU time knows no idle: a line says so, where somebody looked."""
    records = three_variants(idle=IdleEnergy(unavailable="CPU time is no power"))
    (table,) = speed_table(records)
    assert not any("net of idle" in column.heading for column in table.columns)
    assert {fact.label: fact.text for fact in table.facts}["idle"] == (
        "unavailable, because CPU time is no power"
    )
    (plain,) = speed_table(three_variants())
    assert not {"idle", "conditions"} & {fact.label for fact in plain.facts}


def test_a_request_that_costs_no_more_than_idle_may_be_below_zero() -> None:
    """At 25 W idle, 20 W leave -0.1 J of 0.4 J: it is shown as it is."""
    records = [with_spans(record) for record in three_variants(idle=idled(25.0, 25.0))]
    (table,) = speed_table(records)
    net = [column.heading for column in table.columns].index("net of idle, mJ/request")
    assert table.rows[0][net].text == "-100"


def test_what_rounding_leaves_of_a_request_that_costs_what_idle_does_is_zero() -> None:
    """20 W idle leave nothing of 20 W; a millionth of a watt more leaves less than the energy has digits."""
    for watts in (20.0, 20.000001):
        records = [with_spans(record) for record in three_variants(idle=idled(watts, watts))]
        (table,) = speed_table(records)
        net = [column.heading for column in table.columns].index("net of idle, mJ/request")
        shown = {f"{row[net].text} {row[net].interval}" for row in table.rows}
        assert shown <= {"0 [0, 0]", "0.0 [0.0, 0.0]"}


def test_the_json_has_both() -> None:
    """In joules, with its grade; where there is no idle, why not."""
    found = [with_spans(record) for record in three_variants(idle=idled(5.0, 5.0))]
    (row, *_) = json.loads(as_json(found))["rows"]
    assert round(row["net_joules_per_request"]["value"], 6) == 0.3
    assert round(row["joules_per_request"]["value"], 6) == 0.4
    (old, *_) = json.loads(as_json(three_variants()))["rows"]
    assert old["net_joules_per_request"] == {"unavailable": "because idle power was not measured"}


def test_what_stood_beside_is_told_on_two_lines() -> None:
    """Idle before and after; who else worked, at most of all variants; what got warm."""
    conditions = Conditions(
        before=MachineSnapshot(load_average=0.1, temperature_mc=45_000),
        after=MachineSnapshot(load_average=1.9, temperature_mc=62_000),
        span_ns=S,
    )
    record = a_record(idle=idled(20.0, 21.0), conditions=conditions)
    seen = {"watched_ns": S, "foreign_cpu_ns": S // 50, "steal_ns": 0}  # 20 ms of 2 CPUs are 1 %
    turns = tuple(turn.model_copy(update=seen) for turn in record.rounds)
    lines = dict(beside_lines(figures([record.model_copy(update={"rounds": turns})])))
    assert lines["idle"].startswith("20.0 W before the rounds, 21.0 W after: of the machine")
    assert lines["conditions"] == (
        "others used at most 1 % of the CPUs (medians over rounds); "
        "a hypervisor took at most 0 % of the CPUs (medians over rounds); "
        "load average 0.1, then 1.9; processor 45, then 62 C"
    )


def test_what_the_harness_used_itself_is_told_with_its_share_of_energy_as_modelled() -> None:
    """0.5 s of 100 s; of all CPU time, 0.5 + 99.5 s, it is 0.5 % too."""
    observer = HarnessOverhead(
        loop_ns_per_request=200.0,
        sweep_wall_ns=100 * S,
        parent_cpu_ns=S // 2,
        workers_cpu_ns=99 * S + S // 2,
        pollers=0,
    )
    assert parent_line(a_record(observer=observer)) == (
        "; its parent process used 0.5 % of a CPU over the sweep, 0.5 % of the energy "
        "(modelled by CPU time), with 0 pollers"
    )
    assert parent_line(a_record()) == ""
    assert "0.5 % of a CPU over the sweep" in as_markdown([a_record(observer=observer)])
