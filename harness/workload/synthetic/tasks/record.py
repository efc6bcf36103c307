"""ReCoRD rows: a news text on institutions and people, and sentences in which one of them is left out.

The passage tells what a query says of exactly one entity. People are also called by their last name; places
are told of but never asked for, and so are no entities here.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.workload.synthetic.facts import Fact, World, draw_world
from harness.workload.synthetic.lexicon.fillers import FILLERS
from harness.workload.synthetic.lexicon.names import person, surname
from harness.workload.synthetic.lexicon.news import CLOSERS, INSTITUTIONS, NEWS, QUOTES
from harness.workload.synthetic.prose import count_tokens, expand, filled, sentence_case
from harness.workload.synthetic.seeded_choice import Dice
from harness.workload.synthetic.tasks.boolq import MAX_TOKENS
from harness.workload.synthetic.tasks.rte import report

SOURCES = ("CNN", "Daily mail")
PLACEHOLDER = "@placeholder"
_ENTITIES = range(2, 6)
_TOKENS = range(60, 201)
_LONG = 6  # with fewer sentences wanted, a passage tells less and may be short
_OF_PERSON = 0.6  # how often a query leaves out the person where a fact is about one
_OPENINGS = ("", "", "", "Reporters noted that ", "It is no secret that ", "Officials confirmed that ")
_HIGHLIGHT = "\n@highlight\n"


@dataclass(frozen=True, slots=True)
class _Query:
    text: str
    answer: str


def row(dice: Dice, split: str, max_sentences: int | None = None) -> dict[str, object]:
    """Write one row, a passage with one or two queries, without any `idx`; draw again what does not fit."""
    short = max_sentences is not None and max_sentences < _LONG
    while True:
        world = _world(dice, split, short)
        closers = 0 if short else 1 + dice.below(3)
        told = report(dice, world, closers)
        people = [name for name in _people(world) if name in told]
        text = _HIGHLIGHT.join(
            [_rounded(dice, world, told, closers), *_highlights(dice, world, people, closers)]
        )
        names = [entity.name for entity in world.entities] + people
        queries = [_query(dice, world, fact) for fact in dice.some(world.facts, 1 + dice.below(2))]
        if _fits(text, names, people, short) and all(_fits_query(text, query) for query in queries):
            return _written(dice, text, names, queries)


def numbered(drawn: Iterable[dict[str, Any]]) -> Iterator[dict[str, object]]:
    """Give passages and queries their `idx`; the queries run on within a file."""
    queries = 0
    for idx, made in enumerate(drawn):
        for query in made["qas"]:
            query["idx"], queries = queries, queries + 1
        yield {**made, "idx": idx}


def unlabel(made: dict[str, Any]) -> None:
    """Take the answers off the queries."""
    for query in made["qas"]:
        del query["answers"]


def _world(dice: Dice, split: str, short: bool) -> World:
    others = (1,) if short else tuple(1 + dice.below(3) for _ in range(1 + dice.below(2)))
    return draw_world(dice, split, dice.pick(INSTITUTIONS), (2 + dice.below(1 if short else 3), *others))


def _people(world: World) -> list[str]:
    """List the people whom a text on these facts may name."""
    facts = [fact for fact in world.facts if world.attribute(fact).values is person]
    named = [name for fact in facts for name in (world.value(fact), fact.not_value) if name]
    return list(dict.fromkeys(named))


def _rounded(dice: Dice, world: World, told: str, closers: int) -> str:
    """Add to a report with closing sentences up to two more that answer nothing."""
    fillers = dice.some(FILLERS, dice.below(3) if closers else 0)
    return " ".join([told, *(expand(dice, each).replace("{s}", world.entities[0].name) for each in fillers)])


def _highlights(dice: Dice, world: World, people: list[str], closers: int) -> list[str]:
    """Write a line on an institution or of a person told of; below a full report, two or three."""
    lines = [f"{dice.pick(world.entities).name} {expand(dice, dice.pick(NEWS))}."]
    lines += [expand(dice, dice.pick(QUOTES)).replace("{s}", surname(name)) for name in people]
    lines += [expand(dice, dice.pick(CLOSERS))]
    return dice.some(lines, 2 + dice.below(2) if closers else 1)


def _query(dice: Dice, world: World, fact: Fact) -> _Query:
    """Say one fact again and leave out the entity, or the person that it is about."""
    attribute, name, value = world.attribute(fact), world.entities[fact.entity].name, world.value(fact)
    template = dice.pick((*(f"{{s}} {phrase}." for phrase in attribute.phrases), *attribute.sentences))
    opening = dice.pick(_OPENINGS)
    if attribute.values is person and dice.chance(_OF_PERSON):
        return _Query(sentence_case(opening + filled(template, name, PLACEHOLDER)), value)
    return _Query(sentence_case(opening + filled(template, PLACEHOLDER, value)), name)


def _fits(text: str, names: list[str], people: list[str], short: bool) -> bool:
    """Ask for a length and a number of entities in bounds, and for people with different last names."""
    long_enough = short or count_tokens(text) >= _TOKENS.start
    apart = len({surname(name) for name in people}) == len(people)
    return len(names) in _ENTITIES and apart and long_enough and count_tokens(text) < _TOKENS.stop


def _fits_query(text: str, query: _Query) -> bool:
    return count_tokens(text) + count_tokens(query.text.replace(PLACEHOLDER, query.answer)) <= MAX_TOKENS


def _written(dice: Dice, text: str, names: list[str], queries: list[_Query]) -> dict[str, object]:
    mentions = sorted(
        (mention for name in names for mention in _mentions(text, name)), key=lambda each: each["start"]
    )
    entities = [{"start": mention["start"], "end": mention["end"]} for mention in mentions]
    qas = [{"query": query.text, "answers": _mentions(text, query.answer)} for query in queries]
    return {"source": dice.pick(SOURCES), "passage": {"text": text, "entities": entities}, "qas": qas}


def _mentions(text: str, name: str) -> list[dict[str, Any]]:
    """Find where a text names an entity, people also by the last name; `end` is its last character."""
    forms = (name,) if name.endswith(_INSTITUTIONAL) else (name, surname(name))
    found = re.finditer(rf"\b({'|'.join(map(re.escape, forms))})\b", text)
    return [{"start": each.start(), "end": each.end() - 1, "text": each[0]} for each in found]


_INSTITUTIONAL = tuple(kind.pattern.removeprefix("{}") for kind in INSTITUTIONS)
