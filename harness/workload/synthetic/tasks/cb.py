"""CB rows: a talk in which things are asserted, denied and left open, and a clause from it.

Every premise holds all three attitudes, so that it gives nothing away until the hypothesis picks a clause;
most clauses share the person, the deed or its object with another one, so that one word picks none. One
hypothesis in five is turned into its negation, whatever the label is, so that "not" gives nothing away
either.
"""

from dataclasses import dataclass, replace

from harness.workload.synthetic.lexicon.names import split_of
from harness.workload.synthetic.lexicon.speech_acts import ACTIONS, ASSERTED, DENIED, OPEN, PEOPLE, SMALL_TALK
from harness.workload.synthetic.prose import expand, sentence_case
from harness.workload.synthetic.seeded_choice import Dice

LABELS = (("entailment", 0.46), ("contradiction", 0.42), ("neutral", 0.12))
_ATTITUDES = (ASSERTED, DENIED, OPEN)
_MORE = (0, 0, 1)  # clauses beyond one of each attitude
# What a clause has in common with one of those before it.
_SHARED = (("who", 0.35), ("action", 0.15), ("what", 0.15), ("nothing", 0.35))
_LONG = 6  # with fewer sentences wanted, a premise has no small talk
_NEGATED = 0.2
_SMALL_TALK = (0, 1, 1, 2)


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
    short = max_sentences is not None and max_sentences < _LONG
    attitudes = [*_ATTITUDES, *(dice.pick(_ATTITUDES) for _ in range(0 if short else dice.pick(_MORE)))]
    clauses = _clauses(dice, split, len(attitudes))
    said = [
        expand(dice, dice.pick(templates)).replace("{c}", str(clause))
        for templates, clause in zip(attitudes, clauses, strict=True)
    ]
    label = dice.weighted(LABELS)
    talk = [expand(dice, each) for each in dice.some(SMALL_TALK, 0 if short else dice.pick(_SMALL_TALK))]
    asked, hypothesis = _hypothesis(dice, clauses, label)
    if max_sentences is not None and max_sentences <= len(said):
        said = [said[asked], *dice.some(said[:asked] + said[asked + 1 :], dice.below(max_sentences - 1))]
    premise = _premise(dice, [sentence_case(sentence) for sentence in said], talk)
    return {"premise": premise, "hypothesis": hypothesis, "label": label}


def _clauses(dice: Dice, split: str, count: int) -> list[_Clause]:
    """Draw different clauses; most have something in common with one drawn before."""
    clauses = [_clause(dice, split)]
    while len(clauses) < count:
        clause = _clause(dice, split, dice.pick(clauses), dice.weighted(_SHARED))
        if clause not in clauses:
            clauses.append(clause)
    return dice.shuffled(clauses)


def _clause(dice: Dice, split: str, other: _Clause | None = None, shared: str = "nothing") -> _Clause:
    """Draw a clause that belongs to the split, with what is `shared` taken from the other clause."""
    while True:
        verb, objects = dice.pick(ACTIONS)
        clause = _Clause(dice.pick(PEOPLE), verb, dice.pick(objects))
        if other and shared == "who":
            clause = replace(clause, who=other.who)
        if other and shared == "action":
            clause = replace(other, who=clause.who)
        if other and shared == "what":
            verbs = [verb for verb, objects in ACTIONS if other.what in objects]
            clause = _Clause(clause.who, dice.pick(verbs), other.what)
        if split_of(str(clause)) == split:
            return clause


def _hypothesis(dice: Dice, clauses: list[_Clause], label: str) -> tuple[int, str]:
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
