"""Passages of BoolQ and MultiRC: an introduction, the facts of a world, and fillers."""

from harness.workload.synthetic.facts import Fact, World, draw_world
from harness.workload.synthetic.lexicon import load_lexicon
from harness.workload.synthetic.prose import (
    count_tokens,
    expand,
    expand_one,
    fill,
    sentence_case,
    state_facts,
)
from harness.workload.synthetic.seeded_random import SeededRandom

MAX_TOKENS = 253  # 256 less [CLS] and two [SEP]
_ONE_OTHER, _TWO_OTHERS = 3, 9  # fewest sentences with which another entity, or perhaps two, are described
_OPENINGS_MAIN = (
    "",
    "",
    "",
    "",
    "According to local records, ",
    "As far as is known, ",
    "Most sources agree that ",
)
_OPENINGS_OTHER = ("By contrast, ", "In comparison, ", "Elsewhere, ", "For its part, ", "")


def draw_topic(
    rng: SeededRandom, split: str, length_quantiles: tuple[int, ...], max_sentences: int | None
) -> tuple[World, int]:
    """Draw a world for a passage and its number of sentences; longer passages describe more entities."""
    sentences = rng.from_quantiles(length_quantiles)
    if max_sentences is not None:
        sentences = min(sentences, 2 + rng.below(max_sentences - 1))
    others = 0 if sentences < _ONE_OTHER else 1 if sentences < _TWO_OTHERS else 1 + rng.below(2)
    main_count = max(1, min(5, (sentences - 1) // (2 if others else 1)))
    other_count = max(1, min(4, (sentences - 1 - main_count) // (others + 1)))
    entity_type = rng.choice(load_lexicon().topics)
    return draw_world(rng, split, entity_type, (main_count, *[other_count] * others)), sentences


def write_passage(rng: SeededRandom, world: World, sentences: int, max_tokens: int) -> str:
    """Write a passage of about that many sentences, with fewer fillers until it has at most `max_tokens`."""
    fillers = max(0, sentences - 1 - len(world.facts))
    while count_tokens(text := _write_with_fillers(rng, world, fillers)) > max_tokens:
        fillers = max(0, fillers - 1)
    return text


def _write_with_fillers(rng: SeededRandom, world: World, fillers: int) -> str:
    """Write the introduction, then every fact and the fillers in random order."""
    body: list[list[Fact] | str] = [*_pair_facts(rng, world.facts), *_write_fillers(rng, world, fillers)]
    main = world.entities[0]
    introduction = fill(expand_one(rng, main.type.introductions), main.name)
    sentences, after_main = [sentence_case(introduction)], True
    for item in rng.shuffled(body):
        if isinstance(item, str):
            sentences.append(item)
            after_main = False
        else:
            sentences.append(_state_in_passage(rng, world, item, after_main))
            after_main = item[0].entity == 0
    return " ".join(sentences)


def _state_in_passage(rng: SeededRandom, world: World, facts: list[Fact], after_main: bool) -> str:
    """State facts of one entity.

    "It" and "the bridge" always mean the main entity, and stand only right after a sentence about it.
    """
    entity, is_main = world.entities[facts[0].entity], facts[0].entity == 0
    if is_main and after_main and rng.chance(0.6):
        return sentence_case(state_facts(rng, world, facts, rng.choice(("it", f"the {entity.type.noun}"))))
    opening = rng.choice(_OPENINGS_MAIN if is_main else _OPENINGS_OTHER)
    return sentence_case(opening + state_facts(rng, world, facts, entity.name))


def _write_fillers(rng: SeededRandom, world: World, count: int) -> list[str]:
    """Write that many different sentences that answer no question; at most one of them names two entities."""
    templates, name = load_lexicon().fillers, world.entities[0].name
    fillers = [fill(expand(rng, template), name) for template in rng.sample(templates.about_one, count)]
    if fillers and len(world.entities) > 1 and rng.chance(0.4):
        other = rng.choice(world.entities[1:]).name
        fillers[0] = fill(expand_one(rng, templates.about_two), name).replace("{d}", other)
    return [sentence_case(filler) for filler in fillers]


def _pair_facts(rng: SeededRandom, facts: tuple[Fact, ...]) -> list[list[Fact]]:
    """Group the facts by sentence: some neighbouring facts on the same entity share one."""
    groups: list[list[Fact]] = []
    for fact in facts:
        last = groups[-1] if groups else []
        joinable = len(last) == 1 and last[0].entity == fact.entity and last[0].excluded_value is None
        if joinable and rng.chance(0.3):
            last.append(fact)
        else:
            groups.append([fact])
    return groups
