"""What is known of launches and runs on hosts like those of the committed null tests.

    results/traces --null_traces --known--> known_hosts.json --> KnownVariance

Two processes of one program differ a little for as long as they live, and two runs differ by what changes
between them. A single launch cannot show the one, a single run not the other. Where the project measured
both on hosts of the same processor, that knowledge is used; on other hosts a run has only its own launches.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from harness.analysis.statistics.variance.model import KnownVariance
from harness.common.json_types import JsonObject
from harness.records.record import Record

FILE = Path(__file__).with_name("known_hosts.json")


@dataclass(frozen=True, slots=True)
class KnownHost:
    """What is known of one processor, with one thread or several (variances of logarithms).

    `ratio` is the variance between launches of the ratio of two equal systems, `typical` that of their
    typical request, `time` that of the time of one; `run_ratio` and `run_time` are the variances of one run,
    beyond its launches and rounds.
    """

    processor: str
    threads: str
    ratio: KnownVariance
    typical: KnownVariance
    time: KnownVariance
    run_ratio: KnownVariance
    run_time: KnownVariance


def known_host(record: Record) -> KnownHost | None:
    """Return what is known of virtual machines with the processor of a record; of its CPUs only."""
    facts = record.host.facts
    if record.cell.device != "cpu" or facts.get("virtualisation") in (None, "", "none"):
        return None
    return known_on(str(facts.get("cpu_model", "")), record.cell.threads)


def known_on(processor: str, threads: int) -> KnownHost | None:
    """Return what is known of a processor with so many threads."""
    return _known().get((processor, "one" if threads == 1 else "several"))


def known_ratio_variance(record: Record) -> KnownVariance | None:
    """Return the known variance of a ratio between launches on the host of a record."""
    host = known_host(record)
    return host.ratio if host else None


def known_time_variance(record: Record) -> KnownVariance | None:
    """Return the known variance of a time between launches on the host of a record."""
    host = known_host(record)
    return host.time if host else None


@lru_cache(maxsize=1)
def _known() -> dict[tuple[str, str], KnownHost]:
    hosts = (known_of_json(fields) for fields in json.loads(FILE.read_text(encoding="utf-8"))["hosts"])
    return {(host.processor, host.threads): host for host in hosts}


def known_of_json(fields: JsonObject) -> KnownHost:
    """Return a host from its JSON, in which each variance is a standard deviation with its freedom."""
    variances = {
        name: KnownVariance(value["deviation"] ** 2, value["freedom"])
        for name, value in fields.items()
        if isinstance(value, dict)
    }
    return KnownHost(fields["processor"], fields["threads"], **variances)
