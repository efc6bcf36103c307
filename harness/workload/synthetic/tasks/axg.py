"""AX-g rows: pairs in the style of RTE whose two premises differ only in the gender of one pronoun.

The head of an institution appears by last name, so that only the pronoun shows a gender. Its antecedent does
not affect the label: a system that treats both members of a pair alike is right or wrong on both.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from harness.workload.synthetic.claims import draw_claim
from harness.workload.synthetic.entities import Attribute, Entity
from harness.workload.synthetic.facts import Fact, World, draw_world
from harness.workload.synthetic.lexicon import draw_person, load_lexicon, surname
from harness.workload.synthetic.prose import expand_one, fill, state_by_name, write_claim
from harness.workload.synthetic.seeded_random import SeededRandom
from harness.workload.synthetic.tasks.rte import LABELS, SHARE_ENTAILED

PRONOUNS = ("he", "she")
_PRONOUN_MARK = "{p}"
_STATEMENTS = (
    "{p} {said, announced} on {Monday, Tuesday, Thursday, Friday} that",
    "{p} told {reporters, visitors, the union} {last week, last month} that",
)


def draw_row(rng: SeededRandom, split: str, _max_sentences: int | None = None) -> dict[str, object]:
    """Draw what both members of a pair share, with a mark in place of the pronoun."""
    entailed = rng.chance(SHARE_ENTAILED)
    world = _draw_world(rng, split)
    while True:
        fact, value = draw_claim(rng, world, entailed)
        value = _by_last_name(world.attribute(fact), value)
        if entailed or value != world.value(fact):
            break
    hypothesis = write_claim(rng, world, fact, value)
    return {"premise": _write_premise(rng, world), "hypothesis": hypothesis, "label": LABELS[entailed]}


def number_pairs(rows: Iterable[dict[str, object]]) -> Iterator[dict[str, object]]:
    """Write both members of each pair, and number rows and pairs."""
    for pair, row in enumerate(rows):
        for member, pronoun in enumerate(PRONOUNS):
            premise = str(row["premise"]).replace(_PRONOUN_MARK, pronoun)
            yield {**row, "premise": premise, "pair_id": pair, "idx": 2 * pair + member}


def _draw_world(rng: SeededRandom, split: str) -> World:
    """Draw two institutions that share no value; the first fact is who heads the main one."""
    entity_type = rng.choice(load_lexicon().institutions)
    are_people = [attribute.values is draw_person for attribute in entity_type.attributes]
    head = Fact(0, are_people.index(True))
    while True:
        world = draw_world(rng, split, entity_type, (3, 1 + rng.below(2)))
        first, second = map(_with_last_names, world.entities)
        if all(one != other for one, other in zip(first.values, second.values, strict=True)):
            facts = [Fact(fact.entity, fact.attribute) for fact in world.facts]
            return World((first, second), (head, *(fact for fact in facts if fact != head)))


def _with_last_names(entity: Entity) -> Entity:
    return replace(entity, values=tuple(map(_by_last_name, entity.type.attributes, entity.values)))


def _by_last_name(attribute: Attribute, value: str) -> str:
    return surname(value) if attribute.values is draw_person else value


def _write_premise(rng: SeededRandom, world: World) -> str:
    """State the head and, as a statement of the head, another fact; then the rest in random order."""
    head, quoted, *rest = world.facts
    name = world.entities[0].name
    clause = fill(rng.choice(world.attribute(quoted).verb_phrases), name, world.value(quoted))
    head_sentence = state_by_name(rng, world, [head]).rstrip(".")
    opening = f"{head_sentence}, and {expand_one(rng, _STATEMENTS)} {name} {clause}."
    return " ".join([opening, *(state_by_name(rng, world, [fact]) for fact in rng.shuffled(rest))])
