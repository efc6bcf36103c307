"""The counters of a server's machine, read from the agent there (`bench meter serve`).

request --> counters there --> answer | window | request --> counters there --> answer
        first edge                                      second edge

Times are those of the client's clock, in the middle of each exchange. A counter was read within the exchange,
so what an edge may be off by is part of the time beside the window, which the resolution includes.
"""

import http.client
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import get_args
from urllib.parse import urlsplit

from harness.common.inputs.files import InvalidText
from harness.common.inputs.json_text import parse_json_object
from harness.common.json_types import MAX_INTEGER, JsonObject, JsonValue
from harness.measurement.energy.counters.counter import CounterTraits, Sample, sampling_interval_s
from harness.measurement.energy.counters.meter import CounterMeter, Samples
from harness.measurement.energy.external.agent import COUNTERS, FORMAT, METER, TOKEN
from harness.records.reading import Scope, Zone

ANSWER_BYTES = 2**16
"""The longest answer that is read."""

TIMEOUT_S = 5.0
"""How long connecting, and each part of an answer, may take."""

_MOST_ZONES = 256
_LONGEST = 120

Fetch = Callable[[str], JsonObject]
"""Returns the JSON under a path of the agent; RemoteError where it cannot."""


class RemoteError(Exception):
    """An agent that does not answer, or in another form; the message is a clause without full stop."""


class DistantMeter(CounterMeter):
    """Reads counters of another machine; a subclass sets zones and traits, and implements `_read_samples`."""

    _traits: tuple[CounterTraits, ...] = ()

    def traits(self) -> tuple[CounterTraits, ...]:
        """Return the properties of each counter; its source names the machine."""
        return self._traits

    def _set_counters(self, zones: Sequence[Zone], traits: Sequence[CounterTraits]) -> None:
        self._zones, self._traits = tuple(zones), tuple(traits)
        counters = zip(self._zones, self._traits, strict=True)
        self._every_s = sampling_interval_s((zone.range_uj, traits) for zone, traits in counters)

    def _take(self) -> Samples:
        before_ns = time.monotonic_ns()
        try:
            samples = self._read_samples()
        except RemoteError as problem:
            reason = f"the meter on the server's machine failed: {problem}"
            return tuple(Sample(time.monotonic_ns(), None, reason) for _ in self._zones)
        middle_ns = (before_ns + time.monotonic_ns()) // 2
        return tuple(replace(sample, at_ns=middle_ns) for sample in samples)

    def _read_samples(self) -> list[Sample]:
        """Return a sample of each zone, whose time does not count; RemoteError where they cannot be had."""
        raise NotImplementedError

    def _source(self) -> str:
        return " + ".join(dict.fromkeys(traits.source for traits in self._traits))


class RemoteMeter(DistantMeter):
    """Reads the agent of another machine."""

    name = "remote"

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        facts = fetch(METER)
        if facts.get("format") != FORMAT:
            raise RemoteError(f"expected format {FORMAT}, got {str(facts.get('format'))[:40]}")
        self._meter, self._machine = _text(facts, "meter"), _text(facts, "machine")
        rows = _rows(facts, "zones")
        zones = [_zone(_inner(row, "zone")) for row in rows]
        self._set_counters(zones, [self._traits_of(_inner(row, "traits")) for row in rows])

    def describe(self) -> JsonObject:
        """Return the facts for the record: neither address nor token."""
        return {
            "meter": self.name,
            "source": self._source(),
            "reads": f"{self._meter} of machine {self._machine}, by `bench meter serve` there",
            "zones": [zone.name for zone in self._zones],
            "update_period_ns": max(traits.update_ns for traits in self._traits),
        }

    def _read_samples(self) -> list[Sample]:
        rows = _rows(self._fetch(COUNTERS), "samples")
        if len(rows) != len(self._zones):
            raise RemoteError(f"it counts {len(rows)} zones, and counted {len(self._zones)} at first")
        return [_sample(row) for row in rows]

    def _traits_of(self, row: JsonObject) -> CounterTraits:
        return CounterTraits(
            source=f"machine {self._machine}: {_text(row, 'source')}",
            update_ns=_whole(row, "update_ns"),
            quantum_uj=_number(row, "quantum_uj"),
            ceiling_watts=_whole(row, "ceiling_watts"),
        )


def http_fetch(url: str, token: str) -> Fetch:
    """Return what reads an agent."""

    def fetch(path: str) -> JsonObject:
        try:
            return parse_json_object(http_read(url.rstrip("/") + path, token))
        except InvalidText as problem:
            raise RemoteError(f"in its answer {problem}") from None

    return fetch


def http_read(url: str, token: str = "", most_bytes: int = ANSWER_BYTES) -> bytes:
    """Return what is under an URL; a connection for each read, as one that is kept may be closed meanwhile.

    RemoteError where it cannot be read.
    """
    parts = urlsplit(url)
    host, headers = parts.hostname or "", {"Authorization": f"Bearer {token}"} if token else {}
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_S)
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
    )
    try:
        connection.request("GET", parts.path or "/", headers=headers)
        response = connection.getresponse()
        content = response.read(most_bytes + 1)
    except (OSError, http.client.HTTPException, ValueError) as problem:
        raise RemoteError(f"it does not answer ({_cause(problem)})") from None
    finally:
        connection.close()
    if response.status == http.client.UNAUTHORIZED:
        raise RemoteError(f"it refuses the token of {TOKEN}")
    if response.status != http.client.OK:
        raise RemoteError(f"it answered {response.status}")
    if len(content) > most_bytes:
        raise RemoteError(f"its answer is longer than {most_bytes:,} bytes")
    return content


def _rows(facts: JsonObject, name: str) -> list[JsonObject]:
    rows = facts.get(name)
    if not isinstance(rows, list) or not 1 <= len(rows) <= _MOST_ZONES:
        raise RemoteError(f"expected a list of {name}")
    return [_object(row, name) for row in rows]


def _inner(row: JsonObject, name: str) -> JsonObject:
    return _object(row.get(name), name)


def _object(value: JsonValue, name: str) -> JsonObject:
    if not isinstance(value, dict):
        raise RemoteError(f"expected an object as {name}")
    return value


def _zone(row: JsonObject) -> Zone:
    scope: Scope | None = next((known for known in get_args(Scope) if known == row.get("scope")), None)
    if scope is None:
        raise RemoteError(f"the scope {str(row.get('scope'))[:40]!r} is not known")
    return Zone(_text(row, "name"), scope, None if row.get("range_uj") is None else _whole(row, "range_uj"))


def _sample(row: JsonObject) -> Sample:
    """Return a sample; the time of the other machine's clock is of no use here."""
    if row.get("microjoules") is None:
        return Sample(0, None, f"on the server's machine: {_text(row, 'reason')}")
    return Sample(0, _whole(row, "microjoules"))


def _text(row: JsonObject, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.isprintable() or not value:
        raise RemoteError(f"expected a text as {name}")
    return value[:_LONGEST]


def _whole(row: JsonObject, name: str) -> int:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_INTEGER:
        raise RemoteError(f"expected a whole number as {name}")
    return value


def _number(row: JsonObject, name: str) -> float:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_INTEGER:
        raise RemoteError(f"expected a number as {name}")
    return float(value)


def _cause(problem: Exception) -> str:
    text = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
    return " ".join(str(text).split())[:_LONGEST].rstrip(".")
