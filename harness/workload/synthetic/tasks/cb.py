"""CB rows: a talk in which clauses are asserted, denied and left undecided, and a hypothesis on one of them.

Every premise holds all three attitudes, so the premise alone does not show the label. Most clauses share the
person, the action or its object with another one, so no single word identifies a clause. One hypothesis in
five is negated, whatever the label, so "not" does not show it either.
"""

from dataclasses import dataclass, replace
from functools import cache

from harness.workload.synthetic.lexicon import Verb, load_lexicon
from harness.workload.synthetic.prose import expand, expand_one, is_short, sentence_case
from harness.workload.synthetic.seeded_random import SeededRandom
from harness.workload.synthetic.splits import split_of

LABELS = (("entailment", 0.46), ("contradiction", 0.42), ("neutral", 0.12))
_EXTRA_CLAUSES = (0, 0, 1)  # beyond one of each attitude
_SMALL_TALK = (0, 1, 1, 2)
# What a clause shares with one of those before it.
_SHARED = (("person", 0.35), ("action", 0.15), ("object", 0.15), ("nothing", 0.35))
_SHARE_NEGATED = 0.2


@dataclass(frozen=True, slots=True)
class _Clause:
    person: str
    verb: Verb
    object: str

    def __str__(self) -> str:
        return f"{self.person} {self.verb.past} {self.object}"

    def negated(self) -> str:
        return f"{self.person} did not {self.verb.base} {self.object}"


def draw_row(rng: SeededRandom, split: str, max_sentences: int | None = None) -> dict[str, object]:
    """Draw one row without its `idx`; a short premise keeps the clause of the hypothesis."""
    lexicon, short = load_lexicon().speech_acts, is_short(max_sentences)
    attitudes = [lexicon.asserted, lexicon.denied, lexicon.undecided]
    attitudes += [rng.choice(attitudes) for _ in range(0 if short else rng.choice(_EXTRA_CLAUSES))]
    clauses = _draw_clauses(rng, split, len(attitudes))
    sentences = [
        expand_one(rng, templates).replace("{c}", str(clause))
        for templates, clause in zip(attitudes, clauses, strict=True)
    ]
    label = rng.weighted_choice(LABELS)
    talk = rng.sample(lexicon.small_talk, 0 if short else rng.choice(_SMALL_TALK))
    talk = [expand(rng, template) for template in talk]
    index, hypothesis = _write_hypothesis(rng, clauses, label)
    if max_sentences is not None and max_sentences <= len(sentences):
        others = sentences[:index] + sentences[index + 1 :]
        sentences = [sentences[index], *rng.sample(others, rng.below(max_sentences - 1))]
    premise = _write_premise(rng, [*map(sentence_case, sentences), *talk])
    return {"premise": premise, "hypothesis": hypothesis, "label": label}


@cache
def _actions() -> tuple[tuple[Verb, tuple[str, ...]], ...]:
    """Return each verb with the objects that it takes."""
    groups = load_lexicon().speech_acts.actions
    return tuple((verb, group.objects) for group in groups for verb in group.verbs)


def _draw_clauses(rng: SeededRandom, split: str, count: int) -> list[_Clause]:
    """Draw different clauses; most share something with one drawn before."""
    clauses = [_draw_clause(rng, split)]
    while len(clauses) < count:
        clause = _draw_clause(rng, split, rng.choice(clauses), rng.weighted_choice(_SHARED))
        if clause not in clauses:
            clauses.append(clause)
    return rng.shuffled(clauses)


def _draw_clause(
    rng: SeededRandom, split: str, other: _Clause | None = None, shared: str = "nothing"
) -> _Clause:
    """Draw a clause that belongs to the split, with what is `shared` taken from the other clause."""
    while True:
        verb, objects = rng.choice(_actions())
        clause = _Clause(rng.choice(load_lexicon().speech_acts.people), verb, rng.choice(objects))
        if other and shared == "person":
            clause = replace(clause, person=other.person)
        if other and shared == "action":
            clause = replace(other, person=clause.person)
        if other and shared == "object":
            verbs = [verb for verb, objects in _actions() if other.object in objects]
            clause = _Clause(clause.person, rng.choice(verbs), other.object)
        if split_of(str(clause)) == split:
            return clause


def _write_hypothesis(rng: SeededRandom, clauses: list[_Clause], label: str) -> tuple[int, str]:
    """Choose a clause by the label, and write it as it is or negated; return its index and the sentence."""
    negated = rng.chance(_SHARE_NEGATED)
    index = {"entailment": int(negated), "contradiction": int(not negated), "neutral": 2}[label]
    return index, clauses[index].negated() if negated else str(clauses[index])


def _write_premise(rng: SeededRandom, sentences: list[str]) -> str:
    """Shuffle the sentences; in two of three premises two speakers utter them in turns."""
    sentences = rng.shuffled(sentences)
    if rng.chance(1 / 3):
        return " ".join(sentences)
    turns: list[str] = []
    previous = ""
    for sentence in sentences:
        speaker = rng.choice("AB")
        turns.append(sentence if speaker == previous else f"{speaker}: {sentence}")
        previous = speaker
    return " ".join(turns)
