"""The choice of a meter for a device, and why each other one is skipped: one table, tried in order.

    choose_meter (in the parent) --meter_spec--> JSON --open_meter--> the same meter (in each worker)

The parent does slow look-ups, such as the processor's watts; a worker only opens the meter that was chosen.
The user may name a meter, with an argument if it takes one (`external:readings.csv`), or `none`. Then no
other meter is tried, and one that cannot be used is an error.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from harness.common.errors import DeviceError, UsageError, unknown_name
from harness.common.plugins import Plugin, usable
from harness.common.procfs import ROOT
from harness.measurement.energy.combined import open_combined
from harness.measurement.energy.counters.meter import Clock, ReadText, read_text
from harness.measurement.energy.cpu.codecarbon import CodecarbonMeter, open_codecarbon
from harness.measurement.energy.cpu.hwmon import HWMON, HwmonMeter, open_hwmon
from harness.measurement.energy.cpu.models.cpu_time_model import CpuTimeMeter, open_cpu_time
from harness.measurement.energy.cpu.models.modelled_power import (
    displayed_machine,
    modelled_power,
    named_power,
)
from harness.measurement.energy.cpu.models.power_curve_model import PowerCurveMeter, open_power_curve
from harness.measurement.energy.cpu.models.power_curves import MachinePower
from harness.measurement.energy.cpu.models.processor_power import ProcessorPower
from harness.measurement.energy.cpu.rapl import POWERCAP, RaplMeter, open_rapl
from harness.measurement.energy.cpu.rapl_perf import PerfInterface, RaplPerfMeter, open_perf
from harness.measurement.energy.external.meter import ExternalMeter, open_external, source_of
from harness.measurement.energy.external.plugin_meter import plugin_meter
from harness.measurement.energy.external.replay import ReplayMeter, open_replay
from harness.measurement.energy.meter import NAMED_ONLY, Meter, MeterChoice, MeterSpec, SelectableMeter
from harness.measurement.energy.nvml import NvmlMeter, open_nvml
from harness.measurement.energy.nvml_power import NvmlPowerMeter, open_nvml_power
from harness.measurement.energy.trial import readable_part
from harness.measurement.machine.gpu_boards import Names, Nvml, boards_of

NONE = "none"
"""The name for no meter at all."""

Kind = Literal["cpu", "cuda", "any"]
KINDS = get_args(Kind)
"""The kinds of device that a meter may cover."""


@dataclass(frozen=True, slots=True)
class SelectionContext:
    """The arguments of `choose_meter`, from which an entry of the table makes its meter."""

    root: Path
    clock: Clock
    read_text: ReadText
    processor: Callable[[], ProcessorPower | MachinePower]
    nvml: Nvml
    visible_devices: str | None
    system: Path
    perf: PerfInterface | None
    gpu: int | None
    argument: str

    @property
    def boards(self) -> Names | None:
        """NVML's names of the boards to read."""
        return boards_of(self.gpu, self.visible_devices)


@dataclass(frozen=True, slots=True)
class MeterEntry:
    """One meter of the table: the kind of device that it covers, and two functions that make it.

    `make` makes it in the parent, `open` opens it from its `spec` in a worker. `argument` describes what may
    follow the colon after its name, if anything; `needs_argument` is false if it may be left out. A meter
    that is `named_only` is used only if the user names
    it.
    """

    name: str
    kind: Kind
    summary: str
    make: Callable[[SelectionContext], SelectableMeter]
    open: Callable[[MeterSpec], SelectableMeter]
    named_only: bool = False
    argument: str = ""
    needs_argument: bool = True


def _make_rapl(context: SelectionContext) -> SelectableMeter:
    return RaplMeter(context.root, context.clock, read_text=context.read_text)


def _make_perf(context: SelectionContext) -> SelectableMeter:
    return RaplPerfMeter(context.system, context.clock, perf=context.perf)


def _make_hwmon(context: SelectionContext) -> SelectableMeter:
    root = context.system / HWMON.relative_to("/")
    return HwmonMeter(root, context.clock, read_text=context.read_text)


def _make_modelled(context: SelectionContext) -> SelectableMeter:
    power = named_power(context.argument, context.system) if context.argument else context.processor()
    if isinstance(power, MachinePower):
        return PowerCurveMeter(power, clock=context.clock)
    return CpuTimeMeter(power.watts_per_cpu, power.source, clock=context.clock)


