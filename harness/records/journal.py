"""The journal of one cell, gathered from a run's entries: pure functions.

entries of all cells --cell_journal(cell)--> CellJournal --> record and samples (`harness.runs.execution`)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.records.journal_entries import (
    CellEntry,
    CompletedEntry,
    FailedEntry,
    IdleEntry,
    JournalEntry,
    MemoryEntry,
    OpenedEntry,
    OperatorsEntry,
    RoundEntry,
    SearchedEntry,
    StoppedEntry,
    VisitEntry,
)


@dataclass(slots=True)
class CellJournal:
    """All journal entries about one cell."""

    opened: OpenedEntry | None = None
    visits: list[tuple[RoundEntry, VisitEntry]] = field(default_factory=list)
    """By round index."""
    completed: CompletedEntry | None = None
    failed: FailedEntry | None = None
    memory: MemoryEntry | None = None
    stopped: StoppedEntry | None = None
    idle_before: IdleEntry | None = None
    """The first one, where a run that was resumed has several."""
    idle_after: IdleEntry | None = None
    searched: SearchedEntry | None = None
    operators: OperatorsEntry | None = None

    @property
    def timed_answers(self) -> dict[int, str]:
        """The answer to each timed example in its first timed pass."""
        answers: dict[int, str] = {}
        for entry, visit in self.visits:
            for index, answer in zip(entry.indexes, visit.answers, strict=True):
                answers.setdefault(index, answer)
        return answers

    @property
    def timed_costs(self) -> dict[str, dict[int, float]]:
        """The cost of each timed example in its first timed pass, by name, where every visit has it."""
        costs: dict[str, dict[int, float]] = {name: {} for name in self.cost_names}
        for name, by_example in costs.items():
            for entry, visit in self.visits:
                for index, value in zip(entry.indexes, visit.costs[name], strict=True):
                    by_example.setdefault(index, value)
        return costs

    @property
    def cost_names(self) -> list[str]:
        """The names of the costs that every visit has."""
        names = [set(visit.costs) for _, visit in self.visits]
        return sorted(set.intersection(*names)) if names else []

    @property
    def unstable(self) -> int | None:
        """How many examples were answered differently when timed again; None if no example was."""
        answers: dict[int, str] = {}
        changed: set[int] = set()
        repeated = False
        for entry, visit in self.visits:
            repeated = repeated or visit.passes > 1 or any(index in answers for index in entry.indexes)
            changed.update(visit.changed)
            for index, answer in zip(entry.indexes, visit.answers, strict=True):
                if answers.setdefault(index, answer) != answer:
                    changed.add(index)
        return len(changed) if repeated else None

    @property
    def untimed_answers(self) -> dict[int, str]:
        """The answers of the untimed pass, by example."""
        if self.completed is None:
            return {}
        return dict(zip(self.completed.indexes, self.completed.answers, strict=True))

    def add(self, entry: CellEntry) -> None:
        """Place an entry; a later one of the same kind replaces an earlier one."""
        if not isinstance(entry, IdleEntry):
            setattr(self, entry.kind, entry)
        elif entry.when == "after":
            self.idle_after = entry
        else:
            self.idle_before = self.idle_before or entry


def cell_journal(entries: Iterable[JournalEntry], cell: str) -> CellJournal:
    """Gather the entries about one cell."""
    journal = CellJournal()
    for entry in entries:
        if isinstance(entry, RoundEntry):
            if cell in entry.visits:
                journal.visits.append((entry, entry.visits[cell]))
        elif entry.cell == cell:
            journal.add(entry)
    journal.visits.sort(key=lambda visit: visit[0].index)
    return journal


def rounds_of(entries: Iterable[JournalEntry], group: str) -> list[RoundEntry]:
    """Return the rounds of a group."""
    return [entry for entry in entries if isinstance(entry, RoundEntry) and entry.group == group]


def rounds_done(entries: Iterable[JournalEntry], group: str, cells: Iterable[str]) -> set[int]:
    """Return the indexes of a group's rounds in which every one of these cells was visited."""
    wanted = set(cells)
    return {entry.index for entry in rounds_of(entries, group) if wanted <= set(entry.visits)}


def launches_done(entries: Sequence[JournalEntry], group: str) -> int:
    """Return how often the group's workers have been launched so far."""
    return max((entry.launch for entry in rounds_of(entries, group)), default=-1) + 1
