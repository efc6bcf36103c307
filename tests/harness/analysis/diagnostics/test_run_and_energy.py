from typing import Any

import pytest
from records import a_failure, a_host, a_percentile, a_quality, a_record, an_accuracy

from harness.analysis.diagnostics import ResultWarning, harness_share, warnings_of
from harness.records.record import (
    ArtifactFacts,
    EnergyFacts,
    HarnessOverhead,
    ModelFacts,
    PlacementFacts,
    Record,
)

SKIPPED = EnergyFacts(
    meter="modelled",
    describe={},
    skipped=(
        ("rapl", "permission was denied.", "Ask for read access."),
        ("nvml", "there is no GPU", "Use --device cpu."),
    ),
)


def placed(**effective: Any) -> PlacementFacts:
    return PlacementFacts(cpus=(0, 1), threads_requested=2, effective=effective)


def prepared(**manifest: Any) -> ArtifactFacts:
    return ArtifactFacts(key="k", size_bytes=1, cached=True, manifest=manifest)


MOVED = {"examples": 16, "batch": 8, "max_logit_difference": 0.123, "equal_answers": 0.9375}


def the_warning(code: str, record: Record, *peers: Record) -> ResultWarning:
    warnings = [warning for warning in warnings_of(record, peers) if warning.code == code]
    assert len(warnings) == 1, [warning.code for warning in warnings_of(record, peers)]
    return warnings[0]


def test_a_sound_record_has_no_warning() -> None:
    """Seven steady rounds, measured energy, official data, bare metal."""
    assert warnings_of(a_record("onnx-int8"), [a_record(), a_record("onnx-int8")]) == ()


@pytest.mark.parametrize(
    ("code", "changes", "text"),
    [
        ("quick-profile", {"profile": "quick"}, "Run r1 used the quick profile (7 rounds)"),
        ("few-rounds", {"wall_ms": (10, 10, 10, 10)}, "onnx-int8 has 4 rounds: with fewer than 7"),
        # deviations from 10 are 0 0 2 2 2 2 2: 1.4826 x 2 / 10 is 29.7 %
        ("spread", {"wall_ms": (10, 10, 8, 8, 12, 12, 12)}, "varies by 30 % between rounds (limit 10 %)"),
        ("host-changed", {"host_changes": ("governor: performance, then powersave",)}, "then powersave"),
        ("virtual-machine", {"host": a_host(virtualisation="virtual machine (QEMU)")}, "(QEMU)"),
        ("threads", {"placement": placed(threads=1)}, "was given 2 threads, and its engine reports 1"),
        ("null-system", {"placement": placed(threads=2, reads_input=False)}, "does not read its input"),
        # 5 ms a request, of which the loop takes 0.5
        (
            "harness-share",
            {"observer": HarnessOverhead(loop_ns_per_request=500_000)},
            "takes 10 % of its time per request (limit 5 %)",
        ),
        (
            "percentile",
            {"latency": {"p50": a_percentile(5, needed=11, have=50), "p90": a_percentile(5, have=50)}},
            "timed 50 distinct requests, too few: p90 needs 64",
        ),
        (
            "energy-unavailable",
            {"wall_ms": (10,) * 7, "joules": (None,) * 7},
            "unavailable, because package-0: permission was denied.",
        ),
        ("energy-modelled", {"reading": {"grade": "modelled"}}, "modelled, not measured"),
        # the shortest round takes 490 ms at 20 W, 9.8 J: 9.8 times one joule
        ("energy-window", {"reading": {"resolution_uj": 10**6}}, "is 9.8 times the meter's resolution"),
        ("embedded-data", {"data": {"tier": "embedded"}}, "its quality is not a SuperGLUE score"),
        (
            "data-note",
            {"data": {"note": "100 of the official 3,270 rows"}},
            "100 of the official 3,270 rows.",
        ),
        (
            "untrained-model",
            {"model": ModelFacts(name="bert", tier="local", fingerprint="b" * 64, trained=False)},
            "the model bert is untrained",
        ),
        (
            "batch-dependent",
            {"artifact": prepared(batch_dependence=MOVED), "cell": {"batch": 8}},
            "in batches of 8, logits changed by up to 0.12 (limit 0.001), and 94 % of the answers stayed",
        ),
        (
            "seen-in-calibration",
            {"artifact": prepared(calibration={"data_sha256": "a" * 64})},
            "calibrated on the examples that it is scored on",
        ),
        (
            "near-majority",
            {"quality": a_quality(metrics={"accuracy": an_accuracy(0.63, 0.60, 0.66)})},
            "accuracy, 63.0 %, is not significantly above 62.0 %",
        ),
    ],
)
def test_each_reason_to_distrust_is_named_with_its_figures(
    code: str, changes: dict[str, Any], text: str
) -> None:
    """One change to a sound record causes this warning, about this record, with a next step."""
    warning = the_warning(code, a_record("onnx-int8", **changes), a_record())
    assert text in warning.sentence
    assert "onnx-int8" in warning.sentence or "r1" in warning.sentence
    assert warning.sentence.endswith(".")
    assert warning.next_step.endswith(".")


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"wall_ms": (10, 10)}, "Measure at least 3 rounds (--rounds)."),
        (
            {
                "wall_ms": (10,) * 7,
                "joules": (None,) * 7,
                "reading": {"reason": "the window of 1 ms is shorter than two update periods of the counter"},
            },
            "Make windows longer",
        ),
    ],
)
def test_energy_that_is_unavailable_for_another_cause_than_its_meter_has_that_remedy(
    changes: dict[str, Any], step: str
) -> None:
    """The meter worked in its check and in every round: it need not be checked again."""
    warning = the_warning("energy-unavailable", a_record("onnx-int8", **changes), a_record())
    assert warning.next_step.startswith(step)


