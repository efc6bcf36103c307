"""A small data folder and a fake machine, for tests of whole runs and whole commands."""

import json
from pathlib import Path

from harness.cli.context import CliContext
from harness.runs.services import Machine
from harness.testing.clock import FakeClock
from harness.testing.system import FakeVariant, fake_catalog
from harness.testing.world import FakeMachine


def boolq_folder(root: Path, rows: int = 100) -> Path:
    """Write BoolQ/val.jsonl: row i has 12 + i words, and two in three rows are true."""
    folder = root / "data" / "BoolQ"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {"question": f"is it {i}", "passage": "T -- " + "word " * (7 + i), "idx": i, "label": i % 3 != 0}
        for i in range(rows)
    ]
    (folder / "val.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return root / "data"


class World:
    """A fake machine with its clock, catalog, cache and store below one folder."""

    def __init__(self, root: Path, *more: FakeVariant, watts: float | None = 10.0) -> None:
        self.root = root
        self.clock = more[0].clock if more else FakeClock(step_ns=10)
        self.catalog = fake_catalog(self.clock, *more)
        self.machine: Machine = FakeMachine(self.catalog, self.clock, watts=watts)
        self.cache = root / "cache"
        self.store = root / "results"

    def context(self) -> CliContext:
        """Return what commands work with in this world."""
        return CliContext(
            machine=lambda: self.machine,
            catalog=lambda: self.catalog,
            cache=lambda: self.cache,
            environ={"BENCH_STORE": str(self.store)},
        )


class Heard:
    """A narrator that remembers."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []
        self.warnings: list[str] = []
        self.quiet_s: dict[str, float] = {}

    def stage(self, name: str, steps: int, *, quiet_s: float = 0.0) -> None:
        self.stages.append((name, steps))
        self.quiet_s[name] = quiet_s

    def step(self, done: float = 1.0) -> None:
        del done

    def detail(self, text: str) -> None:
        del text

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def finish(self) -> None:
        pass
