"""`bench run --system-url`: rows of model servers beside variants of ours."""

import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from model_servers import Fault, Incoming, Respond, http, oip, ok, serving
from worlds import World, boolq_folder

from baselines.servers.system import ServedSystem
from baselines.servers.variant import ServerVariant, null_server
from harness.cli.app import call
from harness.measurement.energy.cpu.rapl import RaplMeter
from harness.measurement.energy.external.agent import MeterAgent
from harness.runs.worker.session import Session
from harness.systems.server import server_of
from harness.testing import powercap_tree
from harness.testing.world import FakeMachine


def true_label(first: str, second: str) -> str:
    """Answer as the labels are: of rows of `boolq_folder`, every third is false."""
    number = int((first + second).split("is it ")[1].split()[0].rstrip("?"))
    return "false" if number % 3 == 0 else "true"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    null = ServerVariant(null_server(), summary="answers at once")
    world.catalog = replace(
        world.catalog,
        variants={**world.catalog.variants, null.name: null},
        server=lambda definition: ServerVariant(server_of(definition), timeout_s=5.0),
    )
    world.machine = FakeMachine(world.catalog, world.clock)
    return world


def bench(world: World, *words: str) -> int:
    few = ["-n", "32", "--quality", "sample", "--rounds", "2"]
    options = ["-q", "--data", str(boolq_folder(world.root)), "--boundary", "text", *few]
    return call(["run", *options, *words], world.context())


def records(world: World) -> dict[str, Any]:
    """Return the records of single-stream, or of the only scenario, by variant."""
    loaded = [json.loads(path.read_text()) for path in sorted(world.store.glob("runs/*/*.json"))]
    return {f"{row['cell']['variant']} {row['cell']['scenario']}": row for row in loaded}


