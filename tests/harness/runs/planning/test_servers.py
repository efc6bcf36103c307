import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.common.errors import UsageError
from harness.runs.planning import servers as module
from harness.runs.planning.servers import (
    ServerArguments,
    check_servers,
    parse_servers,
    server_facts,
    with_client_cpus,
)
from harness.systems.server import ServerDefinition
from harness.workload.tasks import get_task

URL = "http://127.0.0.1:8000/v2/models/rte/infer"
STARTED = "http://127.0.0.1:{port}/predict"


def parsed(*urls: str, **options: Any) -> tuple[ServerDefinition, ...]:
    return parse_servers(ServerArguments(urls=urls, **options))


def test_servers_have_names_of_the_user_or_of_ours() -> None:
    """An URL may hold `=`, too."""
    named = parsed(URL, "https://a.invalid/x?y=z", "tei=http://b.invalid/predict")
    assert [server.name for server in named] == ["served", "served-2", "tei"]
    assert [server.url for server in named] == [URL, "https://a.invalid/x?y=z", "http://b.invalid/predict"]
    assert parsed() == ()


def test_a_value_is_of_all_servers_or_begins_with_the_name_of_one() -> None:
    """Of one server, its own value comes first."""
    first, second = parsed(
        f"a={URL}",
        f"b={URL}x",
        protocols=["oip", "b:tei"],
        labels=["a:LABEL_0=entailment, LABEL_1=not_entailment"],
        separators=[" : "],
        pids=["b:17"],
        connections=3,
    )
    assert (first.protocol, second.protocol) == ("oip", "tei")
    assert first.labels == {"LABEL_0": "entailment", "LABEL_1": "not_entailment"}
    assert second.labels == {}
    assert (first.separator, second.separator) == (" : ", " : ")
    assert (first.pid, second.pid) == (0, 17)
    assert (first.connections, second.connections) == (3, 3)


def test_a_template_is_read_and_sets_the_protocol(tmp_path: Path) -> None:
    """It is part of the definition, by value."""
    file = tmp_path / "api.yaml"
    file.write_text("request: {text: '{first}'}\nlabel: label\n")
    (server,) = parsed(URL, templates=[str(file)])
    assert server.protocol == "json"
    assert server.template == {"request": {"text": "{first}"}, "label": "label"}


def test_the_address_of_grpc_sets_the_protocol() -> None:
    """Encrypted or not."""
    assert [server.protocol for server in parsed("grpc://a:1/m", "b=grpcs://b:1/m")] == ["oip-grpc"] * 2
    assert [server.name for server in parsed("grpc://a:1/m", "b=grpcs://b:1/m")] == ["served", "b"]


def test_a_server_that_is_started_gets_its_port_from_us() -> None:
    """In URL and command."""
    (server,) = parsed(STARTED, commands=["python s.py --port {port}"])
    assert (server.command, server.url) == ("python s.py --port {port}", STARTED)
    (moved,) = with_client_cpus([server], [4, 5])
    assert moved.client_cpus == (4, 5)
    assert with_client_cpus(parsed(URL), [4, 5])[0].client_cpus == ()
    assert moved.sha256 == server.sha256


