"""MultiRC rows: a passage as in BoolQ, and questions on its entities with several answers, right or wrong.

An answer is a phrase that says something of the entity in question. Wrong ones are wrong in the ways of a
BoolQ question that is answered "no", so the answer alone says nothing of its label.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from harness.workload.synthetic.facts import Fact, World
from harness.workload.synthetic.prose import count_tokens, filled, fitted_passage
from harness.workload.synthetic.questions import choose_of
from harness.workload.synthetic.seeded_choice import Dice
from harness.workload.synthetic.tasks.boolq import MAX_TOKENS, draw_told

VERSION = 1.1  # of the official format, which each row names
_SENTENCES = (7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18)
# How many answers of a question are right, by how many it has: about 42 of 100.
_RIGHT = {3: (1, 1, 2), 4: (1, 2, 2), 5: (1, 2, 2, 3)}
_QUESTIONS = (
    "Which of these is told of {s}?",
    "Which of these is true of {s}?",
    "What does the text say of {s}?",
    "What do we learn about {s}?",
    "What is known about {s}?",
)


def row(dice: Dice, split: str, max_sentences: int | None = None) -> dict[str, object]:
    """Write one row, a passage with its questions, without any `idx`."""
    sentences = dice.from_quantiles(_SENTENCES)
    if max_sentences is not None:
        sentences = min(sentences, 2 + dice.below(max_sentences - 1))
    world = draw_told(dice, split, sentences)
    questions = _questions(dice, world)
    text = fitted_passage(dice, world, sentences, MAX_TOKENS - max(map(_tokens, questions)))
    return {"version": VERSION, "passage": {"text": text, "questions": questions}}


def numbered(drawn: Iterable[dict[str, Any]]) -> Iterator[dict[str, object]]:
    """Give passages, questions and answers their `idx`; the last two run on within a file."""
    questions = answers = 0
    for idx, made in enumerate(drawn):
        for question in made["passage"]["questions"]:
            question["idx"], questions = questions, questions + 1
            for answer in question["answers"]:
                answer["idx"], answers = answers, answers + 1
        yield {**made, "idx": idx}


def unlabel(made: dict[str, Any]) -> None:
    """Take the labels off the answers."""
    for question in made["passage"]["questions"]:
        for answer in question["answers"]:
            del answer["label"]


def _questions(dice: Dice, world: World) -> list[dict[str, Any]]:
    """Ask two or three questions: of the main entity, of others if any, of the main one again."""
    entities = [0, *range(1, len(world.entities)), 0, 0][: 2 + dice.below(2)]
    wordings = dice.some(_QUESTIONS, len(entities))
    return [
        {
            "question": wording.replace("{s}", world.entities[entity].name),
            "answers": _answers(dice, world, entity),
        }
        for entity, wording in zip(dice.shuffled(entities), wordings, strict=True)
    ]


def _answers(dice: Dice, world: World, entity: int) -> list[dict[str, Any]]:
    count = dice.pick(tuple(_RIGHT))
    told = dice.some([fact for fact in world.facts if fact.entity == entity], dice.pick(_RIGHT[count]))
    answers = {_phrase(dice, world, fact, world.value(fact)): 1 for fact in told}
    while len(answers) < count:
        answers.setdefault(_phrase(dice, world, *choose_of(dice, world, entity, label=False)), 0)
    return [{"text": text, "label": answers[text]} for text in dice.shuffled(list(answers))]


def _phrase(dice: Dice, world: World, fact: Fact, value: str) -> str:
    phrases = world.attribute(fact).phrases
    return filled(dice.pick(phrases), world.entities[fact.entity].name, value)


def _tokens(question: dict[str, Any]) -> int:
    longest = max(count_tokens(answer["text"]) for answer in question["answers"])
    return longest + count_tokens(question["question"])
