"""The board that a group ran on, in words: what it is, how it was before and after, what is timed."""

from collections.abc import Iterator, Sequence

from harness.records.record import GpuSnapshot, Record
from reports.values.figures import Figures


def board_line(group: Sequence[Figures]) -> str:
    """Describe the board of a group's records; nothing for a CPU, or where no driver told anything."""
    record = next((item.record for item in group if item.record.rounds), group[0].record)
    if record.cell.device == "cpu":
        return ""
    return "; ".join([*_modes(record), *_moved(record), *_included(record)])


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


def _moved(record: Record) -> Iterator[str]:
    before, after = own_moments(record)
    if before is None or after is None:
        return
    pairs = (
        ("", before.temperature_c, after.temperature_c, " C"),
        ("multiprocessors at ", before.sm_clock_mhz, after.sm_clock_mhz, " MHz"),
        ("memory at ", before.memory_clock_mhz, after.memory_clock_mhz, " MHz"),
    )
    for what, first, last, unit in pairs:
        if first is not None and last is not None:
            yield f"{what}{first:,}, then {last:,}{unit}"
    held = [name for name in dict.fromkeys((*before.throttled_by, *after.throttled_by)) if name]
    if held:
        yield f"clocks held down by {', '.join(held)}"
    strangers = [each.foreign for each in (before, after) if each.foreign is not None]
    if strangers:
        yield (
            f"{max(strangers)} processes of others on it" if any(strangers) else "nobody else computed on it"
        )


def own_moments(record: Record) -> tuple[GpuSnapshot | None, GpuSnapshot | None]:
    """Return the record's board before and after, None where the record does not tell which it was."""
    number = record.placement.board if record.placement else None
    if record.conditions is None or number is None:
        return None, None
    before, after = (
        next((board for board in moment.gpus if board.index == number), None)
        for moment in (record.conditions.before, record.conditions.after)
    )
    return before, after


def _included(record: Record) -> Iterator[str]:
    transfer = record.placement.effective.get("transfer") if record.placement else None
    if transfer:
        yield f"copies are {transfer}"
