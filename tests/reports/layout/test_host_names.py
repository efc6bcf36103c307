from typing import Any

from records import a_host, a_ladder, a_record, three_variants

from harness.records.record import Record
from reports.layout.host_names import host_names
from reports.layout.verdict_sentences import verdict_texts
from reports.report import Report, build_report, tables_of
from reports.values.footprint import CostFactors

FIRST = "host 1 (Example CPU)"
OTHER = a_host(cpu_model="Other CPU").model_copy(update={"fingerprint": "e" * 64})


def report_on(*records: Record) -> Report:
    return build_report(records, CostFactors())


def on_both(make: Any) -> Report:
    return report_on(*make(), *make(host=OTHER, run="r2"))


def test_hosts_are_numbered_in_order_and_named_by_their_processor() -> None:
    """Two of one processor differ in the number; one host needs no name; a model may be unknown."""
    same = a_host().model_copy(update={"fingerprint": "f" * 64})
    unknown = a_host(cpu_model=None).model_copy(update={"fingerprint": "0" * 64})
    records = [a_record(), a_record(host=OTHER), a_record(host=same), a_record(host=unknown), a_record()]
    assert list(host_names(records).values()) == [
        FIRST,
        "host 2 (Other CPU)",
        "host 3 (Example CPU)",
        "host 4",
    ]
    assert host_names(records[:1]) == {}
    xeon = a_host(cpu_model="Intel(R) Xeon(R) Processor @ 2.80GHz").model_copy(
        update={"fingerprint": "1" * 64}
    )
    assert "host 2 (Intel Xeon)" in host_names([a_record(), a_record(host=xeon)]).values()


def test_tables_and_verdicts_of_several_hosts_say_which_host_they_are_of() -> None:
    """The table of hosts side by side comes first; a report on one host names none."""
    report = on_both(three_variants)
    hosts, *tables = tables_of(report)
    assert hosts.title.startswith("Hosts side by side: ")
    assert [table.title.rpartition(", ")[2] for table in tables] == [FIRST, "host 2 (Other CPU)"]
    assert [text.about for text in verdict_texts(report.verdicts())] == [FIRST, "host 2 (Other CPU)"]
    (alone,) = tables_of(report_on(*three_variants()))
    assert "host" not in alone.title


def test_every_table_of_a_ladder_says_which_host_it_is_of() -> None:
    """Its parts have short titles, which two ladders would share."""
    tables = [table for table in tables_of(on_both(a_ladder)) if not table.title.startswith("Hosts")]
    half = len(tables) // 2
    assert all(table.title.endswith(FIRST) for table in tables[:half])
    assert all(table.title.endswith("host 2 (Other CPU)") for table in tables[half:])
