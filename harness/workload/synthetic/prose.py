"""Sentences from templates and facts."""

import re

from harness.workload.synthetic.facts import Fact, World
from harness.workload.synthetic.seeded_random import SeededRandom

# Each pronoun mark of a template, with the words for a woman and for a man.
PRONOUNS = {"{p}": ("she", "he"), "{o}": ("her", "him"), "{h}": ("her", "his")}
_CHOICE = re.compile(r"\{([^{}]*,[^{}]*)\}")
_TOKEN = re.compile(r"\w+|[^\w\s]")
_CONTRASTS = ("{}, not {}", "{} rather than {}", "{} and not {}")
_SHORT = 6


def is_short(max_sentences: int | None) -> bool:
    """Return whether texts of at most that many sentences omit what states no fact."""
    return max_sentences is not None and max_sentences < _SHORT


def count_tokens(text: str) -> int:
    """Count words and punctuation marks, which is how the embedded tokenizer splits these texts."""
    return len(_TOKEN.findall(text))


def expand(rng: SeededRandom, template: str) -> str:
    """Replace each `{a, b, c}` by one of its choices."""
    return _CHOICE.sub(lambda match: rng.choice(match[1].split(", ")), template)


def expand_one(rng: SeededRandom, templates: tuple[str, ...]) -> str:
    """Draw one of the templates and expand it."""
    return expand(rng, rng.choice(templates))


def sentence_case(text: str) -> str:
    """Capitalise the first letter and leave the rest."""
    return text[:1].upper() + text[1:]


def fill(template: str, name: str, value: str = "") -> str:
    """Set a name and a value into a template."""
    return template.replace("{s}", name).replace("{v}", value)


def state_facts(rng: SeededRandom, world: World, facts: list[Fact], subject: str) -> str:
    """State one fact, or two of the same entity joined by "and", with the given words as the subject."""
    attribute = world.attribute(facts[0])
    if len(facts) == 1 and attribute.sentences and rng.chance(1 / 3):
        template = rng.choice(attribute.sentences)
        if subject == "it":  # never "the length of it"
            subject = f"the {world.entities[0].type.noun}"
        return _state_value(rng, world, facts[0], template, subject)
    phrases = [
        _state_value(rng, world, fact, rng.choice(world.attribute(fact).verb_phrases), subject)
        for fact in facts
    ]
    return f"{subject} {' and '.join(phrases)}."


def state_by_name(rng: SeededRandom, world: World, facts: list[Fact]) -> str:
    """State facts of one entity in a sentence that names it."""
    return sentence_case(state_facts(rng, world, facts, world.name(facts[0])))


def write_claim(rng: SeededRandom, world: World, fact: Fact, value: str) -> str:
    """Write a sentence which claims that the entity of a fact has the given value."""
    template = rng.choice(world.attribute(fact).statements)
    return sentence_case(fill(template, world.name(fact), value))


def _state_value(rng: SeededRandom, world: World, fact: Fact, template: str, subject: str) -> str:
    """Fill a template; where it ends in the value, contrast the value with the excluded one, if any."""
    value = world.value(fact)
    if fact.excluded_value is not None and _takes_contrast(template):
        value = rng.choice(_CONTRASTS).format(value, fact.excluded_value)
    return fill(template, subject, value)


def _takes_contrast(template: str) -> bool:
    return template.rstrip(".").endswith("{v}") and not re.search(r"\b(a|an old|a former) \{v\}", template)
