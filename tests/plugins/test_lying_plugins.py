"""Plug-ins that lie or fail after they were loaded: each is named, and the rest goes on."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from plugin_packages import bench, write_plugin
from records import a_record
from worlds import World, boolq_folder

from harness.catalog import WithPlugins
from harness.cli.app import call
from harness.common.errors import MeasurementError
from harness.measurement.energy.selection import choose_meter, open_meter
from harness.systems.interface import Variant

MODULE = '''
import sys
from dataclasses import dataclass
from baselines.engines.null import NullVariant
from harness.measurement.energy.selection import MeterEntry
from harness.workload.tasks.base import LabelTask
from harness.workload.tasks.metrics import label_scoring
from harness.workload.tasks.text_pair import pair

print("printed while it is imported")


class Named(NullVariant):
    """Without slots, so that attributes can lie."""


def variant(name, **attributes):
    return type("Lying", (Named,), attributes)(name=name)


def fail(*_):
    raise RuntimeError("as planned")


class Unreadable(Exception):
    def __str__(self):
        raise ValueError


def fail_unreadably(*_):
    raise Unreadable


class Text:
    name, unavailable, prepare, load = "no-text", fail, fail, fail

    @property
    def summary(self):
        raise RuntimeError("no summary")


NO_TEXT = Text()
class Number(Text):
    name, summary = "number", 5


NUMBER = Number()
NO_REASON = variant("no-reason", unavailable=lambda self: 5)
NO_ANSWER = variant("no-answer", unavailable=fail_unreadably)
NO_ARTIFACT = variant("no-artifact", prepare=lambda self, *_: 5)
NO_SYSTEM = variant("no-system", load=lambda self, *_: "system")
FAILS = variant("fails", load=fail)


def five(*_):
    return 5


def leave(*_):
    sys.exit(0)


class NoRows(LabelTask):
    def read(self, *_, **__):
        raise RuntimeError("as planned")


NO_ROWS = NoRows(
    name="no-rows",
    folder="BoolQ",
    summary="reads nothing",
    lay_out=pair("question", "passage"),
    values={"false": False, "true": True},
    scoring=label_scoring(("false", "true"), ("accuracy",)),
)


class NoMeter:
    name, grade = "no-meter", "perfect"
    zones = start = read = describe = spec = obstacle = fail


class Meter(NoMeter):
    name, grade = "no-zones", "measured"
    spec = lambda self: {}
    obstacle = lambda self: None
    zones = lambda self: 5
    start = lambda self: None
    describe = lambda self: {"update_period_ns": "often"}
    read = lambda self, mark: ["a joule"]


NO_METER = MeterEntry("no-meter", "any", "no grade", lambda site: NoMeter(), lambda spec: NoMeter())
NO_KIND = MeterEntry("no-kind", "boat", "no kind", lambda site: Meter(), lambda spec: Meter())
NO_ZONES = MeterEntry("no-zones", "any", "no zones", lambda site: Meter(), lambda spec: Meter())
'''

POINTS = {
    "variants": {
        "no-text": "liar:NO_TEXT",
        "number": "liar:NUMBER",
        "no-reason": "liar:NO_REASON",
        "no-answer": "liar:NO_ANSWER",
        "no-artifact": "liar:NO_ARTIFACT",
        "no-system": "liar:NO_SYSTEM",
        "fails": "liar:FAILS",
        "malformed": "not an entry point",
    },
    "tasks": {"no-rows": "liar:NO_ROWS"},
    "meters": {"no-meter": "liar:NO_METER", "no-kind": "liar:NO_KIND", "no-zones": "liar:NO_ZONES"},
    "reports": {"raises": "liar:fail", "five": "liar:five", "exits": "liar:leave"},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of installed packages with the plug-in `liar`."""
    return write_plugin(tmp_path_factory.mktemp("liar"), "liar", MODULE, POINTS)


@pytest.fixture(scope="module")
def listed(site: Path) -> "subprocess.CompletedProcess[str]":
    return bench(site, site.parent, "list", "--json")


