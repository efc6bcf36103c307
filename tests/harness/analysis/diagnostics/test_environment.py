"""Warnings about the machine, each caused by one change to a sound record; and next steps that apply."""

from dataclasses import replace
from typing import Any

import pytest
from records import a_host, a_percentile, a_quality, a_reading, a_record, an_accuracy

from harness.analysis.diagnostics import ResultWarning, warnings_of
from harness.records.record import (
    Conditions,
    GpuSnapshot,
    HarnessOverhead,
    IdleEnergy,
    MachineSnapshot,
    Record,
)

S = 1_000_000_000


def watched(record: Record, **shares: float) -> Record:
    """Return the record with rounds that were observed for 1 s on its 2 CPUs: a share of 0.1 is 0.2 s."""
    times = {name: round(2 * share * S) for name, share in shares.items()}
    rounds = tuple(replace(item, watched_ns=S, **times) for item in record.rounds)
    return record.model_copy(update={"rounds": rounds})


def between(before: dict[str, Any], after: dict[str, Any], **more: Any) -> Conditions:
    """Return conditions 100 s apart."""
    return Conditions(
        before=MachineSnapshot(**before), after=MachineSnapshot(**after), span_ns=100 * S, **more
    )


def idled(before_w: float, after_w: float) -> IdleEnergy:
    """Return idle windows of 1 s."""
    first, last = (a_reading(round(watts * 1e6), span_ns=S) for watts in (before_w, after_w))
    return IdleEnergy(before=(first,), after=(last,))


def the_warning(code: str, record: Record) -> ResultWarning:
    warnings = [warning for warning in warnings_of(record) if warning.code == code]
    assert len(warnings) == 1, [warning.code for warning in warnings_of(record)]
    return warnings[0]


def board(**facts: Any) -> dict[str, Any]:
    return {"gpus": (GpuSnapshot(name="A board", **facts),)}


@pytest.mark.parametrize(
    ("code", "changes", "text"),
    [
        (
            "held-back",
            between({"thermal_throttles": 3}, {"thermal_throttles": 5}),
            "heat throttled its CPUs 2 times",
        ),
        # 2 s of 100 s
        (
            "held-back",
            between({"quota_throttled_us": 0}, {"quota_throttled_us": 2_000_000}),
            "quota stopped it for 2 %",
        ),
        (
            "held-back",
            between({"pressure_us": {"memory": 0}}, {"pressure_us": {"memory": 5_000_000}}),
            "waited for memory for 5 %",
        ),
        ("held-back", between({"swapped_pages": 1}, {"swapped_pages": 4001}), "4,000 pages were swapped"),
        (
            "held-back",
            between(board(held_back_ns={"power": 0}), board(held_back_ns={"power": 2_500_000_000})),
            "the power limit of A board slowed it for 2.5 s",
        ),
        (
            "conditions-changed",
            between({"temperature_mc": 40_000}, {"temperature_mc": 70_000}),
            "30 degrees hotter",
        ),
        (
            "conditions-changed",
            between(board(temperature_c=30), board(temperature_c=60)),
            "A board is 30 degrees",
        ),
    ],
)
def test_changed_conditions_are_a_warning(code: str, changes: Conditions, text: str) -> None:
    """Counters are judged by their difference, states by their change."""
    device = "cuda:0" if changes.before.gpus else "cpu"
    warning = the_warning(code, a_record(conditions=changes, cell={"device": device}))
    assert text in warning.sentence
    assert warning.next_step.endswith(".")


def test_a_board_that_the_cell_did_not_run_on_causes_no_warning() -> None:
    """Board 1 was hot, throttled and used by others; the cell ran on board 0, or on the CPU."""
    hot = board(temperature_c=90, held_back_ns={"power": 9_000_000_000}, foreign=2, index=1)
    changes = between(board(temperature_c=30, held_back_ns={"power": 0}, index=1), hot)
    codes = {"held-back", "conditions-changed", "foreign-gpu"}
    for device, number, expected in (("cuda:0", 1, codes), ("cuda:0", 0, set()), ("cpu", None, set())):
        placed = {**a_record().placement.model_dump(), "board": number}  # type: ignore[union-attr]
        record = a_record(conditions=changes, cell={"device": device}, placement=placed)
        assert {warning.code for warning in warnings_of(record)} & codes == expected


