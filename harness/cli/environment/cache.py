"""`bench cache`: artifacts on disk: list, check and prune them."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.groups import OptionGroup, add_command, option_app
from harness.cli.options.output import Json, Quiet
from harness.cli.options.panels import plain_option
from harness.cli.options.units import format_age, format_size, parse_duration, parse_size
from harness.cli.output.terminal import align, print_json, print_lines
from harness.common.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from harness.common.json_types import JsonObject
    from harness.systems.artifact_cache import ArtifactCache
    from harness.systems.cache_maintenance import CacheEntry, IntegrityCheck, PruneRequest, PruneResult

_KEY_LENGTH = 12
"""Characters of a key that are shown: enough to tell it from all others a person will see."""


def list_(context: CliContext, json: Json = False) -> None:
    """List artifacts, encodings and unfinished work."""
    from harness.systems.artifact_cache import ArtifactCache
    from harness.systems.cache_maintenance import cache_entries, data_bytes

    cache, now = ArtifactCache(context.cache()), context.machine().now().timestamp()
    entries = cache_entries(cache)
    totals = _totals(entries, data_bytes(cache))
    if json:
        facts = {"folder": str(cache.root), "entries": list(map(_facts, entries)), "bytes": totals}
        print_json(facts)
        return
    print_lines([*_table(entries, now), _summary(entries, totals), f"Folder: {cache.root}"])


def check(
    context: CliContext,
    repair: Annotated[bool, plain_option("--repair", "Remove broken artifacts; they are made anew.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check artifacts against their sizes and sums. Exits with 5 if one is broken."""
    from harness.systems.artifact_cache import ArtifactCache

    cache = ArtifactCache(context.cache())
    results = _check_entries(cache, quiet=quiet)
    broken = [result for result in results if result.broken]
    removed = {result.entry.key for result in broken if repair and cache.remove(result.entry.folder)}
    if json:
        print_json([_check_facts(result, removed) for result in results])
    else:
        print_lines(_check_lines(results, removed))
    raise typer.Exit(ExitCode.PARTIAL if len(removed) < len(broken) else ExitCode.DONE)


class PruneOptions(OptionGroup):
    """What is removed."""

    older_than: Annotated[
        str | None, plain_option("--older-than AGE", "Remove what was not used for this long: 30d.")
    ] = None
    max_size: Annotated[
        str | None,
        plain_option("--max-size SIZE", "Remove the least recently used until the rest is below this: 5GB."),
    ] = None
    unfinished: Annotated[
        bool, plain_option("--unfinished", "Remove interrupted work that could be resumed.")
    ] = False
    everything: Annotated[
        bool, plain_option("--all", "Remove every artifact, encoding and unfinished work; keep data.")
    ] = False
    dry_run: Annotated[bool, plain_option("--dry-run", "Show what would be removed, and remove nothing.")] = (
        False
    )

    def request(self) -> "PruneRequest":
        """Return what to remove; UsageError where nothing is named."""
        from harness.systems.cache_maintenance import PruneRequest

        if not (self.older_than or self.max_size or self.unfinished or self.everything):
            raise UsageError(
                "expected at least one of --older-than, --max-size, --unfinished and --all.",
                remedy="For example --older-than 30d; --dry-run shows what would be removed.",
            )
        return PruneRequest(
            older_than=parse_duration(self.older_than, "--older-than") if self.older_than else None,
            keep_under=parse_size(self.max_size, "--max-size") if self.max_size else None,
            unfinished=self.unfinished,
            everything=self.everything,
        )


def prune(context: CliContext, options: PruneOptions, json: Json = False) -> None:
    """Remove what the options name, except what a process uses now."""
    from harness.systems.artifact_cache import ArtifactCache
    from harness.systems.cache_maintenance import prune as prune_cache

    request = options.request()
    now = context.machine().now().timestamp()
    result = prune_cache(ArtifactCache(context.cache()), request, now, dry_run=options.dry_run)
    if json:
        print_json(_prune_facts(result, dry_run=options.dry_run))
    else:
        print_lines(_prune_lines(result, dry_run=options.dry_run))


cache_app = option_app("List, check and prune prepared artifacts.")
add_command(cache_app, "list", list_)
add_command(cache_app, "check", check)
add_command(cache_app, "prune", prune)


def _check_entries(cache: "ArtifactCache", *, quiet: bool) -> "list[IntegrityCheck]":
    from harness.cli.output.progress import progress_reporter
    from harness.systems.cache_maintenance import cache_entries, check_entry

    entries = cache_entries(cache)
    results = []
    with progress_reporter(quiet=quiet) as progress:
        progress.stage("check", len(entries))
        for entry in entries:
            results.append(check_entry(entry))
            progress.step()
    return [result for result in results if result]


