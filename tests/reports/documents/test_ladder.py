import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import (
    LADDER,
    a_failure,
    a_ladder,
    a_percentile,
    a_quality,
    a_record,
    a_rung,
    a_step,
    an_accuracy,
    ladder_words,
    three_variants,
)

import reports
from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.pairing import NotComparable
from harness.analysis.statistics.quality_change import QualityChange
from harness.analysis.statistics.ratios import Ratio
from harness.common.errors import StoreError, UsageError
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import ArtifactFacts, PlacementFacts, Record
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.custom import custom_task, parse_definition
from harness.workload.tasks.example import Example
from reports.layout.table_model import Table, TableCell
from reports.render import markdown, terminal
from reports.render.json_values import encoded
from reports.render.ladder_json import ladder_fields
from reports.tables.ladder import ladder_tables
from reports.values.ladder_model import LadderReport
from reports.values.ladder_values import build_ladder
from reports.values.preparation import BreakEven
from reports.values.prices import Price

PAPERS = (
    {"time_s": 734.35, "cumulative": 1.0, "quality": 74.01},
    {"time_s": 209.29, "cumulative": 3.51, "quality": 74.01},
)


def the_ladder(records: Sequence[Record], **more: Any) -> LadderReport:
    ladder = build_ladder(records, **more)
    assert ladder is not None
    return ladder


def as_text(ladder: LadderReport, width: int = 80) -> str:
    return "\n".join(terminal.render_table(table, width=width) for table in ladder_tables(ladder))


def as_markdown(ladder: LadderReport) -> str:
    return "\n".join(map(markdown.render_table, ladder_tables(ladder)))


@cache
def plain() -> LadderReport:
    """Return the report on `LADDER`; cached, because a ladder has many estimates of milliseconds each."""
    return the_ladder(a_ladder())


def replaced(records: Sequence[Record], *others: Record) -> list[Record]:
    """Replace the records of the same cells by these."""
    by_cell = {(record.cell.variant, record.cell.scenario): record for record in others}
    return [by_cell.get((record.cell.variant, record.cell.scenario), record) for record in records]


def column(ladder: LadderReport, heading: str) -> list[TableCell]:
    (cells,) = [
        [row[index] for row in table.rows]
        for table in ladder_tables(ladder)
        for index, column in enumerate(table.columns)
        if column.heading == heading
    ]
    return cells


def table_with(ladder: LadderReport, heading: str) -> Table:
    return next(
        table for table in ladder_tables(ladder) if heading in [column.heading for column in table.columns]
    )


def note_of(ladder: LadderReport, heading: str, row: int) -> str:
    note = column(ladder, heading)[row].note
    assert note is not None
    return table_with(ladder, heading).notes[note - 1]


def test_records_without_a_ladder_have_no_report() -> None:
    """Neither has an empty list."""
    assert build_ladder(three_variants()) is None
    assert build_ladder([]) is None


def test_steps_are_over_the_rung_built_on_and_cumulative_ones_over_the_first() -> None:
    """20, 10, 2, 1 and 0.5 ms: steps of 2, 5, 2 and 2, which make 2, 10, 20 and 40; energy likewise."""
    rungs = plain().rungs
    for gains in ([rung.speedup for rung in rungs], [rung.energy_reduction for rung in rungs]):
        steps = [gain.step.value for gain in gains if isinstance(gain.step, Ratio)]
        cumulative = [gain.cumulative.value for gain in gains if isinstance(gain.cumulative, Ratio)]
        assert steps == pytest.approx([1, 2, 5, 2, 2])
        assert cumulative == pytest.approx([1, 2, 10, 20, 40])


def test_rungs_that_build_on_one_rung_are_alternatives() -> None:
    """Both build on int8: one is 2 times as fast, the other half as fast; over the first rung 40 and 10."""
    other = {"name": "distilled-again", "over": "int8"}
    configuration = ladder_words([*LADDER, other])
    records = [*a_ladder(configuration=configuration), a_rung("distilled-again", wall_ms=(200.0,) * 7)]
    gain = the_ladder(records).rungs[-1].speedup
    assert isinstance(gain.step, Ratio)
    assert isinstance(gain.cumulative, Ratio)
    assert (gain.step.value, gain.cumulative.value) == pytest.approx((0.5, 10))
    assert gain.step.over == "int8"


