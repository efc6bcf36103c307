from xml.etree import ElementTree as ET

from records import a_record

from harness.analysis.gate.gate import GatedCell, GateOutcome, check_gate
from harness.analysis.gate.rules import parse_rules
from reports.documents.gate import render
from reports.exports.gate_outcome import as_annotations, as_junit


def outcome(**rules: dict[str, str]) -> GateOutcome:
    """Hold a run that takes twice as long against one that does not."""
    before, after = a_record(wall_ms=(1000.0,) * 7), a_record(wall_ms=(2000.0,) * 7, run="r2")
    return check_gate([GatedCell(before, after)], parse_rules(rules, "bench.yaml"))


def test_a_regression_fails_and_what_could_not_be_measured_is_an_error() -> None:
    """Throughput halves, memory stays, and p99 was not timed."""
    percent = {"max-degradation": "5%"}
    found = outcome(throughput=percent, memory=percent, latency_p99=percent)
    (suite,) = ET.fromstring(as_junit(found))
    tags = {str(case.get("name")).split(":")[0]: [child.tag for child in case] for case in suite}
    assert tags == {"throughput": ["failure"], "memory": [], "latency_p99": ["error"]}
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    lines = as_annotations(found).splitlines()
    assert [line.split(" title=")[0] for line in lines] == ["::error", "::error"]
    assert any("title=regression%3A boolq" in line and "5%25" in line for line in lines)


def test_modelled_joules_that_are_allowed_are_called_cpu_time() -> None:
    """Where a rule is broken by them."""
    words = {"energy": {"max-degradation": "5%", "allow": "modelled"}}
    reading = {"grade": "modelled"}
    before = a_record(wall_ms=(1000.0,) * 7, reading=reading)
    after = a_record(wall_ms=(2000.0,) * 7, reading=reading, run="r2")
    found = check_gate([GatedCell(before, after)], parse_rules(words, "bench.yaml"))
    assert "CPU time in other units" in as_junit(found)
    assert "CPU time in other units" in as_annotations(found)


def test_the_gate_renders_its_outcome_for_ci_servers_too() -> None:
    """By the names that `bench gate --format` takes."""
    found = outcome(throughput={"max-degradation": "5%"})
    assert render(found, "junit") == as_junit(found)
    assert render(found, "github-annotations") == as_annotations(found)
