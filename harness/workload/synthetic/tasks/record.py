"""ReCoRD rows: a news report on institutions and people, and sentences in which one of them is left out.

For a query the passage states the fact of exactly one entity. Passages also name people by their last name.
Places occur in passages but never answer a query, so they are no entities here.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.workload.synthetic.facts import Fact, World, draw_world
from harness.workload.synthetic.lexicon import draw_person, load_lexicon, surname
from harness.workload.synthetic.news_reports import write_report
from harness.workload.synthetic.passages import MAX_TOKENS
from harness.workload.synthetic.prose import count_tokens, expand, expand_one, fill, is_short, sentence_case
from harness.workload.synthetic.seeded_random import SeededRandom

SOURCES = ("CNN", "Daily mail")
PLACEHOLDER = "@placeholder"
_ENTITY_COUNTS = range(2, 6)
_TOKEN_COUNTS = range(60, 201)
_SHARE_PERSON = 0.6  # of the queries on a fact about a person, those that leave out the person
_OPENINGS = ("", "", "", "Reporters noted that ", "It is no secret that ", "Officials confirmed that ")
_HIGHLIGHT = "\n@highlight\n"


@dataclass(frozen=True, slots=True)
class _Query:
    text: str
    answer: str


def draw_row(rng: SeededRandom, split: str, max_sentences: int | None = None) -> dict[str, object]:
    """Draw one row, a passage with one or two queries, without any `idx`; redraw until it fits."""
    short = is_short(max_sentences)
    while True:
        world = _draw_world(rng, split, short)
        closings = 0 if short else 1 + rng.below(3)
        report = write_report(rng, world, closings)
        people = [name for name in _people(world) if name in report]
        body = _add_fillers(rng, world, report, closings)
        text = _HIGHLIGHT.join([body, *_write_highlights(rng, world, people, closings)])
        queries = [_draw_query(rng, world, fact) for fact in rng.sample(world.facts, 1 + rng.below(2))]
        names = [*(entity.name for entity in world.entities), *people]
        if _fits(text, names, people, short) and all(_query_fits(text, query) for query in queries):
            return _build_row(rng, text, {name: name in people for name in names}, queries)


def number_rows(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, object]]:
    """Add `idx` to passages and queries; queries are numbered throughout a file."""
    queries = 0
    for idx, row in enumerate(rows):
        for query in row["qas"]:
            query["idx"], queries = queries, queries + 1
        yield {**row, "idx": idx}


def remove_labels(row: dict[str, Any]) -> None:
    """Remove the answers of the queries."""
    for query in row["qas"]:
        del query["answers"]


def _draw_world(rng: SeededRandom, split: str, short: bool) -> World:
    others = (1,) if short else tuple(1 + rng.below(3) for _ in range(1 + rng.below(2)))
    entity_type = rng.choice(load_lexicon().institutions)
    return draw_world(rng, split, entity_type, (2 + rng.below(1 if short else 3), *others))


def _people(world: World) -> list[str]:
    """Return the people whom a text on these facts may name, each once."""
    facts = [fact for fact in world.facts if world.attribute(fact).values is draw_person]
    names = [name for fact in facts for name in (world.value(fact), fact.excluded_value) if name]
    return list(dict.fromkeys(names))


def _add_fillers(rng: SeededRandom, world: World, report: str, closings: int) -> str:
    """Add up to two fillers to a report that has closing sentences."""
    fillers = rng.sample(load_lexicon().fillers.about_one, rng.below(3) if closings else 0)
    return " ".join([report, *(fill(expand(rng, filler), world.entities[0].name) for filler in fillers)])


def _write_highlights(rng: SeededRandom, world: World, people: list[str], closings: int) -> list[str]:
    """Draw one highlight, or two or three of a report with closing sentences."""
    news = load_lexicon().news
    lines = [f"{rng.choice(world.entities).name} {expand_one(rng, news.events)}."]
    lines += [fill(expand_one(rng, news.quotes), surname(name)) for name in people]
    lines += [expand_one(rng, news.closings)]
    return rng.sample(lines, 2 + rng.below(2) if closings else 1)


def _draw_query(rng: SeededRandom, world: World, fact: Fact) -> _Query:
    """Restate a fact without the entity, or without the person that is its value."""
    attribute, name, value = world.attribute(fact), world.name(fact), world.value(fact)
    template = rng.choice(attribute.statements)
    opening = rng.choice(_OPENINGS)
    if attribute.values is draw_person and rng.chance(_SHARE_PERSON):
        return _Query(sentence_case(opening + fill(template, name, PLACEHOLDER)), value)
    return _Query(sentence_case(opening + fill(template, PLACEHOLDER, value)), name)


def _fits(text: str, names: list[str], people: list[str], short: bool) -> bool:
    """Return whether the passage has a suitable length and number of entities, and last names differ."""
    tokens = count_tokens(text)
    return (
        len(names) in _ENTITY_COUNTS
        and len({surname(name) for name in people}) == len(people)
        and (tokens in _TOKEN_COUNTS or (short and tokens < _TOKEN_COUNTS.start))
    )


def _query_fits(text: str, query: _Query) -> bool:
    return count_tokens(text) + count_tokens(query.text.replace(PLACEHOLDER, query.answer)) <= MAX_TOKENS


def _build_row(
    rng: SeededRandom, text: str, is_person: dict[str, bool], queries: list[_Query]
) -> dict[str, object]:
    mentions = {name: _mentions(text, name, is_person[name]) for name in is_person}
    spans = sorted((mention["start"], mention["end"]) for found in mentions.values() for mention in found)
    entities = [{"start": start, "end": end} for start, end in spans]
    qas = [
        {"query": query.text, "answers": _mentions(text, query.answer, is_person[query.answer])}
        for query in queries
    ]
    return {"source": rng.choice(SOURCES), "passage": {"text": text, "entities": entities}, "qas": qas}


def _mentions(text: str, name: str, is_person: bool) -> list[dict[str, Any]]:
    """Find every mention of an entity, of a person also by last name; `end` is inclusive."""
    forms = (name, surname(name)) if is_person else (name,)
    matches = re.finditer(rf"\b({'|'.join(map(re.escape, forms))})\b", text)
    return [{"start": match.start(), "end": match.end() - 1, "text": match[0]} for match in matches]