def test_the_time_the_energy_and_the_cost_of_a_request() -> None:
    """1 ms at 20 W: 0.02 J; 1 ms x 100 million = 27.78 hours, at 0.677 USD 18.81 USD, at 3.6 USD 100."""
    int8 = plain().rungs[3]
    assert isinstance(int8.time, Estimate)
    assert isinstance(int8.energy, EnergyEstimate)
    assert isinstance(int8.usd, Estimate)
    assert int8.time.value == pytest.approx(1e6)
    assert int8.energy.microjoules.value == pytest.approx(20_000)
    assert int8.usd.value == pytest.approx(18.8056, abs=1e-4)
    own = the_ladder(a_ladder(), price=Price(3.6, "a test")).rungs[3]
    assert isinstance(own.usd, Estimate)
    assert own.usd.value == pytest.approx(100)


def test_break_even_is_the_cost_of_preparation_over_the_saving_per_request() -> None:
    """Distilled: 3,600 s / 18 ms, 72,000 J / 0.36 J; with int8's 10 s: 3,610 s / 19 ms, 72,200 J / 0.38 J.

    In the last rung distillation counts once though two steps contain it: 3,610 s / 19.5 ms = 185,128.2.
    """
    rungs = plain().rungs
    assert [rung.preparation.seconds for rung in rungs] == [0, 0, 3600, 3610, 3610]
    expected = [BreakEven(requests) for requests in (0, 200_000, 190_000, 185_129)]
    assert [rung.break_even_energy for rung in rungs[1:]] == expected
    assert [rung.break_even_money for rung in rungs[1:]] == expected


def test_joules_and_money_can_break_even_at_different_times() -> None:
    """A preparation at 200 W: ten times the joules, 720,000 / 0.36, in the same 3,600 s."""
    steps = [a_step("distil", 3600.0, 720_000.0)]
    artifact = ArtifactFacts(key="k", size_bytes=1, cached=True, manifest={"preparation": steps})
    rung = the_ladder(replaced(a_ladder(), a_rung("distilled", artifact=artifact))).rungs[2]
    assert (rung.break_even_energy, rung.break_even_money) == (BreakEven(2_000_000), BreakEven(200_000))


def test_a_rung_that_saves_nothing_never_breaks_even() -> None:
    """30 ms per request where the first takes 20, at the same power."""
    records = replaced(a_ladder(), a_rung("int8", wall_ms=(3000.0,) * 7))
    ladder = the_ladder(records)
    assert column(ladder, "break-even, energy")[3] == TableCell("never")
    assert column(ladder, "break-even, money")[3] == TableCell("never")


def test_modelled_preparation_is_not_compared_with_measured_requests() -> None:
    """The note names the grade; in money there is a break-even."""
    steps = [a_step("distil", 3600.0, grade="modelled")]
    artifact = ArtifactFacts(key="k", size_bytes=1, cached=True, manifest={"preparation": steps})
    ladder = the_ladder(replaced(a_ladder(), a_rung("distilled", artifact=artifact)))
    assert "grade of the energy differs" in note_of(ladder, "break-even, energy", 2)
    assert note_of(ladder, "preparation, J", 2) == "modelled"
    assert column(ladder, "break-even, money")[2] == TableCell("200,000")


def test_each_rung_has_its_placement_and_batch() -> None:
    """Instances x threads, and the requests that are processed at a time."""
    ladder = plain()
    assert [cell.text for cell in column(ladder, "instances x threads")] == [*["1 x 2"] * 4, "2 x 1"]
    assert [cell.text for cell in column(ladder, "batch")] == ["1", "16", "16", "16", "16"]
    placement = PlacementFacts(cpus=(0, 1), threads_requested=2, effective={"threads": 2})
    silent = the_ladder(replaced(a_ladder(), a_rung("int8", placement=placement)))
    assert note_of(silent, "batch", 3) == "because its system does not report it."


