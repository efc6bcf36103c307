from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.gate.rules import DEFAULTS, parse_rules, read_rules
from harness.common.errors import UsageError


def test_rules_are_read_from_yaml(tmp_path: Path) -> None:
    """Shares in percent, qualities in points; no limit means one derived from noise."""
    file = tmp_path / "bench.yaml"
    file.write_text(
        "gate:\n"
        "  latency_p50: {max-degradation: 5%}\n"
        "  accuracy: {max-degradation: 0.5}\n"
        "  energy: {max-degradation: 7.5 %, requires: measured}\n"
        "  throughput: {}\n"
        "  memory:\n"
    )
    rules = {rule.name: rule for rule in read_rules(file)}
    limits = {name: rule.limit for name, rule in rules.items()}
    assert limits == {
        "latency_p50": 5.0,
        "accuracy": 0.5,
        "energy": 7.5,
        "throughput": None,
        "memory": None,
    }
    assert rules["accuracy"].quantity.name == "quality"
    assert str(rules["accuracy"]) == "accuracy: at most 0.5 points worse"
    assert str(rules["throughput"]) == "throughput: no worse than the noise"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"latency_p5": {}}, "Did you mean latency_p"),
        ({"latency_p50": {"max-degradaton": "5%"}}, "Did you mean max-degradation"),
        ({"latency_p50": "5%"}, "Write latency_p50: {max-degradation: 5%}"),
        ({"latency_p50": {"max-degradation": 5}}, "Write 5%"),
        ({"latency_p50": {"max-degradation": "-5%"}}, "must be a percentage, got '-5%'"),
        ({"accuracy": {"max-degradation": "1%"}}, "must be a number of points between 0 and 100, got '1%'"),
        (
            {"accuracy": {"max-degradation": float("nan")}},
            "must be a number of points between 0 and 100, got nan",
        ),
        ({"accuracy": {"max-degradation": True}}, "must be a number of points between 0 and 100, got True"),
        ({"memory": {"requires": "measured"}}, "`requires` and `allow` apply to energy only"),
        ({"energy": {"requires": "modelled"}}, "Write measured"),
        ({"energy": {"allow": "guessed"}}, "Write modelled"),
        ({"energy": {"requires": "measured", "allow": "modelled"}}, "Remove `requires` or `allow`"),
        ({}, "must be a mapping from quantities to options"),
        ([], "must be a mapping from quantities to options"),
    ],
)
def test_a_wrong_rule_is_refused_with_what_to_write(config: Any, message: str) -> None:
    """A rule that was ignored would always pass."""
    with pytest.raises(UsageError) as problem:
        parse_rules(config, "bench.yaml")
    assert message in str(problem.value)


def test_without_a_file_the_default_rules_apply(tmp_path: Path) -> None:
    """They do not include energy, which most machines cannot measure."""
    rules = read_rules(None, tmp_path / "bench.yaml")
    assert [rule.name for rule in rules] == list(DEFAULTS)
    assert "energy" not in DEFAULTS


def test_a_misspelt_section_is_refused(tmp_path: Path) -> None:
    """The default rules would hide the mistake."""
    file = tmp_path / "bench.yaml"
    file.write_text("gates: {latency_p50: {}}\n")
    with pytest.raises(UsageError, match=r"bench\.yaml: unknown section 'gates'\.\nDid you mean gate"):
        read_rules(None, file)


@pytest.mark.parametrize("text", ["", "# no rule yet\n", "task: boolq\n"])
def test_a_default_file_without_rules_leaves_the_default_ones(tmp_path: Path, text: str) -> None:
    """Also an empty one, which `bench check` and `bench run` accept."""
    file = tmp_path / "bench.yaml"
    file.write_text(text)
    assert [rule.name for rule in read_rules(None, file)] == list(DEFAULTS)
    with pytest.raises(UsageError, match="has no section `gate`"):
        read_rules(file)


@pytest.mark.parametrize("text", ["- a\n", "gate: [\n", "other: 1\n", "\x00"])
def test_a_file_without_rules_is_refused(tmp_path: Path, text: str) -> None:
    """It was named, so that it must have rules."""
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    with pytest.raises(UsageError):
        read_rules(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """It was named."""
    with pytest.raises(UsageError, match=r"nowhere\.yaml: there is no such file"):
        read_rules(tmp_path / "nowhere.yaml")


leaves = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8)


@given(st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner)))
def test_any_yaml_value_is_a_rule_or_a_usage_error(config: Any) -> None:
    """No other exception."""
    for section in (config, {"energy": config, "quality": config}):
        with suppress(UsageError):
            assert parse_rules(section, "bench.yaml")
