"""Which meter a device gets, and why not another: one table, tried from top to bottom.

    choose (in the parent) --spec_of--> a dictionary --open_meter--> the meter again (in each worker)

The parent looks up what takes long, such as the processor's watts; a worker only opens what it is told. A
user may name a meter, with an argument where it takes one (`external:readings.csv`), or `none`; then no other
is tried, and one that cannot be used is refused rather than replaced.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from harness.common.errors import DeviceError, UsageError, unknown_name
from harness.common.plugins import usable
from harness.common.procfs import ROOT
from harness.measurement.energy.combined import open_combined
from harness.measurement.energy.cpu.codecarbon import CodecarbonMeter, open_codecarbon
from harness.measurement.energy.cpu.cpu_time_model import CpuTimeMeter, open_modelled
from harness.measurement.energy.cpu.hwmon import HWMON, HwmonMeter, open_hwmon
from harness.measurement.energy.cpu.processor_power import ProcessorPower, processor_power
from harness.measurement.energy.cpu.rapl import POWERCAP, RaplMeter, ReadText, open_rapl, read_text
from harness.measurement.energy.cpu.rapl_perf import PerfInterface, RaplPerfMeter, open_perf
from harness.measurement.energy.external.meter import ExternalMeter, open_external, source_of
from harness.measurement.energy.external.replay import ReplayMeter, open_replay
from harness.measurement.energy.meter import NAMED_ONLY, Meter, MeterChoice, SelectableMeter
from harness.measurement.energy.nvml import NvmlMeter, open_nvml
from harness.measurement.energy.nvml_power import NvmlPowerMeter, open_nvml_power
from harness.measurement.machine.gpu_boards import boards_of

NONE = "none"
"""What a user names who wants no energy."""


@dataclass(frozen=True, slots=True)
class SelectionContext:
    """Where meters are looked for: device, the GPU's number, and the named meter."""

    root: Path
    clock: Callable[[], int]
    read_text: ReadText
    processor: Callable[[], ProcessorPower]
    nvml: Any
    visible_devices: str | None
    system: Path
    perf: PerfInterface | None
    gpu: int | None
    argument: str


@dataclass(frozen=True, slots=True)
class MeterEntry:
    """One meter of the table: the kind of device it covers, how to make it, how to open it again.

    `argument` says what stands behind the colon of its name, if anything may. A meter that is `named_only` is
    never chosen by itself.
    """

    name: str
    kind: Literal["cpu", "cuda", "any"]
    summary: str
    make: Callable[[SelectionContext], SelectableMeter]
    open: Callable[[Mapping[str, Any]], SelectableMeter]
    named_only: bool = False
    argument: str = ""


def _make_rapl(site: SelectionContext) -> SelectableMeter:
    return RaplMeter(site.root, site.clock, read_text=site.read_text)


def _make_perf(site: SelectionContext) -> SelectableMeter:
    return RaplPerfMeter(site.system, site.clock, perf=site.perf)


def _make_hwmon(site: SelectionContext) -> SelectableMeter:
    return HwmonMeter(site.system / HWMON.relative_to("/"), site.clock, read_text=site.read_text)


def _make_modelled(site: SelectionContext) -> SelectableMeter:
    power = site.processor()
    return CpuTimeMeter(power.watts_per_cpu, power.source, clock=site.clock)


def _make_nvml(site: SelectionContext) -> SelectableMeter:
    return NvmlMeter(boards_of(site.gpu, site.visible_devices), site.nvml, site.clock)


def _make_nvml_power(site: SelectionContext) -> SelectableMeter:
    return NvmlPowerMeter(boards_of(site.gpu, site.visible_devices), site.nvml, site.clock)


def _make_codecarbon(site: SelectionContext) -> SelectableMeter:
    return CodecarbonMeter(site.clock)


def _make_external(site: SelectionContext) -> SelectableMeter:
    return ExternalMeter(site.argument, site.clock)


def _make_replay(site: SelectionContext) -> SelectableMeter:
    return ReplayMeter(Path(site.argument))


