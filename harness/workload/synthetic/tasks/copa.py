"""COPA rows: what somebody did or what became of it, and two sentences of which one is its cause or effect.

The other sentence is a cause or effect of the same person, from a script on another theme. Either could be
the wrong one as well, so that neither the premise nor a choice alone says anything.
"""

from harness.workload.synthetic.lexicon.cause_and_effect import OPENINGS, PEOPLE, THEMES
from harness.workload.synthetic.lexicon.names import FIRST, WOMEN, split_of
from harness.workload.synthetic.prose import expand, sentence_case
from harness.workload.synthetic.seeded_choice import Dice

CAUSE, EFFECT = 0, 1  # the two halves of a script, and of the question
QUESTIONS = ("cause", "effect")


def row(dice: Dice, split: str, _max_sentences: int | None = None) -> dict[str, object]:
    """Write one row without its `idx`; draw again until the premise and the choices belong to the split."""
    while True:
        made = _draw(dice)
        if split_of(f"{made['premise']} {made['choice1']} {made['choice2']}") == split:
            return made


def _draw(dice: Dice) -> dict[str, object]:
    right, wrong = (dice.pick(theme) for theme in dice.some(THEMES, 2))
    asked, label = dice.below(2), dice.below(2)
    who = dice.pick(FIRST if dice.chance(0.7) else PEOPLE)
    she = dice.chance(0.5) if who in PEOPLE else who in WOMEN
    premise = expand(dice, dice.pick(OPENINGS)) + f"{who} {_wording(dice, right[EFFECT - asked], she)}."
    choices = [f"{'She' if she else 'He'} {_wording(dice, script[asked], she)}." for script in (right, wrong)]
    return {
        "premise": sentence_case(premise),
        "choice1": choices[label],
        "choice2": choices[1 - label],
        "question": QUESTIONS[asked],
        "label": label,
    }


def _wording(dice: Dice, wordings: str, she: bool) -> str:
    """Draw one of the wordings of a half, and set the pronouns."""
    words = expand(dice, dice.pick(wordings.split("|")))
    for mark, (her, him) in {"{h}": ("her", "his"), "{o}": ("her", "him"), "{p}": ("she", "he")}.items():
        words = words.replace(mark, her if she else him)
    return words
