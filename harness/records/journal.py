"""What the journal holds of one cell, gathered: pure, from entries to facts.

{"kind": "opened",    "cell", "launch", "load_ns", "effective", "loop_ns_per_request",
                      "first_request_ns", "warmup_requests"}
{"kind": "round",     "group", "index", "slice", "launch", "elapsed_ns", "indexes", "visits": {cell: {...}}}
{"kind": "completed", "cell", "indexes", "answers", "truncated"}
{"kind": "searched",  "cell", "highest_rate", "capacity", "trials"}   when a promise was asked for
{"kind": "failed",    "cell", "failure": {...}}
{"kind": "memory",    "cell", "peak_bytes", "counted_as"}
{"kind": "operators", "cell", "seconds", "requests" or "unavailable"} where the limit was asked for
{"kind": "idle",      "cell", "when", "readings" or "unavailable"}    before the first round, after the last
{"kind": "stopped",   "cell", "reason", "rounds", "half_width"}       when rounds were added until enough
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

JournalEntry = Mapping[str, Any]


@dataclass(slots=True)
class CellJournal:
    """Everything the journal says of one cell."""

    opened: JournalEntry | None = None
    visits: list[tuple[JournalEntry, JournalEntry]] = field(default_factory=list)
    """(round, visit) by round index"""
    completed: JournalEntry | None = None
    failed: JournalEntry | None = None
    memory: JournalEntry | None = None
    stopped: JournalEntry | None = None
    idle: dict[str, JournalEntry] = field(default_factory=dict)
    """By when; of several before, the first."""
    searched: JournalEntry | None = None
    operators: JournalEntry | None = None

    @property
    def timed_answers(self) -> dict[int, str]:
        """The answer to each timed example, of its first timed pass."""
        answers: dict[int, str] = {}
        for turn, visit in self.visits:
            for index, answer in zip(turn["indexes"], visit["answers"], strict=True):
                answers.setdefault(index, answer)
        return answers

    @property
    def timed_costs(self) -> dict[str, dict[int, float]]:
        """What each timed example cost in its first timed pass, by name, where every visit says."""
        found: dict[str, dict[int, float]] = {}
        for name in self.cost_names:
            found[name] = {}
            for turn, visit in self.visits:
                for index, value in zip(turn["indexes"], visit["costs"][name], strict=True):
                    found[name].setdefault(index, value)
        return found

    @property
    def cost_names(self) -> list[str]:
        """The costs that every visit gives."""
        given = [set(visit.get("costs", ())) for _, visit in self.visits]
        return sorted(set.intersection(*given)) if given else []

    @property
    def unstable(self) -> int | None:
        """How many examples were answered differently when they were timed again; None if none was."""
        answers: dict[int, str] = {}
        changed: set[int] = set()
        again = False
        for turn, visit in self.visits:
            again = again or visit.get("passes", 1) > 1 or any(index in answers for index in turn["indexes"])
            changed.update(visit.get("changed", ()))
            for index, answer in zip(turn["indexes"], visit["answers"], strict=True):
                if answers.setdefault(index, answer) != answer:
                    changed.add(index)
        return len(changed) if again else None

    @property
    def untimed_answers(self) -> dict[int, str]:
        """The answers of the untimed pass."""
        if self.completed is None:
            return {}
        return dict(zip(self.completed["indexes"], self.completed["answers"], strict=True))


def cell_journal(entries: Iterable[JournalEntry], cell: str) -> CellJournal:
    """Gather what the journal says of one cell; a later entry of the same kind replaces an earlier one."""
    gathered = CellJournal()
    for entry in entries:
        if entry["kind"] == "round":
            if cell in entry["visits"]:
                gathered.visits.append((entry, entry["visits"][cell]))
        elif entry["cell"] == cell:
            _place(gathered, entry)
    gathered.visits.sort(key=lambda pair: pair[0]["index"])
    return gathered


def rounds_done(entries: Sequence[JournalEntry], group: str, cells: Iterable[str]) -> set[int]:
    """Return the rounds of a group in which every one of these cells was visited."""
    wanted = set(cells)
    return {
        entry["index"]
        for entry in entries
        if entry["kind"] == "round" and entry["group"] == group and wanted <= set(entry["visits"])
    }


def launches_done(entries: Sequence[JournalEntry], group: str) -> int:
    """Return how often the group's workers have been launched so far."""
    seen = [entry["launch"] for entry in entries if entry["kind"] == "round" and entry["group"] == group]
    return max(seen, default=-1) + 1


def _place(gathered: CellJournal, entry: JournalEntry) -> None:
    if entry["kind"] == "opened":
        gathered.opened = entry
    elif entry["kind"] == "completed":
        gathered.completed = entry
    elif entry["kind"] == "failed":
        gathered.failed = entry
    elif entry["kind"] == "memory":
        gathered.memory = entry
    elif entry["kind"] == "stopped":
        gathered.stopped = entry
    elif entry["kind"] == "idle":
        keep = gathered.idle.setdefault if entry["when"] == "before" else gathered.idle.__setitem__
        keep(entry["when"], entry)
    elif entry["kind"] == "operators":
        gathered.operators = entry
    elif entry["kind"] == "searched":
        gathered.searched = entry
