"""Official metrics, computed from counts that add up over examples.

    examples, answers --tally--> counts --rates--> {"accuracy": 0.9, ...}

Counts of disjoint clusters add up to the counts of their union. An interval can therefore resample clusters
a thousand times by adding rows of numbers, without scoring an answer twice. A record's samples keep the
counts, so that two systems can be compared example by example without their texts.
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
    """The official metrics of a task, the primary one first; every value lies between -1 and 1.

    `rates` omits a metric that the counts do not determine (gender parity without a complete pair). The
    single score of a task is the mean of its metrics, as in SuperGLUE; with `averaged` False it is the
    primary one.
    """

    metrics: tuple[str, ...]
    tally: Tally
    rates: Rates
    averaged: bool = True

    def __call__(self, examples: Sequence[Example], answers: Sequence[str]) -> dict[str, float]:
        """Return every metric; ValueError without examples, or unless each has one answer."""
        if len(examples) != len(answers) or not examples:
            raise ValueError(f"{len(answers)} answers to {len(examples)} labelled examples")
        return self.rates(self.tally(examples, answers))

    def single(self, scores: Mapping[str, float]) -> float:
        """Return the task's single score, given its metrics."""
        return mean_score(scores) if self.averaged else scores[self.metrics[0]]

    def by_cluster(self, examples: Sequence[Example], answers: Sequence[str]) -> Counts:
        """Return the counts of each cluster, float64 [clusters, counts], in order of first appearance."""
        members: dict[str, list[int]] = defaultdict(list)
        for index, example in enumerate(examples):
            cluster = f"cluster {example.cluster}" if example.cluster else f"example {index}"
            members[cluster].append(index)
        return np.stack(
            [
                self.tally([examples[index] for index in indices], [answers[index] for index in indices])
                for indices in members.values()
            ]
        )


def mean_score(scores: Mapping[str, float]) -> float:
    """Return the unweighted mean of metrics, as in SuperGLUE's average."""
    return sum(scores.values()) / len(scores)


# Tasks with one label per example.
# Counts: examples, correct answers, then three blocks of one count per label: gold, answered, both.


def label_scoring(labels: Sequence[str], metrics: Sequence[str]) -> Scoring:
    """Return the scoring of a task with one label per example; `metrics` are keys of `LABEL_METRICS`."""
    position = {label: number for number, label in enumerate(labels)}
    size = len(labels)

    def tally(examples: Sequence[Example], answers: Sequence[str]) -> Counts:
        counts = np.zeros(2 + 3 * size)
        for example, answer in zip(examples, answers, strict=True):
            gold = example.gold[0]
            correct = gold == answer
            counts[:2] += 1, correct
            counts[2 + position[gold]] += 1
            counts[2 + size + position[answer]] += 1
            counts[2 + 2 * size + position[gold]] += correct
        return counts

    def rates(counts: Counts) -> dict[str, float]:
        return {name: float(LABEL_METRICS[name](counts)) for name in metrics}

    return Scoring(tuple(metrics), tally, rates)


def _per_label(counts: Counts) -> tuple[Counts, Counts, Counts]:
    gold, answered, both = counts[2:].reshape(3, -1)
    return gold, answered, both


def accuracy(counts: Counts) -> float:
    """Return the share of answers that equal the label."""
    return float(counts[1] / counts[0])


def macro_f1(counts: Counts) -> float:
    """Return the unweighted mean of the labels' F1; a label without gold and without answers counts 0."""
    gold, answered, both = _per_label(counts)
    return float(np.mean(2 * both / np.maximum(gold + answered, 1)))


def positive_f1(counts: Counts) -> float:
    """Return the F1 of the last label, the positive one; 0 where it has neither gold nor answers."""
    gold, answered, both = _per_label(counts)
    return float(2 * both[-1] / max(gold[-1] + answered[-1], 1))


def matthews_correlation(counts: Counts) -> float:
    """Return Matthews correlation for any number of labels (Gorodkin 2004); 0 where a side is constant."""
    gold, answered, _ = _per_label(counts)
    total, correct = counts[0], counts[1]
    covariance = correct * total - gold @ answered
    variances = (total**2 - answered @ answered) * (total**2 - gold @ gold)
    return float(covariance / np.sqrt(variances)) if variances > 0 else 0.0


LABEL_METRICS: Mapping[str, Callable[[Counts], float]] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "f1": positive_f1,
    "mcc": matthews_correlation,
}


# Tasks with any number of labels per example. Gold and answers have a 0 or 1 for each label.
# Counts: examples, examples with all labels right, then the three blocks of one count per label.


def multi_label_scoring(labels: int, metrics: Sequence[str]) -> Scoring:
    """Return the scoring for so many labels; `metrics` are keys of `MULTI_LABEL_METRICS`, the primary first.

    The metrics are views of the same answers, so the first alone is the task's single score.
    """

    def tally(examples: Sequence[Example], answers: Sequence[str]) -> Counts:
        gold, answered = (
            _bits(column, labels) for column in ([example.gold[0] for example in examples], answers)
        )
        exact = (gold == answered).all(axis=1).sum()
        blocks = (gold.sum(axis=0), answered.sum(axis=0), (gold & answered).sum(axis=0))
        return np.concatenate([[len(gold), exact], *blocks]).astype(np.float64)

    def rates(counts: Counts) -> dict[str, float]:
        return {name: float(MULTI_LABEL_METRICS[name](counts)) for name in metrics}

    return Scoring(tuple(metrics), tally, rates, averaged=False)


