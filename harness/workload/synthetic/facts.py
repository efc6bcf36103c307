"""Entities of one type and the facts that a text states about them, drawn before any label.

Values are uniform and independent of what is asked later, so neither the text nor the question alone gives
the answer away.
"""

from dataclasses import dataclass, replace

from harness.workload.synthetic.entities import Attribute, Entity, EntityType
from harness.workload.synthetic.lexicon import load_lexicon
from harness.workload.synthetic.seeded_random import SeededRandom
from harness.workload.synthetic.splits import split_of

_SHARE_CONTRASTED = 1 / 6


@dataclass(frozen=True, slots=True)
class Fact:
    """The indices of an entity and of one of its attributes, and a value that the text excludes, if any."""

    entity: int
    attribute: int
    excluded_value: str | None = None


@dataclass(frozen=True, slots=True)
class World:
    """Entities of one type, the main one first, and the facts that a text states about them."""

    entities: tuple[Entity, ...]
    facts: tuple[Fact, ...]

    def facts_about(self, entity: int) -> list[Fact]:
        """Return the facts about one entity."""
        return [fact for fact in self.facts if fact.entity == entity]

    def name(self, fact: Fact) -> str:
        """Return the name of the entity of a fact."""
        return self.entities[fact.entity].name

    def attribute(self, fact: Fact) -> Attribute:
        """Return the attribute of a fact."""
        return self.entities[fact.entity].type.attributes[fact.attribute]

    def value(self, fact: Fact) -> str:
        """Return the true value of a fact."""
        return self.entities[fact.entity].values[fact.attribute]


def draw_world(rng: SeededRandom, split: str, entity_type: EntityType, fact_counts: tuple[int, ...]) -> World:
    """Draw one entity for each of `fact_counts`, and that many facts about it."""
    attributes = entity_type.attributes
    drawn = tuple(
        Entity(entity_type, name, tuple(attribute.draw(rng) for attribute in attributes))
        for name in _draw_names(rng, split, entity_type, len(fact_counts))
    )
    facts = [
        Fact(entity, attribute)
        for entity, count in enumerate(fact_counts)
        for attribute in rng.sample(range(len(attributes)), count)
    ]
    entities = _with_distinct_values(rng, drawn)
    # An excluded value is compared with the value before the redraw, so in about one fact of 600 it is the
    # true value ("silver, not silver"). A comparison with `entities` changes rows: it needs a new VERSION.
    return World(entities, tuple(_maybe_contrasted(rng, World(drawn, ()), fact) for fact in facts))


def _draw_names(rng: SeededRandom, split: str, entity_type: EntityType, count: int) -> list[str]:
    names: list[str] = []
    while len(names) < count:
        name = entity_type.name_pattern.format(rng.choice(load_lexicon().names.roots))
        if name not in names and split_of(name) == split:
            names.append(name)
    return names


def _with_distinct_values(rng: SeededRandom, entities: tuple[Entity, ...]) -> tuple[Entity, ...]:
    """Redraw values of later entities until no two entities share a value of an attribute."""
    distinct: list[Entity] = []
    for entity in entities:
        values = list(entity.values)
        for index, attribute in enumerate(entity.type.attributes):
            while any(values[index] == other.values[index] for other in distinct):
                values[index] = attribute.draw(rng)
        distinct.append(replace(entity, values=tuple(values)))
    return tuple(distinct)


def _maybe_contrasted(rng: SeededRandom, world: World, fact: Fact) -> Fact:
    """Give one fact in six a value that the text excludes."""
    if not rng.chance(_SHARE_CONTRASTED):
        return fact
    return replace(fact, excluded_value=world.attribute(fact).draw_other(rng, world.value(fact)))
