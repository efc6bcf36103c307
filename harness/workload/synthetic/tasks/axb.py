"""AX-b rows: pairs of texts in the style of RTE, each of which tests one phenomenon, named in `logic`."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from harness.workload.synthetic.facts import Fact, World, draw_world
from harness.workload.synthetic.lexicon import load_lexicon
from harness.workload.synthetic.news_reports import write_report
from harness.workload.synthetic.prose import write_claim
from harness.workload.synthetic.seeded_random import SeededRandom
from harness.workload.synthetic.tasks.rte import LABELS

PHENOMENA = ("Negation", "Core args", "Lexical entailment")
SHARE_ENTAILED = 0.42


def draw_row(rng: SeededRandom, split: str, _max_sentences: int | None = None) -> dict[str, object]:
    """Draw one row without its `idx`."""
    logic = rng.choice(PHENOMENA)
    entailed = rng.chance(SHARE_ENTAILED)
    world = _draw_world(rng, split, logic)
    fact = world.facts[0]
    value = world.value(fact) if entailed else _false_value(rng, world, logic)
    premise = write_report(rng, world, rng.below(2))
    while logic == "Negation" and not _excludes(premise, str(fact.excluded_value)):
        premise = write_report(rng, world, rng.below(2))
    hypothesis = write_claim(rng, world, fact, value)
    return {"sentence1": premise, "sentence2": hypothesis, "label": LABELS[entailed], "logic": logic}


def number_rows(rows: Iterable[dict[str, object]]) -> Iterator[dict[str, object]]:
    """Add `idx` to the rows: a string, as in the official file."""
    for idx, row in enumerate(rows):
        yield {**row, "idx": str(idx)}


def _draw_world(rng: SeededRandom, split: str, logic: str) -> World:
    """Draw two entities; the first fact, which the hypothesis claims, suits the phenomenon.

    For negation the premise excludes a value of it; for core arguments the other entity has the same
    attribute, so that the two can be confused.
    """
    entity_type = rng.choice(load_lexicon().institutions)
    world = draw_world(rng, split, entity_type, (2 + rng.below(2), 1 + rng.below(2)))
    first, *others = (replace(fact, excluded_value=None) for fact in world.facts)
    if logic == "Negation":
        first = replace(first, excluded_value=world.attribute(first).draw_other(rng, world.value(first)))
    if logic == "Core args":
        rival = Fact(1, first.attribute)
        others = [*(fact for fact in others if fact != rival), rival]
    return replace(world, facts=(first, *others))


def _excludes(premise: str, value: str) -> bool:
    return f" not {value}" in premise or f" rather than {value}" in premise


def _false_value(rng: SeededRandom, world: World, logic: str) -> str:
    fact = world.facts[0]
    if logic == "Negation":
        return str(fact.excluded_value)
    if logic == "Core args":
        return world.entities[1].values[fact.attribute]
    return world.attribute(fact).draw_other(rng, world.value(fact))