def test_a_server_is_a_row_beside_ours_in_every_scenario(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its answers are scored, its facts are in the record, and its URL is not."""
    with serving(oip(true_label, "secret")) as server:
        url = f"mine={server.url('/v2/models/secret/infer')}"
        words = ["--scenario", "single-stream,server,offline,batch", "--rate", "1000", "--batch", "7"]
        words += ["--connections", "3", "--variants", "onnx-int8", "--system-url", url]
        assert bench(world, *words, "--json") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["variant"] for row in rows if row["scenario"] == "server"] == ["onnx-int8", "mine"]
    found = records(world)
    for scenario in ("single-stream", "server", "offline", "batch"):
        record = found[f"mine {scenario}"]
        assert record["status"] == "complete"
        assert record["quality"]["metrics"]["accuracy"]["value"] == 1
        effective = record["placement"]["effective"]
        assert (effective["server"], effective["server_version"], effective["connections"]) == (
            "test",
            "1.2",
            3,
        )
        assert record["cell"]["group"] == found[f"onnx-int8 {scenario}"]["cell"]["group"]
        assert len(record["cell"]["command"]) == 64
        traffic = record["rounds"][0]["traffic"]
        assert min(traffic[name] for name in ("sent_bytes", "received_bytes", "first_byte_ns")) > 0
        assert (traffic["opened"], traffic["resent"]) == (0, 0)
        assert record["start"] is None
        assert record["memory"] is None
        assert str(server.port) not in json.dumps(record)
    assert found["onnx-int8 server"]["rounds"][0]["traffic"] is None
    assert found["mine server"]["rounds"][0]["late_ns"] is not None
    sizes = [
        len(request.json["inputs"][0]["data"]) for request in server.requests if request.method == "POST"
    ]
    assert max(sizes) == 7


def test_labels_that_are_swapped_score_as_they_are(world: World) -> None:
    """Names of the task are believed: a server that is wrong is wrong."""
    with serving(oip(lambda *texts: "false" if true_label(*texts) == "true" else "true")) as server:
        assert bench(world, "--variants", "onnx-int8", "--system-url", server.url()) == 0
    assert records(world)["served single-stream"]["quality"]["metrics"]["accuracy"]["value"] == 0


def answering(change: Callable[[Incoming], bytes | Fault | None]) -> Respond:
    """Return a sound server but for what `change` returns."""
    sound = oip(true_label)

    def respond(request: Incoming) -> Any:
        changed = change(request) if request.method == "POST" else None
        return sound(request) if changed is None else changed

    return respond


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: http(500, b"out of memory"), "it answered 500: out of memory"),
        (lambda _: Fault.CLOSE, "it closed the connection without an answer"),
        (lambda _: Fault.RESET, "without an answer"),
        (
            lambda _: http(302, b"", "Location: http://elsewhere.invalid"),
            "a redirect to http://elsewhere.invalid",
        ),
        (lambda _: http(200, b'{"outputs": ['), "its answer is not JSON"),
        (lambda _: ok({"outputs": []}), "expected one output"),
        (lambda _: ok({"outputs": [{"datatype": "BYTES", "data": ["perhaps"]}]}), "the label 'perhaps'"),
    ],
)
def test_a_bad_server_fails_its_own_cell_and_leaves_the_others(
    world: World, change: Callable[[Incoming], bytes | Fault], message: str
) -> None:
    """Exit code 5: the record holds what was wrong, the other rows are complete."""
    with serving(answering(change)) as server:
        assert bench(world, "--variants", "onnx-int8", "--system-url", server.url()) == 5
    found = records(world)
    assert found["onnx-int8 single-stream"]["status"] == "complete"
    assert found["served single-stream"]["status"] == "failed"
    assert message in found["served single-stream"]["failure"]["message"]


@pytest.mark.parametrize("scenario", ["single-stream", "server", "offline"])
def test_connections_that_a_server_closes_between_turns_are_opened_before_they_are_used(
    world: World, scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever follows a turn of others begins with `refresh`: warm-up, visit, and untimed answers."""
    turns: list[str] = []
    for name in ("refresh", "predict", "submit"):
        method = getattr(ServedSystem, name)

        def noted(system: ServedSystem, *arguments: Any, name: str = name, method: Any = method) -> Any:
            turns.append(name)
            return method(system, *arguments)

        monkeypatch.setattr(ServedSystem, name, noted)
    for action in ("warm", "visit", "complete"):
        handle = getattr(Session, action)

        def began(session: Session, request: Any, action: str = action, handle: Any = handle) -> Any:
            if session._loaded and isinstance(session._loaded.system, ServedSystem):
                turns.append(action)
            return handle(session, request)

        monkeypatch.setattr(Session, action, began)
    with serving(oip(true_label)) as server:
        words = ["--rate", "500"] if scenario == "server" else []
        words += ["--scenario", scenario, "--quality", "full", "--variants", "onnx-int8"]
        assert bench(world, *words, "--system-url", server.url()) == 0
    actions = {"warm", "visit", "complete"}
    after = [turns[place + 1] for place, turn in enumerate(turns) if turn in actions]
    assert set(after) == {"refresh"}
    assert actions <= set(turns)


def test_the_highest_rate_of_a_server_that_keeps_an_objective_is_searched(world: World) -> None:
    """Below its capacity: an answer takes two milliseconds, so at most 500 are given in a second."""
    sound = oip(true_label)

    def respond(request: Incoming) -> bytes:
        if request.method == "POST":
            world.clock.advance(2_000_000)
        answer = sound(request)
        assert isinstance(answer, bytes)
        return answer

    with serving(respond) as server:
        words = ["--scenario", "server", "--slo", "p50=10ms", "--connections", "1", "--variants", "onnx-int8"]
        assert bench(world, *words, "--system-url", f"mine={server.url()}") == 0
    load = records(world)["mine server"]["load"]
    assert load["promise"] == "p50=10ms"
    assert 400 < load["capacity"] <= 500
    assert load["trials"]
    assert max(trial["rate"] for trial in load["trials"]) <= load["capacity"]
    assert load["rate"] == records(world)["onnx-int8 server"]["load"]["rate"]


def test_a_server_that_breaks_in_the_middle_keeps_what_was_measured(world: World) -> None:
    """In scenario server the failure of one request is that of the cell."""
    count = iter(range(10_000))
    change = answering(lambda _: None if next(count) < 60 else Fault.CLOSE)
    with serving(change) as server:
        words = ["--scenario", "server", "--rate", "500", "--variants", "onnx-int8", "-n", "32"]
        assert bench(world, *words, "--rounds", "4", "--system-url", server.url()) == 5
    found = records(world)["served server"]
    assert found["status"] in ("partial", "failed")
    assert "without an answer" in found["failure"]["message"]


def test_nobody_listening_is_a_failed_row(world: World) -> None:
    """The sweep goes on."""
    with serving(lambda _: Fault.CLOSE) as server:
        pass
    assert bench(world, "--variants", "onnx-int8", "--system-url", server.url()) == 5
    failure = records(world)["served single-stream"]["failure"]
    assert "no connection to it" in failure["message"]
    assert "Start it" in failure["remedy"]


def energy_of(world: World, variant: str) -> list[Any]:
    record = records(world)[f"{variant} single-stream"]
    return [reading for item in record["rounds"] for reading in item["readings"]]


def test_the_energy_of_a_server_on_this_machine_is_that_of_a_meter_of_the_machine(world: World) -> None:
    """The fake meter counts a package."""
    with serving(oip(true_label)) as server:
        assert bench(world, "--variants", "onnx-int8", "--system-url", f"here={server.url()}") == 0
    assert all(reading["grade"] == "measured" for reading in energy_of(world, "here"))


def test_the_energy_of_a_server_elsewhere_is_unavailable_and_never_that_of_the_client(world: World) -> None:
    """Nothing covers a server on another machine."""
    with serving(oip(true_label)) as server:
        assert bench(world, *elsewhere(world, server.url())) == 0
    readings = energy_of(world, "away")
    assert {reading["reason"] for reading in readings} == {"the server is on another machine"}
    assert all(reading["microjoules"] is None for reading in readings)


def elsewhere(world: World, near: str) -> list[str]:
    """Let a server of this test answer for one on another machine; return the options that name that."""
    world.catalog = replace(
        world.catalog, server=lambda definition: ServerVariant(replace(server_of(definition), url=near))
    )
    world.machine = FakeMachine(world.catalog, world.clock)
    return ["--system-url", "away=http://192.0.2.1:9/v2/models/m/infer", "--variants", "onnx-int8"]


@contextmanager
def meter_agent(tmp_path: Path, token: str) -> Iterator[str]:
    """Serve the counters of a machine that uses a millijoule between any two reads; yield the address."""
    microjoules = itertools.count(0, 1000)

    def read(path: Path) -> str:
        return str(next(microjoules)) if path.name == "energy_uj" else path.read_text()

    tree = powercap_tree(tmp_path / "powercap", sockets=1, dram=False)
    with MeterAgent(RaplMeter(tree.root, read_text=read), token, "127.0.0.1", 0) as agent:
        thread = threading.Thread(target=agent.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{agent.server_port}"
        finally:
            agent.shutdown()
            thread.join()


def test_the_energy_of_a_server_elsewhere_is_that_of_its_machine_where_an_agent_reads_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its source names the machine, so it is never set against ours; token and address are nowhere."""
    token = "0123456789abcdef-s3cret"
    monkeypatch.setenv("BENCH_METER_TOKEN", token)
    with serving(oip(true_label)) as server, meter_agent(tmp_path, token) as url:
        words = elsewhere(world, server.url())
        words += ["--variants", "pytorch-fixed", "--rounds", "3", "--json"]
        assert bench(world, *words, "--system-meter", url) == 0
    readings = energy_of(world, "away")
    assert {(one["grade"], one["scope"], one["microjoules"]) for one in readings} == {
        ("measured", "package", 1000)
    }
    record = records(world)["away single-stream"]
    assert (record["energy"]["meter"], record["energy"]["check"]) == ("remote", None)
    assert "rapl of machine" in record["energy"]["describe"]["reads"]
    assert record["idle"]["unavailable"] == "the server's machine was not read while it was idle"
    assert records(world)["pytorch-fixed single-stream"]["energy"]["meter"] == "fake"
    shown = capsys.readouterr()
    texts = [path.read_text(errors="replace") for path in world.store.rglob("*") if path.is_file()]
    for text in (*texts, shown.out, shown.err):
        assert token not in text
        assert url not in text
    (row,) = [row for row in json.loads(shown.out)["rows"] if row["variant"] == "away"]
    assert "the source of the energy differs" in json.dumps(row["energy_reduction"])


def test_an_agent_that_does_not_answer_fails_the_row_that_named_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other rows are measured."""
    monkeypatch.setenv("BENCH_METER_TOKEN", "0123456789abcdef-s3cret")
    with serving(lambda _: http(500, b"")) as agent, serving(oip(true_label)) as server:
        words = elsewhere(world, server.url())
        assert bench(world, *words, "--system-meter", agent.url("")) == 5
    failure = records(world)["away single-stream"]["failure"]
    assert "the meter on the server's machine cannot be read: it answered 500" in failure["message"]
    assert records(world)["onnx-int8 single-stream"]["status"] == "complete"


def test_a_server_is_started_beside_ours_and_the_null_server_shows_the_transport(world: World) -> None:
    """It answers a constant, so it has no quality; its connections are those of the others."""
    words = ["--variants", "onnx-int8,null-server", "--connections", "2", "-n", "32"]
    assert bench(world, *words) == 0
    record = records(world)["null-server single-stream"]
    assert record["placement"]["effective"]["connections"] == 2
    assert record["placement"]["effective"]["started_by"] == "bench"
    assert record["quality"]["unavailable"] == "null-server does not read its input"
    assert record["start"]["load_ns"] > 0


def test_a_task_that_labels_do_not_answer_is_a_row_with_the_reason(world: World) -> None:
    """COPA compares texts."""
    folder = world.root / "data" / "COPA"
    folder.mkdir(parents=True)
    row = {"premise": "a", "choice1": "b", "choice2": "c", "question": "cause", "label": 0, "idx": 0}
    (folder / "val.jsonl").write_text("\n".join(json.dumps({**row, "idx": number}) for number in range(40)))
    words = ["--variants", "onnx-int8", "--task", "copa", "--system-url", "http://127.0.0.1:9/predict"]
    assert bench(world, *words) == 5
    assert "copa is not answered by that" in records(world)["served single-stream"]["failure"]["message"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--system-url", "http://127.0.0.1:9/x", "--boundary", "encoded"), "Add --boundary text"),
        (("--system-url", "onnx-int8=http://127.0.0.1:9/x"), "is the name of a variant"),
        (
            ("--system-url", "http://127.0.0.1:9/x", "--system-labels", "A=maybe"),
            "'maybe' is not a label of boolq",
        ),
        (("--system-url", "http://127.0.0.1:9/x", "--instances", "2"), "copies are made of our own variants"),
        (
            ("--system-url", "http://127.0.0.1:9/x", "--null-test", "onnx-int8"),
            "measures one variant against",
        ),
        (("--variants", "null-server", "--boundary", "encoded"), "Add --boundary text"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_the_clock_starts(
    world: World, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    """Nothing is in the store."""
    assert bench(world, *words) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not world.store.exists()


def test_grpc_without_its_package_is_refused_with_what_installs_it(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is measured; over HTTP nothing is missing."""
    lacks = "needs grpcio: pip install 'grpcio>=1.66'"
    monkeypatch.setattr("baselines.checkpoints.optional_packages.missing_extra", lambda _: lacks)
    assert bench(world, "--variants", "onnx-int8", "--system-url", "grpc://127.0.0.1:9/m") == 2
    assert f"served cannot be measured here: its client {lacks}" in capsys.readouterr().err
    assert not world.store.exists()
    with serving(oip(true_label)) as server:
        assert bench(world, "--variants", "onnx-int8", "--system-url", server.url()) == 0


def test_options_of_servers_can_stand_in_a_file(world: World, tmp_path: Path) -> None:
    """An option that may be given several times takes a list."""
    with serving(oip(true_label)) as server:
        urls = "\n".join(f"  - {name}={server.url()}" for name in ("one", "two"))
        (tmp_path / "run.yaml").write_text(
            f"variants: onnx-int8\nsystem-url:\n{urls}\nsystem-protocol: oip\n"
        )
        assert bench(world, "--config", str(tmp_path / "run.yaml")) == 0
    assert {"one single-stream", "two single-stream"} <= records(world).keys()


def test_a_token_is_in_no_record(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent, also where the server refuses it and sends it back."""
    monkeypatch.setenv("BENCH_SYSTEM_TOKEN", "s3cret-token")

    def echo(request: Incoming) -> bytes:
        return http(401, request.headers["authorization"].encode())

    with serving(answering(echo)) as server:
        assert bench(world, "--variants", "onnx-int8", "--system-url", server.url()) == 5
    assert server.requests[-1].headers["authorization"] == "Bearer s3cret-token"
    texts = [path.read_text(errors="replace") for path in world.store.rglob("*") if path.is_file()]
    assert not any("s3cret-token" in text for text in texts)
    assert "Bearer ***" in records(world)["served single-stream"]["failure"]["message"]


@pytest.mark.parametrize(("pid", "code"), [(4194305, 5), (os.getpid(), 0)], ids=["gone", "there"])
def test_the_process_of_a_server_can_be_named(world: World, pid: int, code: int) -> None:
    """A pid that is not there fails the cell; one that is there counts."""
    with serving(oip(true_label)) as server:
        words = ["--variants", "onnx-int8", "--system-url", server.url(), "--system-pid", str(pid)]
        assert bench(world, *words) == code
    failure = records(world)["served single-stream"]["failure"]
    assert failure is None or f"there is no process {pid}" in failure["message"]