def _open_modelled(spec: MeterSpec) -> SelectableMeter:
    return open_power_curve(spec) if "curve" in spec else open_cpu_time(spec)


def _make_nvml(context: SelectionContext) -> SelectableMeter:
    return NvmlMeter(context.boards, context.nvml, context.clock)


def _make_nvml_power(context: SelectionContext) -> SelectableMeter:
    return NvmlPowerMeter(context.boards, context.nvml, context.clock)


def _make_codecarbon(context: SelectionContext) -> SelectableMeter:
    return CodecarbonMeter(context.clock)


def _make_external(context: SelectionContext) -> SelectableMeter:
    return ExternalMeter(context.argument, context.clock)


def _make_replay(context: SelectionContext) -> SelectableMeter:
    return ReplayMeter(Path(context.argument))


METERS = (
    MeterEntry("rapl", "cpu", "processor and memory, counted by the processor", _make_rapl, open_rapl),
    MeterEntry("perf", "cpu", "the same counters through the kernel's perf events", _make_perf, open_perf),
    MeterEntry("hwmon", "cpu", "sockets, counted by AMD's and similar drivers", _make_hwmon, open_hwmon),
    MeterEntry(
        "modelled",
        "cpu",
        "CPU time times a constant, or a published power curve: modelled:m5.xlarge",
        _make_modelled,
        _open_modelled,
        argument="MACHINE[@FILE]",
        needs_argument=False,
    ),
    MeterEntry("nvml", "cuda", "whole NVIDIA boards, counted by the boards", _make_nvml, open_nvml),
    MeterEntry(
        "nvml-power", "cuda", "NVIDIA boards without a counter, polled", _make_nvml_power, open_nvml_power
    ),
    MeterEntry(
        "codecarbon",
        "cpu",
        "codecarbon's own figures, only if named",
        _make_codecarbon,
        open_codecarbon,
        named_only=True,
    ),
    MeterEntry(
        "external",
        "any",
        "an instrument of your own, by a file or a command: external:readings.csv",
        _make_external,
        open_external,
        named_only=True,
        argument="FILE|COMMAND",
    ),
    MeterEntry(
        "replay",
        "any",
        "replays a recording: replay:recording.jsonl",
        _make_replay,
        open_replay,
        named_only=True,
        argument="FILE",
    ),
)


def choose_meter(
    device: str,
    wanted: str | None = None,
    *,
    root: Path = POWERCAP,
    clock: Clock = time.monotonic_ns,
    read_text: ReadText = read_text,
    processor: Callable[[], ProcessorPower | MachinePower] = modelled_power,
    nvml: Nvml = None,
    visible_devices: str | None = None,
    system: Path = ROOT,
    perf: PerfInterface | None = None,
) -> MeterChoice:
    """Return the first meter of the table that works for `cpu`, `cuda` or `cuda:N`, and why others do not.

    `wanted` names the only meter to try, as `NAME` or `NAME:ARGUMENT`, or is `none`. `root` is the powercap
    tree, `system` the root of the file system for all other files, `visible_devices` the value of
    `CUDA_VISIBLE_DEVICES` that numbers the boards (by default the environment's). The other arguments can be
    fakes. If no meter works, the choice holds None; `require_meter` then raises for a meter that was named.
    DeviceError for another device, UsageError for an unknown meter.
    """
    kind, gpu = _parse_device(device)
    name, argument = _parse_meter(wanted)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") if visible_devices is None else visible_devices
    context = SelectionContext(root, clock, read_text, processor, nvml, visible, system, perf, gpu, argument)
    chosen: SelectableMeter | None = None
    skipped: list[tuple[str, str, str]] = []
    for entry in (*METERS, *_plugin_entries(name)):
        obstacle = _not_tried(entry, kind, name, chosen)
        meter = None if obstacle else entry.make(context)
        if meter:
            meter = readable_part(meter)
            obstacle = meter.obstacle()
            chosen = chosen if obstacle else meter
        if obstacle:
            skipped.append((entry.name, *obstacle))
    return MeterChoice(chosen, tuple(skipped))