@pytest.mark.parametrize(
    ("urls", "options", "message"),
    [
        (("ftp://a/x",), {}, "not an URL of a server"),
        (("127.0.0.1:8000/x",), {}, "not an URL of a server"),
        (("http:///x",), {}, "not an URL of a server"),
        (("http://a:99999/x",), {}, "not an URL of a server"),
        (("http://[::1/x",), {}, "not an URL of a server"),
        (("http://user:pw@a/x",), {}, "no user and no password"),
        (("http://a/x y",), {}, "printable ASCII"),
        (("http://a/é",), {}, "printable ASCII"),
        (("http://a/x\r\nHost: b",), {}, "printable ASCII"),
        ((STARTED,), {}, "there is no server to start"),
        ((URL,), {"commands": ["python s.py"]}, "chosen by bench"),
        ((STARTED,), {"commands": ["python s.py"]}, "chosen by bench"),
        (("http://a.invalid:{port}/",), {"commands": ["s {port}"]}, "answers on this machine"),
        ((f"a={URL}", f"a={URL}"), {}, "two servers have the name 'a'"),
        ((f"a={STARTED}", f"b={STARTED}"), {"commands": ["s {port}"]}, "which of them the command starts"),
        ((URL,), {"protocols": ["rest"]}, "unknown protocol 'rest'"),
        ((URL,), {"protocols": ["oip-grpc"]}, "an URL of gRPC is of protocol oip-grpc"),
        (("grpc://a:1/m",), {"protocols": ["oip"]}, "an URL of gRPC is of protocol oip-grpc"),
        ((URL,), {"protocols": ["json"]}, "needs a template"),
        ((URL,), {"protocols": ["oip", "tei"]}, "has several values"),
        ((URL,), {"labels": ["A"]}, "expected pairs of names"),
        ((URL,), {"labels": ["A=b,A=c"]}, "named twice"),
        ((URL,), {"pids": ["-1"]}, "must be the number of a process"),
        ((URL,), {"pids": ["1"], "cgroups": ["a"]}, "by its pid or by its cgroup"),
        ((STARTED,), {"commands": ["s {port}"], "pids": ["1"]}, "are known"),
        ((URL,), {"meters": ["ftp://a:1"]}, "not an address of a meter"),
        ((URL,), {"meters": ["http://127.0.0.1"]}, "not an address of a meter"),
        ((URL,), {"meters": ["https://me:pw@a:1"]}, "no user and no password"),
        ((URL,), {"meters": ["http://a.invalid:1"]}, "without encryption"),
        ((URL,), {"connections": 0}, "between 1 and 1024, got 0"),
        ((), {"protocols": ["oip"]}, "the options of a server need the server"),
    ],
)
def test_a_server_that_cannot_be_measured_as_named_is_refused(
    urls: tuple[str, ...], options: dict[str, Any], message: str
) -> None:
    """With the option, and what to do."""
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        parsed(*urls, **options)
    assert caught.value.remedy


def test_a_meter_on_the_server_s_machine_needs_the_token_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address is part of no hash and of no record."""
    monkeypatch.delenv("BENCH_METER_TOKEN", raising=False)
    with pytest.raises(UsageError, match="the token of the meter is not set"):
        parsed(URL, meters=["http://127.0.0.1:9299"])
    monkeypatch.setenv("BENCH_METER_TOKEN", "0123456789abcdef")
    with_meter, without = parsed(f"a={URL}", f"b={URL}", meters=["a:http://127.0.0.1:9299"])
    assert (with_meter.meter, without.meter) == ("http://127.0.0.1:9299", "")
    assert replace(with_meter, name="b").sha256 == without.sha256
    assert "9299" not in str(server_facts([with_meter]))


def test_a_password_in_an_url_is_not_quoted() -> None:
    """It would be in the terminal and in its log."""
    with pytest.raises(UsageError) as caught:
        parsed("http://user:hunter2@a.invalid/x")
    assert "hunter2" not in str(caught.value)


def test_labels_must_be_those_of_the_task() -> None:
    """A typing mistake would cost a run."""
    servers = parsed(URL, labels=["LABEL_0=entailed"])
    with pytest.raises(UsageError, match="'entailed' is not a label of rte: entailment, not_entailment"):
        check_servers(servers, get_task("rte"))
    check_servers(parsed(URL, labels=["LABEL_0=entailment"]), get_task("rte"))


def test_one_token_is_not_sent_to_several_servers() -> None:
    """Each would get that of another; those that bench starts need none."""
    several = parsed(f"my-a={URL}", f"b={URL}")
    with pytest.raises(UsageError, match="which of them gets the token") as caught:
        module._check_token(several, {"BENCH_SYSTEM_TOKEN": "t"})
    assert "BENCH_SYSTEM_TOKEN_MY_A" in str(caught.value.remedy)
    module._check_token(several, {"BENCH_SYSTEM_TOKEN_B": "t"})
    module._check_token(several[:1], {"BENCH_SYSTEM_TOKEN": "t"})


def test_a_record_holds_no_url_no_command_and_no_pid() -> None:
    """Two servers differ by what they are asked, not by the process that answers."""
    (server,) = parsed(URL, labels=["A=b"], pids=["17"])
    facts = server_facts([server])
    assert facts == {"served": {"protocol": "found", "connections": 8, "labels": {"A": "b"}}}
    assert parsed(URL, labels=["A=b"])[0].sha256 == server.sha256 != parsed(f"{URL}2")[0].sha256
