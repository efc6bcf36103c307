"""Curves of adaptive rungs: from manifests to tables, JSON and a plot."""

from typing import Any

import pytest
from records import LADDER, a_ladder, a_rung, ladder_words

from harness.analysis.statistics.ratios import Ratio
from harness.records.record import ArtifactFacts
from reports import CostFactors, render_records
from reports.plots.selection import plots_of
from reports.render.ladder_json import ladder_fields
from reports.report import build_report
from reports.tables.adaptive_curves import curve_tables, thinned
from reports.values import adaptive_curves as about
from reports.values.ladder_model import LadderReport
from reports.values.ladder_values import build_ladder


def point(seconds: float, quality: float, **more: Any) -> dict[str, Any]:
    return {"seconds_per_request": seconds, "quality": quality, **more}


EXITS = {
    "metric": "accuracy",
    "examples": 200,
    "full": 0.70,
    "full_seconds": 0.012,
    "chosen": point(0.006, 0.70, thresholds=[0.8, 100.0], layers_per_request=3.1),
    "curve": [
        point(0.002, 0.60, thresholds=[0.0, 0.0], layers_per_request=1.0),
        point(0.004, 0.68, thresholds=[0.7, 0.5], layers_per_request=2.2),
        point(0.006, 0.70, thresholds=[0.8, 100.0], layers_per_request=3.1),
    ],
}
TOKENS = {
    "metric": "accuracy",
    "examples": 200,
    "full": 0.70,
    "full_seconds": 0.012,
    "chosen": point(0.008, 0.69, keep=0.8, tokens_per_request=61.5),
    "curve": [point(0.010, 0.71, keep=0.9, tokens_per_request=80.0)],
}
CASCADE = {
    "metric": "accuracy",
    "examples": 200,
    "full": 0.70,
    "full_seconds": 0.012,
    "chosen": point(0.005, 0.70, thresholds=[0.9], shares=[0.75, 0.25]),
    "curve": [point(0.005, 0.70, thresholds=[0.9], shares=[0.75, 0.25])],
}
STUDENT = {"selection": {"score": 0.675, "metrics": {"accuracy": 0.675}}}


def a_ladder_with(**manifests: dict[str, Any]) -> LadderReport:
    """Return the usual ladder with one more rung for each of these manifests."""
    configuration = ladder_words([*LADDER, *({"name": name, "over": "fixed"} for name in manifests)])
    rungs = [
        a_rung(
            name,
            wall_ms=(100.0,) * 7,
            configuration=configuration,
            artifact=ArtifactFacts(key=name, size_bytes=1, cached=False, manifest=manifest),
        )
        for name, manifest in manifests.items()
    ]
    ladder = build_ladder([*a_ladder(configuration=configuration), *rungs])
    assert ladder is not None
    return ladder


def adaptive() -> LadderReport:
    """Return a ladder with exits, tokens, a cascade and a student: 1 ms per request each, at 20 watts."""
    calibrations = {"exits": EXITS, "tokens": TOKENS, "cascade": CASCADE}
    return a_ladder_with(half=STUDENT, **{name: {"calibration": own} for name, own in calibrations.items()})


def test_a_curve_has_seconds_costs_and_joules() -> None:
    """At 20 W 4 ms are 0.08 J. The chosen point is marked; a cascade's cost is its last stage's share."""
    exits, tokens, cascade = about.curves_of(adaptive())
    assert [own.setting for own in exits.points] == ["0, 0", "0.7, 0.5", "0.8, never"]
    assert [own.spent for own in exits.points] == [1.0, 2.2, 3.1]
    assert exits.points[1].joules == pytest.approx(0.08)
    assert [own.chosen for own in exits.points] == [False, False, True]
    assert (exits.full.quality, exits.full.seconds, exits.unit) == (0.70, 0.012, "layers")
    assert (cascade.unit, cascade.points[0].spent) == ("passed on", 0.25)
    # the chosen point is shown even if a cheaper one is as good
    assert [(own.setting, own.chosen) for own in tokens.points] == [
        ("keep 0.8", True),
        ("keep 0.9", False),
    ]


def test_at_equal_quality_the_cheapest_point_as_good_as_the_rival_counts() -> None:
    """The student has 67.5 % at 20x. Exits reach 68 % in 4 of 12 ms: 3x; tokens 69 % in 8 ms: 1.5x."""
    pairs = about.at_equal_quality(adaptive())
    assert [(pair.rung, pair.rival, pair.own_gain) for pair in pairs] == [
        ("exits", "half", pytest.approx(3.0)),
        ("tokens", "half", pytest.approx(1.5)),
        ("cascade", "half", pytest.approx(2.4)),
    ]
    assert isinstance(pairs[0].rival_gain, Ratio)
    assert pairs[0].rival_gain.value == pytest.approx(20)


