"""`bench report`: formats, tables, plots, factors, and what is wrong with a store."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from devtools.copies import copies
from records import three_variants
from worlds import World

from harness.cli.app import call
from harness.cli.options.cost import grid
from harness.common.errors import UsageError
from harness.records.store import RunFolder, Store


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Seal three records with samples."""
    world = World(tmp_path)
    folder = RunFolder(world.store / "runs" / "r1")
    folder.path.mkdir(parents=True)
    for record in three_variants():
        folder.seal(record, {"call_ns": np.array([20e6, 21e6, 22e6])})
    return world


def bench(world: World, *words: str) -> int:
    return call(["report", *words], world.context())


@pytest.mark.parametrize(
    ("form", "begins"),
    [
        ("text", "boolq on cpu"),
        ("markdown", "**Verdict.** "),
        ("latex", r"\begin{table}"),
        ("csv", "run,cell,status"),
        ("html", "<!DOCTYPE html>"),
        ("json", "{"),
    ],
)
def test_every_format_is_had_by_its_name(
    world: World, capsys: pytest.CaptureFixture[str], form: str, begins: str
) -> None:
    """On stdout, and the same in a file."""
    assert bench(world, "r1", "--format", form) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(begins)
    file = world.store.parent / "new" / "report"
    assert bench(world, "r1", "--format", form, "--output", str(file)) == 0
    assert file.read_text(encoding="utf-8") == shown
    assert capsys.readouterr().out == ""


def test_plots_are_drawn_into_a_folder_each_with_its_data(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """An SVG, a PNG and a CSV of one name; requests one by one come from the samples."""
    folder = world.store.parent / "plots"
    assert bench(world, "r1", "--plots", str(folder)) == 0
    names = {path.stem for path in folder.iterdir()}
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{end}" for name in names for end in ("svg", "png", "csv")
    }
    assert "latency-boolq-single-stream-r1" in names
    assert f"bench: {len(names)} plots in {folder}" in capsys.readouterr().err
    rows = list(csv.reader(io.StringIO((folder / "latency-boolq-single-stream-r1.csv").read_text())))
    assert ["pytorch-fixed", "0.333333", "20.0"] in rows