def test_latency_is_that_of_single_stream() -> None:
    """Offline has none; a rung that was not measured in single-stream has a note."""
    records = [
        record for record in a_ladder() if record.cell.variant != "int8" or record.cell.scenario == "offline"
    ]
    ladder = the_ladder(records)
    assert column(ladder, "p50 ms")[0] == TableCell("20.0", "[19.6, 20.4]")
    assert column(ladder, "p90 ms")[0] == TableCell("30.0", "[29.4, 30.6]")
    assert note_of(ladder, "p50 ms", 3) == "because int8 was not measured in single-stream in this run."
    assert column(ladder, "ms/request")[3].text == "1.00"


def test_the_note_of_a_percentile_gives_the_number_of_requests_it_needs() -> None:
    """As in every table; the warning names its scenario."""
    latency = {"p50": a_percentile(5, needed=11, have=56), "p90": a_percentile(7, have=56)}
    ladder = the_ladder(replaced(a_ladder(), a_rung("int8", "single-stream", latency=latency)))
    assert note_of(ladder, "p90 ms", 3) == "because p90 needs 64 distinct requests, and there are 56."
    (warning,) = ladder_tables(ladder)[-1].warnings
    assert warning.sentences == (
        "In single-stream: Run r1 timed 56 distinct requests, too few: p90 needs 64.",
    )


def test_a_rung_that_was_not_measured_keeps_its_row() -> None:
    """The step over it is absent; the ratio over the first rung is not."""
    records = [record for record in a_ladder() if record.cell.variant != "int8"]
    ladder = the_ladder(records)
    assert len(ladder.rungs) == 5
    reason = "because int8 was not measured offline in this run."
    assert note_of(ladder, "ms/request", 3) == reason
    assert note_of(ladder, "speed-up, step", 4) == reason
    assert column(ladder, "speed-up, cumulative")[4] == TableCell("40.0x", "[40.0, 40.0]")


def test_a_failed_rung_keeps_what_its_preparation_cost() -> None:
    """Its measurements are `failed`, with one note per table; the earlier preparation is known."""
    broken = a_failure("int8").model_copy(
        update={
            "cell": a_rung("int8").cell,
            "configuration": ladder_words(),
            "artifact": a_rung("int8").artifact,
        }
    )
    ladder = the_ladder(replaced(a_ladder(), broken))
    assert column(ladder, "ms/request")[3] == TableCell("failed", note=1)
    assert note_of(ladder, "speed-up, step", 3).startswith("int8 failed: the process ran out of memory.")
    assert note_of(ladder, "speed-up, step", 4).startswith("because int8 failed")
    assert column(ladder, "preparation, s")[3] == TableCell("3,610")
    assert column(ladder, "disk MiB")[3] == TableCell("4.00")
    assert column(ladder, "break-even, money")[3].text == "failed"
    assert "cell-failed" in [warning.code for warning in ladder_tables(ladder)[-1].warnings]


def test_a_failed_baseline_leaves_no_cumulative_ratios() -> None:
    """The other rungs keep their own figures."""
    broken = a_failure("fixed").model_copy(
        update={"cell": a_rung("fixed").cell, "configuration": ladder_words()}
    )
    ladder = the_ladder(replaced(a_ladder(), broken))
    assert column(ladder, "speed-up, cumulative")[0].text == "failed"
    assert note_of(ladder, "speed-up, cumulative", 4).startswith("because fixed failed")
    assert note_of(ladder, "break-even, money", 4).startswith("because fixed failed")
    assert column(ladder, "speed-up, step")[4] == TableCell("2.00x", "[2.00, 2.00]")


def test_a_partial_rung_is_marked_in_its_name() -> None:
    """It has fewer rounds than planned."""
    failure = {"kind": "InterruptedRun", "message": "the run was stopped.", "remedy": None}
    partial = a_rung("int8", wall_ms=(100.0,) * 4, status="partial", failure=failure, rounds_planned=7)
    ladder = the_ladder(replaced(a_ladder(), partial))
    assert column(ladder, "ms/request")[3].text == "1.00"
    assert ladder_tables(ladder)[1].rows[3][0].text == "int8 (partial)"


def test_untrained_shapes_have_no_quality_and_one_note_for_all() -> None:
    """Speed and energy only."""
    ladder = the_ladder(a_ladder(quality=a_quality(metrics={}, unavailable="the model is untrained")))
    assert {cell.text for cell in column(ladder, "accuracy")} == {"n/a"}
    assert {cell.text for cell in column(ladder, "change, points")} == {"n/a"}
    assert table_with(ladder, "accuracy").notes == ("because the model is untrained.",)