METERS = (
    MeterEntry("rapl", "cpu", "processor and memory, counted by the processor", _make_rapl, open_rapl),
    MeterEntry("perf", "cpu", "the same counters through the kernel's perf events", _make_perf, open_perf),
    MeterEntry("hwmon", "cpu", "sockets, counted by AMD's and similar drivers", _make_hwmon, open_hwmon),
    MeterEntry(
        "modelled", "cpu", "CPU time times a constant, where nothing counts", _make_modelled, open_modelled
    ),
    MeterEntry("nvml", "cuda", "whole NVIDIA boards, counted by the boards", _make_nvml, open_nvml),
    MeterEntry(
        "nvml-power", "cuda", "NVIDIA boards without a counter, polled", _make_nvml_power, open_nvml_power
    ),
    MeterEntry(
        "codecarbon",
        "cpu",
        "what codecarbon says, only where it is named",
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
        "plays back a recording: replay:recording.jsonl",
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
    clock: Callable[[], int] = time.monotonic_ns,
    read_text: ReadText = read_text,
    processor: Callable[[], ProcessorPower] = processor_power,
    nvml: Any = None,  # noqa: ANN401 -- a module
    visible_devices: str | None = None,
    system: Path = ROOT,
    perf: PerfInterface | None = None,
) -> MeterChoice:
    """Return the first meter of the table that works for `cpu`, `cuda` or `cuda:N`, and why no other.

    `wanted` names the only one that is tried, as `NAME` or `NAME:ARGUMENT`; `none` is none. `root` is the
    powercap tree, `system` the root of the file system for all other files, `visible_devices` the
    `CUDA_VISIBLE_DEVICES` by which boards are numbered (the environment's unless given); each of the others
    can be replaced by a fake. Raises DeviceError for another device, UsageError for an unknown meter. Where
    no meter works the choice holds None, never a guess; `require_meter` raises where
    a named meter does not work.
    """
    kind, gpu = _parse(device)
    name, argument = _named(wanted)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") if visible_devices is None else visible_devices
    site = SelectionContext(root, clock, read_text, processor, nvml, visible, system, perf, gpu, argument)
    chosen: SelectableMeter | None = None
    skipped: list[tuple[str, str, str]] = []
    for row in (*METERS, *_added(name)):
        passed = _passed(row, kind, name, chosen)
        meter = None if passed else row.make(site)
        if meter:
            passed = meter.obstacle()
            chosen = chosen if passed else meter
        if passed:
            skipped.append((row.name, *passed))
    return MeterChoice(chosen, tuple(skipped))


def require_meter(choice: MeterChoice, wanted: str | None) -> MeterChoice:
    """Return the choice; UsageError if the meter that a user named cannot be used."""
    name, _ = _named(wanted)
    if name in (None, NONE) or choice.meter:
        return choice
    why, remedy = next((row[1], row[2]) for row in choice.skipped if row[0] == name)
    raise UsageError(f"the meter {name} cannot be used: {why}.", where="--meter", remedy=remedy)


def displayed_name(wanted: str | None) -> str | None:
    """Return what a user named as the record keeps it: of its argument a base name alone."""
    name, argument = _named(wanted)
    return f"{name}:{source_of(argument).name}" if argument else name


def open_meter(spec: Mapping[str, Any]) -> Meter:
    """Open the meter that `spec_of` described; imports nothing that the meter does not need."""
    if spec["meter"] == "fake":
        from harness.measurement.energy.fake import open_fake

        return open_fake(spec)
    if spec["meter"] == "joint":
        return open_combined(spec, open_meter)
    for row in (*METERS, *_added(str(spec["meter"]))):
        if row.name == spec["meter"]:
            return row.open(spec)
    raise unknown_name("meter", str(spec["meter"]), [row.name for row in METERS])


def _added(name: str | None) -> tuple[MeterEntry, ...]:
    """Return the meter of a plug-in, where one of this name is asked for: it is never chosen by itself."""
    built_in = [*(row.name for row in METERS), NONE]
    if name is None or name in built_in:
        return ()
    more = usable("meter", built_in)
    return (replace(more[name].load(), named_only=True),) if name in more else ()


def _passed(row: MeterEntry, kind: str, name: str | None, chosen: Meter | None) -> tuple[str, str] | None:
    """Return why a row is not even tried, and what would change that."""
    if name is not None and name != row.name:
        return f"--meter {name} was asked for", f"Leave out --meter, or say --meter {row.name}."
    if row.kind not in (kind, "any"):
        return f"it covers {row.kind}, not {kind}", f"Measure on {row.kind}."
    if name is None and row.named_only:
        return NAMED_ONLY, f"Name it: --meter {row.name}{row.argument and ':' + row.argument}."
    if chosen is not None:
        return f"{chosen.name} comes first", "Nothing: a measurement is preferred."
    return None


def _named(wanted: str | None) -> tuple[str | None, str]:
    """Split what a user named into meter and argument; UsageError for what the table does not know."""
    if not wanted:
        return None, ""
    name, _, argument = wanted.partition(":")
    row = next((row for row in (*METERS, *_added(name)) if row.name == name), None)
    if row is None and name != NONE:
        built_in = [*(row.name for row in METERS), NONE]
        raise unknown_name("meter", name, [*built_in, *usable("meter", built_in)])
    takes = row.argument if row else ""
    if argument and not takes:
        raise UsageError(f"the meter {name} takes no argument.", where="--meter", remedy=f"Say {name} alone.")
    if takes and not argument:
        raise UsageError(
            f"the meter {name} needs to know what it reads.", where="--meter", remedy=f"Say {name}:{takes}."
        )
    return name, argument


def _parse(device: str) -> tuple[str, int | None]:
    """Split a device into its kind and number; `cuda` is `cuda:0`."""
    kind, colon, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (colon and not (kind == "cuda" and index.isdigit())):
        raise DeviceError(f"there is no device {device!r}.", remedy="Use cpu, cuda or cuda:N.")
    return kind, int(index or 0) if kind == "cuda" else None
