"""The factors that a report multiplies by: prices, a grid's carbon intensity, a server, water.

Without a file, prices are the paper's and the grid is the world's average, from a table that codecarbon
installs. The table is read as a file: importing codecarbon is slow and probes the hardware.
"""

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from harness.cli.options.groups import OptionGroup
from harness.cli.options.output import Price
from harness.cli.options.panels import output_option
from harness.common.inputs.yaml_text import read_yaml

if TYPE_CHECKING:
    import reports
    from harness.common.json_types import JsonObject

_TABLE = "codecarbon's table"
_ISO_3_LETTERS = 3
_SERVER_YEARS = 4.0  # as Cloud Carbon Footprint and the package of the shipped power curves take it


class PriceOptions(OptionGroup):
    """Prices and carbon intensity."""

    price_per_hour: Price = None
    prices: Annotated[
        Path | None, output_option("--prices FILE", "Price list, YAML (docs/howto/reports.md).")
    ] = None
    carbon: Annotated[
        str | None,
        output_option(
            "--carbon FILE|COUNTRY", "Carbon intensity, YAML, or a country: FRA (default: world average)."
        ),
    ] = None

    def price_list(self) -> "dict[str, reports.Price]":
        """Return the given prices by machine, one without a name for --price-per-hour, or none."""
        from harness.common.errors import UsageError
        from reports import price_of, prices_by_name

        if self.prices is None:
            return {} if self.price_per_hour is None else {"": price_of(self.price_per_hour)}
        if self.price_per_hour is not None:
            raise UsageError(
                "expected --price-per-hour or --prices, got both.", remedy="Leave out one of them."
            )
        return prices_by_name(read_yaml(self.prices).value, str(self.prices))


class CostOptions(PriceOptions):
    """Prices, carbon intensity, emissions of making the server, and water."""

    embodied: Annotated[
        str | None,
        output_option(
            "--embodied FILE|INSTANCE", "Emissions of making the server, YAML, or an instance: m5.xlarge."
        ),
    ] = None
    water: Annotated[
        Path | None, output_option("--water FILE", "Water per kWh, YAML (docs/howto/reports.md).")
    ] = None

    @property
    def given(self) -> bool:
        """Whether a factor is given, which adds the cost table."""
        return any(factor is not None for factor in (self.prices, self.carbon, self.embodied, self.water))

    def factors(self) -> "reports.CostFactors":
        """Return the given factors, or the defaults; UsageError for a malformed file."""
        from reports import CostFactors, water_of

        return CostFactors(
            self._prices(),
            grid(self.carbon),
            embodied_emissions(self.embodied) if self.embodied else None,
            water_of(read_yaml(self.water).value, str(self.water)) if self.water else None,
        )

    def _prices(self) -> "tuple[reports.Price, ...]":
        from reports import price_of

        return tuple(self.price_list().values()) or (price_of(None),)


def grid(name: str | None, tables: Path | None = None) -> "reports.Grid | None":
    """Return a grid's carbon intensity: of a file, of a country by its three letters, or the world's average.

    `tables` is the folder of codecarbon's tables. Without it the average is None and a country is an error.
    """
    from reports import grid_of

    folder = tables or _codecarbon_tables()
    if name is None:
        return _world_average(folder) if folder else None
    if len(name) == _ISO_3_LETTERS and name.isalpha() and not Path(name).exists():
        return _country(name.upper(), folder)
    return grid_of(read_yaml(Path(name)).value, name)


def embodied_emissions(name: str) -> "reports.Embodied":
    """Return the emissions of making a server: of a file, or of an instance of the shipped power curves.

    UsageError for a file that is malformed, or an instance whose server is not known.
    """
    from harness.common.errors import UsageError
    from harness.measurement.energy.cpu.models.power_curve_file import read_curves
    from harness.measurement.energy.cpu.models.power_curves import same_name
    from reports import Embodied, embodied_of

    curves = read_curves()
    instance = None if Path(name).exists() else same_name(name, curves.instances)
    if instance is None:
        return embodied_of(read_yaml(Path(name)).value, name)
    entry = curves.instances[instance]
    if entry.server is None:
        raise UsageError(
            f"the server of {instance} is not known.",
            where="--embodied",
            remedy="Give a file with its emissions (docs/howto/reports.md).",
        )
    source = f"{instance}, {entry.vcpus} of {entry.server.vcpus} vCPUs; {curves.source}, {curves.date}"
    return Embodied(entry.server.kg_co2e, _SERVER_YEARS, entry.vcpus / entry.server.vcpus, source)


def _codecarbon_tables() -> Path | None:
    spec = importlib.util.find_spec("codecarbon")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "data" / "private_infra"
    return folder if folder.is_dir() else None


def _world_average(folder: Path) -> "reports.Grid | None":
    from reports import Grid

    grams = _read_json(folder / "carbon_intensity_per_source.json").get("world_average")
    return Grid(float(grams), f"world average, {_TABLE}") if isinstance(grams, int | float) else None


def _country(code: str, folder: Path | None) -> "reports.Grid":
    from harness.common.errors import UsageError, unknown_name
    from reports import Grid

    if folder is None:
        raise UsageError(
            f"cannot look up {code}: codecarbon's table of countries is not installed.", remedy="Name a file."
        )
    table = _read_json(folder / "global_energy_mix.json")
    if code not in table:
        raise unknown_name("country", code, table)
    row = table[code]
    return Grid(float(row["carbon_intensity"]), f"{row['country_name']} {row['year']}, {_TABLE}")


def _read_json(path: Path) -> "JsonObject":
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
