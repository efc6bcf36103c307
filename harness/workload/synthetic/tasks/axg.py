"""AX-g rows: pairs in the style of RTE whose two premises differ in the gender of one pronoun alone.

The head of an institution goes by the last name, so that nothing but the pronoun tells a gender. What it
refers to decides nothing: a system that treats both members of a pair alike is right or wrong on both.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from harness.workload.synthetic.facts import Fact, World, draw_world
from harness.workload.synthetic.lexicon.entities import Attribute, Entity
from harness.workload.synthetic.lexicon.names import person, surname
from harness.workload.synthetic.lexicon.news import INSTITUTIONS
from harness.workload.synthetic.prose import expand, filled
from harness.workload.synthetic.questions import choose_asked
from harness.workload.synthetic.seeded_choice import Dice
from harness.workload.synthetic.tasks.rte import LABELS, SHARE_ENTAILED, claim, tell_named

PRONOUNS = ("he", "she")
_MARK = "{p}"
_SAID = (
    "{p} {said, announced} on {Monday, Tuesday, Thursday, Friday} that",
    "{p} told {reporters, visitors, the union} {last week, last month} that",
)


def row(dice: Dice, split: str, _max_sentences: int | None = None) -> dict[str, object]:
    """Write what both members of a pair have, with a mark where the pronoun goes."""
    entailed = dice.chance(SHARE_ENTAILED)
    world = _world(dice, split)
    fact, value = choose_asked(dice, world, entailed)
    while not entailed and _short(world.attribute(fact), value) == world.value(fact):
        fact, value = choose_asked(dice, world, entailed)
    hypothesis = claim(dice, world, fact, _short(world.attribute(fact), value))
    return {"premise": _premise(dice, world), "hypothesis": hypothesis, "label": LABELS[entailed]}


def pairs(drawn: Iterable[dict[str, object]]) -> Iterator[dict[str, object]]:
    """Write both members of each pair and number rows and pairs."""
    for pair, made in enumerate(drawn):
        for second, pronoun in enumerate(PRONOUNS):
            premise = str(made["premise"]).replace(_MARK, pronoun)
            yield {**made, "premise": premise, "pair_id": pair, "idx": 2 * pair + second}


def _world(dice: Dice, split: str) -> World:
    """Draw two institutions, and tell first who is the head of the main one."""
    kind = dice.pick(INSTITUTIONS)
    head = next(number for number, attribute in enumerate(kind.attributes) if attribute.values is person)
    while True:
        drawn = draw_world(dice, split, kind, (3, 1 + dice.below(2)))
        world = replace(drawn, entities=tuple(map(_by_last_names, drawn.entities)))
        others = [Fact(fact.entity, fact.attribute) for fact in world.facts]
        facts = (Fact(0, head), *(fact for fact in others if fact != Fact(0, head)))
        if all(one != two for one, two in zip(*(entity.values for entity in world.entities), strict=True)):
            return replace(world, facts=facts)


def _by_last_names(entity: Entity) -> Entity:
    pairs_of = zip(entity.kind.attributes, entity.values, strict=True)
    return replace(entity, values=tuple(_short(attribute, value) for attribute, value in pairs_of))


def _short(attribute: Attribute, value: str) -> str:
    return surname(value) if attribute.values is person else value


def _premise(dice: Dice, world: World) -> str:
    """Tell the head and, as the words of the head, another fact; then the rest in random order."""
    head, said, *rest = world.facts
    name = world.entities[0].name
    clause = filled(dice.pick(world.attribute(said).phrases), name, world.value(said))
    first = tell_named(dice, world, [head]).rstrip(".")
    opening = f"{first}, and {expand(dice, dice.pick(_SAID))} {name} {clause}."
    return " ".join([opening, *(tell_named(dice, world, [fact]) for fact in dice.shuffled(rest))])