@pytest.mark.parametrize(
    "conditions",
    [
        between({}, {}),
        between({"thermal_throttles": None}, {"thermal_throttles": 5}),
        between({"quota_throttled_us": 0}, {"quota_throttled_us": 900_000}),  # 0.9 %
        between({"temperature_mc": 40_000}, {"temperature_mc": 65_000}),  # a cold start
        between(
            {"frequency_khz": 3_000_000}, {"frequency_khz": 1_200_000}
        ),  # of an idle CPU, unknown governor
        between(board(held_back_ns={}), board(held_back_ns={"power": 10**9})),  # unknown before
    ],
)
def test_conditions_within_their_limit_or_unknown_cause_no_warning(conditions: Conditions) -> None:
    """Neither missing counters nor a machine that warmed up."""
    assert warnings_of(a_record(conditions=conditions)) == ()


def test_a_clock_that_changed_under_a_fixed_governor_is_a_warning() -> None:
    """Under the governor performance 3.0 GHz should stay: 2.5 GHz is 17 % less."""
    conditions = between({"frequency_khz": 3_000_000}, {"frequency_khz": 2_500_000})
    record = a_record(conditions=conditions, host=a_host(governor="performance"))
    assert "clock 3.00, then 2.50 GHz" in the_warning("conditions-changed", record).sentence


def test_foreign_load_is_named_with_its_share_and_its_process() -> None:
    """Others used 12 % of two CPUs in each round; 5 % and less cause no warning."""
    conditions = between({}, {}, busiest="stress, 0.24 CPUs")
    warning = the_warning("foreign-load", watched(a_record(conditions=conditions), foreign_cpu_ns=0.12))
    assert "other processes used 12 % of its CPUs in the median round (limit 5 %)" in warning.sentence
    assert warning.next_step == "Stop other work (most of all stress, 0.24 CPUs), and measure again."
    assert warnings_of(watched(a_record(), foreign_cpu_ns=0.05)) == ()


def test_one_disturbed_round_is_not_foreign_load() -> None:
    """The median of seven rounds is that of the quiet ones."""
    record = watched(a_record(), foreign_cpu_ns=0.0)
    first = replace(record.rounds[0], foreign_cpu_ns=S)
    assert warnings_of(record.model_copy(update={"rounds": (first, *record.rounds[1:])})) == ()


def test_load_on_other_cpus_is_in_the_joules_of_a_package_and_in_no_process_share() -> None:
    """A busy core draws energy from the same package; a model of the worker's CPU time excludes it."""
    measured = watched(a_record(), elsewhere_cpu_ns=0.5)
    assert "those of the whole package" in the_warning("load-elsewhere", measured).sentence
    share = watched(a_record(reading={"grade": "modelled", "scope": "process share"}), elsewhere_cpu_ns=0.5)
    assert "load-elsewhere" not in {warning.code for warning in warnings_of(share)}


def test_steal_is_a_warning() -> None:
    """The hypervisor took 3 % of the CPUs; 1 % is within the limit."""
    assert "took 3.0 % of its CPUs" in the_warning("steal", watched(a_record(), steal_ns=0.03)).sentence
    assert warnings_of(watched(a_record(), steal_ns=0.01)) == ()


def exchanged(*trips: tuple[int, float]) -> Record:
    """Return a record with these round trips (ns) between its CPUs before rounds of these lengths (ms)."""
    record = a_record(wall_ms=tuple(wall_ms for _, wall_ms in trips))
    pairs = zip(record.rounds, trips, strict=True)
    rounds = [replace(item, exchange_ns=trip_ns) for item, (trip_ns, _) in pairs]
    return record.model_copy(update={"rounds": tuple(rounds)})


def test_cpus_that_are_moved_apart_are_a_warning_where_requests_take_longer_then() -> None:
    """75 ns next to each other and 10 ms, 345 ns far from it and 16 ms."""
    near, far = (75, 10.0), (345, 16.0)
    warning = the_warning("cpus-moved", exchanged(near, near, far, near, far, far, near))
    assert "took 75 ns before some visits and 345 ns before others" in warning.sentence
    assert "then took 1.6 times as long" in warning.sentence
    assert "--threads 1" in warning.next_step


@pytest.mark.parametrize(
    "trips",
    [
        [(75, 10.0), (345, 10.5)] * 4,  # one thread, or a pool: times do not depend on it
        [(75, 10.0), (110, 16.0)] * 4,  # a change of the clock by half
        [(75, 10.0), (345, 16.0)] * 2,  # four rounds
        [(75, 10.0)] * 6 + [(345, 16.0)],  # apart once
    ],
)
def test_cpus_that_stay_or_do_not_matter_cause_no_warning(trips: list[tuple[int, float]]) -> None:
    assert "cpus-moved" not in {warning.code for warning in warnings_of(exchanged(*trips))}