def test_without_a_meter_energy_is_absent_with_one_reason() -> None:
    """In every column, and in the break-even of energy."""
    ladder = the_ladder(a_ladder(joules=(None,) * 7))
    assert table_with(ladder, "energy reduction, step").notes == (
        "because package-0: permission was denied.",
    )
    assert note_of(ladder, "break-even, energy", 2) == "because package-0: permission was denied."
    assert column(ladder, "break-even, money")[2] == TableCell("200,000")


def test_every_heading_marks_modelled_joules() -> None:
    """Those of preparation too."""
    steps = [a_step("distil", 3600.0, grade="modelled")]
    artifact = ArtifactFacts(key="k", size_bytes=1, cached=True, manifest={"preparation": steps})
    tables = ladder_tables(the_ladder(a_ladder(reading={"grade": "modelled"}, artifact=artifact)))
    assert [column.heading for column in tables[2].columns[1:]] == [
        "mJ/request, modelled",
        "modelled energy reduction, step",
        "modelled energy reduction, cumulative",
    ]
    assert tables[2].title == "Energy, offline, modelled"
    assert tables[2].remarks == ("Joules are modelled: CPU time in other units.",)
    assert tables[6].columns[2].heading == "preparation, J, modelled"


def scored(value: float) -> dict[str, Any]:
    return {"quality": a_quality(metrics={"accuracy": an_accuracy(value, value - 0.02, value + 0.02)})}


def counts_of(right: int, task: Task | None = None, answers: tuple[str, str] = ("true", "false")) -> Any:
    """Return the counts of 100 answers by example, of which `right` are right."""
    examples = [Example(str(number), (), answers[:1]) for number in range(100)]
    given = [answers[0]] * right + [answers[1]] * (100 - right)
    return (task or get_task("boolq")).scoring.by_cluster(examples, given)


def test_quality_changes_are_paired_by_example_if_samples_are_available() -> None:
    """78 of the 80 right answers: -2 points and never above 0; unpaired, the interval is wider."""
    records = replaced(a_ladder(**scored(0.8)), a_rung("int8", **scored(0.78)))
    rights = {"int8": 78}
    paired = the_ladder(records, counts=lambda record: counts_of(rights.get(record.cell.variant, 80)))
    alone = the_ladder(records).rungs[3].quality_change
    change = paired.rungs[3].quality_change
    assert isinstance(change, QualityChange)
    assert isinstance(alone, QualityChange)
    assert (change.paired, alone.paired) == (True, False)
    assert change.points.value == pytest.approx(-2)
    assert change.points.high <= 0 < alone.points.high
    assert column(paired, "change, points")[3].text.startswith("-2.0")
    assert column(paired, "change, points")[3].note is None
    assert note_of(the_ladder(records), "change, points", 3).startswith("unpaired")
    assert "paired by example" in table_with(paired, "change, points").remarks[0]


def test_counts_of_other_examples_are_not_paired() -> None:
    """The numbers of rows differ, so the intervals are combined as unpaired ones."""
    records = replaced(a_ladder(**scored(0.8)), a_rung("int8", **scored(0.78)))

    def counts(record: Record) -> Any:
        return counts_of(80)[:50] if record.cell.variant == "int8" else counts_of(80)

    change = the_ladder(records, counts=counts).rungs[3].quality_change
    assert isinstance(change, QualityChange)
    assert not change.paired


def test_a_custom_task_is_scored_by_its_own_definition() -> None:
    """Labels and metric are in the configuration."""
    custom = {"text": "t", "label": "l", "labels": ["no", "yes"], "metric": "accuracy", "held_out": None}
    records = [
        record.model_copy(
            update={
                "cell": record.cell.model_copy(update={"task": "custom"}),
                "configuration": {**record.configuration, "custom": custom},
            }
        )
        for record in replaced(a_ladder(**scored(0.8)), a_rung("int8", **scored(0.78)))
    ]
    task = custom_task(parse_definition({"labels": custom["labels"], "metric": "accuracy"}))
    rights = {"int8": 78}

    def counts(record: Record) -> Any:
        return counts_of(rights.get(record.cell.variant, 80), task, ("yes", "no"))

    change = the_ladder(records, counts=counts).rungs[3].quality_change
    assert isinstance(change, QualityChange)
    assert change.paired
    assert change.points.value == pytest.approx(-2)


