"""Draw a few entities of one kind and what a text tells of each, without looking at any label.

Because a text is drawn before the question about it, and every value is as likely as any other of its
attribute, neither the text nor the question alone says anything about the answer.
"""

from dataclasses import dataclass, replace

from harness.workload.synthetic.lexicon.entities import Attribute, Entity, Kind
from harness.workload.synthetic.lexicon.names import ROOTS, split_of
from harness.workload.synthetic.seeded_choice import Dice


@dataclass(frozen=True, slots=True)
class Fact:
    """What a text tells: an entity and an attribute of it by number, and a value it rules out, if any."""

    entity: int
    attribute: int
    not_value: str | None = None


@dataclass(frozen=True, slots=True)
class World:
    """Entities of one kind, the one the text is about first, and the facts that are told of them."""

    entities: tuple[Entity, ...]
    facts: tuple[Fact, ...]

    def attribute(self, fact: Fact) -> Attribute:
        """Find the attribute of a fact."""
        return self.entities[fact.entity].kind.attributes[fact.attribute]

    def value(self, fact: Fact) -> str:
        """Find the true value of a fact."""
        return self.entities[fact.entity].values[fact.attribute]


def draw_world(dice: Dice, split: str, kind: Kind, told: tuple[int, ...]) -> World:
    """Draw one entity for each number in `told`, with that many facts to tell of it."""
    names: list[str] = []
    while len(names) < len(told):
        name = kind.pattern.format(dice.pick(ROOTS))
        if name not in names and split_of(name) == split:
            names.append(name)
    entities = tuple(_entity(dice, kind, name) for name in names)
    facts = [fact for entity, count in enumerate(told) for fact in _facts(dice, kind, entity, count)]
    return World(_kept_apart(dice, entities), tuple(_ruled_out(dice, kind, entities, fact) for fact in facts))


def _entity(dice: Dice, kind: Kind, name: str) -> Entity:
    return Entity(kind, name, tuple(attribute.draw(dice) for attribute in kind.attributes))


def _facts(dice: Dice, kind: Kind, entity: int, count: int) -> list[Fact]:
    return [Fact(entity, attribute) for attribute in dice.some(range(len(kind.attributes)), count)]


def _kept_apart(dice: Dice, entities: tuple[Entity, ...]) -> tuple[Entity, ...]:
    """Redraw values of later entities until no two entities share a value of an attribute."""
    kept: list[Entity] = []
    for entity in entities:
        values = list(entity.values)
        for number, attribute in enumerate(entity.kind.attributes):
            while any(values[number] == other.values[number] for other in kept):
                values[number] = attribute.draw(dice)
        kept.append(replace(entity, values=tuple(values)))
    return tuple(kept)


def _ruled_out(dice: Dice, kind: Kind, entities: tuple[Entity, ...], fact: Fact) -> Fact:
    """Let one fact in six be told with a value that it is not."""
    if not dice.chance(1 / 6):
        return fact
    value = entities[fact.entity].values[fact.attribute]
    return replace(fact, not_value=kind.attributes[fact.attribute].other(dice, value))
