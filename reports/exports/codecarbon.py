"""The `emissions.csv` of codecarbon: one row per record, with its names and units (s, kWh, kg, W).

A row holds measured values only: no place, no cloud, no memory modelled by the number of its modules. Four of
our columns follow codecarbon's: whether joules were measured or modelled, their scope, their source, and a
note. Readers that select columns by name find those that they expect. codecarbon itself, whose own file lacks
these four, moves this file aside and adds no rows of another method to it.
"""

import csv
import io

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.common.json_types import JsonObject, JsonValue
from harness.records.record import Record
from reports.layout.cell_factory import model_remark
from reports.layout.escaping import safe
from reports.layout.style import Style
from reports.report import Report
from reports.values.figures import Figures
from reports.values.prices import UJ_PER_KWH, Grid

COLUMNS = (
    *("timestamp", "project_name", "run_id", "experiment_id", "duration", "emissions", "emissions_rate"),
    *("cpu_power", "gpu_power", "ram_power", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed"),
    *("water_consumed", "country_name", "country_iso_code", "region", "cloud_provider", "cloud_region", "os"),
    *("python_version", "codecarbon_version", "cpu_count", "cpu_model", "gpu_count", "gpu_model"),
    *("longitude", "latitude", "ram_total_size", "tracking_mode", "cpu_utilization_percent"),
    *("gpu_utilization_percent", "ram_utilization_percent", "ram_used_gb", "on_cloud", "pue", "wue"),
)
"""The columns of codecarbon 3, in its order; unknown values stay empty."""

OURS = ("grade", "scope", "source", "note")

_COMPONENTS = {"package": "cpu", "process share": "cpu", "dram": "ram", "board": "gpu"}
"""codecarbon's component for the scope of a zone; any other scope counts only in the total."""


def as_csv(report: Report, style: Style) -> str:
    """Return a row for each record that was timed, with emissions if a grid's intensity was given."""
    del style
    out = io.StringIO()
    writer = csv.DictWriter(out, (*COLUMNS, *OURS), restval="", lineterminator="\n")
    writer.writeheader()
    for figures in report.all_figures:
        if figures.record.rounds:
            row = {**_record_fields(figures.record), **_energy_fields(figures, report.factors.grid)}
            writer.writerow({name: _escaped(value) for name, value in row.items() if value is not None})
    return out.getvalue()


def _escaped(value: JsonValue) -> JsonValue:
    return safe(value) if isinstance(value, str) else value


def _record_fields(record: Record) -> JsonObject:
    facts = record.host.facts
    return {
        "timestamp": record.created[:19],
        "project_name": f"{record.cell.task}/{record.cell.variant}",
        "run_id": record.run,
        "experiment_id": record.cell.id,
        "duration": _seconds(record),
        "os": None if facts.get("kernel") is None else f"Linux {facts['kernel']}",
        "python_version": record.software.get("python"),
        "cpu_count": facts.get("logical_cpus"),
        "cpu_model": facts.get("cpu_model"),
        "ram_total_size": facts.get("ram_gib"),
    }


def _energy_fields(figures: Figures, grid: Grid | None) -> JsonObject:
    """Return kWh in total and by component, and kilograms if a grid was given."""
    energy, record = figures.whole or figures.energy, figures.record
    if not isinstance(energy, EnergyEstimate):
        return {"grade": "unavailable", "note": str(energy)}
    by_component = _kwh_by_component(record)
    total = sum(by_component.values())
    seconds = _seconds(record)
    fields: JsonObject = {
        "energy_consumed": total,
        "grade": energy.grade,
        "scope": energy.scope,
        "source": energy.source,
    }
    for component in ("cpu", "gpu", "ram"):
        if component in by_component:
            kwh = by_component[component]
            fields |= {f"{component}_energy": kwh, f"{component}_power": kwh * 3.6e6 / seconds}
    notes = [model_remark([energy.source])] if energy.grade == "modelled" else []
    if grid:
        kilograms = total * grid.grams_per_kwh / 1e3
        fields |= {"emissions": kilograms, "emissions_rate": kilograms / seconds}
        notes.append(f"{grid.grams_per_kwh:g} g/kWh: {grid.source}")
    return {**fields, "note": " ".join(notes)}


def _kwh_by_component(record: Record) -> dict[str, float]:
    """Return kWh over all zones and rounds by codecarbon's component, or under `other`."""
    kwh: dict[str, float] = {}
    for turn in record.rounds:
        for reading in turn.readings:
            component = _COMPONENTS.get(reading.scope, "other")
            kwh[component] = kwh.get(component, 0.0) + (reading.microjoules or 0) / UJ_PER_KWH
    return kwh


def _seconds(record: Record) -> float:
    return sum(turn.wall_ns for turn in record.rounds) / 1e9
