"""`bench verify`: whether a run agrees with itself, what it rests on, and who signed it."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.completion import complete_run
from harness.cli.options.data import DataFiles
from harness.cli.options.groups import OptionGroup
from harness.cli.options.output import Json, StoreFolder
from harness.cli.options.panels import plain_option
from harness.cli.options.units import plural
from harness.cli.output.stored_reports import verify_reports
from harness.cli.output.terminal import print_json, print_lines
from harness.common.errors import DataError, ExitCode, UsageError

if TYPE_CHECKING:
    from harness.analysis.verification import SealedRecord, Trusted, VerificationCheck
    from harness.analysis.verification.signature import SignatureCheck
    from harness.common.json_types import JsonObject
    from harness.records.store import RunFolder, UnreadableFile
    from harness.workload.data import Split

    SplitOf = Callable[[SealedRecord], Split | str]
    """Finds the data of a record, or the reason why they are not available."""


class FormerOptions(OptionGroup):
    """Options of `bench verify FILE`, now `bench score FILE`: accepted so that the message can name it."""

    task: Annotated[str | None, typer.Option(hidden=True)] = None
    split: Annotated[str | None, typer.Option(hidden=True)] = None


class SignatureOptions(OptionGroup):
    """Who signs a run, and who may have signed it."""

    sign: Annotated[
        Path | None,
        plain_option("--sign KEY", "Sign the run's files with this SSH key, if the run is sound."),
    ] = None
    signers: Annotated[
        Path | None,
        plain_option(
            "--signers FILE", "Require a signature by one of these keys (ssh-keygen's allowed signers)."
        ),
    ] = None


def verify(
    context: CliContext,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run by id, `latest`, its folder, a store, or an archive of `bench doctor --accept`.",
            autocompletion=complete_run,
        ),
    ],
    signatures: SignatureOptions,
    data: DataFiles,
    _former: FormerOptions,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Recompute a run's figures and hashes from its raw values. Exits with 7 where one differs."""
    from harness.records.store import Store

    # a pipe is not opened: that would wait for whoever writes into it
    if Path(run).suffix == ".zip" or (Path(run).is_file() and zipfile.is_zipfile(run)):
        _finish(_verify_archive(Path(run), _split_finder(context, data), signatures), json=json)
        return
    if _is_file(run):
        raise UsageError(f"{run} is not a run.", remedy="To check a prediction file: bench score FILE.")
    root, folders = _folders(run, context.store_folder(store))
    split_of = _split_finder(context, data)
    results = [_verify_run(folder, split_of, signatures) for folder in folders]
    pages = verify_reports(Store(root), {folder.name for folder in folders})
    _finish([*results, VerificationResult("reports", pages.figures, "page", [pages])], json=json)
    if not any(result.count for result in results):
        raise typer.Exit(ExitCode.NOTHING_MEASURED)


def _finish(results: "Sequence[VerificationResult]", *, json: bool) -> None:
    """Print the results; exit with 7 where one is not sound."""
    if json:
        print_json(list(map(_facts, results)))
    else:
        print_lines(line for result in results for line in _lines(result))
    if not all(result.sound for result in results):
        raise typer.Exit(ExitCode.MISMATCH)


@dataclass(frozen=True, slots=True)
class VerificationResult:
    """The checks of one run, or of the stored reports; of a run also what is on trust, and who signed it."""

    name: str
    count: int
    unit: str
    checks: "list[VerificationCheck]"
    trusted: "Sequence[Trusted]" = ()
    signature: "SignatureCheck | None" = None
    must_be_signed: bool = False

    @property
    def consistent(self) -> bool:
        """Whether nothing that was compared differs."""
        return not any(check.wrong for check in self.checks)

    @property
    def sound(self) -> bool:
        """Whether nothing differs, and the signature is not wrong, nor missing where one is required."""
        state = self.signature.state if self.signature else "none"
        return self.consistent and state != "wrong" and (state == "signed" or not self.must_be_signed)


