"""Simulated GPU boards whose joules are known, for whole commands: real meters, checks, whole records."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from simulation.counter import Draw
from simulation.machine import BOARD_SENSOR, SimulatedMachine
from worlds import World, boolq_folder

from baselines.models.cuda import TRANSFER
from harness.cli.app import call
from harness.measurement.energy.check import MeterCheck, check_meter
from harness.measurement.energy.combined import open_combined
from harness.measurement.energy.cpu.rapl import RaplMeter
from harness.measurement.energy.meter import Meter
from harness.measurement.energy.nvml import NvmlMeter
from harness.measurement.energy.selection import choose_meter
from harness.measurement.energy.trial import power_of
from harness.measurement.machine.devices import check_device
from harness.measurement.machine.gpu import board_number, facts, gpu_snapshots
from harness.records.record import Host, MachineSnapshot, Record
from harness.records.store import Store
from harness.testing.clock import FakeClock
from harness.testing.system import FakeVariant
from harness.testing.world import HOST, FakeMachine, altered

BOARDS = {0: Draw(0.0, 300.0), 1: Draw(0.0, 50.0)}
PROCESSOR = {"package-0": Draw(0.0, 20.0), "package-0/dram": Draw(0.0, 4.0)}
SAYS = {
    "transfer": TRANSFER,
    "dtype": "bfloat16",
    "work": {"per_token": 2_000_000_000, "per_pair": 0, "weights": 1_000_000_000, "hidden": 8, "ffn": 16},
}
"""The facts of a system on a board: two billion operations per token, a billion weights of 16 bits."""

TOKEN_NS = 1_000_000
"""A millisecond a token: windows of seconds hold few requests."""


class Ticking(FakeClock):
    """A clock that keeps a machine's counters up to date."""

    machine: SimulatedMachine | None = None

    def advance(self, nanoseconds: int) -> None:
        super().advance(nanoseconds)
        if self.machine:
            self.machine.tick()


class BoardWorld(World):
    """Two boards and a processor that draw constant power, read by the meters that read real ones.

    Beside `slow` and `fast` there is a fake for each of the `engines`, which rungs of `ladders` may name.
    """

    def __init__(
        self, root: Path, engines: Sequence[str] = (), ladders: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        clock = Ticking(step_ns=10)
        super().__init__(
            root,
            FakeVariant("slow", clock, 4 * TOKEN_NS, padded=True),
            FakeVariant("fast", clock, TOKEN_NS, says=SAYS),
            *(FakeVariant(name, clock, TOKEN_NS, says=SAYS) for name in engines),
        )
        self.catalog = replace(self.catalog, ladders={**self.catalog.ladders, **(ladders or {})})
        self.simulated = SimulatedMachine(
            root / "simulated",
            draws=PROCESSOR,
            boards=BOARDS,
            board_sensor=replace(BOARD_SENSOR, start_uj=1e9),  # a driver that was not loaded just now
            clock=lambda: clock.now_ns,
            cpu_ns=lambda: 0,
        )
        clock.machine = self.simulated
        nvml = self.simulated.nvml

        def opened(spec: Mapping[str, Any]) -> Meter:
            if spec["meter"] == "joint":
                return open_combined(spec, opened)
            if spec["meter"] == "nvml":
                return NvmlMeter(spec["boards"], nvml, clock, own=set)
            return RaplMeter(Path(spec["root"]), clock)

        def tried(meter: Meter) -> MeterCheck:
            return check_meter(meter, clock, lambda: clock.advance(500_000), power_of(meter, nvml))

        self.machine = altered(
            FakeMachine(self.catalog, clock, opener=opened),
            check_device=partial(check_device, gpus=lambda: 2, visible=lambda: None),
            choose_meter=partial(
                choose_meter, root=self.simulated.root, nvml=nvml, clock=clock, system=root / "absent"
            ),
            try_meter=tried,
            board=lambda device: board_number(nvml, device, None),
            snapshot=lambda _cpus: MachineSnapshot(gpus=gpu_snapshots(nvml)),
            host=lambda: _host({**HOST.facts, "gpus": facts(nvml)}),
        )

    def run(self, *options: str) -> list[Record]:
        """Run the command, and return its records."""
        data = ["--data", str(boolq_folder(self.root)), "--profile", "quick", "-n", "8"]
        options = ("--variants", "slow,fast", "--quality", "sample", *options)
        assert call(["run", "-q", *data, *options], self.context()) == 0
        store = Store(self.store)
        return store.records(store.runs()[-1:])[0]


def _host(host_facts: Mapping[str, Any]) -> Host:
    sha256 = hashlib.sha256(json.dumps(host_facts, sort_keys=True).encode()).hexdigest()
    return HOST.model_copy(update={"facts": host_facts, "fingerprint": sha256})
