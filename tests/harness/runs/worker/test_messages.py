"""What messages look like as JSON: older code reads these names, and requires some of them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.common.json_codec import extended, from_json, to_json
from harness.records.inputs import DataPlan
from harness.records.journal_entries import (
    CompletedEntry,
    FailedEntry,
    FailureReport,
    IdleEntry,
    MemoryEntry,
    OpenedEntry,
    Opening,
    PeakMemory,
    RateSearch,
    RoundEntry,
    SearchedEntry,
    StoppedEntry,
    VisitEntry,
    VisitResult,
    WarmResult,
    from_lines,
    to_line,
)
from harness.records.reading import Reading
from harness.records.record import RateTrial
from harness.runs.worker.messages import (
    REQUESTS,
    CalibrateRequest,
    CompleteResult,
    OpenRequest,
    OpenResult,
    PreparedArtifact,
    PrepareRequest,
    TrainingData,
    VisitRequest,
    WarmRequest,
)
from harness.systems.interface import Artifact, Checkpoint, Placement, Settings
from harness.workload.tasks.multi_label import ThresholdCalibration

READING = Reading("package-0", "measured", "package", "rapl", 5, 10, overlaps=("core",))
VISIT = VisitResult(
    requests=1,
    sequences=1,
    tokens=3,
    wall_ns=9,
    cpu_ns=8,
    call_ns=[9],
    readings=[READING],
    answers=["true"],
    late_ns=0,
)
ARTIFACT = PreparedArtifact(Path("/a"), "k", {"recipe": "none"}, fresh=False)
CHECKPOINT = Checkpoint("m", Path("/m"), "local", "f", trained_on="sha")
SETTINGS, PLACEMENT = Settings(8, 1, ""), Placement("cpu", (0, 1), 2)
DATA = DataPlan(tier="local", folder="/d", split="val", fingerprint="f")
OPEN = OpenRequest(
    task="boolq",
    variant="v",
    scenario="server",
    boundary="text",
    data=DATA,
    artifact=Artifact(Path("/a"), "k", {}),
    settings=SETTINGS,
    placement=PLACEMENT,
    meter=None,
    cache="/c",
    sample=[1],
)
CALIBRATE = CalibrateRequest(
    {"labels": ["a", "b"], "metric": "micro-f1", "multi_label": True},
    CHECKPOINT,
    TrainingData("local", "/d", 1),
    SETTINGS,
    PLACEMENT,
    "/c",
)
CALIBRATION = ThresholdCalibration(0.3, "micro_f1", 40, score=0.5, score_at_half=0.25)
PREPARE = PrepareRequest("boolq", "v", CHECKPOINT, TrainingData("local", "/d", 48), SETTINGS, PLACEMENT, "/c")


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (ARTIFACT, "folder key manifest fresh"),
        (VISIT, "requests sequences tokens passes wall_ns cpu_ns call_ns readings answers late_ns"),
        (CompleteResult([], 0), "answers truncated"),
        (CompleteResult([], 0, PeakMemory()), "answers truncated memory"),
        (OpenResult(effective={}, loop_ns_per_request=1.0), "effective loop_ns_per_request"),
        (WarmResult(warmup_requests=0), "warmup_requests"),
        (FailureReport("A", "b", None, None), "kind message where remedy"),
        (CHECKPOINT, "name folder tier fingerprint trained trained_on"),
        (WarmRequest([1], 4), "indexes windows first"),
        (VisitRequest([1], 0), "indexes warmup"),
        (SETTINGS, "max_length batch"),
        (PLACEMENT, "device cpus threads instances"),
        (
            OPEN,
            "task variant scenario boundary data artifact settings placement meter cache sample",
        ),
    ],
)
def test_a_message_has_the_fields_that_older_code_requires_and_no_empty_new_ones(
    message: Any, fields: str
) -> None:
    """An empty default is left out; a field without a default never is, nor is a zero that means a zero."""
    assert list(to_json(message)) == fields.split()


@pytest.mark.parametrize(
    "message", [VISIT, OPEN, PREPARE, CALIBRATE, CALIBRATION, READING, ARTIFACT, CHECKPOINT]
)
def test_a_message_that_is_sent_is_the_message_that_arrives(message: Any) -> None:
    """Paths, tuples and what is nested included."""
    assert from_json(type(message), to_json(message)) == message


def test_a_request_with_an_unknown_field_is_refused_by_a_worker() -> None:
    """It would measure something else than what was requested."""
    with pytest.raises(TypeError, match="VisitRequest has no field later"):
        from_json(VisitRequest, {"indexes": [1], "warmup": 0, "later": 1}, strict=True)


def test_every_message_has_a_name_of_its_own_and_an_answer() -> None:
    """The names are those of the protocol's version 2, and `calibrate`, which other tasks never need."""
    actions = "hello, resolve, calibrate, prepare, open, warm, visit, complete, profile, close"
    assert ", ".join(REQUESTS) == actions


def test_a_journal_line_reads_as_it_was_written() -> None:
    """Each kind, with all that is nested in it."""
    opening = Opening(effective={"engine": "e"}, loop_ns_per_request=1.5, warmup_requests=3, steady=False)
    trial = RateTrial(
        rate=1.0, achieved=1.0, requests=1, value_ns=1, needed=2, have=1, overloaded=False, kept=True
    )
    search = RateSearch(highest_rate=None, capacity=2.0, trials=[trial])
    visit = extended(VisitEntry, VISIT, position=0, watched_ns=20)
    entries = [
        extended(OpenedEntry, opening, cell="c", launch=0),
        RoundEntry(group="g", index=0, slice=0, launch=0, indexes=[4], visits={"c": visit}),
        CompletedEntry(cell="c", indexes=[1], answers=["true"], truncated=0),
        extended(SearchedEntry, search, cell="c"),
        FailedEntry(cell="c", failure=FailureReport("A", "b", None, "d")),
        MemoryEntry(cell="c"),
        IdleEntry(cell="c", when="after", readings=[READING]),
        StoppedEntry(cell="c", reason="rounds", rounds=3, half_width=None),
    ]
    lines = [to_line(entry) for entry in entries]
    assert from_lines([*lines, {"kind": "of a later version"}]) == entries
    assert lines[1]["visits"]["c"]["readings"][0]["microjoules"] == 5
    assert lines[-1]["half_width"] is None


def test_defaults_that_are_left_out_come_back() -> None:
    """Zero is not None, and an empty list is not a missing one unless it is the default."""
    assert to_json(Sparse()) == {}
    assert to_json(Sparse(count=0, items=["a"])) == {"count": 0, "items": ["a"]}
    assert from_json(Sparse, {}) == Sparse()


@dataclass(frozen=True)
class Sparse:
    count: int | None = None
    items: list[str] = field(default_factory=list)
