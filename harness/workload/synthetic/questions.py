"""Choose what is asked about a text, and which value, for a wanted answer.

A question with the answer "no" asks for a value found nowhere, for the value of another entity in the text,
for a value that the text rules out, or for something the text does not tell. A share that cannot be had in
a text falls back to the first of these.
"""

from harness.workload.synthetic.facts import Fact, World
from harness.workload.synthetic.seeded_choice import Dice

_NO = (("random", 0.35), ("entity", 0.4), ("ruled out", 0.1), ("untold", 0.15))


def choose_asked(dice: Dice, world: World, label: bool) -> tuple[Fact, str]:
    """Choose the fact asked about, three times in four one of the main entity, and the value asked."""
    entity = 0 if dice.chance(0.75) else dice.below(len(world.entities))
    return choose_of(dice, world, entity, label)


def choose_of(dice: Dice, world: World, entity: int, label: bool) -> tuple[Fact, str]:
    """Choose a fact of the given entity and the value asked, wrong in one of the ways if `label` is false."""
    fact = dice.pick([fact for fact in world.facts if fact.entity == entity])
    if label:
        return fact, world.value(fact)
    ways = {"random": _random, "entity": _of_another, "ruled out": _ruled_out, "untold": _untold}
    return ways[dice.weighted(_NO)](dice, world, fact)


def _random(dice: Dice, world: World, fact: Fact) -> tuple[Fact, str]:
    return fact, world.attribute(fact).other(dice, world.value(fact))


def _of_another(dice: Dice, world: World, fact: Fact) -> tuple[Fact, str]:
    """Ask for the value that another entity has, where the passage tells it."""
    told = {(other.entity, other.attribute): other for other in world.facts}
    pairs = [
        (mine, theirs)
        for mine in world.facts
        if mine.entity == fact.entity
        for entity in range(len(world.entities))
        if entity != mine.entity and (theirs := told.get((entity, mine.attribute)))
    ]
    if not pairs:
        return _random(dice, world, fact)
    mine, theirs = dice.pick(pairs)
    return mine, world.value(theirs)


def _ruled_out(dice: Dice, world: World, fact: Fact) -> tuple[Fact, str]:
    found = [each for each in world.facts if each.entity == fact.entity and each.not_value is not None]
    if not found:
        return _random(dice, world, fact)
    chosen = dice.pick(found)
    return chosen, str(chosen.not_value)


def _untold(dice: Dice, world: World, fact: Fact) -> tuple[Fact, str]:
    """Ask for an attribute of which the passage says nothing for this entity."""
    told = {each.attribute for each in world.facts if each.entity == fact.entity}
    silent = [number for number in range(len(world.entities[0].values)) if number not in told]
    asked = Fact(fact.entity, dice.pick(silent))
    return asked, world.attribute(asked).draw(dice)
