"""Which meter a device gets, and why not another: one table, tried from top to bottom.

    choose (in the parent) --spec_of--> a dictionary --open_meter--> the meter again (in each worker)

The parent looks up what takes long, such as the processor's watts; a worker only opens what it is told.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from harness.errors import DeviceError, UsageError, unknown_name
from harness.meters.base import Choice, Meter
from harness.meters.modelled import ModelledMeter, open_modelled
from harness.meters.nvml import NvmlMeter, board_of, open_nvml
from harness.meters.processor import ProcessorPower, processor_power
from harness.meters.rapl import POWERCAP, RaplMeter, ReadText, open_rapl, read_text


@runtime_checkable
class Openable(Meter, Protocol):
    """A meter that can be chosen: it knows its obstacles, and how to be opened again."""

    def spec(self) -> dict[str, Any]:
        """Return a JSON-able dictionary whose `meter` names the row of the table."""

    def obstacle(self) -> tuple[str, str] | None:
        """Return why it cannot be used here and what would allow it, or None."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where meters are looked for: the arguments of `choose`."""

    root: Path
    clock: Callable[[], int]
    read_text: ReadText
    processor: Callable[[], ProcessorPower]
    nvml: Any
    visible_devices: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """One meter of the table: the kind of device it covers, how to make it, how to open it again."""

    name: str
    kind: str
    summary: str
    make: Callable[[Site, int], Openable]
    open: Callable[[Mapping[str, Any]], Openable]


def _make_rapl(site: Site, _index: int) -> RaplMeter:
    return RaplMeter(site.root, site.clock, read_text=site.read_text)


def _make_modelled(site: Site, _index: int) -> ModelledMeter:
    power = site.processor()
    return ModelledMeter(power.watts_per_cpu, power.source, clock=site.clock)


def _make_nvml(site: Site, index: int) -> NvmlMeter:
    return NvmlMeter(board_of(index, site.visible_devices), site.nvml, site.clock)


METERS = (
    Row("rapl", "cpu", "processor and memory, counted by the processor", _make_rapl, open_rapl),
    Row("modelled", "cpu", "CPU time times a constant, where nothing counts", _make_modelled, open_modelled),
    Row("nvml", "cuda", "a whole NVIDIA board, counted by the board", _make_nvml, open_nvml),
)


def choose(
    device: str,
    *,
    root: Path = POWERCAP,
    clock: Callable[[], int] = time.monotonic_ns,
    read_text: ReadText = read_text,
    processor: Callable[[], ProcessorPower] = processor_power,
    nvml: Any = None,  # noqa: ANN401 -- a module
    visible_devices: str | None = None,
) -> Choice:
    """Return the first meter of the table that works for `cpu`, `cuda` or `cuda:N`, and why no other.

    `root` is the powercap tree, `visible_devices` the `CUDA_VISIBLE_DEVICES` by which boards are numbered
    (the environment's unless given); each of the others can be replaced by a fake. Raises DeviceError for
    another device. Where no meter works the choice holds None, never a guess.
    """
    kind, index = _parse(device)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") if visible_devices is None else visible_devices
    site = Site(root, clock, read_text, processor, nvml, visible)
    chosen: Openable | None = None
    skipped: list[tuple[str, str, str]] = []
    for row in METERS:
        if row.kind != kind:
            skipped.append((row.name, f"it covers {row.kind}, not {kind}", f"Measure on {row.kind}."))
        elif chosen is not None:
            skipped.append((row.name, f"{chosen.name} comes first", "Nothing: a measurement is preferred."))
        else:
            meter = row.make(site, index)
            obstacle = meter.obstacle()
            if obstacle:
                skipped.append((row.name, *obstacle))
            else:
                chosen = meter
    return Choice(chosen, tuple(skipped))


def spec_of(meter: Meter) -> dict[str, Any]:
    """Return a JSON-able dictionary that `open_meter` turns into the same meter in another process."""
    if not isinstance(meter, Openable):
        raise UsageError(
            f"the meter {meter.name!r} cannot be opened in a worker.", remedy="Give it a method `spec`."
        )
    return meter.spec()


def open_meter(spec: Mapping[str, Any]) -> Meter:
    """Open the meter that `spec_of` described; imports nothing that the meter does not need."""
    if spec["meter"] == "fake":
        from harness.testing.meter import open_fake

        return open_fake(spec)
    for row in METERS:
        if row.name == spec["meter"]:
            return row.open(spec)
    raise unknown_name("meter", str(spec["meter"]), [row.name for row in METERS])


def _parse(device: str) -> tuple[str, int]:
    kind, colon, index = device.partition(":")
    known = kind in {row.kind for row in METERS}
    if not known or (colon and not index.isdigit()):
        raise DeviceError(f"there is no device {device!r}.", remedy="Use cpu, cuda or cuda:N.")
    return kind, int(index or 0)
