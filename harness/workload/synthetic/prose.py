"""Turn facts into English sentences, and sentences into a passage of a wanted length."""

import re
from collections.abc import Callable

from harness.workload.synthetic.facts import Fact, World
from harness.workload.synthetic.lexicon.entities import Kind
from harness.workload.synthetic.lexicon.fillers import FILLERS, OTHERS
from harness.workload.synthetic.seeded_choice import Dice

# Told whether the sentence before is about the main entity, a block writes its own and says the same of it.
Block = Callable[[bool], tuple[str, bool]]
_CHOICE = re.compile(r"\{([^{}]*,[^{}]*)\}")
_TOKEN = re.compile(r"\w+|[^\w\s]")
_OF_MAIN = (
    "",
    "",
    "",
    "",
    "According to local records, ",
    "As far as is known, ",
    "Most sources agree that ",
)
_OF_OTHER = ("By contrast, ", "In comparison, ", "Elsewhere, ", "For its part, ", "")


def count_tokens(text: str) -> int:
    """Count words and punctuation marks, which is how the embedded tokenizer splits these texts."""
    return len(_TOKEN.findall(text))


def expand(dice: Dice, template: str) -> str:
    """Replace each `{a, b, c}` by one of its choices."""
    return _CHOICE.sub(lambda found: dice.pick(found[1].split(", ")), template)


def sentence_case(text: str) -> str:
    """Capitalise the first letter and leave the rest."""
    return text[:1].upper() + text[1:]


def filled(template: str, name: str, value: str) -> str:
    """Set a name and a value into a template."""
    return template.replace("{s}", name).replace("{v}", value)


def told_value(dice: Dice, world: World, fact: Fact, template: str) -> str:
    """Write the value, with the value that is ruled out where a template ends in it."""
    value = world.value(fact)
    if fact.not_value is None or not _takes_contrast(template):
        return value
    return dice.pick(("{}, not {}", "{} rather than {}", "{} and not {}")).format(value, fact.not_value)


def _takes_contrast(template: str) -> bool:
    return template.rstrip(".").endswith("{v}") and not re.search(r"\b(a|an old|a former) \{v\}", template)


def tell(dice: Dice, world: World, facts: list[Fact], subject: str) -> str:
    """Tell one fact, or two of the same entity joined by "and", with the given words as the subject."""
    attribute = world.attribute(facts[0])
    if len(facts) == 1 and attribute.sentences and dice.chance(1 / 3):
        template = dice.pick(attribute.sentences)
        subject = (
            f"the {world.entities[0].kind.noun}" if subject == "it" else subject
        )  # never "the length of it"
        return filled(template, subject, told_value(dice, world, facts[0], template))
    phrases = []
    for fact in facts:
        phrase = dice.pick(world.attribute(fact).phrases)
        phrases.append(filled(phrase, subject, told_value(dice, world, fact, phrase)))
    return f"{subject} {' and '.join(phrases)}."


def introduce(dice: Dice, kind: Kind, name: str) -> str:
    """Write the first sentence on an entity."""
    return sentence_case(filled(expand(dice, dice.pick(kind.introductions)), name, ""))


def fillers(dice: Dice, world: World, count: int) -> list[str]:
    """Write that many different sentences that answer nothing; at most one of them names two entities."""
    name = world.entities[0].name
    made = [expand(dice, template).replace("{s}", name) for template in dice.some(FILLERS, count)]
    if made and len(world.entities) > 1 and dice.chance(0.4):
        other = dice.pick(world.entities[1:]).name
        made[0] = expand(dice, dice.pick(OTHERS)).replace("{s}", name).replace("{d}", other)
    return [sentence_case(sentence) for sentence in made]


def passage(dice: Dice, world: World, count: int) -> str:
    """Write the introduction, every fact and `count` fillers in random order, and say who is meant.

    "It" and "the bridge" always mean the main entity, and stand only right after a sentence about it.
    """
    blocks = [_teller(dice, world, facts) for facts in _joined(dice, list(world.facts))]
    blocks += [_constant(sentence) for sentence in fillers(dice, world, count)]
    text, after_main = [introduce(dice, world.entities[0].kind, world.entities[0].name)], True
    for block in dice.shuffled(blocks):
        sentence, after_main = block(after_main)
        text.append(sentence)
    return " ".join(text)


def fitted_passage(dice: Dice, world: World, sentences: int, room: int) -> str:
    """Write a passage of about that many sentences, with fewer fillers until it has at most `room` tokens."""
    fillers = max(0, sentences - 1 - len(world.facts))
    while True:
        text = passage(dice, world, fillers)
        if count_tokens(text) <= room:
            return text
        fillers = max(0, fillers - 1)


def _joined(dice: Dice, facts: list[Fact]) -> list[list[Fact]]:
    """Join some neighbouring facts on the same entity in pairs."""
    groups: list[list[Fact]] = []
    for fact in facts:
        last = groups[-1] if groups else []
        if (
            len(last) == 1
            and last[0].entity == fact.entity
            and last[0].not_value is None
            and dice.chance(0.3)
        ):
            last.append(fact)
        else:
            groups.append([fact])
    return groups


def _constant(sentence: str) -> Block:
    return lambda _: (sentence, False)


def _teller(dice: Dice, world: World, facts: list[Fact]) -> Block:
    entity = world.entities[facts[0].entity]
    is_main = facts[0].entity == 0

    def sentence(after_main: bool) -> tuple[str, bool]:
        if is_main and after_main and dice.chance(0.6):
            return sentence_case(tell(dice, world, facts, dice.pick(("it", f"the {entity.kind.noun}")))), True
        opening = dice.pick(_OF_MAIN if is_main else _OF_OTHER)
        return sentence_case(opening + tell(dice, world, facts, entity.name)), is_main

    return sentence
