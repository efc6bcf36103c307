import json
from dataclasses import replace

from records import a_reading, a_record, three_variants

from harness.records.record import Conditions, HarnessOverhead, IdleEnergy, MachineSnapshot, Record
from reports import render_records
from reports.provenance.conditions import condition_lines, parent_line
from reports.tables.speed import speed_tables
from reports.values.figures import all_figures, figures_of_group

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
        replace(turn, readings=(a_reading(turn.readings[0].microjoules, span_ns=turn.wall_ns),))
        for turn in record.rounds
    )
    return record.model_copy(update={"rounds": turns})


def test_net_of_idle_has_a_column_beside_the_gross_energy() -> None:
    """20 W for 20 ms are 0.4 J per request; 5 W of idle power are 0.1 J, which leaves 0.3 J."""
    records = [with_spans(record) for record in three_variants(idle=idled(5.0, 5.0))]
    (table,) = speed_tables(all_figures(records))
    headings = [column.heading for column in table.columns]
    gross, net = headings.index("mJ/request, measured"), headings.index("net of idle, mJ/request")
    assert net == gross + 1
    assert (table.rows[0][gross].text, table.rows[0][net].text) == ("400", "300")
    remark = "Net of idle: energy per request minus the machine's idle power"
    assert any(line.startswith(remark) for line in table.remarks)


def test_without_measured_idle_power_there_is_a_reason_and_no_column() -> None:
    """A model of CPU time has no idle power; the facts give the reason."""
    records = three_variants(idle=IdleEnergy(unavailable="CPU time is not power"))
    (table,) = speed_tables(all_figures(records))
    assert not any("net of idle" in column.heading for column in table.columns)
    assert {fact.label: fact.text for fact in table.facts}["idle"] == (
        "unavailable, because CPU time is not power"
    )
    (plain,) = speed_tables(all_figures(three_variants()))
    assert not {"idle", "conditions"} & {fact.label for fact in plain.facts}


def test_energy_net_of_idle_can_be_negative() -> None:
    """At 25 W idle, 20 W leave -0.1 J of 0.4 J."""
    records = [with_spans(record) for record in three_variants(idle=idled(25.0, 25.0))]
    (table,) = speed_tables(all_figures(records))
    net = [column.heading for column in table.columns].index("net of idle, mJ/request")
    assert table.rows[0][net].text == "-100"


def test_a_difference_below_the_digits_of_the_energy_is_zero() -> None:
    """20 W idle leave nothing of 20 W; a millionth of a watt more leaves less than the energy has digits."""
    for watts in (20.0, 20.000001):
        records = [with_spans(record) for record in three_variants(idle=idled(watts, watts))]
        (table,) = speed_tables(all_figures(records))
        net = [column.heading for column in table.columns].index("net of idle, mJ/request")
        shown = {f"{row[net].text} {row[net].interval}" for row in table.rows}
        assert shown <= {"0 [0, 0]", "0.0 [0.0, 0.0]"}


def test_the_json_has_gross_and_net_energy() -> None:
    """In joules; without idle power the net energy has a reason."""
    records = [with_spans(record) for record in three_variants(idle=idled(5.0, 5.0))]
    (row, *_) = json.loads(render_records(records, "json"))["rows"]
    assert round(row["net_joules_per_request"]["value"], 6) == 0.3
    assert round(row["joules_per_request"]["value"], 6) == 0.4
    (old, *_) = json.loads(render_records(three_variants(), "json"))["rows"]
    assert old["net_joules_per_request"] == {"unavailable": "because idle power was not measured"}


def test_idle_power_and_conditions_have_a_line_each() -> None:
    """Idle power before and after; the largest foreign load of all variants; temperature."""
    conditions = Conditions(
        before=MachineSnapshot(load_average=0.1, temperature_mc=45_000),
        after=MachineSnapshot(load_average=1.9, temperature_mc=62_000),
        span_ns=S,
    )
    record = a_record(idle=idled(20.0, 21.0), conditions=conditions)
    shares = {"watched_ns": S, "foreign_cpu_ns": S // 50, "steal_ns": 0}  # 20 ms of 2 CPUs are 1 %
    turns = tuple(replace(turn, **shares) for turn in record.rounds)
    lines = {
        line.label: line.text
        for line in condition_lines(figures_of_group([record.model_copy(update={"rounds": turns})]))
    }
    assert lines["idle"].startswith("20.0 W before the rounds, 21.0 W after: all that the meter covers")
    assert lines["conditions"] == (
        "other processes used at most 1 % of the CPUs (medians over rounds); "
        "the hypervisor used at most 0 % of the CPUs (medians over rounds); "
        "load average 0.1, then 1.9; processor 45, then 62 C"
    )


def test_the_harness_line_gives_its_cpu_time_and_modelled_share_of_energy() -> None:
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
    assert "0.5 % of a CPU over the sweep" in render_records([a_record(observer=observer)], "markdown")


def test_the_harness_line_names_the_processes_of_ray_and_their_cpu_time() -> None:
    """2 s of 100 s on a host of a cluster; nothing where Ray has not started the run."""
    observer = HarnessOverhead(
        loop_ns_per_request=200.0,
        sweep_wall_ns=100 * S,
        parent_cpu_ns=0,
        ray_cpu_ns=2 * S,
        ray_processes=("gcs_server", "raylet"),
    )
    assert parent_line(a_record(observer=observer)).endswith(
        "; Ray's processes (gcs_server, raylet) used 2 % of a CPU beside it"
    )
