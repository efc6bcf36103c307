"""WiC rows: one word in two sentences, which use it in the same sense or in two senses.

The context of a word shows its sense. Each sense is equally likely in either sentence, whatever the label,
so that one sentence alone does not show it.
"""

from functools import cache

from harness.workload.synthetic.lexicon import load_lexicon
from harness.workload.synthetic.prose import expand
from harness.workload.synthetic.seeded_random import SeededRandom
from harness.workload.synthetic.splits import split_of

VERSION = 1.1  # of the official format, which each row names
_SPEECH_VERBS = ("said", "wrote", "thought", "claimed", "explained", "added")
_SHARE_BOTH_QUOTED = 0.4
_MARK = "*"  # stands on both sides of the word in a template


@cache
def words() -> dict[str, tuple[tuple[str, ...], ...]]:
    """Return the templates of each sense of each word, the nouns first."""
    senses = load_lexicon().word_senses
    return {**senses.nouns, **senses.verbs}


def draw_row(rng: SeededRandom, split: str, _max_sentences: int | None = None) -> dict[str, object]:
    """Draw one row without its `idx`; redraw until the sentences belong to the split."""
    while True:
        word = rng.choice(tuple(words()))
        label = rng.chance(0.5)
        sentences = [expand(rng, template) for template in _draw_templates(rng, word, label)]
        first, second = _quote_some(rng, sentences)
        if split_of(f"{first} {second}") == split:
            return _build_row(word, first, second, label)


def _draw_templates(rng: SeededRandom, word: str, label: bool) -> list[str]:
    """Draw two templates of one sense, or one of each of two senses."""
    senses = rng.sample(words()[word], 2)
    return rng.sample(senses[0], 2) if label else [rng.choice(sense) for sense in senses]


def _quote_some(rng: SeededRandom, sentences: list[str]) -> list[str]:
    """Attribute one of the sentences, or both, to a speaker, so that few rows are alike."""
    quoted = {0, 1} if rng.chance(_SHARE_BOTH_QUOTED) else {rng.below(2)}
    return [_quote(rng, text) if index in quoted else text for index, text in enumerate(sentences)]


def _quote(rng: SeededRandom, sentence: str) -> str:
    speaker = rng.choice(load_lexicon().names.first)
    if sentence.endswith("?"):
        return f"{speaker} asked: {sentence}"
    return f"{sentence.removesuffix('.')}, {speaker} {rng.choice(_SPEECH_VERBS)}."


def _build_row(word: str, first: str, second: str, label: bool) -> dict[str, object]:
    (start1, end1), (start2, end2) = _span(first), _span(second)
    return {
        "word": word,
        "sentence1": first.replace(_MARK, ""),
        "sentence2": second.replace(_MARK, ""),
        "start1": start1,
        "end1": end1,
        "start2": start2,
        "end2": end2,
        "label": label,
        "version": VERSION,
    }


def _span(marked: str) -> tuple[int, int]:
    """Return the character span of the marked word in the sentence without marks, the end exclusive."""
    start = marked.index(_MARK)
    return start, marked.index(_MARK, start + 1) - 1
