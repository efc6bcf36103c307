"""Files of power curves: what they may hold, and the one that comes with the package."""

from pathlib import Path
from typing import Any

import pytest
from curve_files import A, a_file

from harness.common.errors import UsageError
from harness.measurement.energy.cpu.models.power_curve_file import read_curves
from harness.measurement.energy.cpu.models.power_curves import (
    MachinePower,
    PowerCurve,
    PriceList,
    machine_power,
)

PRICES = {"source": "a list", "date": "2026-01-01", "usd_per_hour": {"a.large": 0.1}}


def test_yaml_is_read_as_well(tmp_path: Path) -> None:
    """What a user writes; a number need not be quoted, and a byte-order mark is no part of it."""
    path = tmp_path / "curves.yaml"
    text = "source: me\nlicence: mine\ndate: 2026-02-01\nprocessors:\n  X: {watts: {0: 1, 100: 2.5}}\n"
    path.write_text(text, encoding="utf-8-sig")
    assert read_curves(path).processors["X"] == PowerCurve(*[((0.0, 1.0), (1.0, 2.5))] * 3)
    assert read_curves(path).date == "2026-02-01"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": ""}, "`source` is missing"),
        ({"licence": None}, "`licence` is missing"),
        ({"date": " "}, "`date` is missing"),
        ({"processors": {}}, "`processors` has no curves"),
        ({"processors": []}, "`processors` has no curves"),
        ({"processors": {"A": {"watts": {"0": 1}}}}, "must have watts at loads from 0 to 100 percent, got 0"),
        (
            {"processors": {"A": {"watts": {"0": 1, "200": 2}}}},
            "must have watts at loads from 0 to 100 percent",
        ),
        (
            {"processors": {"A": {"watts": {"0": 2, "100": 1}}}},
            "must be above zero and not fall with load, got 2, 1",
        ),
        ({"processors": {"A": {"watts": {"0": 0, "100": 1}}}}, "must be above zero"),
        ({"processors": {"A": {"watts": {"0": "1,5", "100": 2}}}}, "must be a number, got '1,5'"),
        ({"processors": {"A": {"watts": {"0": True, "100": 2}}}}, "must be a number, got True"),
        ({"processors": {"A": {"watt": {"0": 1, "100": 2}}}}, "expected watts, low, high, got watt"),
        ({"processors": {"A": {"watts": A, "low": {"0": 2, "100": 3}}}}, "expected low <= watts <= high"),
        (
            {"instances": {"x": {"vcpus": 0, "processors": ["A"]}}},
            "`vcpus` must be a whole number above zero, got 0",
        ),
        ({"instances": {"x": {"vcpus": 2, "processors": []}}}, "`processors` must be a list of names"),
        (
            {"instances": {"x": {"vcpus": 2, "processors": ["C"]}}},
            "its processor 'C' has no curve in this file",
        ),
        (
            {"instances": {"x": {"vcpus": 2, "processors": ["A"], "server": {"kg_co2e": -1, "vcpus": 4}}}},
            "`kg_co2e` must be above zero, got -1",
        ),
        ({"prices": []}, "expected `source`, `date` and `usd_per_hour`"),
        ({"prices": PRICES | {"date": ""}}, "`date` is missing"),
        (
            {"prices": PRICES | {"usd_per_hour": {"none.large": 1}}},
            "its instance 'none.large' is not in this file",
        ),
        (
            {"prices": PRICES | {"usd_per_hour": {"a.large": 0}}},
            "the price of a.large must be above zero, got 0",
        ),
        ({"prices": PRICES | {"usd_per_hour": {"a.large": "1 USD"}}}, "must be a number, got '1 USD'"),
        ({"prices": PRICES | {"currency": "EUR"}}, "expected source, date, usd_per_hour, got currency"),
    ],
)
def test_a_file_that_is_not_of_the_format_is_refused_at_its_entry(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """The message names the file."""
    with pytest.raises(UsageError) as error:
        read_curves(a_file(tmp_path, **changes))
    assert message in str(error.value)
    assert "curves.json" in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"), [("c.json", b"{"), ("c.yaml", b"a: [1"), ("c.yaml", b"\xff\xfe"), ("c.json", b"[]")]
)
def test_a_file_that_cannot_be_parsed_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    """Nor can one that is not there."""
    (tmp_path / name).write_bytes(content)
    for path in (tmp_path / name, tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(UsageError, match=path.name):
            read_curves(path)


def test_prices_have_a_source_and_a_date_of_their_own(tmp_path: Path) -> None:
    """Those of the watts are others."""
    prices = read_curves(a_file(tmp_path, prices=PRICES)).prices
    assert prices == PriceList("a list", "2026-01-01", {"a.large": 0.1})
    assert read_curves(a_file(tmp_path)).prices is None


def test_the_shipped_prices_are_dated_and_of_shipped_instances() -> None:
    """As published: c5.xlarge 0.17 and m5.xlarge 0.192 USD an hour, in proportion to vCPUs."""
    shipped = read_curves()
    assert shipped.prices is not None
    assert shipped.prices.date == "2026-10-04"
    prices = shipped.prices.usd_per_hour
    assert (prices["c5.xlarge"], prices["m5.xlarge"], prices["n2-standard-4"]) == (0.17, 0.192, 0.194236)
    for small, large in (("m5.large", "m5.4xlarge"), ("c5.large", "c5.2xlarge"), ("F2s v2", "F8s v2")):
        vcpus = [shipped.instances[name].vcpus for name in (small, large)]
        assert prices[large] / prices[small] == pytest.approx(vcpus[1] / vcpus[0], rel=0.002)


def test_a_file_is_read_up_to_a_limit(tmp_path: Path) -> None:
    """A pipe, or a gigabyte, is none."""
    path = tmp_path / "c.json"
    path.write_bytes(b" " * 300_000)
    with pytest.raises(UsageError, match="256 KiB"):
        read_curves(path)


def test_the_shipped_file_holds_the_published_figures() -> None:
    """m5.xlarge: 19.92 W of the package, 15.99 of memory and 4.0 of the rest at full load, as published."""
    shipped = read_curves()
    power = machine_power("m5.xlarge", shipped, 2)
    assert isinstance(power, MachinePower)
    assert power.watts(0.0) == pytest.approx(2.41 + 2.41 + 4.0)
    assert power.watts(1.0) == pytest.approx(19.92 + 15.99 + 4.0)
    server = shipped.instances["m5.xlarge"].server
    assert server is not None
    assert (server.kg_co2e, server.vcpus) == (1610.79, 96)
    assert shipped.processors["AMD EPYC 3rd Gen"].low[-1][1] == pytest.approx(1.8719, abs=1e-3)
    assert "Apache-2.0" in shipped.licence


def test_no_generation_is_surer_than_the_sources_agree_on_others() -> None:
    """Where both have figures they differ by a factor of two and more; one alone is no more certain."""
    for name, curve in read_curves().processors.items():
        assert curve.high[-1][1] / curve.low[-1][1] > 1.5, name
