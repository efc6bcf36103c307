"""WSC rows: two people, a pronoun, and whether its antecedent is the person who is named as the candidate.

The verb and the connective decide the antecedent. Spans count words between blanks, so punctuation stands
apart as in the official texts.
"""

from harness.workload.synthetic.lexicon import load_lexicon
from harness.workload.synthetic.prose import PRONOUNS, expand_one, sentence_case
from harness.workload.synthetic.seeded_random import SeededRandom
from harness.workload.synthetic.splits import split_of

SHARE_TRUE = 0.44


def draw_row(rng: SeededRandom, split: str, _max_sentences: int | None = None) -> dict[str, object]:
    """Draw one row without its `idx`; redraw until the text belongs to the split."""
    sentences, names = load_lexicon().pronoun_sentences, load_lexicon().names
    while True:
        is_first = rng.chance(0.5)
        female = rng.chance(0.5)
        people = rng.sample(names.women if female else names.men, 2)
        core = expand_one(rng, sentences.first_antecedent if is_first else sentences.second_antecedent)
        opening, closing = expand_one(rng, sentences.openings), expand_one(rng, sentences.closings)
        words, pronoun_index = _fill(f"{opening}{core}{closing}", people, female)
        if split_of(" ".join(words)) == split:
            return _build_row(rng, words, pronoun_index, people if is_first else people[::-1])


def _fill(template: str, people: list[str], female: bool) -> tuple[list[str], int]:
    """Set names and pronoun into a template; return its words and the index of the pronoun."""
    words = template.split(" ")
    pronoun_index = next(index for index, word in enumerate(words) if word in PRONOUNS)
    words[pronoun_index] = PRONOUNS[words[pronoun_index]][0 if female else 1]
    names = {"{a}": people[0], "{b}": people[1]}
    words = [names.get(word, word) for word in words]
    return [sentence_case(words[0]), *words[1:]], pronoun_index


def _build_row(
    rng: SeededRandom, words: list[str], pronoun_index: int, people: list[str]
) -> dict[str, object]:
    """Name a candidate: the antecedent, who is the first of the people, or the other person."""
    label = rng.chance(SHARE_TRUE)
    candidate = people[0 if label else 1]
    target = {
        "span1_index": words.index(candidate),
        "span2_index": pronoun_index,
        "span1_text": candidate,
        "span2_text": words[pronoun_index],
    }
    return {"text": " ".join(words), "target": target, "label": label}
