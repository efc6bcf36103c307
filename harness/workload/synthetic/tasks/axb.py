"""AX-b rows: pairs of texts in the style of RTE, each made to try one phenomenon, named in `logic`."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from harness.workload.synthetic.facts import Fact, World, draw_world
from harness.workload.synthetic.lexicon.news import INSTITUTIONS
from harness.workload.synthetic.seeded_choice import Dice
from harness.workload.synthetic.tasks.rte import LABELS, claim, report

PHENOMENA = ("Negation", "Core args", "Lexical entailment")
SHARE_ENTAILED = 0.42


def row(dice: Dice, split: str, _max_sentences: int | None = None) -> dict[str, object]:
    """Write one row without its `idx`."""
    logic = dice.pick(PHENOMENA)
    entailed = dice.chance(SHARE_ENTAILED)
    world = _world(dice, split, logic)
    fact = world.facts[0]
    value = world.value(fact) if entailed else _wrong(dice, world, logic)
    premise = report(dice, world, dice.below(2))
    while logic == "Negation" and not _rules_out(premise, str(fact.not_value)):
        premise = report(dice, world, dice.below(2))
    hypothesis = claim(dice, world, fact, value)
    return {"sentence1": premise, "sentence2": hypothesis, "label": LABELS[entailed], "logic": logic}


def numbered(drawn: Iterable[dict[str, object]]) -> Iterator[dict[str, object]]:
    """Give the rows an `idx`, a string, as the official file does."""
    for idx, made in enumerate(drawn):
        yield {**made, "idx": str(idx)}


def _world(dice: Dice, split: str, logic: str) -> World:
    """Draw two entities; the first fact, which is asked about, suits the phenomenon.

    For negation it is told with a value that is ruled out; for core arguments the other entity has the same
    attribute, so that the two could be mixed up.
    """
    world = draw_world(dice, split, dice.pick(INSTITUTIONS), (2 + dice.below(2), 1 + dice.below(2)))
    attribute = world.attribute(world.facts[0])
    facts = [replace(fact, not_value=None) for fact in world.facts]
    if logic == "Negation":
        facts[0] = replace(facts[0], not_value=attribute.other(dice, world.value(facts[0])))
    if logic == "Core args":
        told = [fact for fact in facts[1:] if (fact.entity, fact.attribute) != (1, facts[0].attribute)]
        facts = [facts[0], *told, Fact(1, facts[0].attribute)]
    return replace(world, facts=tuple(facts))


def _rules_out(premise: str, value: str) -> bool:
    return f" not {value}" in premise or f" rather than {value}" in premise


def _wrong(dice: Dice, world: World, logic: str) -> str:
    fact = world.facts[0]
    if logic == "Negation":
        return str(fact.not_value)
    if logic == "Core args":
        return world.entities[1].values[fact.attribute]
    return world.attribute(fact).other(dice, world.value(fact))
