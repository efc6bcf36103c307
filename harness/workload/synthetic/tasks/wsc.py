"""WSC rows: two people, a pronoun, and whether it means the one who is named as the candidate.

The verb and the connective decide who is meant. Spans are counted in words between blanks, so punctuation
stands apart as in the official texts.
"""

from harness.workload.synthetic.lexicon.names import MEN, WOMEN, split_of
from harness.workload.synthetic.lexicon.pronoun_sentences import CLOSINGS, FIRST_MEANT, OPENINGS, SECOND_MEANT
from harness.workload.synthetic.prose import expand, sentence_case
from harness.workload.synthetic.seeded_choice import Dice

SHARE_TRUE = 0.44
_PRONOUNS = {"{p}": ("she", "he"), "{o}": ("her", "him"), "{h}": ("her", "his")}


def row(dice: Dice, split: str, _max_sentences: int | None = None) -> dict[str, object]:
    """Write one row without its `idx`; draw again until the text belongs to the split."""
    while True:
        first_meant = dice.chance(0.5)
        female = dice.chance(0.5)
        names = dice.some(WOMEN if female else MEN, 2)
        template = expand(dice, dice.pick(FIRST_MEANT if first_meant else SECOND_MEANT))
        words, at = _words(_around(dice, template), names, female)
        if split_of(" ".join(words)) == split:
            return _written(dice, words, at, names if first_meant else names[::-1])


def _around(dice: Dice, template: str) -> str:
    """Put something before and after a template that decides nothing."""
    return f"{expand(dice, dice.pick(OPENINGS))}{template}{expand(dice, dice.pick(CLOSINGS))}"


def _words(template: str, names: list[str], female: bool) -> tuple[list[str], int]:
    """Set names and pronoun into a template, and tell at which word the pronoun stands."""
    words = template.split(" ")
    at = next(number for number, word in enumerate(words) if word in _PRONOUNS)
    words[at] = _PRONOUNS[words[at]][0 if female else 1]
    named = {"{a}": names[0], "{b}": names[1]}
    written = [named.get(word, word) for word in words]
    return [sentence_case(written[0]), *written[1:]], at


def _written(dice: Dice, words: list[str], at: int, names: list[str]) -> dict[str, object]:
    """Ask for the person who is meant, the first of the names, or for the other."""
    label = dice.chance(SHARE_TRUE)
    name = names[0 if label else 1]
    target = {
        "span1_index": words.index(name),
        "span2_index": at,
        "span1_text": name,
        "span2_text": words[at],
    }
    return {"text": " ".join(words), "target": target, "label": label}
