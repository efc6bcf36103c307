import csv
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from hostile import hostile_texts
from hypothesis import example, given, settings
from records import a_failure, a_ladder, a_quality, a_reading, a_record, an_accuracy, three_variants

from harness.records.record import Record
from reports import CostFactors, build_report
from reports.layout.style import SamplesOf
from reports.plots import Plot, as_png, as_svg, data_csv, plots_of
from reports.plots.history import TrackedPoint, history_plot
from reports.plots.tradeoff import TradeoffPoint, pareto_front, tradeoff


def plots_by_name(records: list[Record], samples: SamplesOf = lambda _: None) -> dict[str, Plot]:
    return {plot.name: plot for plot in plots_of(build_report(records, CostFactors()), samples)}


def with_qualities(**changes: object) -> list[Record]:
    """Return records of 20, 10 and 4 ms per request at 90, 85 and 88 %."""
    shares = (0.90, 0.85, 0.88)
    return [
        record.model_copy(
            update={
                "quality": a_quality(metrics={"accuracy": an_accuracy(share, share - 0.02, share + 0.02)})
            }
        )
        for record, share in zip(three_variants(**changes), shares, strict=True)
    ]


def point(name: str, cost: float, quality: float) -> TradeoffPoint:
    return TradeoffPoint(name, (cost, cost, cost), (quality, quality, quality))


def test_the_front_holds_the_points_that_no_other_dominates() -> None:
    """B is slower and worse than a; c is slower than a and better; d equals a and stays."""
    a, b, c, d = point("a", 1, 80), point("b", 2, 70), point("c", 3, 90), point("d", 1, 80)
    assert pareto_front([c, b, a, d]) == [a, d, c]


def test_quality_against_latency_and_energy_marks_the_front() -> None:
    """4 ms at 88 % dominates 10 ms at 85 %."""
    plots = plots_by_name(with_qualities())
    rows = list(csv.DictReader(io.StringIO(data_csv(plots["quality-time-boolq-single-stream-r1"]))))
    assert [(row["system"], row["p50 latency, ms"], row["on the front"]) for row in rows] == [
        ("pytorch-fixed", "20.0", "yes"),
        ("pytorch-dynamic", "10.0", "no"),
        ("onnx-int8", "4.0", "yes"),
    ]
    assert "quality-energy-boolq-single-stream-r1" in plots


def test_plots_mark_modelled_joules() -> None:
    """On the axis and in the caption."""
    plots = plots_by_name(with_qualities(reading={"grade": "modelled"}))
    energy = plots["quality-energy-boolq-single-stream-r1"]
    assert "modelled energy per request, mJ" in energy.columns
    assert "modelled energy per request, mJ" in as_svg(energy)
    assert energy.about.endswith("Joules are modelled: CPU time in other units.")
    rounds = plots["energy-boolq-single-stream-r1"]
    assert "J/request, modelled" in as_svg(rounds)
    assert "CPU time in other units" in rounds.about


def test_energy_is_stacked_by_zone_in_every_round() -> None:
    """Rounds of 100 requests: 2 J of package and 0.5 J of DRAM are 20 and 5 mJ per request."""
    record = a_record()
    readings = (a_reading(2_000_000), a_reading(500_000, zone="dram-0", scope="dram"))
    rounds = tuple(replace(turn, readings=readings) for turn in record.rounds)
    plot = plots_by_name([record.model_copy(update={"rounds": rounds})])["energy-boolq-single-stream-r1"]
    assert len(plot.rows) == 14
    assert plot.rows[:2] == (
        ("pytorch-fixed", 1, "package-0", 0.02, "measured"),
        ("pytorch-fixed", 1, "dram-0", 0.005, "measured"),
    )


def test_the_steps_of_a_ladder_are_its_ratios() -> None:
    """int8 is 20 times as fast as the first rung, twice as fast as the one below."""
    plot = next(plot for name, plot in plots_by_name(a_ladder()).items() if name.startswith("ladder-speed"))
    (row,) = [row for row in plot.rows if row[0] == "int8"]
    assert row[1] == "distilled"
    assert row[2] == pytest.approx(20)
    assert row[5] == pytest.approx(2)
    assert "r1/boolq-int8-offline" in plot.records