@pytest.mark.parametrize(
    "changes",
    [
        {"profile": "quick", "wall_ms": (10, 10, 10)},  # the warning about the profile covers it
        {"wall_ms": (10, 10, 9.5, 9.5, 10.5, 10.5, 10.5)},  # 1.4826 x 0.5 / 10 is 7.4 %
        {"reading": {"resolution_uj": 490_000}},  # 9.8 J are 20 times as much
        {"placement": placed(threads="auto")},  # an engine that names no number
        {"placement": placed(threads=1, instances=2)},  # two instances share the threads
        {"observer": HarnessOverhead(loop_ns_per_request=250_000)},  # 5 % of 5 ms
        {"data": {"majority": None}, "quality": a_quality(metrics={"accuracy": an_accuracy(0.5, 0.4, 0.6)})},
        {"host": a_host(virtualisation="unavailable, because this architecture has no flag for it")},
        {"artifact": prepared(batch_dependence=MOVED)},  # one request at a time
        {
            "artifact": prepared(batch_dependence={**MOVED, "max_logit_difference": 1e-3}),
            "cell": {"batch": 8},
        },
        {"artifact": prepared(batch_dependence="unavailable, because ..."), "cell": {"batch": 8}},
        {"artifact": prepared(calibration={"data_sha256": "c" * 64})},  # another file
        {"artifact": prepared(calibration={"data_sha256": ""}), "data": {"fingerprint": ""}},  # unknown
    ],
)
def test_values_within_their_limit_cause_no_warning(changes: dict[str, Any]) -> None:
    """At or below a limit there is no warning, except for the quick profile."""
    codes = {warning.code for warning in warnings_of(a_record("onnx-int8", **changes))}
    assert codes <= {"quick-profile"}


def test_the_reported_batch_size_counts_not_the_requested_one() -> None:
    """Offline, a system chooses its batches: four at a time, by a rule of its own, or one by one."""
    for batch, is_reported in ((4, True), ("1,024 tokens", True), (1, False)):
        record = a_record(
            "onnx-int8",
            artifact=prepared(batch_dependence=MOVED),
            cell={"scenario": "offline", "batch": 8 if batch == 1 else 1},
            placement=placed(threads=2, batch=batch),
        )
        assert ("batch-dependent" in {warning.code for warning in warnings_of(record)}) is is_reported


def test_the_warning_about_modelled_energy_lists_remedies() -> None:
    """The sentence names the meters that were not used, the next step what each needs."""
    warning = the_warning("energy-modelled", a_record(reading={"grade": "modelled"}, energy=SKIPPED))
    assert "Not used: rapl: permission was denied; nvml: there is no GPU." in warning.sentence
    assert warning.next_step == "Ask for read access. Use --device cpu."


def test_a_failed_cell_has_one_warning() -> None:
    """Rules on rounds, noise and energy do not apply to it."""
    (warning,) = warnings_of(a_failure("onnx-int8"), [a_record()])
    assert warning == ResultWarning(
        "cell-failed", "onnx-int8 failed: the process ran out of memory.", "Lower --max-length."
    )


