"""WiC rows: one word in two sentences, which may use it in the same sense or in two senses.

What stands around a word tells its sense. Each sense is as likely in either sentence, whatever the label is,
so that one sentence alone says nothing.
"""

from harness.workload.synthetic.lexicon.names import FIRST, split_of
from harness.workload.synthetic.lexicon.senses_of_nouns import NOUNS
from harness.workload.synthetic.lexicon.senses_of_verbs import VERBS
from harness.workload.synthetic.prose import expand
from harness.workload.synthetic.seeded_choice import Dice

VERSION = 1.1  # of the official format, which each row names
WORDS = {**NOUNS, **VERBS}
_SAID = ("said", "wrote", "thought", "claimed", "explained", "added")
_BOTH_SAID = 0.4
_MARK = "*"  # stands on both sides of the word in a template


def row(dice: Dice, split: str, _max_sentences: int | None = None) -> dict[str, object]:
    """Write one row without its `idx`; draw again until the sentences belong to the split."""
    while True:
        word = dice.pick(tuple(WORDS))
        label = dice.chance(0.5)
        one, two = _framed(dice, [expand(dice, template) for template in _templates(dice, word, label)])
        if split_of(f"{one} {two}") == split:
            return _written(word, one, two, label)


def _templates(dice: Dice, word: str, label: bool) -> list[str]:
    """Draw two templates of one sense, or one of each of two senses."""
    senses = dice.some(WORDS[word], 2)
    return dice.some(senses[0], 2) if label else [dice.pick(sense) for sense in senses]


def _framed(dice: Dice, sentences: list[str]) -> list[str]:
    """Put one of the sentences, or both, into the mouth of somebody, so that few rows are alike."""
    said = {0, 1} if dice.chance(_BOTH_SAID) else {dice.below(2)}
    return [_said(dice, sentence) if at in said else sentence for at, sentence in enumerate(sentences)]


def _said(dice: Dice, sentence: str) -> str:
    who = dice.pick(FIRST)
    if sentence.endswith("?"):
        return f"{who} asked: {sentence}"
    return f"{sentence.removesuffix('.')}, {who} {dice.pick(_SAID)}."


def _written(word: str, one: str, two: str, label: bool) -> dict[str, object]:
    (start1, end1), (start2, end2) = _span(one), _span(two)
    return {
        "word": word,
        "sentence1": one.replace(_MARK, ""),
        "sentence2": two.replace(_MARK, ""),
        "start1": start1,
        "end1": end1,
        "start2": start2,
        "end2": end2,
        "label": label,
        "version": VERSION,
    }


def _span(marked: str) -> tuple[int, int]:
    """Find the characters of the marked word once the marks are gone, the end exclusive."""
    start = marked.index(_MARK)
    return start, marked.index(_MARK, start + 1) - 1