def test_latencies_come_from_samples_of_single_stream_only() -> None:
    """Samples of an offline run are not read; the line has the requests in order of latency."""
    scenarios: list[str] = []

    def samples(record: Record) -> dict[str, np.ndarray]:
        scenarios.append(record.cell.scenario)
        return {"call_ns": np.array([3e6, 1e6, 2e6, 4e6])}

    plots = plots_by_name(
        [a_record(), a_record("onnx-int8", cell={"scenario": "offline", "group": "o"})], samples
    )
    assert scenarios == ["single-stream"]
    assert plots["latency-boolq-single-stream-r1"].rows == tuple(
        ("pytorch-fixed", rank / 4, float(rank)) for rank in (1, 2, 3, 4)
    )


def test_a_sweep_is_drawn_over_the_setting_that_varies() -> None:
    """Twice the threads, 250 requests a second instead of 125."""
    records = [
        a_record(wall_ms=(wall,) * 7, cell={"threads": threads, "group": f"g{threads}", "id": f"c{threads}"})
        for threads, wall in ((1, 800.0), (2, 400.0))
    ]
    plot = plots_by_name(records)["scaling-threads-boolq-on-cpu-single-stream-encoded"]
    assert [row[:2] for row in plot.rows] == [("pytorch-fixed", 1), ("pytorch-fixed", 2)]
    assert [row[2] for row in plot.rows] == pytest.approx([125.0, 250.0])


def test_a_history_shows_the_level_of_each_commit() -> None:
    """Change points start a level; an index beyond the points is ignored."""
    points = [
        TrackedPoint(f"c{index}", value, value, value) for index, value in enumerate((1.0, 1.0, 2.0, 2.0))
    ]
    plot = history_plot("h", "p50", points, [2, 9], unit="ms")
    assert [row[-1] for row in plot.rows] == [1, 1, 2, 2]
    assert "c3" in as_svg(plot)
    assert as_svg(history_plot("h", "empty", [], [], unit="ms"))


def test_a_plot_gives_the_same_bytes_and_changes_no_global_state() -> None:
    """No date, no random id; matplotlib's settings do not change, and pyplot holds no figure."""
    import matplotlib as mpl
    from matplotlib._pylab_helpers import Gcf  # where pyplot keeps its figures

    before = dict(mpl.rcParams)
    plot = plots_by_name(with_qualities())["quality-time-boolq-single-stream-r1"]
    assert as_svg(plot) == as_svg(plot)
    assert as_png(plot) == as_png(plot)
    assert dict(mpl.rcParams) == before
    assert not Gcf.figs
    assert as_png(plot).startswith(b"\x89PNG")
    assert "<metadata" not in as_svg(plot)


def test_systems_differ_in_marker_as_well_as_in_colour() -> None:
    """Each of seven systems has its own."""
    from reports.plots.drawing import COLORS, MARKERS, styles

    by_name = styles([str(number) for number in range(14)])
    assert len({(style["color"], style["marker"]) for style in by_name.values()}) == 14
    assert len(set(COLORS)) == len(set(MARKERS)) == 7


def test_failed_and_unscored_records_are_not_drawn() -> None:
    """A single point makes no plot."""
    assert not [
        name for name in plots_by_name([a_record(), a_failure("torch-bf16")]) if name.startswith("quality")
    ]
    assert plots_by_name([a_failure("torch-bf16")]) == {}


def test_plots_of_the_same_kind_have_unique_names() -> None:
    """No file overwrites another."""
    records = [*with_qualities(), *(record.model_copy(update={"run": "R1"}) for record in with_qualities())]
    assert {"quality-time-boolq-single-stream-r1", "quality-time-boolq-single-stream-r1-2"} <= set(
        plots_by_name(records)
    )


@given(hostile_texts)
@example("NONE")
@settings(max_examples=8, deadline=None)
def test_any_name_is_drawn_literally(text: str) -> None:
    """The drawing is well-formed and has no other tags."""
    plot = tradeoff(text, text, [point(text, 1, 80), point("b", 2, 90)], cost=text, quality="%")
    svg = as_svg(plot)
    assert svg == as_svg(plot), "a plot of this name gets random ids"
    tags = {re.sub(r"\{.*\}", "", element.tag) for element in ET.fromstring(svg).iter()}
    assert tags <= {"svg", "g", "defs", "style", "path", "text", "use", "clipPath", "rect", "tspan"}
