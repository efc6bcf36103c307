import json

from records import a_record

from harness.analysis.statistics.variance.known_hosts import (
    FILE,
    known_host,
    known_of_json,
    known_on,
    known_ratio_variance,
    known_time_variance,
)
from harness.records.record import Record


def _on(processor: str, virtualisation: str = "virtual machine", **changes: object) -> Record:
    record = a_record("onnx")
    facts = {**record.host.facts, "cpu_model": processor, "virtualisation": virtualisation}
    host = record.host.model_copy(update={"facts": facts})
    return record.model_copy(update={"host": host, **changes})


def test_a_processor_of_the_null_tests_is_known_in_a_virtual_machine_only() -> None:
    """On bare metal, or of another name, nothing is known: an assumption would be silent."""
    (processor,) = {host.processor for host in map(known_of_json, json.loads(FILE.read_text())["hosts"])}
    known = _on(processor)
    assert known_host(known) == known_on(processor, known.cell.threads)
    assert known_ratio_variance(known) is not None
    assert known_time_variance(known) is not None
    assert known_host(_on(processor, "none")) is None
    assert known_host(_on("Another Processor")) is None
    assert known_time_variance(_on("Another Processor")) is None


def test_threads_that_wait_for_one_another_are_known_apart() -> None:
    """One thread and several differ by what two virtual CPUs do to one another."""
    (processor,) = {host.processor for host in map(known_of_json, json.loads(FILE.read_text())["hosts"])}
    one, two, four = (known_on(processor, threads) for threads in (1, 2, 4))
    assert one is not None
    assert two == four
    assert one.time.variance < two.time.variance  # type: ignore[union-attr]


def test_a_gpu_is_not_known() -> None:
    """What launches on CPUs differ by says nothing about a board."""
    record = _on("AMD EPYC")
    cell = record.cell.model_copy(update={"device": "cuda:0"})
    assert known_host(record.model_copy(update={"cell": cell})) is None