def test_factors_come_from_files_and_bring_their_table(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """20 ms x 1e8 / 3.6e6 ms x 2 USD = 1,111 USD; 0.4 J x 1e8 / 3.6e6 = 11.1 kWh x 90 g = 1.00 kg."""
    prices, carbon = world.store.parent / "prices.yaml", world.store.parent / "grid.yaml"
    prices.write_text("source: ours\nusd_per_hour: {box: 2}\n", encoding="utf-8")
    carbon.write_text("source: the wind\ngrams_per_kwh: 90\n", encoding="utf-8")
    assert bench(world, "r1", "--prices", str(prices), "--carbon", str(carbon)) == 0
    out = capsys.readouterr().out
    assert "Price: 2 USD an hour (box; ours)." in out
    assert "90 g/kWh / 1,000 (the wind)" in out
    assert "1,110" in out
    assert "1.00 [1.00, 1.00]" in out


def test_a_server_and_water_bring_embodied_emissions_sci_and_litres(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """20 ms x 5 mg/s x 1e8 = 10 kg, with 0.4 J x 90 g/kWh 110 ug a request; 11.1 kWh x 1.8 l = 20 l."""
    folder = world.store.parent
    (folder / "grid.yaml").write_text("source: the wind\ngrams_per_kwh: 90\n", encoding="utf-8")
    server = "source: a data sheet\nkg_co2e: 1261.44\nlifetime_years: 4\nshare: 0.5\n"
    (folder / "server.yaml").write_text(server, encoding="utf-8")
    (folder / "water.yaml").write_text("source: ours\nlitres_per_kwh: 1.8\n", encoding="utf-8")
    factors = [
        f"--{name}={folder / file}.yaml"
        for name, file in (("carbon", "grid"), ("embodied", "server"), ("water", "water"))
    ]
    assert bench(world, "r1", "--tables", "cost", "--format", "csv", *factors) == 0
    rows = {
        row["quantity"]: row
        for row in csv.DictReader(io.StringIO(capsys.readouterr().out))
        if row["variant"] == "pytorch-fixed"
    }
    assert float(rows["embodied_carbon_of_100m_requests"]["value"]) == pytest.approx(10)
    assert float(rows["sci_per_request"]["value"]) == pytest.approx(110)
    assert float(rows["water_of_100m_requests"]["value"]) == pytest.approx(20)
    grades = [
        rows[name]["grade"]
        for name in ("embodied_carbon_of_100m_requests", "sci_per_request", "water_of_100m_requests")
    ]
    assert grades == ["modelled", "modelled", "measured"]
    assert "90 g/kWh: the wind; 1261.44 kg x 0.5 over 4 years" in rows["sci_per_request"]["source"]


def test_the_server_of_a_known_instance_is_looked_up(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """m5.xlarge is 4 of 96 vCPUs of a server; those of Google are not known, and are no file either."""
    assert bench(world, "r1", "--embodied", "m5.xlarge") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert (
        "1610.79 kg of the server x 0.0417 of it x seconds / 4 years of 365 days (m5.xlarge, 4 of 96 vCPUs"
        in out
    )
    assert bench(world, "r1", "--embodied", "n2-standard-4") == 2
    assert "the server of n2-standard-4 is not known" in capsys.readouterr().err
    assert bench(world, "r1", "--embodied", "m9.huge") == 2
    assert "m9.huge: there is no such file" in capsys.readouterr().err


def test_two_prices_are_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """As are files that are not there, or not YAML."""
    assert bench(world, "r1", "--prices", "x", "--price-per-hour", "1") == 2
    assert "expected --price-per-hour or --prices, got both" in capsys.readouterr().err
    assert bench(world, "r1", "--prices", "missing.yaml") == 2
    assert "missing.yaml: there is no such file" in capsys.readouterr().err
    broken = world.store.parent / "broken.yaml"
    broken.write_text("{", encoding="utf-8")
    assert bench(world, "r1", "--carbon", str(broken)) == 2
    assert "not YAML" in capsys.readouterr().err


def test_a_country_is_looked_up_in_codecarbons_table(tmp_path: Path) -> None:
    """Its name and year are told; without the table, or the country, it is an error."""
    mix = {"FRA": {"country_name": "France", "year": 2023, "carbon_intensity": 56.0}}
    (tmp_path / "global_energy_mix.json").write_text(json.dumps(mix), encoding="utf-8")
    (tmp_path / "carbon_intensity_per_source.json").write_text('{"world_average": 475}', encoding="utf-8")
    found, average = grid("fra", tmp_path), grid(None, tmp_path)
    assert found
    assert (found.grams_per_kwh, found.source) == (56.0, "France 2023, codecarbon's table")
    assert average
    assert (average.grams_per_kwh, average.source) == (475.0, "world average, codecarbon's table")
    with pytest.raises(UsageError, match="unknown country 'XXX'"):
        grid("XXX", tmp_path)
    assert grid(None, tmp_path / "none") is None


def test_the_installed_table_knows_countries_and_an_average() -> None:
    """The file that codecarbon brings is as it was."""
    found = grid("FRA")
    assert found
    assert found.source.startswith("France 20")
    assert grid(None)


def test_tables_are_chosen_by_name(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown one is refused."""
    assert bench(world, "r1", "--tables", "cost") == 0
    assert capsys.readouterr().out.startswith("Cost and carbon of 100 million requests: boolq on cpu")
    assert bench(world, "r1", "--tables", "costs") == 2
    assert "unknown table 'costs'" in capsys.readouterr().err


def test_all_runs_are_reported_at_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """By the word `all`; a copied store holds as many records as were asked for."""
    store = world.store.parent / "large"
    copies(world.store / "runs" / "r1", 7, store)
    records, unreadable = Store(store).records(Store(store).runs())
    assert (len(records), unreadable) == (7, [])
    assert bench(world, "all", "--store", str(store), "--format", "csv") == 0
    found = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["run"] for row in found} == {"copy-000000", "copy-000001", "copy-000002"}


def test_the_collector_of_cycles_works_again_after_a_report(world: World) -> None:
    """It rests only while records are read."""
    import gc

    assert bench(world, "r1") == 0
    assert gc.isenabled()


def test_corrupt_records_are_named_skipped_and_counted(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report is of the others, and the exit code says that it is not all."""
    folder = world.store / "runs" / "r1"
    (folder / "half.json").write_text('{"schema_version": 3, "run"', encoding="utf-8")
    (folder / "new.json").write_text('{"schema_version": 99}', encoding="utf-8")
    assert bench(world, "r1", "--format", "csv") == 5
    out, err = capsys.readouterr()
    assert "half.json: skipped: not a record" in err
    assert "new.json: skipped: schema version 99" in err
    assert "bench: 2 skipped, 3 read." in err
    assert len({row["cell"] for row in csv.DictReader(io.StringIO(out))}) == 3


def test_what_cannot_be_reported_is_told_apart(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown run is 2; a damaged plan, or nothing but corrupt records, is 4."""
    assert bench(world, "r2") == 2
    assert "unknown run" in capsys.readouterr().err
    (world.store / "runs" / "r2").mkdir()
    (world.store / "runs" / "r2" / "half.json").write_text("{", encoding="utf-8")
    assert bench(world, "r2") == 4
    assert "none of the records can be read" in capsys.readouterr().err
    journal = world.store / "runs" / "r3" / "journal"
    journal.mkdir(parents=True)
    (journal / "plan.json").write_text("{}", encoding="utf-8")
    assert bench(world, "r3") == 4
    assert "the plan of the run cannot be read" in capsys.readouterr().err
