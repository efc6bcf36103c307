import socket
from dataclasses import replace
from pathlib import Path

import pytest
from worlds import World

from harness.cli.app import call
from harness.common.errors import UsageError
from harness.measurement.energy.check import MeterCheck
from harness.measurement.energy.cpu.rapl import RaplMeter
from harness.measurement.energy.external.agent import TOKEN, MeterAgent, counters_of
from harness.measurement.energy.meter import Meter, MeterChoice
from harness.testing import powercap_tree
from harness.testing.world import FakeMachine

SECRET = "0123456789abcdef-s3cret"


class CountingMachine(FakeMachine):
    """A machine with RAPL, whose trial finds nothing."""

    tree: Path

    def choose_meter(self, device: str, wanted: str | None = None) -> MeterChoice:
        del device, wanted
        return MeterChoice(RaplMeter(self.tree))

    def try_meter(self, meter: Meter) -> MeterCheck:
        return MeterCheck(meter.name, moved=True)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    machine = CountingMachine(world.catalog, world.clock)
    machine.tree = powercap_tree(tmp_path / "powercap", sockets=1).root
    world.machine = machine
    return world


def serve(world: World, *words: str, token: str = SECRET) -> int:
    return call(["meter", "serve", *words], replace(world.context(), environ={TOKEN: token}))


def test_the_counters_of_a_machine_are_served_until_it_is_interrupted(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what and where, and not the token."""

    def interrupted(agent: MeterAgent) -> None:
        assert agent.admits(f"Bearer {SECRET}")
        raise KeyboardInterrupt

    monkeypatch.setattr(MeterAgent, "serve_forever", interrupted)
    assert serve(world, "--port", "0") == 0
    shown = capsys.readouterr().out
    assert "rapl at http://127.0.0.1:" in shown
    assert "package-0 (package)" in shown
    assert SECRET not in shown


def test_what_cannot_be_served_is_refused_with_a_remedy(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a token, on a port that another program has, and without a counter."""
    assert serve(world, token="") == 2
    assert TOKEN in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert serve(world, "--port", str(taken.getsockname()[1])) == 2
    assert "cannot be listened on" in capsys.readouterr().err
    world.machine = FakeMachine(world.catalog, world.clock)
    assert serve(world, "--port", "0") == 2
    assert "no energy counter of this machine can be read" in capsys.readouterr().err
    with pytest.raises(UsageError, match="none is no energy counter"):
        counters_of(MeterChoice(None))


def test_an_address_or_port_that_cannot_be_is_refused(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the option that is wrong."""
    for host in ("::1", "a" * 64 + ".invalid"):
        assert serve(world, "--port", "0", "--host", host) == 2
        assert f"--host: {host!r} is no address of this machine" in capsys.readouterr().err
    for port in ("-1", "65536"):
        assert serve(world, "--port", port) == 2
        assert "--port" in capsys.readouterr().err