def _is_file(argument: str) -> bool:
    path = Path(argument)
    return not path.is_dir() and (path.exists() or bool(path.suffix) or "/" in argument)


def _folders(argument: str, root: Path) -> "tuple[Path, list[RunFolder]]":
    """Return a store and the folders to verify: one run, or all runs of a store."""
    from harness.records.store import RunFolder, Store

    folder = Path(argument)
    if not folder.is_dir():
        return root, [Store(root).run(argument)]
    if (folder / "runs").is_dir():
        return folder, Store(folder).runs()
    if not next(folder.glob("*.json"), None):
        raise UsageError(
            "no records in this folder.",
            where=argument,
            remedy="Name a run's folder, a store, a run id, or `latest`.",
        )
    path = folder.resolve()
    # a copy that lies outside a store has no pages beside it
    return path.parents[1] if path.parent.name == "runs" else path, [RunFolder(path)]


def _verify_run(folder: "RunFolder", split_of: "SplitOf", signatures: SignatureOptions) -> VerificationResult:
    from harness.analysis.verification import trusted_in, verify_run
    from harness.analysis.verification.reading import read_sealed
    from harness.analysis.verification.signature import check_signature

    sealed, unreadable = read_sealed(folder)
    checks = [_check_files(folder, sealed, unreadable), *verify_run(folder.name, sealed, split_of)]
    if signatures.sign:
        _sign(folder, signatures.sign, sound=not any(check.wrong for check in checks))
    return VerificationResult(
        folder.name,
        len(sealed),
        "record",
        checks,
        trusted_in(sealed),
        check_signature(folder.path, signatures.signers),
        must_be_signed=signatures.signers is not None,
    )


def _verify_archive(
    path: Path, split_of: "SplitOf", signatures: SignatureOptions
) -> list[VerificationResult]:
    """Verify an acceptance archive (`bench doctor --accept`): its findings, and its run."""
    from tempfile import TemporaryDirectory

    from harness.studies.acceptance import read_archive, unpack_run, verify_findings

    for option, file in (("--sign", signatures.sign), ("--signers", signatures.signers)):
        if file:
            remedy = "Leave the option out, and compare the sha256 of the archive with its sender's."
            raise UsageError(
                "an archive of `bench doctor --accept` holds no signature.", where=option, remedy=remedy
            )
    acceptance, run = read_archive(path)
    checks = [verify_findings(acceptance)]
    results = [VerificationResult(path.name, len(acceptance.counters), "meter", checks)]
    if run is None:
        checks[0].unchecked.append(f"the archive has no run: {acceptance.run_reason}")
        return results
    with TemporaryDirectory() as scratch:
        return [*results, _verify_run(unpack_run(run, Path(scratch)), split_of, signatures)]


def _check_files(
    folder: "RunFolder", sealed: "Sequence[SealedRecord]", unreadable: "Sequence[UnreadableFile]"
) -> "VerificationCheck":
    from harness.analysis.verification import VerificationCheck

    files = VerificationCheck("files", "every record can be read, and a record names every file of samples")
    files.figures = len(sealed) + len(unreadable)
    files.wrong += [f"{file.path.name}: {file.reason}" for file in unreadable]
    if folder.unfinished:
        files.skip(f"the run is unfinished: `bench run --resume {folder.name}` continues it")
    else:
        named = {item.record.samples.file for item in sealed if item.record.samples}
        stray = sorted({path.name for path in folder.path.glob("*.npz")} - named)
        files.wrong += [f"{name}: samples that no record names" for name in stray]
    return files


def _sign(folder: "RunFolder", key: Path, *, sound: bool) -> None:
    """Sign a run; what does not agree with itself, or is not finished, is not signed."""
    from harness.analysis.verification.signature import sign

    if folder.unfinished:
        remedy = f"Finish it first: `bench run --resume {folder.name}`."
        raise UsageError("an unfinished run is not signed.", where=folder.name, remedy=remedy)
    if sound:
        sign(folder.path, key)


