"""Short news reports on institutions: the premises of RTE and AX-b, and the passages of ReCoRD."""

from harness.workload.synthetic.facts import Fact, World
from harness.workload.synthetic.lexicon import load_lexicon
from harness.workload.synthetic.prose import expand, expand_one, state_by_name, state_facts
from harness.workload.synthetic.seeded_random import SeededRandom


def write_report(rng: SeededRandom, world: World, closings: int) -> str:
    """Open with news on the main entity, then state the other facts in random order, then close."""
    opening_facts = world.facts_about(0)[:2]
    others = [[fact] for fact in world.facts if fact not in opening_facts]
    body = [state_by_name(rng, world, facts) for facts in rng.shuffled(others)]
    closing = [expand(rng, template) for template in rng.sample(load_lexicon().news.closings, closings)]
    return " ".join([_write_opening(rng, world, opening_facts), *body, *closing])


def _write_opening(rng: SeededRandom, world: World, facts: list[Fact]) -> str:
    name = world.entities[0].name
    clause = f", {state_facts(rng, world, facts, 'which').rstrip('.')}," if len(facts) > 1 else ""
    return f"{name}{clause} {expand_one(rng, load_lexicon().news.events)}."