def test_equal_answers_are_no_change_and_a_gain_has_its_sign() -> None:
    """Equal hashes are no change; a gain of 2 points is +2.0; the first rung is the baseline."""
    same = a_quality(metrics={"accuracy": an_accuracy(0.8, 0.78, 0.82)}, answers_sha256="9" * 64)
    records = replaced(a_ladder(quality=same), a_rung("int8", **scored(0.82)))
    cells = column(the_ladder(records), "change, points")
    assert cells[0] == TableCell("0 (baseline)")
    assert (cells[1].text, cells[1].interval) == ("0", "[0, 0]")
    assert note_of(the_ladder(records), "change, points", 1) == "both gave the same answers."
    assert cells[3].text == "+2.0"


def test_the_papers_figures_have_marked_columns() -> None:
    """734.35 s / 3,270 = 224.6 ms; 4,223 USD; a rung that the paper lacks has a note."""
    rungs = [
        {**rung, "reference": PAPERS[index] if index < len(PAPERS) else None}
        for index, rung in enumerate(LADDER)
    ]
    ladder = the_ladder(a_ladder(configuration=ladder_words(rungs)), price=Price(10.0, "a test"))
    assert [cell.text for cell in column(ladder, "paper, ms/request")] == ["225", "64.0", *["n/a"] * 3]
    assert [cell.text for cell in column(ladder, "paper, cumulative")][:2] == ["1.00x", "3.51x"]
    assert column(ladder, "paper, accuracy")[0] == TableCell("74.01 %")
    assert [cell.text for cell in column(ladder, "paper, USD/100M")][:2] == ["4,223", "1,204"]
    assert note_of(ladder, "paper, cumulative", 2) == "because the paper has no such rung."
    assert any("not measured here" in remark for remark in table_with(ladder, "ms/request").remarks)
    assert "paper: its own times at 0.677 USD an hour." in table_with(ladder, "USD/100M").remarks


def test_without_a_reference_the_paper_is_not_mentioned() -> None:
    """A user's own ladder has none."""
    tables = ladder_tables(plain())
    assert not [column.heading for table in tables for column in table.columns if "paper" in column.heading]


def test_the_title_gives_the_price_and_its_source() -> None:
    """The default has a name, the user's own price that of the option."""
    assert "at 0.677 USD an hour (Azure F16s_v2" in ladder_tables(plain())[5].title
    shown = reports.render_records(a_ladder(), "markdown", price=1.25)
    assert "at 1.25 USD an hour (--price-per-hour)" in shown
    assert "x 100 million / 3,600 x 1.25," in shown
    with pytest.raises(UsageError):
        reports.render_records(a_ladder(), "text", price=-1.0)


def test_rungs_that_differ_in_more_than_the_system_have_no_ratio() -> None:
    """Another seed is another sample; the note names the seed."""
    ladder = the_ladder(replaced(a_ladder(), a_rung("int8", seed=1)))
    gain = ladder.rungs[3].speedup
    assert isinstance(gain.step, NotComparable)
    assert note_of(ladder, "speed-up, step", 3) == "because the seed differs: 1 and 0."
    assert note_of(ladder, "break-even, money", 3) == "because the seed differs: 1 and 0."


def test_a_system_that_does_not_read_its_input_has_no_ratio() -> None:
    """As in the plain tables."""
    placement = PlacementFacts(cpus=(0, 1), threads_requested=2, effective={"reads_input": False})
    ladder = the_ladder(replaced(a_ladder(), a_rung("int8", placement=placement)))
    assert note_of(ladder, "speed-up, step", 3).startswith("because int8 does not read its input")