def test_a_summary_that_raises_does_not_break_the_list(
    listed: "subprocess.CompletedProcess[str]",
) -> None:
    """Each plug-in is listed with what is wrong; built-in variants are listed as ever."""
    assert listed.returncode == 0, listed.stderr
    lists = json.loads(listed.stdout)
    reasons = {row["name"]: row["unavailable"] or "" for row in lists["variants"]}
    assert (
        "the plug-in no-text (variant, from liar 1.0) cannot be used: RuntimeError: no summary"
        in reasons["no-text"]
    )
    assert "its summary must be a text, got int" in reasons["number"]
    assert "failed: what unavailable() returns must be str, got int" in reasons["no-reason"]
    assert "failed: Unreadable: its message cannot be read" in reasons["no-answer"]
    assert "its entry point is 'not an entry point', expected module:object" in reasons["malformed"]
    assert reasons["pytorch-fixed"] == ""
    broken = {row["name"]: row["unavailable"] or "" for row in lists["plug-ins"]}
    assert "its kind must be" not in broken["no-meter"]
    assert {name for points in POINTS.values() for name in points} == set(broken)


def test_what_a_plugin_prints_is_not_mixed_with_json(listed: "subprocess.CompletedProcess[str]") -> None:
    """It goes to stderr."""
    assert "printed while" not in listed.stdout
    assert "printed while" in listed.stderr


@pytest.fixture
def on_path(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the plug-in in this process, too."""
    monkeypatch.syspath_prepend(site)


@pytest.mark.usefixtures("on_path")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raises", "the plug-in raises (report, from liar 1.0) failed: RuntimeError: as planned."),
        ("five", "the plug-in five (report, from liar 1.0) failed: what it returns must be str, got int."),
        ("exits", "the plug-in exits (report, from liar 1.0) failed: SystemExit: 0."),
    ],
)
def test_a_report_that_raises_or_returns_5_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    """It is no bug of the program, and ends with 4."""
    world = World(tmp_path)
    (world.store / "runs" / "r1").mkdir(parents=True)
    record = a_record(run="r1")
    (world.store / "runs" / "r1" / f"{record.cell.id}.json").write_text(record.model_dump_json())
    assert call(["report", "--format", name], world.context()) == 4
    printed = capsys.readouterr()
    assert message in printed.err
    assert "pip uninstall liar" in printed.err
    assert printed.out == ""


@pytest.mark.usefixtures("on_path")
@pytest.mark.parametrize(
    ("name", "use", "message"),
    [
        (
            "no-artifact",
            lambda variant: variant.prepare(1, 2, 3, 4),
            "what prepare() returns must be Artifact, got int",
        ),
        (
            "no-system",
            lambda variant: variant.load(1, 2, 3, 4),
            "the system that load() returns lacks predict, describe",
        ),
        ("fails", lambda variant: variant.load(1, 2, 3, 4), "RuntimeError: as planned"),
    ],
)
def test_a_variant_that_lies_is_named(name: str, use: Callable[[Variant], object], message: str) -> None:
    """What it returns is no artifact or no system, or it raises."""
    with pytest.raises(MeasurementError) as caught:
        use(WithPlugins({})[name])
    assert f"the plug-in {name} (variant, from liar 1.0) failed: {message}" in caught.value.message


@pytest.mark.usefixtures("on_path")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-meter", "the grade of its meter must be one of measured, modelled, unavailable, got 'perfect'"),
        ("no-kind", "its kind must be one of cpu, cuda, any, got 'boat'"),
    ],
)
def test_a_meter_that_lies_is_named_before_anything_is_prepared(name: str, message: str) -> None:
    """Its grade or its kind is none of ours."""
    with pytest.raises(MeasurementError) as caught:
        choose_meter("cpu", name)
    assert f"the plug-in {name} (meter, from liar 1.0) failed: {message}" in caught.value.message


@pytest.mark.usefixtures("on_path")
def test_what_a_lying_meter_returns_is_checked_in_a_worker_too() -> None:
    """Zones that are a number, readings that are a text, an update period that is a word."""
    meter = open_meter({"meter": "no-zones"})
    with pytest.raises(MeasurementError, match="'int' object is not iterable"):
        meter.zones()
    with pytest.raises(
        MeasurementError, match=r"each item of what read\(\) returns must be Reading, got str"
    ):
        meter.read(meter.start())
    with pytest.raises(MeasurementError, match=r"its update_period_ns must be int, got str"):
        meter.describe()


@pytest.mark.usefixtures("on_path")
def test_a_task_that_fails_while_it_reads_is_no_bug_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever raises within a plug-in's module is reported as the plug-in's, and ends with 4."""
    world = World(tmp_path)
    data = str(boolq_folder(tmp_path, 8))
    assert call(["run", "--task", "no-rows", "--data", data, "--quiet"], world.context()) == 4
    message = "bench: the plug-in no-rows (task, from liar 1.0) failed: RuntimeError: as planned."
    assert message in capsys.readouterr().err
