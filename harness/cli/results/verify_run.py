"""`bench verify` of runs: whether records are what was sealed, and figures those of the raw samples."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from harness.cli.context import CliContext

if TYPE_CHECKING:
    from harness.workload.data import Split
    from harness.workload.data.user_files import UserData
    from harness.records.store import RunFolder, UnreadableFile
    from harness.analysis.verification import VerificationCheck, SealedRecord

MISMATCH = 5
_HEAD = re.compile(r"<!-- bench report ([^>]*?) --format markdown(?: --price-per-hour ([0-9.]+))? -->")


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found of one run."""

    run: str
    records: int
    checks: "list[VerificationCheck]"

    @property
    def sound(self) -> bool:
        """Whether nothing disagrees."""
        return not any(check.wrong for check in self.checks)


def is_run(asked: str) -> bool:
    """Say whether an argument of `bench verify` means runs: a folder, or a name that is no file's."""
    path = Path(asked)
    return path.is_dir() or not (path.exists() or path.suffix or "/" in asked)


def verify_runs(
    toolbox: CliContext, asked: str, data: Path | None, own: "UserData", store: Path | None, *, json: bool
) -> None:
    """Verify a run by id, or `latest`; the one in a folder; or all of a store's. Exit 0 if all agrees."""
    from harness.records.store import Store

    root, folders = _folders(asked, toolbox.store(store))
    split_of = _splits(toolbox, data, own)
    found = [_verified(folder, split_of) for folder in folders]
    pages = _pages(Store(root), {folder.name for folder in folders})
    if json:
        import json as encoder

        typer.echo(encoder.dumps([_facts(one) for one in found] + [_facts(pages)], indent=1))
    else:
        for one in [*found, pages]:
            typer.echo(_told(one))
    if not all(one.sound for one in [*found, pages]):
        raise typer.Exit(MISMATCH)


def _folders(asked: str, root: Path) -> "tuple[Path, list[RunFolder]]":
    from harness.common.errors import UsageError
    from harness.records.store import RunFolder, Store

    folder = Path(asked)
    if not folder.is_dir():
        return root, [Store(root).run(asked)]
    if (folder / "runs").is_dir():
        return folder, Store(folder).runs()
    if not next(folder.glob("*.json"), None):
        raise UsageError(
            "no records are in this folder.",
            where=asked,
            remedy="Name a run's folder, a store, a run id, `latest`, or a prediction file.",
        )
    return folder.resolve().parents[1], [RunFolder(folder.resolve())]


def _verified(folder: "RunFolder", split_of: "Callable[[SealedRecord], Split | str]") -> Verified:
    from harness.analysis.verification import VerificationCheck, verify_run
    from harness.analysis.verification.reading import read_sealed

    sealed, unreadable = read_sealed(folder)
    files = VerificationCheck("files", "every record can be read, and nothing lies there that no record names")
    files.figures = len(sealed) + len(unreadable)
    files.wrong += [_unread(one) for one in unreadable]
    named = {one.record.samples.file for one in sealed if one.record.samples}
    stray = sorted({path.name for path in folder.path.glob("*.npz")} - named)
    files.wrong += [f"{name}: samples that no record names" for name in stray if not folder.unfinished]
    if folder.unfinished:
        files.skip(f"the run is unfinished: `bench run --resume {folder.name}` goes on with it")
    return Verified(folder.name, len(sealed), [files, *verify_run(folder.name, sealed, split_of)])


def _unread(one: "UnreadableFile") -> str:
    return f"{one.path.name}: {one.reason}"


def _splits(toolbox: CliContext, data: Path | None, own: "UserData") -> "Callable[[SealedRecord], Split | str]":
    """Return what finds a record's data, each split read once: those named, or the embedded sample."""
    kept: dict[tuple[str, str], Split] = {}

    def split_of(one: "SealedRecord") -> "Split | str":
        from harness.workload.data import load_split
        from harness.workload.data.user_files import find_task_data

        record = one.record
        if data is None and record.data.tier != "embedded":
            return "the data are not at hand: name them with --data"
        key = (record.cell.task, record.data.split)
        if key not in kept:
            place = find_task_data(key[0], data, own, toolbox.cache(), split=key[1], labelled=False)
            kept[key] = load_split(place.task, place.data, key[1])
        if data is None and kept[key].fingerprint != record.data.fingerprint:
            return "the embedded sample of this version is another one"
        return kept[key]

    return split_of


def _pages(store: Any, runs: set[str]) -> Verified:  # noqa: ANN401 -- a Store, without importing its module
    """Render again every page of the store that says it is the report on one of these runs."""
    from harness.analysis.verification import VerificationCheck

    check = VerificationCheck("report", "pages of the store are what their runs give when they are rendered again")
    for page in sorted([*store.root.glob("*.md"), *store.root.glob("*/*.md")]):
        head, _, shown = page.read_text(encoding="utf-8").partition("\n\n")
        if (said := _HEAD.match(head)) and runs & set(said[1].split()):
            same = _rendered(store, said[1].split(), said[2]).rstrip("\n") == shown.rstrip("\n")
            check.holds(page.relative_to(store.root).as_posix(), "it is not what its runs give now", so=same)
    if not check.figures:
        check.skip("no page of the store is a report on these runs")
    return Verified("reports", check.figures, [check])


def _rendered(store: Any, names: Sequence[str], price: str | None) -> str:  # noqa: ANN401 -- as above
    from harness.cli.output.report_output import counts_in
    from reports import render_records

    folders = [store.run(name) for name in names]
    records, _ = store.records(folders)
    told = float(price) if price else None
    return render_records(records, "markdown", price=told, counts=counts_in(folders))


def _facts(one: Verified) -> dict[str, Any]:
    checks = [
        {
            "name": check.name,
            "about": check.about,
            "verdict": check.verdict,
            "figures": check.figures,
            "wrong": check.wrong,
            "unchecked": check.unchecked,
        }
        for check in one.checks
    ]
    return {"run": one.run, "records": one.records, "sound": one.sound, "checks": checks}


def _told(one: Verified) -> str:
    lines = [
        f"{one.run}: {one.records} {'page' if one.run == 'reports' else 'record'}{'s' * (one.records != 1)}"
    ]
    for check in one.checks:
        count = f" ({check.figures:,} compared)" if check.figures else ""
        lines.append(f"  {check.verdict:<12} {check.name:<8} {check.about}{count}")
        lines += [f"{'':15}{wrong}" for wrong in check.wrong]
        lines += [f"{'':15}not checked, because {reason}" for reason in check.unchecked]
    return "\n".join(lines)
