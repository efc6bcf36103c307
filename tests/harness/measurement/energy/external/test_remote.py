"""The counters of another machine: the agent that hands them, and the meter that reads it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from harness.common.errors import MeasurementError, UsageError
from harness.common.json_types import JsonObject
from harness.measurement.energy.counters.counter import SMALLEST_RANGE_UJ
from harness.measurement.energy.cpu.rapl import RaplMeter
from harness.measurement.energy.external.agent import (
    COUNTERS,
    METER,
    TOKEN,
    MeterAgent,
    counters_of,
    meter_facts,
    token_from,
)
from harness.measurement.energy.external.distant import open_distant
from harness.measurement.energy.external.remote import (
    ANSWER_BYTES,
    DistantMeter,
    RemoteError,
    RemoteMeter,
    http_fetch,
)
from harness.measurement.energy.meter import MeterChoice
from harness.records.reading import sum_readings
from harness.testing import FakeMeter, powercap_tree
from harness.testing.clock import FakeClock
from harness.testing.powercap import PowercapTree

SECRET = "0123456789abcdef-s3cret"


@contextmanager
def agent_of(meter: RaplMeter) -> Iterator[str]:
    """Serve a meter on loopback; yield the address."""
    with MeterAgent(meter, SECRET, "127.0.0.1", 0) as agent:
        thread = threading.Thread(target=agent.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{agent.server_port}"
        finally:
            agent.shutdown()
            thread.join()


@pytest.fixture
def tree(tmp_path: Path) -> PowercapTree:
    """Two sockets with memory."""
    return powercap_tree(tmp_path)


def rapl(tree: PowercapTree) -> RaplMeter:
    return RaplMeter(tree.root, read_text=tree.read_text)


def opened(url: str, token: str = SECRET) -> DistantMeter:
    return open_distant(url, {TOKEN: token}, "mine")


def test_the_energy_of_another_machine_is_what_its_counters_gained(tree: PowercapTree) -> None:
    """Each zone with its scope; the source names the meter and the machine there."""
    with agent_of(rapl(tree)) as url:
        meter = opened(url)
        mark = meter.start()
        tree.advance(3_000, ["package-0", "package-1"])
        tree.advance(500, ["package-0/dram", "package-1/dram"])
        total = sum_readings(meter.read(mark))
    assert total is not None
    assert (total.microjoules, total.grade, total.scope) == (7_000, "measured", "package+dram")
    assert total.source.startswith("machine ")
    assert total.source.endswith(": RAPL powercap")
    described = meter.describe()
    assert described["meter"] == "remote"
    assert described["zones"] == [zone.name for zone in rapl(tree).zones()]
    assert SECRET not in json.dumps(described)
    assert url not in json.dumps(described)


def test_a_counter_that_wraps_there_is_corrected_here(tmp_path: Path) -> None:
    """Its range came with it."""
    tree = powercap_tree(tmp_path, sockets=1, dram=False, range_uj=SMALLEST_RANGE_UJ)
    tree.write("package-0", SMALLEST_RANGE_UJ - 100)
    with agent_of(rapl(tree)) as url:
        meter = opened(url)
        mark = meter.start()
        tree.advance(300, ["package-0"])
        (reading,) = meter.read(mark)
    assert reading.microjoules == 300


def test_an_agent_that_is_gone_at_the_second_edge_makes_the_window_unavailable(tree: PowercapTree) -> None:
    """Never zero; and so does a counter that cannot be read there any more."""
    with agent_of(rapl(tree)) as url:
        meter = opened(url)
        mark = meter.start()
        tree.fail("package-0")
        tree.advance(300)
        broken = meter.read(mark)[0]
        mark = meter.start()
    gone = meter.read(mark)[1]
    assert (broken.microjoules, gone.microjoules) == (None, None)
    assert "on the server's machine: energy_uj could not be read" in str(broken.reason)
    assert "the meter on the server's machine failed: it does not answer" in str(gone.reason)
    assert gone.span_ns > 0


def test_nobody_reads_without_the_token(tree: PowercapTree) -> None:
    """Neither without one, nor with another; and no message holds it."""
    with agent_of(rapl(tree)) as url:
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": SECRET}, {"Authorization": "é"}):
            connection = HTTPConnection(url.removeprefix("http://"), timeout=20)
            connection.request("GET", COUNTERS, headers=headers)
            assert connection.getresponse().status == 401
            connection.close()
        with pytest.raises(MeasurementError, match=f"it refuses the token of {TOKEN}") as caught:
            opened(url, "another-token-of-mine")
        with pytest.raises(RemoteError, match="it answered 404"):
            http_fetch(f"{url}/elsewhere", SECRET)(METER)
    assert "another-token" not in f"{caught.value} {caught.value.remedy}"
    assert "bench meter serve" in str(caught.value.remedy)
    with pytest.raises(MeasurementError, match="it does not answer"):
        opened(url)


@pytest.mark.parametrize("token", ["", "short", "a blank between two", "é" * 20, "line\nbreak-line-break"])
def test_a_token_that_could_be_guessed_or_breaks_a_header_is_refused(token: str) -> None:
    """With a way to make one."""
    with pytest.raises(UsageError, match="16 or more printable characters") as caught:
        token_from({TOKEN: token} if token else {})
    assert "openssl" in str(caught.value.remedy)
    assert token_from({TOKEN: SECRET}) == SECRET


def test_a_meter_that_counts_nothing_is_not_served() -> None:
    """A model of CPU time would show that of the agent; the reasons of the others are named."""
    skipped = (("rapl", "permission denied on energy_uj", "Allow it."),)
    with pytest.raises(UsageError, match="rapl: permission denied") as caught:
        counters_of(MeterChoice(None, skipped))
    assert "bench doctor" in str(caught.value.remedy)
    with pytest.raises(UsageError, match="fake: it counts nothing"):
        counters_of(MeterChoice(FakeMeter(1.0, FakeClock())))


def changed(facts: JsonObject, path: str, value: object) -> JsonObject:
    """Return a copy of facts with one value changed."""
    copy: Any = json.loads(json.dumps(facts))
    *places, last = path.split(".")
    inner = copy
    for place in places:
        inner = inner[int(place) if place.isdigit() else place]
    inner[int(last) if last.isdigit() else last] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format", 2, "expected format 1, got 2"),
        ("zones", [], "expected a list of zones"),
        ("zones.0", 7, "expected an object as zones"),
        ("zones.0.zone.scope", "planet", "the scope 'planet' is not known"),
        ("zones.0.zone.name", "a\nb", "expected a text as name"),
        ("zones.0.zone.range_uj", -1, "expected a whole number as range_uj"),
        ("zones.0.traits.update_ns", True, "expected a whole number as update_ns"),
        ("zones.0.traits.quantum_uj", "x", "expected a number as quantum_uj"),
        ("machine", "", "expected a text as machine"),
    ],
)
def test_an_agent_that_answers_otherwise_is_refused(
    tree: PowercapTree, path: str, value: object, message: str
) -> None:
    """Whatever it says."""
    facts = changed(meter_facts(rapl(tree)), path, value)
    with pytest.raises(RemoteError, match=message):
        RemoteMeter(lambda _: facts)


@pytest.mark.parametrize("samples", [[], [{"microjoules": 1}], [{"microjoules": -1}] * 4, [{}] * 4])
def test_counters_of_another_form_make_the_window_unavailable(
    tree: PowercapTree, samples: list[JsonObject]
) -> None:
    """With the reason."""
    facts: dict[str, JsonObject] = {METER: meter_facts(rapl(tree)), COUNTERS: {"samples": samples}}
    meter = RemoteMeter(facts.__getitem__)
    for reading in meter.read(meter.start()):
        assert reading.microjoules is None
        assert reading.reason


def test_an_answer_without_end_is_cut_off() -> None:
    """A few kilobytes hold all counters of a machine."""
    from model_servers import http, serving

    for body, message in ((b"[" * (ANSWER_BYTES + 1), "longer than 65,536 bytes"), (b"[]", "a JSON object")):
        with (
            serving(lambda _, body=body: http(200, body)) as server,
            pytest.raises(RemoteError, match=message),
        ):
            http_fetch(server.url(""), SECRET)(METER)
