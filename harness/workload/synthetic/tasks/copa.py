"""COPA rows: a premise, and two sentences of which one is its cause or its effect.

The other sentence is a cause or an effect of the same person, from a script on another theme. Either choice
could be the wrong one of another row, so neither the premise nor a choice alone shows the label.
"""

from harness.workload.synthetic.lexicon import load_lexicon
from harness.workload.synthetic.prose import PRONOUNS, expand_one, sentence_case
from harness.workload.synthetic.seeded_random import SeededRandom
from harness.workload.synthetic.splits import split_of

QUESTIONS = ("cause", "effect")


def draw_row(rng: SeededRandom, split: str, _max_sentences: int | None = None) -> dict[str, object]:
    """Draw one row without its `idx`; redraw until its texts belong to the split."""
    while True:
        row = _draw_any_row(rng)
        if split_of(f"{row['premise']} {row['choice1']} {row['choice2']}") == split:
            return row


def _draw_any_row(rng: SeededRandom) -> dict[str, object]:
    words, names = load_lexicon().causes_and_effects, load_lexicon().names
    right, wrong = (rng.choice(theme) for theme in rng.sample(tuple(words.themes.values()), 2))
    asks_effect, label = rng.below(2), rng.below(2)
    person = rng.choice(names.first if rng.chance(0.7) else words.people)
    is_woman = rng.chance(0.5) if person in words.people else person in names.women
    given = right.cause if asks_effect else right.effect
    premise = f"{expand_one(rng, words.openings)}{person} {_write_phrase(rng, given, is_woman)}."
    subject = "She" if is_woman else "He"
    choices = [
        f"{subject} {_write_phrase(rng, script.effect if asks_effect else script.cause, is_woman)}."
        for script in (right, wrong)
    ]
    return {
        "premise": sentence_case(premise),
        "choice1": choices[label],
        "choice2": choices[1 - label],
        "question": QUESTIONS[asks_effect],
        "label": label,
    }


def _write_phrase(rng: SeededRandom, phrases: tuple[str, ...], is_woman: bool) -> str:
    """Draw one of the verb phrases of a cause or an effect, and set the pronouns."""
    phrase = expand_one(rng, phrases)
    for mark, (female, male) in PRONOUNS.items():
        phrase = phrase.replace(mark, female if is_woman else male)
    return phrase