def test_foreign_processes_on_a_gpu_are_a_warning_if_a_gpu_is_measured() -> None:
    """They do not affect a cell on the processor."""
    conditions = between(board(foreign=2), board(foreign=0))
    warning = the_warning("foreign-gpu", a_record(conditions=conditions, cell={"device": "cuda"}))
    assert "2 processes of other users" in warning.sentence
    assert warnings_of(a_record(conditions=conditions)) == ()


def test_idle_that_drifted_is_a_warning() -> None:
    """20 W, then 23 W: 15 %; 21 W are 5 %."""
    warning = the_warning("idle-drift", a_record(idle=idled(20.0, 23.0)))
    assert "20 W before its rounds and 23 W after, a change of 15 % (limit 10 %)" in warning.sentence
    assert warnings_of(a_record(idle=idled(20.0, 21.0))) == ()


def test_a_parent_that_does_not_sleep_is_a_warning() -> None:
    """2 s of CPU time in 100 s are 2 %; the limit is 1 %."""
    cost = {"loop_ns_per_request": 200.0, "sweep_wall_ns": 100 * S, "workers_cpu_ns": 0, "pollers": 0}
    warning = the_warning("observer-cost", a_record(observer=HarnessOverhead(**cost, parent_cpu_ns=2 * S)))
    assert "used 2.0 % of a CPU" in warning.sentence
    assert "--rounds" in warning.next_step
    quick = a_record(observer=HarnessOverhead(**cost, parent_cpu_ns=2 * S), profile="quick")
    assert "--profile default" in the_warning("observer-cost", quick).next_step
    assert warnings_of(a_record(observer=HarnessOverhead(**cost, parent_cpu_ns=S))) == ()


NOISY = (10, 10, 8, 8, 12, 12, 12)


@pytest.mark.parametrize(
    ("code", "changes", "step"),
    [
        (
            "percentile",
            {"latency": {"p90": a_percentile(5, have=50)}, "data": {"sample": 50}},
            "Time more examples: raise --limit, up to the 1,000 of this split.",
        ),
        (
            "percentile",
            {"latency": {"p90": a_percentile(5, have=56)}, "data": {"sample": 56, "examples": 56}},
            "All 56 examples of BoolQ/val are timed: use a larger split or more data.",
        ),
        (
            "percentile",
            {"latency": {"p90": a_percentile(5, have=50)}, "data": {"sample": 50}, "profile": "quick"},
            "Time more examples: --profile default, or --limit.",
        ),
        (
            "few-rounds",
            {"wall_ms": (10,) * 5, "configuration": {"rounds": 5}},
            "Measure at least 7 rounds: the run had --rounds 5.",
        ),
        ("few-rounds", {"wall_ms": (10,) * 5}, "Measure at least 7 rounds (--rounds)."),
        (
            "spread",
            {"wall_ms": NOISY, "host": a_host(governor="powersave", boost="on")},
            (
                "Stop other work on the machine, set the governor to performance, turn boost off, "
                "and measure again."
            ),
        ),
        (
            "spread",
            {"wall_ms": NOISY, "host": a_host(governor="performance", boost="off")},
            "Stop other work on the machine, and measure again.",
        ),
        (
            "harness-share",
            {"observer": HarnessOverhead(loop_ns_per_request=500_000), "cell": {"scenario": "offline"}},
            "Its speed-up is underestimated.",
        ),
        (
            "energy-window",
            {"reading": {"resolution_uj": 10**6}, "profile": "full"},
            "Its windows are long already: only a meter with a finer resolution would help.",
        ),
        (
            "near-majority",
            {"quality": a_quality(metrics={"accuracy": an_accuracy(0.63, 0.60, 0.66)})},
            "Train longer (`bench train`), or give a better checkpoint with --model.",
        ),
    ],
)
def test_a_next_step_was_not_taken_yet_and_is_possible(code: str, changes: dict[str, Any], step: str) -> None:
    """It depends on the profile, the data and the settings of the machine."""
    assert the_warning(code, a_record("onnx-int8", **changes)).next_step == step


def test_on_a_quiet_machine_the_next_step_is_more_rounds() -> None:
    """There is no other work to stop."""
    assert the_warning("spread", watched(a_record(wall_ms=NOISY), foreign_cpu_ns=0.0)).next_step == (
        "Add rounds (--rounds), and measure again."
    )


def test_for_a_better_model_a_gentler_recipe_is_not_suggested() -> None:
    """0.95 [0.94, 0.96] against 0.88 [0.86, 0.90]."""
    better = a_record("onnx-int8", quality=a_quality(metrics={"accuracy": an_accuracy(0.95, 0.94, 0.96)}))
    (warning,) = warnings_of(better, [a_record()])
    assert warning.next_step == "State this with its speed-up: it is a different model."
