"""Choose a true or a false claim about a text: a fact, and the value that the claim gives for it.

A false claim gives a random value, the value of another entity, a value that the text excludes, or any value
of an attribute that the text does not state. Where a text does not allow the drawn way, the value is random.
"""

from collections.abc import Callable

from harness.workload.synthetic.facts import Fact, World
from harness.workload.synthetic.seeded_random import SeededRandom

Claim = tuple[Fact, str]


def draw_claim(rng: SeededRandom, world: World, is_true: bool) -> Claim:
    """Draw a claim, with probability 3/4 about the main entity and else about any."""
    entity = 0 if rng.chance(0.75) else rng.below(len(world.entities))
    return draw_claim_about(rng, world, entity, is_true)


def draw_claim_about(rng: SeededRandom, world: World, entity: int, is_true: bool) -> Claim:
    """Draw a claim about the given entity."""
    fact = rng.choice(world.facts_about(entity))
    if is_true:
        return fact, world.value(fact)
    return rng.weighted_choice(_FALSE_CLAIMS)(rng, world, fact)


def _random_value(rng: SeededRandom, world: World, fact: Fact) -> Claim:
    return fact, world.attribute(fact).draw_other(rng, world.value(fact))


def _value_of_another(rng: SeededRandom, world: World, fact: Fact) -> Claim:
    """Claim a value that the text states of another entity."""
    stated = {(other.entity, other.attribute): other for other in world.facts}
    pairs = [
        (own, other)
        for own in world.facts_about(fact.entity)
        for entity in range(len(world.entities))
        if entity != own.entity and (other := stated.get((entity, own.attribute)))
    ]
    if not pairs:
        return _random_value(rng, world, fact)
    own, other = rng.choice(pairs)
    return own, world.value(other)


def _excluded_value(rng: SeededRandom, world: World, fact: Fact) -> Claim:
    claims = [(own, own.excluded_value) for own in world.facts_about(fact.entity) if own.excluded_value]
    return rng.choice(claims) if claims else _random_value(rng, world, fact)


def _unstated_attribute(rng: SeededRandom, world: World, fact: Fact) -> Claim:
    """Claim any value of an attribute that the text does not state of the entity."""
    stated = {own.attribute for own in world.facts_about(fact.entity)}
    unstated = [index for index in range(len(world.entities[0].values)) if index not in stated]
    claimed = Fact(fact.entity, rng.choice(unstated))
    return claimed, world.attribute(claimed).draw(rng)


_FALSE_CLAIMS: tuple[tuple[Callable[[SeededRandom, World, Fact], Claim], float], ...] = (
    (_random_value, 0.35),
    (_value_of_another, 0.4),
    (_excluded_value, 0.1),
    (_unstated_attribute, 0.15),
)
