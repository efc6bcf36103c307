"""The little world the examples tell of: kinds of entities, what can be true of them, and how to say it."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.workload.synthetic.seeded_choice import Dice

Values = tuple[str, ...] | Callable[[Dice], str]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One thing that can be true of an entity.

    `values` lists its values or draws one. `phrases` are verb phrases with `{v}` for the value; `sentences`
    are whole sentences with `{s}` for the entity; `questions` are yes-no questions with both.
    """

    values: Values
    phrases: tuple[str, ...]
    sentences: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()

    def draw(self, dice: Dice) -> str:
        """Draw a value; every value is as likely as any other."""
        return self.values(dice) if callable(self.values) else dice.pick(self.values)

    def other(self, dice: Dice, value: str) -> str:
        """Draw a value that differs from the given one."""
        found = self.draw(dice)
        while found == value:
            found = self.draw(dice)
        return found


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of entity: its noun, the pattern of its names, sentences to introduce one, and attributes."""

    noun: str
    pattern: str
    introductions: tuple[str, ...]
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity: its kind, its name as it stands inside a sentence, and its value of each attribute."""

    kind: Kind
    name: str
    values: tuple[str, ...]


def numbers(low: int, high: int, step: int, pattern: str) -> tuple[str, ...]:
    """List amounts from `low` to `high` by `step`, each set into the pattern at `{}`."""
    return tuple(pattern.format(n) for n in range(low, high + 1, step))