def test_the_json_of_a_rung_is_unrounded_and_in_base_units() -> None:
    """An absent value has its reason."""
    ladder = the_ladder([record for record in a_ladder() if record.cell.scenario == "offline"])
    fields = json.loads(encoded(ladder_fields(ladder)), parse_constant=pytest.fail)
    assert fields == ladder_fields(ladder)
    assert fields["ladder"] == "fastformers"
    assert fields["run"] == "r1"
    assert fields["price"]["usd_per_hour"] == 0.677
    row = fields["rungs"][3]
    assert row["rung"] == "int8"
    assert row["over"] == "distilled"
    assert row["time_per_request_ns"]["value"] == pytest.approx(1e6)
    assert row["speedup"]["step"]["value"] == 2
    assert row["speedup"]["cumulative"]["verdict"] == "faster"
    assert row["joules_per_request"]["value"] == pytest.approx(0.02)
    assert row["usd_per_100m_requests"]["value"] == pytest.approx(18.8056, abs=1e-4)
    assert row["preparation"] == {"seconds": 3610, "joules": {"value": 72_200, "grade": "measured"}}
    assert row["break_even_requests"] == {"energy": 190_000, "money": 190_000}
    assert row["latency_ns"]["p50"] == {
        "unavailable": "because int8 was not measured in single-stream in this run"
    }
    assert row["disk_bytes"] == 4 * 2**20
    assert row["paper"] is None


def test_a_report_shows_ladders_first_and_plain_tables_for_other_records() -> None:
    """Two runs, one of a ladder; JSON has the plain rows of all records too."""
    records = [a_record(run="r0"), *a_ladder()]
    ladder = plain()
    text = reports.render_records(records, "text", width=120)
    assert text.startswith(as_text(ladder, width=120))
    assert text.count("What was measured") == 2
    page = reports.render_records(records, "markdown")
    verdicts, tables = page[: page.index("###")], page[page.index("###") :]
    alone = reports.render_records([records[0]], "markdown")
    assert verdicts.count("**Verdict.**") == 3
    assert tables == as_markdown(ladder) + "\n" + alone[alone.index("###") :]
    report = json.loads(reports.render_records(records, "json"))
    assert report["ladders"] == [ladder_fields(ladder)]
    assert len(report["rows"]) == 11
    tables, _, verdicts = reports.render_records(a_ladder(), "text", width=120).partition("\nVerdicts\n")
    assert tables == as_text(ladder, width=120)
    assert verdicts.startswith("offline: ")


def test_two_ladder_runs_are_two_ladders() -> None:
    """They are never joined."""
    shown = reports.render_records([*a_ladder(), *a_ladder(run="r2")], "json")
    assert [ladder["run"] for ladder in json.loads(shown)["ladders"]] == ["r1", "r2"]


@pytest.mark.parametrize(
    "definition", [{}, {"name": "x", "rungs": []}, {"name": "x", "rungs": [{"over": "y"}]}]
)
def test_a_ladder_that_cannot_be_read_is_an_error_that_names_the_record(definition: Any) -> None:
    """It is not shown as a plain table."""
    with pytest.raises(StoreError, match="r1, boolq-fixed-offline: the record's ladder cannot be read"):
        build_ladder([a_rung("fixed", configuration={"ladder": definition})])


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=30), st.text(max_size=30))
def test_any_name_of_a_rung_is_shown_literally(name: str, about: str) -> None:
    """The text is printable; in Markdown, every row of a table has as many cells."""
    configuration = ladder_words([{"name": f"v{name}", "about": about}, {"name": "b|*", "over": f"v{name}"}])
    records = [a_rung(f"v{name}", configuration=configuration), a_rung("b|*", configuration=configuration)]
    text = as_text(the_ladder(records), width=100)
    assert all(char.isprintable() for line in text.split("\n") for char in line)
    for block in as_markdown(the_ladder(records)).split("\n\n"):
        rows = [line for line in block.split("\n") if line.startswith("| ")]
        assert len({row.replace("\\\\", "").replace("\\|", "").count("|") for row in rows}) <= 1


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """A long description of a rung takes several lines."""
    rungs = [{**rung, "about": "a long tale of what it is " * 5} for rung in LADDER]
    shown = as_text(the_ladder(a_ladder(configuration=ladder_words(rungs))), width=width)
    assert max(map(len, shown.splitlines())) <= width


def test_a_ladder_measured_only_in_single_stream_is_still_a_ladder() -> None:
    """It has latencies; everything else has its reason."""
    ladder = the_ladder([record for record in a_ladder() if record.cell.scenario == "single-stream"])
    assert column(ladder, "p50 ms")[3].text == "1.00"
    assert isinstance(ladder.rungs[3].time, Unavailable)
    assert "fixed" in as_text(ladder)
