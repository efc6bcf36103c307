"""BoolQ rows: a passage on one entity that also tells of others of its kind, and a yes-no question.

Of the questions answered "no", some ask for a value found nowhere, some for the value of another entity in
the passage, some for a value that the passage rules out, and some for something the passage does not tell.
"""

from harness.workload.synthetic.facts import World, draw_world
from harness.workload.synthetic.lexicon.entities import Kind
from harness.workload.synthetic.lexicon.places import PLACES
from harness.workload.synthetic.lexicon.things import THINGS
from harness.workload.synthetic.prose import count_tokens, filled, fitted_passage, sentence_case
from harness.workload.synthetic.questions import choose_asked
from harness.workload.synthetic.seeded_choice import Dice

KINDS: tuple[Kind, ...] = (*PLACES, *THINGS)
SHARE_TRUE = 0.62
# Eleven evenly spaced quantiles of the number of sentences, right-skewed as the lengths of real passages are.
_SENTENCES = (2, 5, 7, 8, 10, 11, 12, 14, 16, 18, 21)
_ONE_OTHER, _TWO_OTHERS = 3, 9  # fewest sentences in which another entity, or perhaps two, are told of
MAX_TOKENS = 253  # 256 less [CLS] and two [SEP]


def row(dice: Dice, split: str, max_sentences: int | None = None) -> dict[str, object]:
    """Write one row without its `idx`."""
    sentences = dice.from_quantiles(_SENTENCES)
    if max_sentences is not None:
        sentences = min(sentences, 2 + dice.below(max_sentences - 1))
    world = draw_told(dice, split, sentences)
    label = dice.chance(SHARE_TRUE)
    question = _question(dice, world, label)
    title = f"{sentence_case(world.entities[0].name.removeprefix('the '))} -- "
    room = MAX_TOKENS - count_tokens(title) - count_tokens(question)
    text = title + fitted_passage(dice, world, sentences, room)
    return {"question": question, "passage": text, "label": label}


def draw_told(dice: Dice, split: str, sentences: int) -> World:
    """Share the sentences of a passage among the entities: longer passages tell of more of them."""
    others = 0 if sentences < _ONE_OTHER else 1 if sentences < _TWO_OTHERS else 1 + dice.below(2)
    told = max(1, min(5, (sentences - 1) // (2 if others else 1)))
    counts = [max(1, min(4, (sentences - 1 - told) // (others + 1))) for _ in range(others)]
    return draw_world(dice, split, dice.pick(KINDS), (told, *counts))


def _question(dice: Dice, world: World, label: bool) -> str:
    fact, value = choose_asked(dice, world, label)
    template = dice.pick(world.attribute(fact).questions)
    return filled(template, world.entities[fact.entity].name, value).lower()
