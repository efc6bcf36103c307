"""Puts what hosts have sealed into the user's store, checked as any merged run."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

from harness.analysis.verification.sealed_files import check_sealed_files
from harness.common.errors import StoreError
from harness.records.store import Store
from harness.records.store.merge import MergedRun, merge_runs, runs_below
from harness.runs.cluster.dispatch import Outcome


def collect(outcomes: Sequence[Outcome], store: Store) -> list[MergedRun]:
    """Merge the sealed runs of all outcomes into the store, and return what became of each."""
    results = [outcome.result for outcome in outcomes if outcome.result]
    with TemporaryDirectory(prefix="bench-") as scratch:
        runs = Path(scratch) / "runs"
        runs.mkdir()
        for result in results:
            for name, files in result.runs.items():
                _write(runs / _plain(name), files)
        return list(merge_runs(runs_below(Path(scratch)), store, check_sealed_files))


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for name, payload in files.items():
        (folder / _plain(name)).write_bytes(payload)


def _plain(name: str) -> str:
    """Return a name; StoreError for one that leads out of its folder."""
    if not name or PurePath(name).name != name or name.startswith("."):
        raise StoreError(f"a host sent a file named {name!r}.")
    return name
