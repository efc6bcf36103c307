"""MultiRC rows: a passage as in BoolQ, and questions on its entities with several answers, right or wrong.

An answer is a verb phrase about the entity of the question. Wrong answers are wrong in the ways of a BoolQ
question with the answer "no", so the answer alone does not show its label.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from harness.workload.synthetic.claims import draw_claim_about
from harness.workload.synthetic.facts import Fact, World
from harness.workload.synthetic.passages import MAX_TOKENS, draw_topic, write_passage
from harness.workload.synthetic.prose import count_tokens, fill
from harness.workload.synthetic.seeded_random import SeededRandom

VERSION = 1.1  # of the official format, which each row names
_SENTENCES = (7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18)
# The number of right answers of a question, by its number of answers: 42 % on average.
_RIGHT = {3: (1, 1, 2), 4: (1, 2, 2), 5: (1, 2, 2, 3)}
_QUESTIONS = (
    "Which of these is told of {s}?",
    "Which of these is true of {s}?",
    "What does the text say of {s}?",
    "What do we learn about {s}?",
    "What is known about {s}?",
)


def draw_row(rng: SeededRandom, split: str, max_sentences: int | None = None) -> dict[str, object]:
    """Draw one row, a passage with its questions, without any `idx`."""
    world, sentences = draw_topic(rng, split, _SENTENCES, max_sentences)
    questions = _draw_questions(rng, world)
    text = write_passage(rng, world, sentences, MAX_TOKENS - max(map(_count_tokens, questions)))
    return {"version": VERSION, "passage": {"text": text, "questions": questions}}


def number_rows(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, object]]:
    """Add `idx` to passages, questions and answers; the last two are numbered throughout a file."""
    questions = answers = 0
    for idx, row in enumerate(rows):
        for question in row["passage"]["questions"]:
            question["idx"], questions = questions, questions + 1
            for answer in question["answers"]:
                answer["idx"], answers = answers, answers + 1
        yield {**row, "idx": idx}


def remove_labels(row: dict[str, Any]) -> None:
    """Remove the labels of the answers."""
    for question in row["passage"]["questions"]:
        for answer in question["answers"]:
            del answer["label"]


def _draw_questions(rng: SeededRandom, world: World) -> list[dict[str, Any]]:
    """Draw two or three questions: on the main entity, on others if any, on the main one again."""
    entities = [0, *range(1, len(world.entities)), 0, 0][: 2 + rng.below(2)]
    templates = rng.sample(_QUESTIONS, len(entities))
    return [
        {
            "question": fill(template, world.entities[entity].name),
            "answers": _draw_answers(rng, world, entity),
        }
        for entity, template in zip(rng.shuffled(entities), templates, strict=True)
    ]


def _draw_answers(rng: SeededRandom, world: World, entity: int) -> list[dict[str, Any]]:
    count = rng.choice(tuple(_RIGHT))
    right = rng.sample(world.facts_about(entity), rng.choice(_RIGHT[count]))
    labels = {_write_answer(rng, world, fact, world.value(fact)): 1 for fact in right}
    while len(labels) < count:
        labels.setdefault(_write_answer(rng, world, *draw_claim_about(rng, world, entity, is_true=False)), 0)
    return [{"text": text, "label": labels[text]} for text in rng.shuffled(list(labels))]


def _write_answer(rng: SeededRandom, world: World, fact: Fact, value: str) -> str:
    return fill(rng.choice(world.attribute(fact).verb_phrases), world.name(fact), value)


def _count_tokens(question: dict[str, Any]) -> int:
    longest = max(count_tokens(answer["text"]) for answer in question["answers"])
    return longest + count_tokens(question["question"])
