"""CB rows: a talk in which one thing is asserted, one denied and one left open, and a clause from it.

Every premise holds all three attitudes, so that it gives nothing away until the hypothesis picks a clause.
One hypothesis in five is turned into its negation, whatever the label is, so that "not" gives nothing away
either.
"""

from dataclasses import dataclass, replace

from harness.data.embedded.dice import Dice
from harness.data.embedded.names import split_of
from harness.data.embedded.prose import expand, sentence_case
from harness.data.embedded.talk import ACTIONS, ASSERTED, DENIED, OPEN, PEOPLE, SMALL_TALK

LABELS = (("entailment", 0.46), ("contradiction", 0.42), ("neutral", 0.12))
_ATTITUDES = (ASSERTED, DENIED, OPEN)
_LONG = 6  # with fewer sentences wanted, a premise has no small talk
_NEGATED = 0.2
_SMALL_TALK = (1, 2, 3, 4, 5)


@dataclass(frozen=True, slots=True)
class _Clause:
    who: str
    verb: tuple[str, str]
    what: str

    def __str__(self) -> str:
        return f"{self.who} {self.verb[1]} {self.what}"

    def negated(self) -> str:
        return f"{self.who} did not {self.verb[0]} {self.what}"


def row(dice: Dice, split: str, max_sentences: int | None = None) -> dict[str, object]:
    """Write one row without its `idx`; a short premise keeps the clause that is asked about."""
    clauses = _clauses(dice, split)
    said = [
        expand(dice, dice.pick(templates)).replace("{c}", str(clause))
        for templates, clause in zip(_ATTITUDES, clauses, strict=True)
    ]
    label = dice.weighted(LABELS)
    count = 0 if max_sentences is not None and max_sentences < _LONG else dice.pick(_SMALL_TALK)
    talk = [expand(dice, template) for template in dice.some(SMALL_TALK, count)]
    asked, hypothesis = _hypothesis(dice, clauses, label)
    if max_sentences is not None and max_sentences <= len(said):
        said = [said[asked], *dice.some(said[:asked] + said[asked + 1 :], dice.below(max_sentences - 1))]
    premise = _premise(dice, [sentence_case(sentence) for sentence in said], talk)
    return {"premise": premise, "hypothesis": hypothesis, "label": label}


def _clauses(dice: Dice, split: str) -> tuple[_Clause, _Clause, _Clause]:
    """Draw three clauses; two often share the person or the action, so that one word settles nothing."""
    first = _clause(dice, split)
    shared = dice.weighted((("who", 0.5), ("action", 0.25), ("nothing", 0.25)))
    clauses = {str(first): first}
    while len(clauses) < len(_ATTITUDES):
        clause = _clause(dice, split, first if len(clauses) == 1 else None, shared)
        clauses[str(clause)] = clause
    one, two, three = dice.shuffled(list(clauses.values()))
    return one, two, three


def _clause(dice: Dice, split: str, first: _Clause | None = None, shared: str = "nothing") -> _Clause:
    """Draw a clause that belongs to the split, with what is `shared` taken from the first clause."""
    while True:
        verb, objects = dice.pick(ACTIONS)
        clause = _Clause(dice.pick(PEOPLE), verb, dice.pick(objects))
        if first and shared == "who":
            clause = replace(clause, who=first.who)
        if first and shared == "action":
            clause = replace(first, who=clause.who)
        if split_of(str(clause)) == split:
            return clause


def _hypothesis(dice: Dice, clauses: tuple[_Clause, _Clause, _Clause], label: str) -> tuple[int, str]:
    """Choose which clause is asked about, and word it as it is or negated."""
    negated = dice.chance(_NEGATED)
    asked = {"entailment": int(negated), "contradiction": int(not negated), "neutral": 2}[label]
    return asked, clauses[asked].negated() if negated else str(clauses[asked])


def _premise(dice: Dice, said: list[str], talk: list[str]) -> str:
    """Mix the sentences, and let two people say them in turns in two of three premises."""
    sentences = dice.shuffled([*said, *talk])
    if dice.chance(1 / 3):
        return " ".join(sentences)
    turns: list[str] = []
    speaker = ""
    for sentence in sentences:
        turn = dice.pick("AB")
        turns.append(sentence if turn == speaker else f"{turn}: {sentence}")
        speaker = turn
    return " ".join(turns)
