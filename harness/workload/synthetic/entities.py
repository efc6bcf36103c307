"""Entities that the texts are about: their types, their attributes, and sentence templates for both.

In templates `{s}` stands for the name of the entity and `{v}` for the value of the attribute. A choice in
braces, such as `{old, new}`, is drawn each time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationInfo

from harness.common.model import FrozenModel
from harness.workload.synthetic.seeded_random import SeededRandom

Strings = Annotated[tuple[str, ...], Field(min_length=1)]


class _Amounts(FrozenModel):
    """Amounts from `first` to `last` by `step`, each set into `pattern` at `{}`."""

    first: int
    last: int
    step: int = Field(gt=0)
    pattern: str

    def texts(self) -> tuple[str, ...]:
        return tuple(self.pattern.format(n) for n in range(self.first, self.last + 1, self.step))


def _look_up(name: str, kind: str, info: ValidationInfo) -> object:
    named = (info.context or {})[kind]
    if name not in named:
        raise ValueError(f"expected one of {', '.join(sorted(named))}, got {name}")
    return named[name]


def _resolve_values(values: object, info: ValidationInfo) -> object:
    """Replace the name of a list or of a drawing function, or a range of amounts, by what it stands for."""
    if isinstance(values, str):
        return _look_up(values, "values", info)
    return TypeAdapter(_Amounts).validate_python(values).texts() if isinstance(values, dict) else values


def _resolve_attribute(attribute: object, info: ValidationInfo) -> object:
    """Replace the name of a shared attribute by its fields."""
    return _look_up(attribute, "attributes", info) if isinstance(attribute, str) else attribute


class Attribute(FrozenModel):
    """An attribute of an entity: its values, listed or drawn, and templates that state or ask for one.

    `verb_phrases` follow the name of the entity, `sentences` are whole, and `questions` are yes-no questions.
    """

    values: Annotated[Strings | Callable[[SeededRandom], str], BeforeValidator(_resolve_values)]
    verb_phrases: Strings
    sentences: Strings
    questions: tuple[str, ...] = ()

    @property
    def statements(self) -> tuple[str, ...]:
        """All templates of a sentence that states the attribute."""
        return (*(f"{{s}} {phrase}." for phrase in self.verb_phrases), *self.sentences)

    def draw(self, rng: SeededRandom) -> str:
        """Draw a value; all values are equally likely."""
        return self.values(rng) if callable(self.values) else rng.choice(self.values)

    def draw_other(self, rng: SeededRandom, value: str) -> str:
        """Draw a value that differs from the given one."""
        other = self.draw(rng)
        while other == value:
            other = self.draw(rng)
        return other


class EntityType(FrozenModel):
    """A type of entity: its noun, the pattern of its names, sentences that introduce one, and attributes."""

    noun: str
    name_pattern: str
    introductions: tuple[str, ...] = ()
    attributes: tuple[Annotated[Attribute, BeforeValidator(_resolve_attribute)], ...]


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity: its type, its name as it stands inside a sentence, and its value of each attribute."""

    type: EntityType
    name: str
    values: tuple[str, ...]