def _table(entries: "Sequence[CacheEntry]", now: float) -> list[str]:
    """Return the lines of the table, its columns aligned."""
    rows = [("key", "recipe", "made from", "size", "made", "used", "prepared in")]
    for entry in entries:
        parents = " ".join(key[:_KEY_LENGTH] for key in entry.parents) or "-"
        duration = "-" if entry.seconds is None else f"{entry.seconds:.1f} s"
        ages = (format_age(now - entry.made), format_age(now - entry.used))
        rows.append((_name(entry), entry.recipe, parents, format_size(entry.size_bytes), *ages, duration))
    return align(rows)


def _summary(entries: "Sequence[CacheEntry]", totals: dict[str, int]) -> str:
    kinds = (("artifact", "artifacts"), ("encoding", "encodings"), ("unfinished", "unfinished"))
    parts = []
    for kind, plural in kinds:
        count = sum(entry.kind == kind for entry in entries)
        parts.append(f"{count} {kind if count == 1 else plural} ({format_size(totals[kind])})")
    data, total = format_size(totals["data"]), format_size(totals["total"])
    return f"{', '.join(parts)}, data ({data}): {total} in all"


def _totals(entries: "Sequence[CacheEntry]", data: int) -> dict[str, int]:
    of_kind = {
        kind: sum(entry.size_bytes for entry in entries if entry.kind == kind)
        for kind in ("artifact", "encoding", "unfinished")
    }
    return {**of_kind, "data": data, "total": sum(of_kind.values()) + data}


def _facts(entry: "CacheEntry") -> "JsonObject":
    return {
        "kind": entry.kind,
        "key": entry.key,
        "recipe": entry.recipe,
        "version": entry.manifest.get("version"),
        "parents": list(entry.parents),
        "bytes": entry.size_bytes,
        "made": _timestamp(entry.made),
        "used": _timestamp(entry.used),
        "seconds": entry.seconds,
        "energy": entry.manifest.get("energy"),
    }


def _timestamp(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _check_facts(result: "IntegrityCheck", removed: set[str]) -> "JsonObject":
    key = result.entry.key
    state = "broken" if result.broken else "not checkable" if result.uncheckable else "sound"
    return {
        "key": key,
        "recipe": result.entry.recipe,
        "state": state,
        "problems": list(result.broken),
        "because": result.uncheckable,
        "removed": key in removed,
    }


def _check_lines(results: "Sequence[IntegrityCheck]", removed: set[str]) -> list[str]:
    lines = []
    for result in results:
        if reason := "; ".join(result.broken) or result.uncheckable:
            state = "broken" if result.broken else "not checkable"
            suffix = " (removed)" if result.entry.key in removed else ""
            lines.append(f"{state}{suffix}: {_name(result.entry)} {result.entry.recipe}: {reason}")
    broken = sum(bool(result.broken) for result in results)
    unknown = sum(bool(result.uncheckable) for result in results)
    sound = len(results) - broken - unknown
    return [*lines, f"{sound} sound, {broken} broken, {unknown} not checkable"]


def _prune_facts(result: "PruneResult", *, dry_run: bool) -> "JsonObject":
    return {
        "removed": list(map(_facts, result.removed)),
        "in_use": list(map(_facts, result.in_use)),
        "freed_bytes": _total_bytes(result.removed),
        "left_bytes": result.left_bytes,
        "dry_run": dry_run,
    }


def _prune_lines(result: "PruneResult", *, dry_run: bool) -> list[str]:
    removed, freed = ("would be removed", "would be freed") if dry_run else ("removed", "freed")
    lines = [
        f"{state}: {_name(entry)} {entry.recipe}, {format_size(entry.size_bytes)}"
        for state, entries in ((removed, result.removed), ("kept, in use", result.in_use))
        for entry in entries
    ]
    size, left = format_size(_total_bytes(result.removed)), format_size(result.left_bytes)
    return [*lines, f"{len(result.removed)} {removed}, {size} {freed}, {left} left"]


def _total_bytes(entries: "Iterable[CacheEntry]") -> int:
    return sum(entry.size_bytes for entry in entries)


def _name(entry: "CacheEntry") -> str:
    """Return the start of a key, without the prefix of an encoding's."""
    return entry.key.removeprefix("encoded-")[:_KEY_LENGTH]
