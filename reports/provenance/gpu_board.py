"""The GPU board of a group: its name and modes, its state before and after, what is timed."""

from collections.abc import Iterator, Sequence

from harness.records.record import GpuSnapshot, Record
from reports.values.figures import Figures, first_timed


def board_line(group: Sequence[Figures]) -> str:
    """Describe the board of a group's records; empty for a CPU, or where the driver reported nothing."""
    record = first_timed(group)
    if record.cell.device == "cpu":
        return ""
    return "; ".join([*_modes(record), *_changes(record), *_transfer(record)])


def _modes(record: Record) -> Iterator[str]:
    number = record.placement.board if record.placement else None
    boards = record.host.facts.get("gpus")
    if number is None or not isinstance(boards, list) or number >= len(boards):
        return
    board = boards[number]
    limit = board.get("power_limit_mw")
    power = [f"power limit {limit / 1000:g} W"] if isinstance(limit, int) else []
    modes = [f"{name} {board[key]}" for name, key in (("ECC", "ecc"), ("MIG", "mig")) if key in board]
    yield ", ".join([f"{board.get('name')} (the driver's board {number})", *power, *modes])


def _changes(record: Record) -> Iterator[str]:
    before, after = board_snapshots(record)
    if before is None or after is None:
        return
    values = (
        ("", before.temperature_c, after.temperature_c, " C"),
        ("multiprocessors at ", before.sm_clock_mhz, after.sm_clock_mhz, " MHz"),
        ("memory at ", before.memory_clock_mhz, after.memory_clock_mhz, " MHz"),
    )
    for name, first, last, unit in values:
        if first is not None and last is not None:
            yield f"{name}{first:,}, then {last:,}{unit}"
    causes = [cause for cause in dict.fromkeys((*before.throttled_by, *after.throttled_by)) if cause]
    if causes:
        yield f"clocks throttled by {', '.join(causes)}"
    foreign = [snapshot.foreign for snapshot in (before, after) if snapshot.foreign is not None]
    if foreign:
        count = max(foreign)
        yield f"{count} foreign processes on it" if count else "no foreign processes on it"


def board_snapshots(record: Record) -> tuple[GpuSnapshot | None, GpuSnapshot | None]:
    """Return the record's board before and after; None where the record does not name its board."""
    number = record.placement.board if record.placement else None
    if record.conditions is None or number is None:
        return None, None
    before, after = (
        next((board for board in conditions.gpus if board.index == number), None)
        for conditions in (record.conditions.before, record.conditions.after)
    )
    return before, after


def _transfer(record: Record) -> Iterator[str]:
    transfer = record.placement.effective.get("transfer") if record.placement else None
    if transfer:
        yield f"copies are {transfer}"
