"""`bench plan` from a measured run to a table; nonsense is one message and exit code 2."""

import json
import shutil
from pathlib import Path

import pytest
from curve_files import a_file
from quick_plans import few_requests
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.records.store import Store

DAY = ("--requests-per-day", "1M")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    few_requests(monkeypatch)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Measure every variant once."""
    made = World(tmp_path_factory.mktemp("world"))
    data = str(boolq_folder(made.root))
    assert call(["run", "--data", data, "--profile", "quick", "--quiet"], made.context()) == 0
    return made


def plan(world: World, *words: str) -> int:
    return call(["plan", *words], world.context())


def test_a_run_becomes_a_plan(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The fastest variant comes first, and every row has a latency that grows with its percentile."""
    capsys.readouterr()
    assert plan(world, *DAY, "--peak-factor", "2", "--slo", "p90=10s", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    machines = [row["machines"] for row in report["rows"]]
    assert machines == sorted(machines)
    for row in report["rows"]:
        assert row["latency_s"]["p50"]["value"] <= row["latency_s"]["p99"]["value"]
    assert report["demand"]["requests_per_day"] == pytest.approx(1e6)


def test_a_trace_of_arrivals_is_planned_for(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its busiest interval is the peak."""
    trace = tmp_path / "trace.csv"
    trace.write_text("seconds, requests\n0,60\n60,600\n120,60\n", encoding="utf-8")
    assert plan(world, "--arrivals", str(trace), "--slo", "p99=10s", "--json") == 0
    assert json.loads(capsys.readouterr().out)["demand"]["peak_per_s"] == 10


def test_instance_types_are_compared_at_their_prices(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A price of the file, or of the user's list; power is that of the file, busy and idle, and modelled."""
    prices = {"source": "a list", "date": "2026-01-01", "usd_per_hour": {"a.large": 0.2}}
    file = a_file(tmp_path, prices=prices)
    words = (*DAY, "--slo", "p99=10s", "--machines", f"a.large@{file},ab.large@{file}", "--json")
    assert plan(world, *words) == 2
    assert "no price of ab.large is known" in capsys.readouterr().err
    listed = tmp_path / "prices.yaml"
    listed.write_text("source: our contract\nusd_per_hour: {ab.large: 0.1}\n", encoding="utf-8")
    assert plan(world, *words, "--prices", str(listed)) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    first = rows[0]["variant"]
    own = {row["machine"]["name"]: row for row in rows if row["variant"] == first}
    assert own["ab.large"]["machine"]["price_source"] == "ab.large; our contract"
    assert own["a.large"]["machine"]["price_source"] == "a.large; a list, 2026-01-01"
    assert own["a.large"]["usd_per_day"] == pytest.approx(0.2 * 24 * own["a.large"]["machines"])
    energy = own["ab.large"]["energy"]
    assert (energy["grade"], energy["idle_j_per_day"] > 0) == ("modelled", True)


def test_a_file_of_instances_is_all_of_its_instances(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The smallest is a single CPU, and nothing shows how fast that is."""
    instances = {name: {"vcpus": cpus, "processors": ["A"]} for name, cpus in (("one", 1), ("four", 4))}
    prices = {"source": "a list", "date": "2026-01-01", "usd_per_hour": {"one": 0.1, "four": 0.3}}
    file = a_file(tmp_path, instances=instances, prices=prices)
    assert plan(world, *DAY, "--slo", "p99=10s", "--machines", str(file), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert {row["machine"]["name"] for row in report["rows"]} == {"four"}
    assert any("one has 1 vCPUs" in refusal["reason"] for refusal in report["refused"])


def test_a_plan_is_a_page_with_plots(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page in a file, the plot beside it with its data."""
    page = tmp_path / "plan.html"
    words = (*DAY, "--slo", "p99=10s", "--format", "html", "-o", str(page), "--plots", str(tmp_path))
    assert plan(world, *words) == 0
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert len(list(tmp_path.glob("plan-*.svg"))) == 1
    assert capsys.readouterr().out == ""


def test_batches_are_planned_where_they_were_measured(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Single requests and batches of 8, in one run of its own."""
    made = World(tmp_path)
    words = (
        "--variants",
        "onnx-int8",
        "--scenario",
        "single-stream,batch",
        "--batch",
        "8",
        "--profile",
        "quick",
    )
    assert call(["run", "--data", str(boolq_folder(tmp_path)), "--quiet", *words], made.context()) == 0
    capsys.readouterr()
    assert plan(made, *DAY, "--slo", "p90=10s", "--batching", "8:5ms", "--json") == 0
    serves = {row["serves"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert serves == {None, "batches up to 8 or 5 ms"}
    assert plan(world, *DAY, "--slo", "p99=10s", "--batching", "8:5ms", "--json") == 0
    assert "no batch was measured" in json.loads(capsys.readouterr().out)["refused"][0]["reason"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "one of --rate, --requests-per-day and --arrivals, got none"),
        (("--rate", "1", *DAY), "got several"),
        (("--rate", "0"), "--rate must be above 0 and at most 1e+09 requests a second, got 0"),
        (("--rate", "1e12"), "--rate must be above 0 and at most 1e+09 requests a second, got 1e+12"),
        (("--rate", "1", "--peak-factor", "2"), "--peak-factor belongs to"),
        (("--requests-per-day", "many"), "expects a number such as 100M, 2.5k or 5,000, got 'many'"),
        (("--arrivals", "nowhere.csv"), "nowhere.csv"),
        ((*DAY, "--slo", "p99=1ns"), "no variant meets the objective"),
        ((*DAY, "--slo", "soon"), "not a service-level objective"),
        ((*DAY, "--spare", "two"), "expected --spare n+1"),
        ((*DAY, "--dispatch", "luck"), "luck"),
        ((*DAY, "--machines", "m5.xlarg"), "Did you mean m5.xlarge"),
        ((*DAY, "--machines", ","), "expected a name"),
        ((*DAY, "--machines", "nowhere.yaml"), "nowhere.yaml"),
        (
            (*DAY, "--machines", "m5.large,m5.xlarge", "--price-per-hour", "1"),
            "the price of one machine, got 2",
        ),
        ((*DAY, "--machines", "m5.large,m5.large", "--price-per-hour", "1"), "m5.large is named twice"),
        ((*DAY, "--batching", "8"), "expected a number of requests from 2 on and a time, got '8'"),
        ((*DAY, "--batching", "1:5ms"), "from 2 on"),
        ((*DAY, "--batching", "8:5ms,8:0.005s"), "names a batching twice"),
        (("--requests-per-day", "1,5M"), "got '1,5M'"),
        ((*DAY, "--water", "water.yaml"), "No such option: --water"),
        (
            (*DAY, "--slo", "p99=10s", "--dispatch", "one-queue", "--spare", "n+1000"),
            "at most 256 are computed",
        ),
        ((*DAY, "--batching", "8:soon"), "--batching"),
        ((*DAY, "--batching", "8:5ms", "--dispatch", "least-loaded"), "not simulated with least-loaded"),
        ((*DAY, "--spare", "\u00b2"), "expected --spare n+1"),
        ((*DAY, "--format", "xml"), "unknown format 'xml'"),
        ((*DAY, "--set", "seed=1"), "--set: it is for a rung that is measured again"),
        ((*DAY, "--validate", "--validation", "latest"), "got both"),
        (("--requests-per-day", "5", "--peak-factor", "0"), "--peak-factor must be from 1 to 24, got 0"),
        ((*DAY, "--headroom", "1.5"), "--headroom"),
        (("nowhere", *DAY), "nowhere"),
    ],
)
def test_nonsense_is_one_message_and_exit_code_2(
    world: World, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    """Nothing is planned."""
    capsys.readouterr()
    assert plan(world, *words) == 2
    out, err = capsys.readouterr()
    assert (out, message in err) == ("", True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("when\n1\n", "seconds and requests, got when"),
        ("seconds,count\n0,60\n60,60\n", "got seconds, count"),
        ("seconds,requests\n0,1\n60,1,5\n", "trace.csv:3: expected 2 cells (seconds, requests), got 3"),
        ("seconds,requests\n0,1\n\n60,x\n", "trace.csv:4: expected a number in column requests, got 'x'"),
        ("seconds\none\n", "expected a number in column seconds, got 'one'"),
        ("seconds,requests\n0,1\n", "two rows or more"),
        ("", "got none"),
        ("seconds\n1\x00\n", "trace.csv"),
        ("seconds,requests\n0\n60\n", "trace.csv:2: expected 2 cells (seconds, requests), got 1"),
        ("PK\x03\x04\xff", "the columns of a trace are seconds"),
        ("seconds\n0\n1e999\n", "times must be finite"),
    ],
)
def test_a_bad_trace_is_named(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    """With the line where there is one."""
    trace = tmp_path / "trace.csv"
    trace.write_text(text, encoding="utf-8")
    capsys.readouterr()
    assert plan(world, "--arrivals", str(trace)) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "trace.csv" in err


def test_a_run_without_its_samples_is_not_called_too_slow(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The remedy is to bring the samples."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for record in Store(world.store).run("latest").path.glob("*.json"):
        shutil.copy(record, copy)
    capsys.readouterr()
    assert plan(world, str(copy), *DAY) == 2
    message = capsys.readouterr().err
    assert "its raw samples are missing or were changed" in message
    assert "Copy the run with its files of samples" in message


def test_a_price_list_of_several_machines_needs_their_names(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first of them is not taken in silence."""
    own = tmp_path / "prices.yaml"
    own.write_text("source: a contract\nusd_per_hour: {small: 0.1, large: 0.2}\n", encoding="utf-8")
    assert plan(world, *DAY, "--prices", str(own)) == 2
    assert "the price list has 2 machines" in capsys.readouterr().err
    own.write_text("source: a contract\nusd_per_hour: {small: 0.1}\n", encoding="utf-8")
    assert plan(world, *DAY, "--slo", "p99=10s", "--prices", str(own), "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["machine"]["usd_per_hour"] == 0.1


def test_records_of_unlike_machines_are_refused(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder in which somebody collected them."""
    for path in Store(world.store).run("latest").path.iterdir():
        shutil.copy(path, tmp_path)
    record = min(tmp_path.glob("*.json"))
    fields = json.loads(record.read_text(encoding="utf-8"))
    fields["host"]["fingerprint"] = "f" * 64
    record.write_text(json.dumps(fields), encoding="utf-8")
    assert plan(world, str(tmp_path), *DAY) == 2
    assert "unlike machines" in capsys.readouterr().err
