from xml.etree import ElementTree as ET

from records import a_record

from harness.analysis.gate.gate import GatedCell, GateOutcome, check_gate
from harness.analysis.gate.rules import parse_rules
from reports.documents.gate import render
from reports.exports.gate_outcome import as_annotations, as_junit


def outcome(**rules: dict[str, str]) -> GateOutcome:
    """Return the outcome for a run that takes twice as long as the one before."""
    before, after = a_record(wall_ms=(1000.0,) * 7), a_record(wall_ms=(2000.0,) * 7, run="r2")
    return check_gate([GatedCell(before, after)], parse_rules(rules, "bench.yaml"))


def test_a_regression_is_a_failure_and_a_missing_measurement_an_error() -> None:
    """Throughput halves, memory stays, and p99 was not timed."""
    percent = {"max-degradation": "5%"}
    gated = outcome(throughput=percent, memory=percent, latency_p99=percent)
    (suite,) = ET.fromstring(as_junit(gated))
    tags = {str(case.get("name")).split(":")[0]: [child.tag for child in case] for case in suite}
    assert tags == {"throughput": ["failure"], "memory": [], "latency_p99": ["error"]}
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    lines = as_annotations(gated).splitlines()
    assert [line.split(" title=")[0] for line in lines] == ["::error", "::error"]
    assert any("title=regression%3A boolq" in line and "5%25" in line for line in lines)


def test_allowed_modelled_joules_are_marked_as_not_measured() -> None:
    """Where they break a rule."""
    rules = {"energy": {"max-degradation": "5%", "allow": "modelled"}}
    reading = {"grade": "modelled"}
    before = a_record(wall_ms=(1000.0,) * 7, reading=reading)
    after = a_record(wall_ms=(2000.0,) * 7, reading=reading, run="r2")
    gated = check_gate([GatedCell(before, after)], parse_rules(rules, "bench.yaml"))
    assert "Joules are modelled, not measured." in as_junit(gated)
    assert "Joules are modelled, not measured." in as_annotations(gated)


def test_the_gate_renders_its_outcome_for_ci_servers_too() -> None:
    """By the names of `bench gate --format`."""
    gated = outcome(throughput={"max-degradation": "5%"})
    assert render(gated, "junit") == as_junit(gated)
    assert render(gated, "github-annotations") == as_annotations(gated)
