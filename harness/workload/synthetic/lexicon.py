"""The words and sentence templates of the embedded sample, read from JSON files.

data/{names,topics,news,...}.json --> load_lexicon() --> Lexicon.{names,topics,news,...}
data/shared.json: value lists and attributes that topics and institutions refer to by name
"""

import json
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from pydantic import ValidationError

from harness.common.errors import DataError
from harness.common.model import FrozenModel
from harness.workload.synthetic.entities import EntityType, Strings
from harness.workload.synthetic.seeded_random import SeededRandom


class Names(FrozenModel):
    """Proper names: `roots` of invented names of entities, first names and last names of people."""

    roots: Strings
    first: Strings
    women: Strings
    last: Strings

    @property
    def men(self) -> tuple[str, ...]:
        """First names of men."""
        return tuple(name for name in self.first if name not in self.women)


class News(FrozenModel):
    """News that answers no question: verb phrases after an institution, closing sentences, and quotations."""

    events: Strings
    closings: Strings
    quotes: Strings


class Fillers(FrozenModel):
    """Sentences that lengthen a passage and answer no question, about one entity or two (`{s}`, `{d}`)."""

    about_one: Strings
    about_two: Strings


class Verb(FrozenModel):
    """A verb in its base form and in the past tense."""

    base: str
    past: str


class Actions(FrozenModel):
    """Verbs that all take the same objects."""

    verbs: tuple[Verb, ...]
    objects: Strings


class SpeechActs(FrozenModel):
    """Ways to assert, deny or leave undecided a clause `{c}`: a person, a verb and an object."""

    people: Strings
    actions: tuple[Actions, ...]
    asserted: Strings
    denied: Strings
    undecided: Strings
    small_talk: Strings


class Script(FrozenModel):
    """A cause and its effect, each as alternative verb phrases after the name of a person."""

    cause: Strings
    effect: Strings


class CausesAndEffects(FrozenModel):
    """Scripts by theme: no script explains one of another theme."""

    openings: Strings
    people: Strings
    themes: dict[str, tuple[Script, ...]]


class PronounSentences(FrozenModel):
    """Sentences on `{a}` and `{b}` with one pronoun, by which of the two is its antecedent.

    Many are twins: the same beginning with another reason has the other antecedent. Words and punctuation
    marks stand apart.
    """

    openings: Strings
    closings: Strings
    first_antecedent: Strings
    second_antecedent: Strings


class WordSenses(FrozenModel):
    """Sentences for each sense of each word, which stands between two stars."""

    nouns: dict[str, tuple[Strings, ...]]
    verbs: dict[str, tuple[Strings, ...]]


class _Shared(FrozenModel):
    values: dict[str, Strings]
    attributes: dict[str, dict[str, Any]]


class Lexicon(FrozenModel):
    """All words and templates; each field is the JSON file of its name.

    `topics` are the entity types of BoolQ and MultiRC, `institutions` those of the tasks on news.
    """

    names: Names
    topics: tuple[EntityType, ...]
    institutions: tuple[EntityType, ...]
    news: News
    fillers: Fillers
    speech_acts: SpeechActs
    causes_and_effects: CausesAndEffects
    pronoun_sentences: PronounSentences
    word_senses: WordSenses


@cache
def load_lexicon() -> Lexicon:
    """Read the lexicon that ships with the package, once per process."""
    return read_lexicon(files(__package__) / "data")


def read_lexicon(folder: Traversable) -> Lexicon:
    """Read and validate the JSON files of a folder; DataError names the file and the entry that is wrong."""
    contents = {name: _read_json(folder / f"{name}.json") for name in (*Lexicon.model_fields, "shared")}
    try:
        shared = _Shared.model_validate(contents.pop("shared"))
        lists = {f"list:{name}": values for name, values in shared.values.items()}
        values = {**lists, "draw:person": draw_person, "draw:year": draw_year}
        return Lexicon.model_validate(contents, context={"values": values, "attributes": shared.attributes})
    except ValidationError as error:
        raise _malformed(folder, error) from error


def _read_json(path: Traversable) -> Any:  # noqa: ANN401 -- validated by the caller
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _malformed(path, error) from error


def _malformed(path: Traversable, error: Exception) -> DataError:
    remedy = "Reinstall the package, or correct the file if you edited it."
    return DataError(
        f"the words of the embedded sample cannot be read: {error}", where=str(path), remedy=remedy
    )


def draw_person(rng: SeededRandom) -> str:
    """Draw a first and a last name."""
    names = load_lexicon().names
    return f"{rng.choice(names.first)} {rng.choice(names.last)}"


def draw_year(rng: SeededRandom) -> str:
    """Draw a year from 1790 to 1979."""
    return str(1790 + rng.below(190))


def surname(name: str) -> str:
    """Return the last name of a person."""
    return name.rpartition(" ")[2]
