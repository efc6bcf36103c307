"""Official metrics as sums over examples and rates of these sums.

    examples, answers --tally--> counts --rates--> {"accuracy": 0.9, ...}

Counts of disjoint clusters add up to the counts of their union, so an interval resamples clusters by adding
rows of numbers, a thousand times, without scoring an answer twice. A record's samples keep the counts, so
that two systems can be compared example by example without their texts.
"""

import re
import string
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.workload.tasks.example import Example

Counts = npt.NDArray[np.float64]
Tally = Callable[[Sequence[Example], Sequence[str]], Counts]
Rates = Callable[[Counts], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Scoring:
    """The official metrics of a task, the first of which leads the table; every value lies in -1..1.

    `rates` leaves out a metric that the counts cannot give (gender parity where no pair is complete).
    """

    metrics: tuple[str, ...]
    tally: Tally
    rates: Rates

    def __call__(self, examples: Sequence[Example], answers: Sequence[str]) -> dict[str, float]:
        """Return every metric; ValueError without examples, or without one answer for each."""
        if len(examples) != len(answers) or not examples:
            raise ValueError(f"{len(answers)} answers to {len(examples)} labelled examples")
        return self.rates(self.tally(examples, answers))

    def by_cluster(self, examples: Sequence[Example], answers: Sequence[str]) -> Counts:
        """Return the counts of each cluster, float64 [clusters, counts], in order of first appearance."""
        members: dict[str, list[int]] = defaultdict(list)
        for place, example in enumerate(examples):
            members[f"cluster {example.cluster}" if example.cluster else f"example {place}"].append(place)
        return np.stack(
            [
                self.tally([examples[at] for at in part], [answers[at] for at in part])
                for part in members.values()
            ]
        )


def mean_score(scores: Mapping[str, float]) -> float:
    """Return a task's one number: the unweighted mean of its metrics, as SuperGLUE averages them."""
    return sum(scores.values()) / len(scores)


# One label an example. Counts: examples, right answers, then per label: gold, answered, both.


def label_scoring(labels: Sequence[str], metrics: Sequence[str]) -> Scoring:
    """Return the scoring of a task with one label an example; metrics by the names of `LABEL_METRICS`."""
    place = {label: number for number, label in enumerate(labels)}
    size = len(labels)

    def tally(examples: Sequence[Example], answers: Sequence[str]) -> Counts:
        counts = np.zeros(2 + 3 * size)
        for example, answer in zip(examples, answers, strict=True):
            gold = example.gold[0]
            right = gold == answer
            counts[:2] += 1, right
            counts[2 + place[gold]] += 1
            counts[2 + size + place[answer]] += 1
            counts[2 + 2 * size + place[gold]] += right
        return counts

    def rates(counts: Counts) -> dict[str, float]:
        return {name: float(LABEL_METRICS[name](counts)) for name in metrics}

    return Scoring(tuple(metrics), tally, rates)


def _per_label(counts: Counts) -> tuple[Counts, Counts, Counts]:
    gold, answered, both = counts[2:].reshape(3, -1)
    return gold, answered, both


def accuracy(counts: Counts) -> float:
    """Return the share of answers equal to the label."""
    return float(counts[1] / counts[0])


def macro_f1(counts: Counts) -> float:
    """Return the unweighted mean of the labels' F1; a label with neither gold nor answers counts 0."""
    gold, answered, both = _per_label(counts)
    return float(np.mean(2 * both / np.maximum(gold + answered, 1)))


def last_f1(counts: Counts) -> float:
    """Return the F1 of the last label, the positive one; 0 where there is neither gold nor answer of it."""
    gold, answered, both = _per_label(counts)
    return float(2 * both[-1] / max(gold[-1] + answered[-1], 1))


def mcc(counts: Counts) -> float:
    """Return Matthews correlation for any number of labels (Gorodkin 2004); 0 where a side is constant."""
    gold, answered, _ = _per_label(counts)
    total, right = counts[0], counts[1]
    above = right * total - gold @ answered
    below = (total**2 - answered @ answered) * (total**2 - gold @ gold)
    return float(above / np.sqrt(below)) if below > 0 else 0.0


LABEL_METRICS: Mapping[str, Callable[[Counts], float]] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "f1": last_f1,
    "mcc": mcc,
}


