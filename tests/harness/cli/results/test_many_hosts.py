import csv
import io
from pathlib import Path

import pytest
from devtools.many_hosts import many_hosts
from worlds import World

from harness.api import query_store
from harness.cli.app import call

RUN = Path(__file__).parents[4] / "results" / "runs" / "20261122-142644-boolq-2ee5"
HOSTS, CELLS = 3, 8


def bench(world: World, *words: str) -> int:
    return call(list(words), world.context())


def test_stores_of_many_hosts_are_merged_asked_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As CONTRIBUTING.md says for 200 hosts of 50 cells: a ratio is over the baseline of the same host."""
    many_hosts(RUN, HOSTS, CELLS, tmp_path)
    world = World(tmp_path)
    assert bench(world, "store", "merge", *(str(path) for path in sorted(tmp_path.glob("host-*")))) == 0
    assert f"{HOSTS} runs copied; {HOSTS * CELLS} records copied" in capsys.readouterr().out
    asked = query_store("select host, count(*) as cells from cells group by host", store=world.store)
    assert [row["cells"] for row in asked] == [CELLS] * HOSTS
    assert bench(world, "report", "all", "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["host"] for row in rows} == {row["host"] for row in asked}
    assert sum(row["quantity"] == "throughput" for row in rows) == HOSTS * CELLS
    gains = [row for row in rows if row["quantity"] == "speed_up" and row["variant"] == "onnx-int8"]
    own = [row for row in gains if row["over"] == "pytorch-fixed"]
    assert len(own) == HOSTS * CELLS / 4
    assert all(float(row["low"]) > 1 for row in own)
