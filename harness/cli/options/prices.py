"""What a report multiplies by, read from files: price lists, and the carbon of a grid.

Without a file, prices are the paper's and the grid is the world's average, from a table that codecarbon
brings. The table is read as a file: importing codecarbon takes long and looks for hardware.
"""

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reports import CostFactors, Grid, Price

_TABLE = "codecarbon's table"
_ISO_3 = 3


def factors_of(price_per_hour: float | None, prices: Path | None, carbon: str | None) -> "CostFactors":
    """Return what was asked for, or the defaults; UsageError for a file that is not what it should be."""
    from reports import CostFactors

    return CostFactors(_prices(price_per_hour, prices), grid(carbon))


def grid(asked: str | None, tables: Path | None = None) -> "Grid | None":
    """Return a grid's carbon: of a file, of a country by its three letters, or the world's average.

    `tables` is the folder of codecarbon's tables. Without it there is no average, and a country is an error.
    """
    from reports import grid_of

    folder = tables or _codecarbon()
    if asked is None:
        return _average(folder) if folder else None
    if len(asked) == _ISO_3 and asked.isalpha() and not Path(asked).exists():
        return _country(asked.upper(), folder)
    return grid_of(_yaml(Path(asked)), asked)


def _prices(price_per_hour: float | None, prices: Path | None) -> "tuple[Price, ...]":
    from harness.common.errors import UsageError
    from reports import price_of, prices_of

    if prices is None:
        return (price_of(price_per_hour),)
    if price_per_hour is not None:
        raise UsageError("--price-per-hour and --prices are two prices.", remedy="Name one of them.")
    return prices_of(_yaml(prices), str(prices))


def _codecarbon() -> Path | None:
    spec = importlib.util.find_spec("codecarbon")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "data" / "private_infra"
    return folder if folder.is_dir() else None


def _average(folder: Path) -> "Grid | None":
    from reports import Grid

    words = _json(folder / "carbon_intensity_per_source.json")
    grams = words.get("world_average")
    return Grid(float(grams), f"world average, {_TABLE}") if isinstance(grams, int | float) else None


def _country(code: str, folder: Path | None) -> "Grid":
    from harness.common.errors import UsageError, unknown_name
    from reports import Grid

    if folder is None:
        raise UsageError(f"there is no table of countries to look {code} up in.", remedy="Name a file.")
    table = _json(folder / "global_energy_mix.json")
    if code not in table:
        raise unknown_name("country", code, table)
    row = table[code]
    return Grid(float(row["carbon_intensity"]), f"{row['country_name']} {row['year']}, {_TABLE}")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _yaml(path: Path) -> object:
    import yaml

    from harness.common.errors import UsageError

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UsageError(f"cannot be read: {problem.strerror}.", where=str(path)) from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        first = " ".join(str(problem).split())
        raise UsageError(f"not YAML: {first[:200]}.", where=str(path)) from None
