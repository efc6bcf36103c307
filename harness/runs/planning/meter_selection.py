"""Which meter a run reads, once a trial has shown that it moves, and how long its windows must be.

choose --> try --> not moving: the next of the table, and the reason in `skipped`
               --> moving: facts for every record, and the least length of a visit
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.common.errors import UsageError
from harness.common.json_types import JsonObject
from harness.measurement.energy.check import UNCERTAIN, MeterCheck
from harness.measurement.energy.combined import CombinedMeter
from harness.measurement.energy.meter import Meter, MeterChoice, SkippedMeter
from harness.measurement.energy.trial import usable_part
from harness.measurement.machine.devices import device_kind
from harness.records.plan import Profile
from harness.records.reading import BOARDS
from harness.records.record import EnergyFacts
from harness.runs.services import Meters, chosen_meter

LONGEST_MS = 30_000
"""Visits are lengthened to this at most: a meter that steps once a second would need 200 s each."""

NOT_ADDED = "what is modelled is never added to what is measured"
COUNT_IT = "Make one of the processor's counters readable: `bench doctor --device cpu` shows how."
COVERS_CPU = "it covers cpu,"

STUCK = "Find out why it stands still (some virtual machines show dead counters); `bench doctor --check`."
OTHER = "Use another meter (`bench doctor` lists them): what this one covers cannot be told apart."


@dataclass(frozen=True, slots=True)
class SelectedMeter:
    """The meter that a run reads, or None; what its trial showed; and why the others are not used."""

    choice: MeterChoice
    check: MeterCheck | None

    def facts(self) -> EnergyFacts:
        """Return the facts about energy that all records of the run share."""
        meter = self.choice.meter
        return EnergyFacts(
            meter=meter.name if meter else None,
            describe=meter.describe() if meter else {},
            skipped=self.choice.skipped,
            check=self.check.facts() if self.check else None,
        )

    def spec(self) -> JsonObject | None:
        """Return what opens the meter in a worker."""
        from harness.measurement.energy.meter import meter_spec

        return meter_spec(self.choice.meter) if self.choice.meter else None

    def lengthened(self, profile: Profile) -> Profile:
        """Return the profile with windows long enough for the meter to resolve 1 %."""
        least_ms = min(self.check.least_window_ms, LONGEST_MS) if self.check else 0
        return profile.model_copy(update={"window_ms": max(profile.window_ms, least_ms)})


def select_meter(machine: Meters, device: str, wanted: str = "") -> SelectedMeter:
    """Choose the meter of a device and try it; one that does not move is replaced by the next.

    UsageError if it is the one that the user named: that is never replaced. Beside a board the processor is
    read too, where it can be measured, unless the user named a meter.
    """
    selected = _for_device(machine, device, wanted)
    if wanted or device_kind(device) == "cpu" or selected.choice.meter is None:
        return selected
    return with_processor_meter(selected, _for_device(machine, "cpu", ""))


def with_processor_meter(board: SelectedMeter, processor: SelectedMeter) -> SelectedMeter:
    """Return both as one meter; the board's alone, and why, where the processor is not measured.

    Windows are as long as the slower of the two needs; agreement with the power sensor is the board's.
    """
    board_meter, cpu_meter = board.choice.meter, processor.choice.meter
    reasons = {row[0]: row for row in processor.choice.skipped}
    if board_meter is None or not _is_of_boards(board_meter):
        return board
    if cpu_meter is None or cpu_meter.grade != "measured":
        if cpu_meter is not None:
            reasons[cpu_meter.name] = (cpu_meter.name, NOT_ADDED, COUNT_IT)
        return replace(board, choice=MeterChoice(board_meter, _skipped(board.choice.skipped, reasons)))
    skipped = tuple(row for row in _skipped(board.choice.skipped, reasons) if row[0] != cpu_meter.name)
    return SelectedMeter(
        MeterChoice(CombinedMeter([board_meter, cpu_meter]), skipped),
        _combined_check(board.check, processor.check),
    )


def _is_of_boards(meter: Meter) -> bool:
    return meter.grade == "measured" and all(zone.scope in BOARDS for zone in meter.zones())


def _skipped(
    board: Sequence[SkippedMeter], processor: Mapping[str, SkippedMeter]
) -> tuple[SkippedMeter, ...]:
    """Return why meters are not used; for those of the processor, why they do not work there."""
    return tuple(processor.get(row[0], row) if row[1].startswith(COVERS_CPU) else row for row in board)


def _combined_check(board: MeterCheck | None, processor: MeterCheck | None) -> MeterCheck | None:
    if board is None or processor is None:
        return board or processor
    return replace(
        board,
        meter=f"{board.meter}+{processor.meter}",
        zones=(*board.zones, *processor.zones),
        left_out=(*board.left_out, *processor.left_out),
        least_window_ms=max(board.least_window_ms, processor.least_window_ms),
        reads=board.reads + processor.reads,
        span_ns=board.span_ns + processor.span_ns,
    )


def _for_device(machine: Meters, device: str, wanted: str) -> SelectedMeter:
    choice = chosen_meter(machine, device, wanted)
    while choice.meter:
        meter, check = usable_part(choice.meter, machine.try_meter)
        if check.moved is not False:
            return SelectedMeter(replace(choice, meter=meter), check)
        if wanted:
            raise UsageError(
                f"the meter {choice.meter.name} cannot be used: {check.reason}.",
                where="--meter",
                remedy=_remedy(check),
            )
        choice = _without(machine, device, choice, choice.meter, check)
    return SelectedMeter(choice, None)


def _without(
    machine: Meters, device: str, choice: MeterChoice, stuck: Meter, check: MeterCheck
) -> MeterChoice:
    """Return the choice among the meters that came after the one that does not move."""
    rows = {stuck.name: (stuck.name, str(check.reason), _remedy(check))} | {
        row[0]: row for row in choice.skipped
    }
    chosen: Meter | None = None
    for name, because, remedy in choice.skipped:
        if because != f"{stuck.name} comes first":
            continue
        if chosen:
            rows[name] = (name, f"{chosen.name} comes first", remedy)
            continue
        other = machine.choose_meter(device, name)
        chosen = other.meter
        if chosen:
            del rows[name]
        else:
            rows |= {row[0]: row for row in other.skipped if row[0] == name}
    return MeterChoice(chosen, tuple(rows.values()))


def _remedy(check: MeterCheck) -> str:
    return OTHER if UNCERTAIN in str(check.reason) else STUCK