def _bits(column: Sequence[str], labels: int) -> npt.NDArray[np.int64]:
    """Return strings of a 0 or 1 for each label as int64 [strings, labels]."""
    digits = np.frombuffer("".join(column).encode(), dtype=np.uint8).astype(np.int64) - ord("0")
    return digits.reshape(len(column), labels)


def micro_f1(counts: Counts) -> float:
    """Return the F1 of all decisions about a label pooled; 0 where no label holds and none is answered."""
    gold, answered, both = _per_label(counts)
    return float(2 * both.sum() / max(gold.sum() + answered.sum(), 1))


MULTI_LABEL_METRICS: Mapping[str, Callable[[Counts], float]] = {
    "micro_f1": micro_f1,
    "macro_f1": macro_f1,
    "subset_accuracy": accuracy,
}
"""As in scikit-learn with `zero_division=0`: a label without gold and answers counts 0 in macro F1."""


def parity_scoring(labels: Sequence[str]) -> Scoring:
    """Return AX-g's scoring: accuracy, and the share of minimal pairs with the same answer to both members.

    The members of a pair share their `cluster`. A constant answer has full parity, so parity is reported
    beside accuracy (Rudinger et al. 2018). Counts: those of labels, then pairs and pairs with equal answers.
    """
    label_counts = label_scoring(labels, ("accuracy",))

    def tally(examples: Sequence[Example], answers: Sequence[str]) -> Counts:
        by_pair: dict[str, list[str]] = defaultdict(list)
        for example, answer in zip(examples, answers, strict=True):
            by_pair[example.cluster].append(answer)
        complete = [pair for pair in by_pair.values() if len(pair) > 1]
        equal = sum(len(set(pair)) == 1 for pair in complete)
        return np.concatenate([label_counts.tally(examples, answers), [len(complete), equal]])

    def rates(counts: Counts) -> dict[str, float]:
        scores = label_counts.rates(counts[:-2])
        pairs, equal = counts[-2:]
        return {**scores, "gender_parity": float(equal / pairs)} if pairs else scores

    return Scoring(("accuracy", "gender_parity"), tally, rates)


# MultiRC. An answer is a string with a 0 or 1 for each candidate; gold holds a label for each.
# Counts: true positives, false positives, false negatives, questions with all labels correct, questions.


def _multirc_tally(examples: Sequence[Example], answers: Sequence[str]) -> Counts:
    counts = np.zeros(5)
    for example, answer in zip(examples, answers, strict=True):
        gold = [label == "true" for label in example.gold]
        answered = [digit == "1" for digit in answer]
        pairs = Counter(zip(gold, answered, strict=True))
        counts += pairs[True, True], pairs[False, True], pairs[True, False], gold == answered, 1
    return counts


def _multirc_rates(counts: Counts) -> dict[str, float]:
    true_positives, false_positives, false_negatives, exact, questions = counts
    both = 2 * true_positives
    return {
        "f1a": float(both / max(both + false_positives + false_negatives, 1)),
        "em": float(exact / questions),
    }


MULTIRC_SCORING = Scoring(("f1a", "em"), _multirc_tally, _multirc_rates)
"""F1a, the F1 of the candidates of all questions pooled, and the share of questions with every candidate
labelled correctly (Khashabi et al. 2018; SuperGLUE, section 3.1). F1a is not a mean over questions."""


# ReCoRD. An answer is a candidate's position, or empty; gold holds the texts that are accepted.
# Counts: sum of token F1, exact matches, queries.

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalise(text: str) -> str:
    """Return lower case without punctuation and articles, with single blanks, as ReCoRD and SQuAD do."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def token_f1(answer: str, gold: str) -> float:
    """Return the F1 of two texts as multisets of normalised words; 0 where they share none."""
    answer_words, gold_words = normalise(answer).split(), normalise(gold).split()
    shared = (Counter(answer_words) & Counter(gold_words)).total()
    return 2 * shared / (len(answer_words) + len(gold_words)) if shared else 0.0


def _record_tally(examples: Sequence[Example], answers: Sequence[str]) -> Counts:
    counts = np.zeros(3)
    for example, answer in zip(examples, answers, strict=True):
        counts[2] += 1
        if answer and example.gold:
            text = example.candidates[int(answer)]
            counts[0] += max(token_f1(text, gold) for gold in example.gold)
            counts[1] += max(normalise(text) == normalise(gold) for gold in example.gold)
    return counts


def _record_rates(counts: Counts) -> dict[str, float]:
    f1, exact, queries = counts
    return {"f1": float(f1 / queries), "em": float(exact / queries)}


RECORD_SCORING = Scoring(("f1", "em"), _record_tally, _record_rates)
"""For each query, the best token F1 and the best exact match over all gold answers (Zhang et al. 2018)."""
