"""BoolQ rows: a passage on one entity, which also describes others of its type, and a yes-no question."""

from harness.workload.synthetic.claims import draw_claim
from harness.workload.synthetic.facts import World
from harness.workload.synthetic.passages import MAX_TOKENS, draw_topic, write_passage
from harness.workload.synthetic.prose import count_tokens, fill, sentence_case
from harness.workload.synthetic.seeded_random import SeededRandom

SHARE_TRUE = 0.62
# Eleven evenly spaced quantiles of the number of sentences, right-skewed like the lengths of real passages.
_SENTENCES = (2, 5, 7, 8, 10, 11, 12, 14, 16, 18, 21)


def draw_row(rng: SeededRandom, split: str, max_sentences: int | None = None) -> dict[str, object]:
    """Draw one row without its `idx`."""
    world, sentences = draw_topic(rng, split, _SENTENCES, max_sentences)
    label = rng.chance(SHARE_TRUE)
    question = _write_question(rng, world, label)
    title = f"{sentence_case(world.entities[0].name.removeprefix('the '))} -- "
    max_tokens = MAX_TOKENS - count_tokens(title) - count_tokens(question)
    passage = title + write_passage(rng, world, sentences, max_tokens)
    return {"question": question, "passage": passage, "label": label}


def _write_question(rng: SeededRandom, world: World, label: bool) -> str:
    fact, value = draw_claim(rng, world, label)
    return fill(rng.choice(world.attribute(fact).questions), world.name(fact), value).lower()
