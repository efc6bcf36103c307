"""Warnings about the joules, and about windows that are too short for the meter."""

from collections.abc import Mapping

from harness.analysis.diagnostics.base import EnergyRule, ResultWarning, name_of, run_of, stop
from harness.analysis.statistics.estimates import MINIMUM_ROUNDS, EnergyWindows
from harness.measurement.energy.meter import unusable_meters
from harness.records.estimate import Unavailable
from harness.records.reading import model_of
from harness.records.record import Record

SHORT_WINDOW = 20
"""A window of 20 times the resolution of the meter has an error of 5 %."""

LARGE_DISAGREEMENT = 0.10
"""Twice the 5 % that NVIDIA states for the power sensor of its boards."""

REMEDIES = 2
"""Remedies that a next step lists at most; `bench doctor` prints all."""


def _energy_unavailable(record: Record, energy: EnergyWindows | Unavailable) -> ResultWarning | None:
    if record.status == "failed" or isinstance(energy, EnergyWindows):
        return None
    sentence = f"{name_of(record)}: energy is unavailable, because {stop(energy.reason)}"
    remedy = _unavailable_remedy(record, energy) or _lost_remedy(record) or _meter_remedy(record)
    return ResultWarning("energy-unavailable", sentence, remedy)


def _energy_modelled(record: Record, energy: EnergyWindows | Unavailable) -> ResultWarning | None:
    if isinstance(energy, Unavailable) or energy.grade != "modelled":
        return None
    reasons = "; ".join(
        f"{meter}: {reason.rstrip('.')}" for meter, reason, _ in unusable_meters(record.energy.skipped)
    )
    skipped = f" Not used: {reasons}." if reasons else ""
    model = f"{model_of(energy.source)}{_watts(record)}"
    sentence = f"{run_of(record)}: joules are modelled, not measured: {model}.{skipped}"
    return ResultWarning("energy-modelled", sentence, _meter_remedy(record))


def _watts(record: Record) -> str:
    """Return the watts of one virtual CPU by a power curve with their range; other models have none."""
    describe = record.energy.describe
    fields = [describe.get(name) for name in ("watts", "lowest_watts", "highest_watts")]
    curves = [curve for curve in fields if isinstance(curve, Mapping)]
    if len(curves) < len(fields):
        return ""
    idle, busy = (
        "{:.2g} W ({:.2g} to {:.2g})".format(*(curve[load] for curve in curves)) for load in ("0 %", "100 %")
    )
    return f", each vCPU {idle} idle and {busy} busy"


def _energy_window(record: Record, windows: EnergyWindows | Unavailable) -> ResultWarning | None:
    if isinstance(windows, Unavailable) or not windows.resolution_uj.any():
        return None
    shortest = float((windows.microjoules / windows.resolution_uj.clip(min=1e-9)).min())
    if shortest >= SHORT_WINDOW:
        return None
    sentence = (
        f"{name_of(record)}: the energy of its shortest window is {shortest:.1f} times the meter's "
        f"resolution, and an error of {100 / SHORT_WINDOW:.0f} % needs {SHORT_WINDOW} times."
    )
    return ResultWarning("energy-window", sentence, _longer_windows(record))


def _energy_left_out(record: Record, _energy: EnergyWindows | Unavailable) -> ResultWarning | None:
    """Warn of parts of the machine whose counter is dead; a mirror of another counter is no part."""
    check = record.energy.check or {}
    read = {zone["zone"] for zone in check.get("zones", ())}
    dead = [
        f"{zone} ({reason})"
        for zone, reason in check.get("left_out", ())
        if zone not in read and not reason.startswith("mirrors ")
    ]
    if not dead:
        return None
    sentence = f"{run_of(record)}: its joules do not cover {'; '.join(dead)}."
    step = "Compare it with runs of the same scope alone; `bench doctor --check` shows the counters."
    return ResultWarning("energy-left-out", sentence, step)


def _sensors_disagree(record: Record, _energy: EnergyWindows | Unavailable) -> ResultWarning | None:
    agreement = (record.energy.check or {}).get("agreement")
    if agreement is None or abs(agreement - 1) <= LARGE_DISAGREEMENT:
        return None
    sentence = (
        f"{run_of(record)}: in the check of the meter, the board's counter reported {agreement:.2f} times "
        f"the power of its sensor; the two should agree within {100 * LARGE_DISAGREEMENT:.0f} %."
    )
    step = "Check both again (`bench doctor --device cuda --check`); publish no joules while they disagree."
    return ResultWarning("sensors-disagree", sentence, step)


def _longer_windows(record: Record) -> str:
    if record.profile == "full":
        return "Its windows are long already: only a meter with a finer resolution would help."
    if record.data.sample < record.data.examples:
        return "Make windows longer: --profile full, or a larger --limit, so that each has more requests."
    return "Make windows longer: --profile full repeats the requests of a window until it is long enough."


def _short_for_the_meter(record: Record, windows: EnergyWindows | Unavailable) -> ResultWarning | None:
    check = record.energy.check or {}
    required_s = check.get("least_window_ms", 0) / 1e3
    if not required_s or isinstance(windows, Unavailable):
        return None
    shortest_s = min(reading.span_ns for item in record.rounds for reading in item.readings) / 1e9
    has_other_warning = (SHORT_WINDOW * windows.resolution_uj > windows.microjoules).any()  # energy-window
    if shortest_s >= required_s or has_other_warning:
        return None
    error = f"{100 * check.get('error', 0.01):g} %"
    sentence = (
        f"{name_of(record)}: its shortest window lasts {shortest_s:.3g} s, "
        f"and the meter ({record.energy.meter}) needs {required_s:.3g} s for an error of at most {error}."
    )
    return ResultWarning("short-for-meter", sentence, _as_long_as_required(record, required_s))


def _as_long_as_required(record: Record, required_s: float) -> str:
    """Return how to make windows longer, given the options of the run."""
    if record.cell.boundary == "process":
        return "Raise --limit, so that each start of the program answers more requests."
    if record.configuration.get("window_ms") is not None:
        return "Leave out --window: visits are then as long as the meter needs, up to 30 s."
    return f"Set --window {required_s:.3g}s, or use a meter that updates more often (`bench doctor`)."


def _unavailable_remedy(record: Record, energy: Unavailable) -> str | None:
    """Return what to do if it is not the meter that failed."""
    if len(record.rounds) < MINIMUM_ROUNDS:
        return f"Measure at least {MINIMUM_ROUNDS} rounds (--rounds)."
    if "shorter than two update periods" in energy.reason or "needs windows of" in energy.reason:
        return _longer_windows(record)
    return None


def _lost_remedy(record: Record) -> str | None:
    """Return what to do if the meter worked in its check and failed during the run."""
    if not (record.energy.check or {}).get("moved"):
        return None
    return f"{record.energy.meter} worked before the sweep: check it again with `bench doctor --check`."


def _meter_remedy(record: Record) -> str:
    """Return what would allow the first meters that could not be used; `bench doctor` lists the others."""
    remedies = dict.fromkeys(
        stop(remedy) for _, _, remedy in unusable_meters(record.energy.skipped) if remedy
    )
    return " ".join(list(remedies)[:REMEDIES]) or "`bench doctor` lists the meters and what each would need."


RULES: tuple[EnergyRule, ...] = (
    _energy_unavailable,
    _energy_modelled,
    _energy_window,
    _energy_left_out,
    _sensors_disagree,
    _short_for_the_meter,
)