def require_meter(choice: MeterChoice, wanted: str | None) -> MeterChoice:
    """Return the choice; UsageError if the meter that the user named cannot be used."""
    name, _ = _parse_meter(wanted)
    if name in (None, NONE) or choice.meter:
        return choice
    reason, remedy = next((row[1], row[2]) for row in choice.skipped if row[0] == name)
    raise UsageError(f"the meter {name} cannot be used: {reason}.", where="--meter", remedy=remedy)


def displayed_name(wanted: str | None) -> str | None:
    """Return the user's `--meter` for the record; only the base name of its argument is kept."""
    name, argument = _parse_meter(wanted)
    if not argument:
        return name
    shown = displayed_machine(argument) if name == "modelled" else source_of(argument).name
    return f"{name}:{shown}"


def open_meter(spec: MeterSpec) -> Meter:
    """Open the meter that `meter_spec` described."""
    name = str(spec["meter"])
    if name == "fake":
        from harness.measurement.energy.fake import open_fake

        return open_fake(spec)
    if name == "joint":
        return open_combined(spec, open_meter)
    for entry in (*METERS, *_plugin_entries(name)):
        if entry.name == name:
            return entry.open(spec)
    raise unknown_name("meter", name, [entry.name for entry in METERS])


def _built_in_names() -> list[str]:
    return [*(entry.name for entry in METERS), NONE]


def _plugin_entries(name: str | None) -> tuple[MeterEntry, ...]:
    """Return the entry of a plug-in's meter of this name, if there is one: it is used only if named."""
    if name is None or name in _built_in_names():
        return ()
    plugins = usable("meter", _built_in_names())
    return (_plugin_entry(plugins[name]),) if name in plugins else ()


def _plugin_entry(plugin: Plugin) -> MeterEntry:
    """Return the entry of a plug-in; what its functions make is checked."""
    entry = plugin.load()
    if entry.kind not in KINDS:
        raise plugin.failed(f"its kind must be one of {', '.join(KINDS)}, got {entry.kind!r}")

    def made(function: Callable[..., SelectableMeter], *arguments: object) -> SelectableMeter:
        return plugin_meter(plugin, plugin.call(function, *arguments))

    argument = str(getattr(entry, "argument", ""))
    make, open_ = partial(made, entry.make), partial(made, entry.open)
    return MeterEntry(plugin.name, entry.kind, entry.summary, make, open_, named_only=True, argument=argument)


def _not_tried(
    entry: MeterEntry, kind: str, name: str | None, chosen: Meter | None
) -> tuple[str, str] | None:
    """Return why an entry is not even tried, and what would change that; None if it is to be tried."""
    if name is not None and name != entry.name:
        return f"--meter {name} was asked for", f"Leave out --meter, or use --meter {entry.name}."
    if entry.kind not in (kind, "any"):
        return f"it covers {entry.kind}, not {kind}", f"Measure on --device {entry.kind}."
    if name is None and entry.named_only:
        return NAMED_ONLY, f"Name it: --meter {entry.name}{entry.argument and ':' + entry.argument}."
    if chosen is not None:
        return f"{chosen.name} comes first", "Nothing to do: the first meter that works is used."
    return None


def _parse_meter(wanted: str | None) -> tuple[str | None, str]:
    """Split `NAME:ARGUMENT`; UsageError for an unknown name, or an argument that is missing or unexpected."""
    if not wanted:
        return None, ""
    name, _, argument = wanted.partition(":")
    entry = next((entry for entry in (*METERS, *_plugin_entries(name)) if entry.name == name), None)
    if entry is None and name != NONE:
        raise unknown_name("meter", name, [*_built_in_names(), *usable("meter", _built_in_names())])
    expected = entry.argument if entry else ""
    if argument and not expected:
        raise UsageError(
            f"the meter {name} takes no argument, got {argument!r}.",
            where="--meter",
            remedy=f"Use --meter {name}.",
        )
    if entry and expected and entry.needs_argument and not argument:
        raise UsageError(
            f"the meter {name} needs an argument.", where="--meter", remedy=f"Use --meter {name}:{expected}."
        )
    return name, argument


def _parse_device(device: str) -> tuple[str, int | None]:
    """Split a device into its kind and number; `cuda` is `cuda:0`."""
    kind, colon, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (colon and not (kind == "cuda" and index.isdigit())):
        raise DeviceError(f"unknown device {device!r}.", remedy="Use cpu, cuda or cuda:N.")
    return kind, int(index or 0) if kind == "cuda" else None
