from contextlib import closing
from pathlib import Path

import pytest
import tiny
from model_servers import Incoming, http, ok, serving

from baselines.servers.connection import Address, ServerConnection
from baselines.servers.variant import ServerVariant, is_ready, null_server, token_of
from harness.common.errors import MeasurementError, UnsupportedError, UsageError
from harness.systems.interface import Artifact, Checkpoint, Placement, PreparationSources, Settings
from harness.systems.server import ServerDefinition
from harness.workload.tasks import get_task

RTE = get_task("rte")
TOKEN = "BENCH_SYSTEM_TOKEN"


def definition(url: str = "http://127.0.0.1:1/x", **fields: object) -> ServerDefinition:
    return ServerDefinition("my-server", url, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pages", "path", "expected"),
    [
        ({"/v2/health/ready": 200}, "/v2/models/m/infer", True),
        ({"/v2/health/ready": 503}, "/v2/models/m/infer", False),
        ({"/v2/health/ready": 400}, "/v2/models/m/infer", False),
        ({"/health": 200}, "/predict", True),
        ({"/health": 503}, "/predict", False),
        ({"/-/healthz": 503}, "/", False),
        ({"/-/healthz": 200, "/health": 500}, "/", True),
        ({}, "/predict", True),
    ],
)
def test_a_server_is_ready_by_its_own_account(pages: dict[str, int], path: str, *, expected: bool) -> None:
    """One without such an account is ready once it answers."""

    def respond(request: Incoming) -> bytes:
        return http(pages.get(request.path, 404), b"{}")

    with serving(respond) as server:
        probe = ServerConnection(Address.of(server.url(path)), "mine", 20.0)
        assert is_ready(probe, path) is expected
        probe.close()
    with pytest.raises(MeasurementError, match="no connection"):
        is_ready(probe, path)


def test_a_token_comes_from_the_environment() -> None:
    """That of the server's own name comes first."""
    environ = {TOKEN: "for-all", f"{TOKEN}_MY_SERVER": "for-this"}
    assert token_of(definition(), environ) == "for-this"
    assert token_of(ServerDefinition("other", "https://a.invalid/x"), environ) == "for-all"
    assert token_of(definition(), {}) == ""


@pytest.mark.parametrize(
    ("url", "token", "message"),
    [
        ("http://models.invalid/x", "t0ken-x", "would be sent without encryption"),
        ("https://models.invalid/x", "a\r\nHost: b", "a character that a header cannot hold"),
        ("https://models.invalid/x", "a b", "a character that a header cannot hold"),
    ],
)
def test_a_token_that_would_leak_or_break_a_header_is_refused(url: str, token: str, message: str) -> None:
    """The message does not hold it."""
    with pytest.raises(UsageError, match=message) as caught:
        token_of(definition(url), {TOKEN: token})
    assert token not in caught.value.message


def test_preparation_checks_what_can_be_checked(tmp_path: Path) -> None:
    """The program of a server, and the task: COPA compares two texts, which no label answers."""
    sources = PreparationSources(Checkpoint("m", tmp_path, "local", "f" * 64))
    context = tiny.preparation_context(tmp_path)
    missing = ServerVariant(definition("http://127.0.0.1:{port}/x", command="./nowhere {port}"))
    with pytest.raises(UsageError, match="there is no program"):
        missing.prepare(RTE, sources, Settings(), context)
    with pytest.raises(UnsupportedError, match="copa is not answered by that"):
        ServerVariant(definition()).prepare(get_task("copa"), sources, Settings(), context)
    with pytest.raises(UsageError, match="must end in the model's name"):
        ServerVariant(definition("grpc://127.0.0.1:{port}")).prepare(RTE, sources, Settings(), context)
    artifact = ServerVariant(definition()).prepare(RTE, sources, Settings(), context)
    assert artifact.manifest == {"recipe": "server", "version": 1, "seconds": 0.0}


def test_the_null_server_is_started_answers_at_once_and_ends() -> None:
    """It reads nothing, so its answers are no answers: the harness does not score them."""
    system = ServerVariant(null_server()).load(
        RTE, Artifact(Path(), "", {}), Placement("cpu", (0,), 1), Settings(batch=3)
    )
    try:
        predictions = system.predict(system.encode(tiny.examples(7, gold=("entailment",))))
        assert RTE.decide(predictions.logits, predictions.offsets) == [RTE.labels[0]] * 7
        assert system.describe()["reads_input"] is False
        assert system.describe()["started_by"] == "bench"
        assert system._process is not None
        process = system._process._process
    finally:
        system.close()
    assert process.poll() is not None


def test_a_server_that_cannot_be_used_is_ended(tmp_path: Path) -> None:
    """It is ready, and has no such model."""
    pid = tmp_path / "pid"
    (tmp_path / "server.py").write_text(
        f"import os\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\n"
        "import asyncio, sys\nfrom baselines.servers.null_server import serve\n"
        "asyncio.run(serve(int(sys.argv[1])))"
    )
    command = f"{{python}} {tmp_path / 'server.py'} {{port}}"
    variant = ServerVariant(definition("http://127.0.0.1:{port}/v2/models/other/infer", command=command))
    with pytest.raises(MeasurementError, match="it has no model other"):
        variant.load(RTE, Artifact(Path(), "", {}), Placement("cpu", (0,), 1), Settings())
    assert not Path(f"/proc/{pid.read_text()}").exists()


def test_readiness_is_asked_without_the_token() -> None:
    """Whoever listens on the port before the server does must not get it."""
    with serving(lambda _: ok({})) as server:
        address = Address.of(server.url(), "")
        with closing(ServerConnection(address, "mine", 20.0)) as probe:
            assert is_ready(probe, address.path)
    assert "authorization" not in server.requests[0].headers
