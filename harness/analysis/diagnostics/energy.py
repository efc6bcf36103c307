"""Warnings about the joules."""

from harness.analysis.diagnostics.base import EnergyRule, ResultWarning, name_of, run_of, stop
from harness.analysis.statistics.estimates import EnergyWindows
from harness.measurement.energy.meter import unusable_meters
from harness.records.estimate import Unavailable
from harness.records.record import Record

SHORT_WINDOW = 20
"""A window of 20 times the meter's resolution is known to 5 %."""

LARGE_DISAGREEMENT = 0.10
"""Twice the 5 % that NVIDIA states for the power sensor of its boards."""

REMEDIES = 2
"""A next step names the first of them; more is a list, which `bench doctor` prints."""


def _energy_unavailable(record: Record, energy: EnergyWindows | Unavailable) -> ResultWarning | None:
    if record.status == "failed" or isinstance(energy, EnergyWindows):
        return None
    sentence = f"{name_of(record)}: energy is unavailable, because {stop(energy.reason)}"
    return ResultWarning("energy-unavailable", sentence, _lost_remedy(record) or _meter_remedy(record))


def _energy_modelled(record: Record, energy: EnergyWindows | Unavailable) -> ResultWarning | None:
    if isinstance(energy, Unavailable) or energy.grade != "modelled":
        return None
    why = "; ".join(
        f"{meter}: {reason.rstrip('.')}" for meter, reason, _ in unusable_meters(record.energy.skipped)
    )
    skipped = f" Not used: {why}." if why else ""
    ours = record.energy.meter not in ("codecarbon", "replay")
    model = "CPU time in other units" if ours else energy.source
    sentence = f"{run_of(record)}: joules are modelled, not measured: {model}.{skipped}"
    return ResultWarning("energy-modelled", sentence, _meter_remedy(record))


def _energy_window(record: Record, windows: EnergyWindows | Unavailable) -> ResultWarning | None:
    if isinstance(windows, Unavailable) or not windows.resolution_uj.any():
        return None
    least = float((windows.microjoules / windows.resolution_uj.clip(min=1e-9)).min())
    if least >= SHORT_WINDOW:
        return None
    sentence = (
        f"{name_of(record)}: its shortest window holds {least:.1f} times the meter's resolution, "
        f"and {SHORT_WINDOW} are wanted."
    )
    return ResultWarning("energy-window", sentence, _longer_windows(record))


def _sensors_disagree(record: Record, energy: EnergyWindows | Unavailable) -> ResultWarning | None:
    """Leave open which is right where a board's counter and its power sensor disagree."""
    del energy
    found = (record.energy.check or {}).get("agreement")
    if found is None or abs(found - 1) <= LARGE_DISAGREEMENT:
        return None
    sentence = (
        f"{run_of(record)}: the board's counter told {found:.2f} times the power of its sensor when it was "
        f"tried, and they should agree to {100 * LARGE_DISAGREEMENT:.0f} %."
    )
    step = "Try both again (`bench doctor --device cuda --check`), and publish no joules while they disagree."
    return ResultWarning("sensors-disagree", sentence, step)


def _longer_windows(record: Record) -> str:
    if record.profile == "full":
        return "Its windows are long already: only a meter of finer resolution would tell more."
    if record.data.sample < record.data.examples:
        return "Make windows longer: --profile full, or a larger --limit, so that each asks more requests."
    return "Make windows longer: --profile full repeats the requests of a window until it is long."


def _lost_remedy(record: Record) -> str | None:
    """Return what to do where the meter worked when it was tried, and failed during the run."""
    if not (record.energy.check or {}).get("moved"):
        return None
    return f"{record.energy.meter} worked before the sweep: try it again with `bench doctor --check`."


def _meter_remedy(record: Record) -> str:
    """Return what would allow the first meters that could not be used; `bench doctor` lists the rest."""
    remedies = dict.fromkeys(
        stop(remedy) for _, _, remedy in unusable_meters(record.energy.skipped) if remedy
    )
    return " ".join(list(remedies)[:REMEDIES]) or "`bench doctor` lists the meters and what each would need."


RULES: tuple[EnergyRule, ...] = (
    _energy_unavailable,
    _energy_modelled,
    _energy_window,
    _sensors_disagree,
)