def _split_finder(context: CliContext, data: DataFiles) -> "SplitOf":
    """Return a function that finds a record's split, read once each.

    It is that of `--data`, the embedded sample, or the random texts of `--shapes`, drawn again.
    """
    splits: dict[tuple[str, str, int | None], Split | str] = {}

    def split_of(sealed: "SealedRecord") -> "Split | str":
        from harness.workload.data.lengths import drawn_seed

        record = sealed.record
        embedded = record.data.tier == "embedded"
        seed = drawn_seed(record.data.note) if embedded else None
        if data.data is None and not embedded:
            return "the data are not available: name them with --data"
        key = (record.cell.task, record.data.split, seed)
        if key not in splits:
            splits[key] = (
                _split(context, data, *key[:2]) if seed is None else _drawn_split(context, *key[:2], seed)
            )
        split = splits[key]
        if not isinstance(split, str) and split.fingerprint != record.data.fingerprint:
            if seed is not None:
                return "this version draws other texts for --shapes from the same seed"
            if data.data is None:
                return "the embedded sample of this version differs"
        return split

    return split_of


def _split(context: CliContext, data: DataFiles, task: str, name: str) -> "Split":
    from harness.workload.data import load_split
    from harness.workload.data.user.task_files import find_task_data

    task_data = find_task_data(task, data.data, data.user_data, context.cache(), split=name, labelled=False)
    return load_split(task_data.task, task_data.data, name)


def _drawn_split(context: CliContext, task: str, name: str, seed: int) -> "Split | str":
    """Draw the texts of a study of shapes again; return the reason where this version cannot."""
    from harness.workload.data import load_split
    from harness.workload.data.lengths import lengths_data
    from harness.workload.tasks import get_task

    try:
        return load_split(get_task(task), lengths_data(context.cache(), get_task(task), seed=seed), name)
    except (DataError, UsageError) as error:
        return error.message.rstrip(".")


def _facts(result: VerificationResult) -> "JsonObject":
    checks = [
        {
            "name": check.name,
            "about": check.about,
            "verdict": check.verdict,
            "figures": check.figures,
            "wrong": check.wrong,
            "unchecked": check.unchecked,
            "within": check.within,
        }
        for check in result.checks
    ]
    facts = {"run": result.name, "records": result.count, "sound": result.sound, "checks": checks}
    if result.signature is None:
        return facts
    trusted = [asdict(part) for part in result.trusted]
    consistent = result.consistent if result.count or not result.consistent else None
    return {**facts, "self_consistent": consistent, "trusted": trusted, "signature": asdict(result.signature)}


def _lines(result: VerificationResult) -> "Iterator[str]":
    yield f"{result.name}: {plural(result.count, result.unit)}"
    for check in result.checks:
        count = f" ({check.figures:,} compared)" if check.figures else ""
        yield f"  {check.verdict:<12} {check.name:<8} {check.about}{count}"
        yield from (f"{'':15}{difference}" for difference in check.wrong)
        yield from (f"{'':15}{gap}" for gap in check.gaps)
    if result.signature is None:
        return
    for part in result.trusted:
        yield f"  {'on trust':<12} {part.figures}: {part.reason}"
    consistent = "yes" if result.count else "not checked"
    reason = (
        "figures, raw values and hashes agree" if result.count else "the run has no record that can be read"
    )
    yield f"  {consistent if result.consistent else 'no':<12} self-consistent: {reason}"
    yield f"  {_AUTHENTIC[result.signature.state]:<12} authentic: {result.signature.text}"


_AUTHENTIC = {
    "none": "not shown",
    "signed": "yes",
    "unknown": "not shown",
    "wrong": "no",
    "unchecked": "not checked",
}
"""By the state of the signature, whether the run is shown to be somebody's."""
