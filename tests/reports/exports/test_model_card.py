import pytest
import yaml
from huggingface_hub import ModelCard
from records import a_failure, a_record, three_variants

from harness.records.record import Record
from reports import CostFactors, Style, build_report, write_report
from reports.exports.model_card import as_card


def card_of(*records: Record) -> str:
    return write_report(build_report(records, CostFactors()), "model-card", Style())


def test_the_hub_reads_the_figures_of_each_variant() -> None:
    """Its own reader, `huggingface_hub`, gives the same values under the same names."""
    records = three_variants()
    for record in records:
        card = ModelCard(card_of(record))
        assert card.data.model_name == f"{record.model.name} ({record.cell.variant})"
        by_type = {result.metric_type: result for result in card.data.eval_results}
        accuracy = by_type["accuracy"]
        assert record.quality is not None
        assert accuracy.metric_value == record.quality.metrics["accuracy"].value
        assert (accuracy.task_type, accuracy.dataset_config) == ("text-classification", "boolq")
        assert accuracy.dataset_split == record.data.split
        assert accuracy.dataset_revision == record.data.fingerprint


def test_speed_has_the_machine_in_its_name_and_the_interval_in_its_arguments() -> None:
    """A score has neither: it does not depend on the machine."""
    index = yaml.safe_load(card_of(a_record()).strip("-\n"))["model-index"]
    metrics = {metric["type"]: metric for metric in index[0]["results"][0]["metrics"]}
    assert "threads" in metrics["time_per_request_ns"]["name"]
    assert metrics["time_per_request_ns"]["args"]["unit"] == "ns"
    # rounds of about 500 ms over 100 requests
    assert metrics["time_per_request_ns"]["value"] == pytest.approx(5e6, rel=0.01)
    assert "threads" not in metrics["accuracy"]["name"]
    assert (
        metrics["accuracy"]["args"]["low"]
        < metrics["accuracy"]["value"]
        < metrics["accuracy"]["args"]["high"]
    )
    assert not any(metric["verified"] for metric in metrics.values())


def test_modelled_joules_are_never_called_measured() -> None:
    """In the type, in the name, and in the grade."""
    metrics = [
        metric
        for record in three_variants(reading={"grade": "modelled", "source": "cpu-time"})
        for entry in yaml.safe_load(card_of(record).strip("-\n"))["model-index"]
        for metric in entry["results"][0]["metrics"]
        if metric["type"].startswith("energy")
    ]
    assert metrics
    for metric in metrics:
        assert "_modelled" in metric["type"]
        assert "modelled, not measured" in metric["name"]
        assert metric["args"]["grade"] == "modelled"


def test_a_record_without_figures_is_left_out_and_names_are_escaped() -> None:
    """No entry for what failed; a name that would end the metadata is text."""
    text = as_card(build_report([a_failure("onnx-int8")], CostFactors()), Style())
    assert yaml.safe_load(text.strip("-\n")) == {"model-index": []}
    record = a_record()
    hostile = record.model_copy(update={"model": record.model.model_copy(update={"name": "a\x1b\n---\nb"})})
    (name,) = [entry["name"] for entry in yaml.safe_load(card_of(hostile)[4:-4])["model-index"]]
    assert "\x1b" not in name
    assert card_of(hostile).count("\n---\n") == 1