def parity_scoring(labels: Sequence[str]) -> Scoring:
    """Return AX-g's scoring: accuracy, and the share of minimal pairs with the same answer in both.

    The members of a pair share their `cluster`. A constant answer scores full parity, so it stands beside
    accuracy (Rudinger et al. 2018). Counts: as for labels, then pairs and pairs with equal answers.
    """
    plain = label_scoring(labels, ("accuracy",))

    def tally(examples: Sequence[Example], answers: Sequence[str]) -> Counts:
        pairs: dict[str, list[str]] = defaultdict(list)
        for example, answer in zip(examples, answers, strict=True):
            pairs[example.cluster].append(answer)
        whole = [pair for pair in pairs.values() if len(pair) > 1]
        same = sum(len(set(pair)) == 1 for pair in whole)
        return np.concatenate([plain.tally(examples, answers), [len(whole), same]])

    def rates(counts: Counts) -> dict[str, float]:
        found = plain.rates(counts[:-2])
        pairs, same = counts[-2:]
        return {**found, "gender_parity": float(same / pairs)} if pairs else found

    return Scoring(("accuracy", "gender_parity"), tally, rates)


# MultiRC. An answer is a string of 0 and 1, one for each candidate; gold holds a label for each.


def _multirc_tally(examples: Sequence[Example], answers: Sequence[str]) -> Counts:
    counts = np.zeros(5)
    for example, answer in zip(examples, answers, strict=True):
        right = [label == "true" for label in example.gold]
        said = [mark == "1" for mark in answer]
        pairs = Counter(zip(right, said, strict=True))
        counts += pairs[True, True], pairs[False, True], pairs[True, False], right == said, 1
    return counts


def _multirc_rates(counts: Counts) -> dict[str, float]:
    hit, false_alarm, missed, exact, questions = counts
    return {
        "f1a": float(2 * hit / max(2 * hit + false_alarm + missed, 1)),
        "em": float(exact / questions),
    }


MULTIRC_SCORING = Scoring(("f1a", "em"), _multirc_tally, _multirc_rates)
"""F1 of the right answers of all questions pooled, and the share of questions with every answer labelled
right (Khashabi et al. 2018; SuperGLUE, section 3.1). Not the mean of each question's F1."""


# ReCoRD. An answer is a candidate's position, or nothing; gold holds the texts that are accepted.

_MARKS = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalised(text: str) -> str:
    """Return lower case without punctuation and articles, blanks squeezed: ReCoRD's and SQuAD's form."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_MARKS)).split())


def token_f1(answer: str, gold: str) -> float:
    """Return the F1 of two texts as multisets of normalised words; 0 where they share none."""
    said, right = normalised(answer).split(), normalised(gold).split()
    shared = (Counter(said) & Counter(right)).total()
    return 2 * shared / (len(said) + len(right)) if shared else 0.0


def _record_tally(examples: Sequence[Example], answers: Sequence[str]) -> Counts:
    counts = np.zeros(3)
    for example, answer in zip(examples, answers, strict=True):
        counts[2] += 1
        if answer and example.gold:
            said = example.candidates[int(answer)]
            counts[0] += max(token_f1(said, gold) for gold in example.gold)
            counts[1] += max(normalised(said) == normalised(gold) for gold in example.gold)
    return counts


def _record_rates(counts: Counts) -> dict[str, float]:
    f1, exact, queries = counts
    return {"f1": float(f1 / queries), "em": float(exact / queries)}


RECORD_SCORING = Scoring(("f1", "em"), _record_tally, _record_rates)
"""Per query the best over all gold answers of token F1 and of exact match (Zhang et al. 2018)."""
