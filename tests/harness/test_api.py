import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from worlds import World, boolq_folder

import harness
from harness.common.errors import UsageError

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Make `harness.run` measure in a fake world, whose store is ./results."""
    made = World(tmp_path)
    monkeypatch.chdir(tmp_path)
    fixed = {
        "data": boolq_folder(tmp_path),
        "catalog": made.catalog,
        "machine": made.machine,
        "cache": made.cache,
    }
    monkeypatch.setattr(harness, "run", partial(harness.run, **fixed), raising=False)
    return made


def test_the_example_of_the_docs_runs(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """As it stands there, in a world where it takes no time."""
    suffixes = iter(("0001", "0002"))
    object.__setattr__(world.machine, "suffix", lambda: next(suffixes))
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(example, str(PAGE), "exec"), {"__name__": "__main__"})
    out = capsys.readouterr().out
    assert "| variant" in out
    assert "onnx-int8 " in out
    assert out.endswith("4 records, 2 histories\n")


def test_a_run_is_held_against_itself_under_rules(world: World) -> None:
    """A run that is compared with itself changes nothing; what it lacks could not be measured."""
    del world
    records = harness.run(variants=("pytorch-fixed", "onnx-int8"), scenarios=("single-stream",))
    name = records[0].run
    rules = Path("rules.yaml")
    rules.write_text("gate:\n  throughput: {max-degradation: 5%}\n", encoding="utf-8")
    assert harness.gate_runs(name, name, rules=rules).exit_code == 0
    assert harness.read() == harness.read(name) == records
    assert [cell.cell.variant for cell in harness.compare_runs(name, name).cells] == [
        "pytorch-fixed",
        "onnx-int8",
    ]


def test_what_is_wrong_is_raised_as_the_tree_of_errors_has_it(world: World) -> None:
    """Nothing is printed, and nothing exits."""
    del world
    with pytest.raises(UsageError, match="unknown variant"):
        harness.run(variants=("no-such-variant",))
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = harness.no_such_name


def test_every_function_is_on_the_page_and_loads_nothing_before_it_is_used() -> None:
    """`import harness` is light, and so is naming a function of it."""
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{name}(" in page for name in harness.__all__)
    program = (
        "import sys; import harness; from harness import run, report, compare_runs; "
        "print({'torch', 'transformers', 'pydantic', 'numpy', 'typer', 'reports'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
