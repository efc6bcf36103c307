"""RTE rows: a short news text on institutions, and a sentence that follows from it or does not."""

from harness.workload.synthetic.facts import Fact, World, draw_world
from harness.workload.synthetic.lexicon.news import CLOSERS, INSTITUTIONS, NEWS
from harness.workload.synthetic.prose import expand, filled, sentence_case, tell
from harness.workload.synthetic.questions import choose_asked
from harness.workload.synthetic.seeded_choice import Dice

SHARE_ENTAILED = 0.52
LABELS = {True: "entailment", False: "not_entailment"}
_LONG = 6  # with fewer sentences wanted, a premise tells less and has no closing


def row(dice: Dice, split: str, max_sentences: int | None = None) -> dict[str, object]:
    """Write one row without its `idx`."""
    short = max_sentences is not None and max_sentences < _LONG
    told = (dice.pick((2, 3)), 1) if short else (dice.pick((2, 3, 4)), dice.pick((1, 2, 2, 3)))
    world = draw_world(dice, split, dice.pick(INSTITUTIONS), told)
    entailed = dice.chance(SHARE_ENTAILED)
    hypothesis = claim(dice, world, *choose_asked(dice, world, entailed))
    premise = report(dice, world, 0 if short else dice.below(3))
    return {"premise": premise, "hypothesis": hypothesis, "label": LABELS[entailed]}


def report(dice: Dice, world: World, closers: int) -> str:
    """Open with news on the main entity, then tell the other facts in random order, then close."""
    of_main = [fact for fact in world.facts if fact.entity == 0]
    body = [[fact] for fact in world.facts if fact not in of_main[:2]]
    told = [tell_named(dice, world, facts) for facts in dice.shuffled(body)]
    closing = [expand(dice, template) for template in dice.some(CLOSERS, closers)]
    return " ".join([_opening(dice, world, of_main[:2]), *told, *closing])


def tell_named(dice: Dice, world: World, facts: list[Fact]) -> str:
    """Tell facts of one entity in a sentence that names it."""
    return sentence_case(tell(dice, world, facts, world.entities[facts[0].entity].name))


def _opening(dice: Dice, world: World, facts: list[Fact]) -> str:
    name = world.entities[0].name
    clause = tell(dice, world, facts, "which").rstrip(".") if len(facts) > 1 else ""
    news = expand(dice, dice.pick(NEWS))
    return f"{name}, {clause}, {news}." if clause else f"{name} {news}."


def claim(dice: Dice, world: World, fact: Fact, value: str) -> str:
    """Say of the entity of a fact that it has the given value."""
    attribute = world.attribute(fact)
    template = dice.pick((*(f"{{s}} {phrase}." for phrase in attribute.phrases), *attribute.sentences))
    return sentence_case(filled(template, world.entities[fact.entity].name, value))
