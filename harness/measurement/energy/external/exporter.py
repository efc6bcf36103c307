"""The counters of a server's machine as an exporter for Prometheus shows them.

node_exporter    node_rapl_package_joules_total{index="0",path="..."} 123.4      and dram
Kepler           kepler_node_cpu_joules_total{zone="package",path="..."} 123.4   and dram

Each counter has the scope that its name says. An exporter does not show at which value a counter wraps, so a
window with a wrap is unavailable. Further zones lie within these or contain them, and are left out.
"""

import hashlib
import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from harness.common.json_types import MAX_INTEGER, JsonObject
from harness.measurement.energy.counters.counter import CounterTraits, Sample
from harness.measurement.energy.cpu.rapl import CEILING_WATTS, QUANTUM_UJ, UPDATE_NS
from harness.measurement.energy.external.remote import DistantMeter, RemoteError, http_read
from harness.records.reading import Scope, Zone

PAGE_BYTES = 2**23
"""The longest page that is read: one of node_exporter has some hundred kilobytes."""

_NODE = re.compile(r"node_rapl_(?P<zone>package|dram)_joules_total\{(?P<labels>[^{}\n]*)\} (?P<joules>\S+)")
_KEPLER = re.compile(
    r'kepler_node_cpu_joules_total\{(?P<labels>[^{}\n]*zone="(?P<zone>package|dram)[^{}\n]*)\} '
    r"(?P<joules>\S+)"
)
_DUPLICATE = "mmio"
"""Part of the path of zones that show the same counters a second time."""

KEPLER_NS = 5_000_000_000
"""How often Kepler reads the counters, unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Exporter:
    """What an exporter calls its counters, and how often it updates them."""

    name: str
    line: re.Pattern[str]
    update_ns: int


EXPORTERS = (Exporter("node_exporter", _NODE, UPDATE_NS), Exporter("Kepler", _KEPLER, KEPLER_NS))

Counters = dict[tuple[str, str], float]
"""Joules by zone and labels."""


class ExporterMeter(DistantMeter):
    """Reads an exporter's page; `machine` stands for the machine in the source of its readings."""

    name = "exporter"

    def __init__(self, page: Callable[[], str], machine: str) -> None:
        self._page = page
        text = page()
        readable = [(one, counters) for one in EXPORTERS if (counters := counters_of(one, text))]
        if not readable:
            names = " or ".join(one.name for one in EXPORTERS)
            raise RemoteError(f"its page has no counter of RAPL as {names} name them")
        self._exporter, counters = readable[0]
        self._keys = list(counters)
        source = f"machine {machine}: {self._exporter.name}"
        traits = CounterTraits(source, self._exporter.update_ns, QUANTUM_UJ, CEILING_WATTS)
        numbers = {zone: itertools.count() for zone in _SCOPES}
        zones = [Zone(f"{zone}-{next(numbers[zone])}", _SCOPES[zone]) for zone, _ in self._keys]
        self._set_counters(zones, [traits] * len(zones))

    def describe(self) -> JsonObject:
        """Return the facts for the record, without the address."""
        return {
            "meter": self.name,
            "source": self._source(),
            "reads": f"the counters of RAPL that {self._exporter.name} shows",
            "zones": [zone.name for zone in self._zones],
            "update_period_ns": self._exporter.update_ns,
        }

    def _read_samples(self) -> list[Sample]:
        counters = counters_of(self._exporter, self._page())
        return [
            Sample(0, round(counters[key] * 1e6)) if key in counters else Sample(0, None, "the zone is gone")
            for key in self._keys
        ]


_SCOPES: dict[str, Scope] = {"package": "package", "dram": "dram"}


def counters_of(exporter: Exporter, text: str) -> Counters:
    """Return the counters on a page; RemoteError for a value that is no energy."""
    counters: Counters = {}
    for line in text.splitlines():
        match = exporter.line.match(line)
        if match and _DUPLICATE not in match["labels"]:
            counters[match["zone"], match["labels"]] = _joules(match["joules"])
    return counters


def _joules(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value * 1e6 <= MAX_INTEGER:
        raise RemoteError(f"{text[:40]!r} is no energy in joules")
    return value


def read_page(url: str) -> Callable[[], str]:
    """Return what reads an exporter's page."""
    return lambda: http_read(url, most_bytes=PAGE_BYTES).decode("utf-8", "replace")


def machine_of(url: str) -> str:
    """Return a number for the machine of an URL."""
    return hashlib.sha256((urlsplit(url).hostname or "").encode()).hexdigest()[:8]