def test_the_gain_includes_the_speed_up_of_the_full_model() -> None:
    """`half` is 20 times as fast as the first rung; exits gain a factor of 3 over it: 60 times."""
    configuration = ladder_words(
        [*LADDER, {"name": "half", "over": "fixed"}, {"name": "exits", "over": "half"}]
    )
    manifests = {"half": STUDENT, "exits": {"calibration": EXITS}}
    rungs = [
        a_rung(name, wall_ms=(100.0,) * 7, configuration=configuration,
               artifact=ArtifactFacts(key=name, size_bytes=1, cached=False, manifest=manifest))
        for name, manifest in manifests.items()
    ]  # fmt: skip
    ladder = build_ladder([*a_ladder(configuration=configuration), *rungs])
    assert ladder is not None
    assert [pair.own_gain for pair in about.at_equal_quality(ladder)] == [pytest.approx(60.0)]


def test_expected_losses_have_a_column_where_calibration_recorded_them() -> None:
    """Older records have none; the full model loses nothing."""
    with_losses = {**EXITS, "curve": [{**own, "expected_loss": 0.25} for own in EXITS["curve"]]}  # type: ignore[attr-defined]
    newer, older = (
        curve_tables(a_ladder_with(exits={"calibration": calibration}))[0]
        for calibration in (with_losses, EXITS)
    )
    index = [column.heading for column in newer.columns].index("expected loss, points")
    assert [row[index].text for row in newer.rows] == ["0.25", "0.25", "0.25", "n/a", "0.00"]
    assert "expected loss" not in str(older)


def test_a_rival_that_no_point_matches_is_marked() -> None:
    """No point of the curve has 90 %."""
    manifest = {"selection": {"metrics": {"accuracy": 0.9}}}
    ladder = a_ladder_with(half=manifest, exits={"calibration": EXITS})
    equal = curve_tables(ladder)[1]
    assert [cell.text for cell in equal.rows[0]][-2:] == ["n/a", "never as good"]


def test_the_tables_of_a_ladder_have_its_curves() -> None:
    """In text and in JSON; a ladder without adaptive rungs has none."""
    records = [item.record for item in (*adaptive().offline, *adaptive().single_stream)]
    text = render_records(records, "text", width=140)
    assert "Quality against cost of adaptive rungs" in text
    assert "At equal quality" in text
    assert "0.8, never *" in text
    assert "25 % passed on" in text
    rows = ladder_fields(adaptive())["curves"]
    assert [row["rung"] for row in rows] == ["exits", "tokens", "cascade"]
    assert rows[0]["spots"][2]["chosen"] is True
    plain = a_ladder_with(half=STUDENT)
    assert curve_tables(plain) == []
    assert ladder_fields(plain)["curves"] == []


def test_given_thresholds_have_no_curve() -> None:
    """The manifest then holds a reason in place of a calibration."""
    given = {"calibration": "unavailable, because thresholds were given"}
    assert about.curves_of(a_ladder_with(exits=given)) == []


def test_long_curves_are_thinned_and_keep_the_chosen_point() -> None:
    """At most seven of thirty points, with both ends."""
    points = [
        about.OperatingPoint(str(number), number / 30, 1.0 + number, None, None, chosen=number == 11)
        for number in range(30)
    ]
    kept = thinned(points)
    assert len(kept) <= 7
    assert {own.setting for own in kept} >= {"0", "11", "29"}


def test_the_plot_has_every_point_as_its_data() -> None:
    """A row for each point and one for each full model; it can be drawn."""
    records = [item.record for item in (*adaptive().offline, *adaptive().single_stream)]
    plots = {plot.name: plot for plot in plots_of(build_report(records, CostFactors()), lambda _: None)}
    (curve,) = [plot for name, plot in plots.items() if name.startswith("ladder-curves")]
    assert len(curve.rows) == 3 + 1 + 2 + 1 + 1 + 1
    assert ("exits", "0.8, never", 70.0, 6.0, 3.1, "layers", pytest.approx(0.12), "yes") in curve.rows
    from reports.plots.drawing import as_svg

    assert "exits" in as_svg(curve)
