from collections.abc import Callable

import pytest
from model_servers import http, serving

from harness.common.errors import MeasurementError
from harness.measurement.energy.external.distant import is_exporter, open_distant
from harness.measurement.energy.external.exporter import ExporterMeter
from harness.measurement.energy.external.remote import RemoteError
from harness.records.reading import sum_readings

NODE = """# HELP node_rapl_package_joules_total Current RAPL package value in joules
# TYPE node_rapl_package_joules_total counter
node_rapl_package_joules_total{index="0",path="/sys/class/powercap/intel-rapl:0"} P
node_rapl_package_joules_total{index="0",path="/sys/class/powercap/intel-rapl-mmio:0"} P
node_rapl_core_joules_total{index="0",path="/sys/class/powercap/intel-rapl:0:0"} 1e+03
node_rapl_dram_joules_total{index="0",path="/sys/class/powercap/intel-rapl:0:1"} D
node_memory_Active_bytes 1.5e+09
"""
KEPLER = """kepler_node_cpu_joules_total{node_name="a",path="/sys/intel-rapl:0",zone="package"} P
kepler_node_cpu_joules_total{node_name="a",path="/sys/intel-rapl:0:1",zone="dram"} D
kepler_node_cpu_joules_total{node_name="a",path="/sys/intel-rapl:1",zone="psys"} 9e+09
kepler_process_cpu_joules_total{pid="7",zone="package"} 4
"""


def pages(text: str, *values: tuple[str, str]) -> Callable[[], str]:
    """Return a page for each pair of joules of package and memory, in turn."""
    texts = iter(
        [text.replace("} P", f"}} {package}").replace("} D", f"}} {dram}") for package, dram in values]
    )
    return lambda: next(texts)


@pytest.mark.parametrize(("text", "exporter"), [(NODE, "node_exporter"), (KEPLER, "Kepler")])
def test_the_energy_of_a_machine_is_what_its_exporter_s_counters_gained(text: str, exporter: str) -> None:
    """Packages and memory, once each; zones within them or around them are left out."""
    edges = [("1.5", "1"), ("1.234567e+03", "10"), ("1.234568e+03", "10.000002")]
    meter = ExporterMeter(pages(text, *edges), "m")
    readings = meter.read(meter.start())
    assert [(one.zone, one.scope, one.microjoules) for one in readings] == [
        ("package-0", "package", 1000),
        ("dram-0", "dram", 2),
    ]
    total = sum_readings(readings)
    assert total is not None
    assert (total.scope, total.source) == ("package+dram", f"machine m: {exporter}")
    assert meter.describe()["meter"] == "exporter"


def test_a_counter_that_wraps_or_is_gone_makes_the_window_unavailable() -> None:
    """Where it wraps is not shown."""
    meter = ExporterMeter(pages(NODE, ("5", "5"), ("5", "5"), ("4", "6")), "m")
    package, dram = meter.read(meter.start())
    assert "the range at which it wraps around is unreadable" in str(package.reason)
    assert dram.microjoules == 1_000_000
    texts = iter([NODE.replace(" P", " 1").replace(" D", " 1"), "", ""])
    meter = ExporterMeter(lambda: next(texts), "m")
    assert {one.reason for one in meter.read(meter.start())} == {"the zone is gone"}


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("", "no counter of RAPL as node_exporter or Kepler name them"),
        ("node_rapl_core_joules_total{} 1\n", "no counter of RAPL"),
        ('node_rapl_package_joules_total{index="0"} NaN\n', "'NaN' is no energy in joules"),
        ('node_rapl_package_joules_total{index="0"} -1\n', "'-1' is no energy"),
        ('node_rapl_package_joules_total{index="0"} 1e300\n', "'1e300' is no energy"),
        ('node_rapl_package_joules_total{index="0"} x\n', "'x' is no energy"),
    ],
)
def test_a_page_without_energy_is_refused(page: str, message: str) -> None:
    """With what was looked for."""
    with pytest.raises(RemoteError, match=message):
        ExporterMeter(lambda: page, "m")


def test_an_exporter_is_known_by_its_path_and_gets_no_token() -> None:
    """It has no use for one."""
    page = NODE.replace(" P", " 7").replace(" D", " 8").encode()
    with serving(lambda request: http(200 if request.path == "/metrics" else 404, page)) as server:
        meter = open_distant(server.url("/metrics"), {}, "mine")
        with pytest.raises(MeasurementError, match="it answered 404"):
            open_distant(server.url("/other"), {}, "mine")
    assert [zone.name for zone in meter.zones()] == ["package-0", "dram-0"]
    assert "authorization" not in server.requests[0].headers
    assert [is_exporter(server.url(path)) for path in ("", "/", "/metrics")] == [False, False, True]