def test_the_warning_about_a_partial_cell_counts_its_rounds() -> None:
    """With the message of the failure."""
    failure = {"kind": "InterruptedRun", "message": "the run was stopped.", "remedy": None}
    record = a_record("onnx-int8", status="partial", failure=failure, rounds_planned=10)
    warning = the_warning("cell-partial", record)
    assert warning.sentence == "onnx-int8 has 7 of 10 rounds: the run was stopped."
    assert "--debug" in warning.next_step


def test_answers_that_differ_beyond_both_intervals_are_a_warning() -> None:
    """0.80 [0.78, 0.82] against 0.88 [0.86, 0.90]: no overlap; with 0.85 [0.83, 0.87] there is one."""
    worse = a_record("onnx-int8", quality=a_quality(metrics={"accuracy": an_accuracy(0.80, 0.78, 0.82)}))
    close = a_record("onnx-int8", quality=a_quality(metrics={"accuracy": an_accuracy(0.85, 0.83, 0.87)}))
    assert (
        "differs by -8.0 points from that of pytorch-fixed"
        in the_warning("answers-differ", worse, a_record()).sentence
    )
    assert warnings_of(close, [a_record()]) == ()
    assert warnings_of(worse, [a_record("another")]) == ()


def test_a_null_system_has_no_warning_about_the_harness_share() -> None:
    """It measures nothing but the timed loop."""
    record = a_record("null", observer=HarnessOverhead(loop_ns_per_request=4_000_000))
    assert [warning.code for warning in warnings_of(record)] == ["null-system"]


def test_warnings_about_a_run_are_equal_for_each_of_its_records() -> None:
    """A report shows them once."""
    changes: dict[str, Any] = {
        "profile": "quick",
        "data": {"tier": "embedded"},
        "host": a_host(virtualisation="virtual machine"),
        "reading": {"grade": "modelled"},
    }
    assert warnings_of(a_record("one", **changes)) == warnings_of(a_record("other", **changes))


def test_the_share_of_the_harness_is_the_loop_over_the_time_per_request() -> None:
    """200 ns of 5 ms are 0.00004; without an observer the share is unknown."""
    assert harness_share(a_record(wall_ms=(500,) * 3)) == 0.00004
    assert harness_share(a_record(observer=None)) is None
    assert harness_share(a_failure("onnx-int8")) is None


def test_a_family_whose_answers_change_with_padding_is_named_with_the_difference() -> None:
    """As the check at preparation found; changes within rounding are no warning."""
    facts = {"texts": 48, "limit": 1e-4, "library": {"differing_texts": 0}}
    changed = {**facts, "padding": {"max_logit_difference": 0.123}}
    warning = the_warning("padding-dependent", a_record(artifact=prepared(check=changed)))
    assert "padding changes the answers of bert-base-boolq by its nature" in warning.sentence
    assert "by up to 0.12 (limit 0.0001)" in warning.sentence
    rounding = {**facts, "padding": {"max_logit_difference": 1e-6}}
    assert warnings_of(a_record(artifact=prepared(check=rounding))) == ()


@pytest.mark.parametrize("in_library", [True, False])
def test_inputs_that_could_not_be_compared_are_a_warning_with_the_reason(in_library: bool) -> None:
    """Either transformers' tokenizer is missing, or the whole check."""
    reason = "unavailable, because transformers cannot load the tokenizer (no vocabulary)"
    check = {"texts": 4, "limit": 1e-4, "library": reason, "padding": {}} if in_library else reason
    warning = the_warning("unchecked-inputs", a_record(artifact=prepared(check=check)))
    assert warning.sentence.endswith("cannot load the tokenizer (no vocabulary).")


def test_references_that_answer_differently_are_a_warning_with_both_scores() -> None:
    """Padded and unpadded PyTorch run one model; equal hashes of the timed answers are no warning."""
    padded = a_record(quality=a_quality(timed_sha256="a", metrics={"accuracy": an_accuracy(0.22, 0.2, 0.24)}))
    unpadded = a_record(
        "pytorch-dynamic",
        quality=a_quality(timed_sha256="b", metrics={"accuracy": an_accuracy(0.4, 0.38, 0.42)}),
    )
    warning = the_warning("references-disagree", unpadded, padded, unpadded)
    assert (
        "answer some of the 700 timed examples differently (accuracy 22.0 % and 40.0 %)" in warning.sentence
    )
    same = a_record("pytorch-dynamic", quality=a_quality(timed_sha256="a"))
    assert "references-disagree" not in {warning.code for warning in warnings_of(same, [padded, same])}
