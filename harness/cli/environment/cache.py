"""`bench cache`: what preparation left on disk, whether it is still sound, and what may go."""

import json as encoder
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.context import CliContext
from harness.cli.options.common import Json, Quiet

if TYPE_CHECKING:
    from harness.systems.cache_maintenance import CacheEntry, IntegrityCheck, PruneRequest, PruneResult

cache_app = typer.Typer(
    help="Show, check and prune what preparation left on disk.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

BROKEN = 5
"""Exit code of a check that found something broken, and left it there."""

_SHOWN = 12
"""Characters of a hash that tell it from all others a person will see."""


@cache_app.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """List artifacts, encodings and unfinished work: made from what, size, age, preparation time."""
    from harness.systems.artifact_cache import ArtifactCache
    from harness.systems.cache_maintenance import cache_entries, data_bytes

    toolbox: CliContext = context.obj
    cache, now = ArtifactCache(toolbox.cache()), toolbox.machine().now().timestamp()
    found, data = cache_entries(cache), data_bytes(cache)
    totals = _totals(found, data)
    if json:
        facts = {"folder": str(cache.root), "entries": [_facts(entry) for entry in found], "bytes": totals}
        typer.echo(encoder.dumps(facts, indent=1))
        return
    for line in [*_table(found, now), _summary(found, totals), f"Folder: {cache.root}"]:
        typer.echo(_plain(line))


@cache_app.command("check")
def check(
    context: typer.Context,
    repair: Annotated[bool, typer.Option("--repair", help="Remove what is broken; it is made anew.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check every artifact's files against the sizes and sums written down; exit code 5 if one is broken."""
    from harness.systems.artifact_cache import ArtifactCache

    toolbox: CliContext = context.obj
    cache = ArtifactCache(toolbox.cache())
    verdicts = _checked(cache, quiet=quiet)
    broken = [verdict for verdict in verdicts if verdict.broken]
    removed = {one.entry.key for one in broken if repair and cache.remove(one.entry.folder)}
    if json:
        typer.echo(encoder.dumps([_verdict_facts(one, removed) for one in verdicts], indent=1))
    else:
        for line in _verdict_lines(verdicts, removed):
            typer.echo(_plain(line))
    raise typer.Exit(BROKEN if len(removed) < len(broken) else 0)


@cache_app.command("prune")
def prune(
    context: typer.Context,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="AGE", help="What was not used for so long: 30d.")
    ] = None,
    keep_under: Annotated[
        str | None,
        typer.Option(
            "--keep-under",
            metavar="SIZE",
            help="As many as it takes, least recently used first, until what stays is under this: 5GB.",
        ),
    ] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Work that was interrupted and could go on.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Every artifact, every encoding, all unfinished work; data stay.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Remove what any of the options names, but nothing that a process uses now."""
    from harness.systems.artifact_cache import ArtifactCache
    from harness.systems.cache_maintenance import prune as pruned

    toolbox: CliContext = context.obj
    wish = _wish(older_than, keep_under, unfinished=unfinished, everything=everything)
    now = toolbox.machine().now().timestamp()
    done = pruned(ArtifactCache(toolbox.cache()), wish, now, dry_run=dry_run)
    _show(done, dry_run=dry_run, json=json)


def _wish(
    older_than: str | None, keep_under: str | None, *, unfinished: bool, everything: bool
) -> "PruneRequest":
    from harness.cli.options.amounts import bytes_of, seconds_of
    from harness.common.errors import UsageError
    from harness.systems.cache_maintenance import PruneRequest

    if not (older_than or keep_under or unfinished or everything):
        raise UsageError(
            "it is not said what shall go.",
            remedy="Say --older-than 30d, --keep-under 5GB, --unfinished or --all; --dry-run shows it first.",
        )
    return PruneRequest(
        older_than=seconds_of(older_than, "--older-than") if older_than else None,
        keep_under=bytes_of(keep_under, "--keep-under") if keep_under else None,
        unfinished=unfinished,
        everything=everything,
    )


def _checked(cache: Any, *, quiet: bool) -> "list[IntegrityCheck]":  # noqa: ANN401 -- a FolderCache, which is imported late
    from harness.cli.output.progress import narrator
    from harness.systems.cache_maintenance import cache_entries
    from harness.systems.cache_maintenance import check_entry as checked

    there = cache_entries(cache)
    verdicts = []
    with narrator(quiet=quiet) as told:
        told.stage("check", len(there))
        for entry in there:
            verdicts.append(checked(entry))
            told.step()
    return [verdict for verdict in verdicts if verdict]


def _table(found: "Sequence[CacheEntry]", now: float) -> list[str]:
    """Return the lines of the table, its columns aligned."""
    from harness.cli.options.amounts import age, size

    rows = [("key", "recipe", "made from", "size", "made", "used", "prepared in")]
    for entry in found:
        parents = " ".join(each[:_SHOWN] for each in entry.parents) or "-"
        took = "-" if entry.seconds is None else f"{entry.seconds:.1f} s"
        times = (age(now - entry.made), age(now - entry.used))
        rows.append((_name(entry), entry.recipe, parents, size(entry.size_bytes), *times, took))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return ["  ".join(row).rstrip() for row in padded]


def _summary(found: "Sequence[CacheEntry]", totals: dict[str, int]) -> str:
    from harness.cli.options.amounts import size

    kinds = (("artifact", "artifacts"), ("encoding", "encodings"), ("unfinished", "unfinished"))
    parts = []
    for kind, several in kinds:
        count = sum(entry.kind == kind for entry in found)
        parts.append(f"{count} {kind if count == 1 else several} ({size(totals[kind])})")
    return f"{', '.join(parts)}, data ({size(totals['data'])}): {size(totals['total'])} in all"


def _totals(found: "Sequence[CacheEntry]", data: int) -> dict[str, int]:
    of_kind = {
        kind: sum(entry.size_bytes for entry in found if entry.kind == kind)
        for kind in ("artifact", "encoding", "unfinished")
    }
    return {**of_kind, "data": data, "total": sum(of_kind.values()) + data}


def _facts(entry: "CacheEntry") -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "key": entry.key,
        "recipe": entry.recipe,
        "version": entry.manifest.get("version"),
        "parents": list(entry.parents),
        "bytes": entry.size_bytes,
        "made": _stamp(entry.made),
        "used": _stamp(entry.used),
        "seconds": entry.seconds,
        "energy": entry.manifest.get("energy"),
    }


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _verdict_facts(verdict: "IntegrityCheck", removed: set[str]) -> dict[str, Any]:
    key = verdict.entry.key
    state = "broken" if verdict.broken else "not checkable" if verdict.uncheckable else "sound"
    return {
        "key": key,
        "recipe": verdict.entry.recipe,
        "state": state,
        "problems": list(verdict.broken),
        "because": verdict.uncheckable,
        "removed": key in removed,
    }


def _verdict_lines(verdicts: "Sequence[IntegrityCheck]", removed: set[str]) -> list[str]:
    lines = []
    for one in verdicts:
        said = "; ".join(one.broken) or one.uncheckable
        what = "broken" if one.broken else "not checkable"
        gone = " (removed)" if one.entry.key in removed else ""
        if said:
            lines.append(f"{what}{gone}: {_name(one.entry)} {one.entry.recipe}: {said}")
    broken = sum(bool(one.broken) for one in verdicts)
    unknown = sum(bool(one.uncheckable) for one in verdicts)
    sound = len(verdicts) - broken - unknown
    return [*lines, f"{sound} sound, {broken} broken, {unknown} not checkable"]


def _show(done: "PruneResult", *, dry_run: bool, json: bool) -> None:
    from harness.cli.options.amounts import size

    freed = sum(entry.size_bytes for entry in done.removed)
    if json:
        facts = {
            "removed": [_facts(entry) for entry in done.removed],
            "in_use": [_facts(entry) for entry in done.in_use],
            "freed_bytes": freed,
            "left_bytes": done.left_bytes,
            "dry_run": dry_run,
        }
        typer.echo(encoder.dumps(facts, indent=1))
        return
    verb, outcome = ("would go", "would be freed") if dry_run else ("removed", "freed")
    for what, entries in ((verb, done.removed), ("kept, in use", done.in_use)):
        for entry in entries:
            typer.echo(_plain(f"{what}: {_name(entry)} {entry.recipe}, {size(entry.size_bytes)}"))
    typer.echo(f"{len(done.removed)} {verb}, {size(freed)} {outcome}, {size(done.left_bytes)} left")


def _name(entry: "CacheEntry") -> str:
    """Return the beginning of a key; an encoding's and a killed process's begin with a word."""
    return entry.key.removeprefix("encoded-")[:_SHOWN]


def _plain(text: str) -> str:
    from harness.cli.output.terminal import escape

    return escape(text)
