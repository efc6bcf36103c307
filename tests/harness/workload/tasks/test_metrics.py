import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, matthews_corrcoef

from harness.workload.tasks import TASKS, get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from harness.workload.tasks.metrics import label_scoring, mean_score, normalise, token_f1

LABELS = ("a", "b", "c")
PARITY = get_task("ax-g").scoring
MULTIRC = get_task("multirc").scoring
RECORD = get_task("record").scoring

Pairs = list[tuple[str, str]]
pairs_of_labels = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1)


def with_gold(*gold: str) -> list[Example]:
    """Return an example for each gold label."""
    return [Example(str(index), (), (label,)) for index, label in enumerate(gold)]


def paired(*clusters: str) -> list[Example]:
    """Return examples with gold `entailment` in these minimal pairs."""
    return [Example(str(index), (), ("entailment",), cluster=name) for index, name in enumerate(clusters)]


def questions(*gold: str) -> list[Example]:
    """Return MultiRC's questions; gold is given as a digit for each candidate."""
    labels = {"0": "false", "1": "true"}
    return [
        Example(str(index), (), tuple(labels[digit] for digit in digits)) for index, digits in enumerate(gold)
    ]


def query_with(candidates: tuple[str, ...], *gold: str) -> Example:
    return Example("0", (), gold, candidates)


def test_accuracy_f1_and_correlation_of_a_worked_example() -> None:
    """3 true positives, 2 true negatives, 1 false positive, 2 false negatives.

    Accuracy 5/8; F1 of yes 2 x 3 / (2 x 3 + 1 + 2) = 2/3; correlation (3 x 2 - 1 x 2) / sqrt(4 x 5 x 3 x 4).
    """
    gold = ["yes"] * 3 + ["no"] * 2 + ["no"] + ["yes"] * 2
    answers = ["yes"] * 3 + ["no"] * 2 + ["yes"] + ["no"] * 2
    scores = label_scoring(("no", "yes"), ("accuracy", "f1", "mcc"))(with_gold(*gold), answers)
    assert scores == pytest.approx({"accuracy": 5 / 8, "f1": 2 / 3, "mcc": 4 / 240**0.5})
    assert list(scores) == ["accuracy", "f1", "mcc"]


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(pairs_of_labels)
def test_metrics_of_three_labels_agree_with_scikit_learn(pairs: Pairs) -> None:
    """Macro F1 and Matthews correlation, for any answers."""
    gold, answers = ([pair[side] for pair in pairs] for side in (0, 1))
    scores = label_scoring(LABELS, ("macro_f1", "mcc"))(with_gold(*gold), answers)
    assert scores["macro_f1"] == pytest.approx(
        f1_score(gold, answers, labels=LABELS, average="macro", zero_division=0.0)
    )
    assert scores["mcc"] == pytest.approx(matthews_corrcoef(gold, answers))


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_metrics_of_two_labels_agree_with_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    """F1 of the last label and Matthews correlation."""
    gold, answers = ([str(pair[side]) for pair in pairs] for side in (0, 1))
    scores = label_scoring(("False", "True"), ("f1", "mcc"))(with_gold(*gold), answers)
    assert scores["f1"] == pytest.approx(f1_score(gold, answers, pos_label="True", zero_division=0.0))
    assert scores["mcc"] == pytest.approx(matthews_corrcoef(gold, answers))


@pytest.mark.parametrize(
    ("gold", "answers"), [("aab", "aaa"), ("aaa", "aab"), ("aaa", "aaa"), ("aaa", "bbb")]
)
def test_the_correlation_with_a_constant_is_zero(gold: str, answers: str) -> None:
    """By convention."""
    assert label_scoring(LABELS, ("mcc",))(with_gold(*gold), list(answers)) == {"mcc": 0.0}


def test_correlation_lies_between_minus_one_and_one() -> None:
    """1 where all answers are correct; -1 where all answers of two labels are wrong."""
    examples = with_gold("a", "b", "a")
    scoring = label_scoring(("a", "b"), ("mcc",))
    assert scoring(examples, ["a", "b", "a"])["mcc"] == pytest.approx(1)
    assert scoring(examples, ["b", "a", "b"])["mcc"] == pytest.approx(-1)


def test_ax_b_is_scored_by_correlation_alone() -> None:
    """It is the primary and only metric."""
    assert get_task("ax-b").scoring.metrics == ("mcc",)


def test_parity_is_the_share_of_pairs_with_equal_answers() -> None:
    """Pairs 1 and 3 agree, pair 2 does not: 2/3. Five of six answers are correct."""
    examples = paired("1", "2", "1", "2", "3", "3")
    yes, no = "entailment", "not_entailment"
    scores = PARITY(examples, [yes, yes, yes, no, yes, yes])
    assert scores == pytest.approx({"accuracy": 5 / 6, "gender_parity": 2 / 3})
    # equal, and both wrong: parity does not depend on being correct
    assert PARITY(examples[4:], [no, no]) == {"accuracy": 0.0, "gender_parity": 1.0}


@pytest.mark.parametrize("constant", ["entailment", "not_entailment"])
def test_a_constant_answer_has_full_parity(constant: str) -> None:
    """This is why parity is reported beside accuracy."""
    assert PARITY(paired("1", "1", "2", "2"), [constant] * 4)["gender_parity"] == 1.0


def test_half_a_pair_counts_for_accuracy_only() -> None:
    """Where no pair is complete, parity is absent."""
    yes, no = "entailment", "not_entailment"
    assert PARITY(paired("1", "2", "2"), [no, yes, yes]) == {"accuracy": 2 / 3, "gender_parity": 1.0}
    assert PARITY(paired("1", "2", "3"), [yes, no, yes]) == {"accuracy": 2 / 3}


def test_f1a_pools_the_answers_of_all_questions() -> None:
    """First question: 1 true positive. Second: 1 true positive, 2 false negatives.

    Pooled 2 x 2 / (2 x 2 + 0 + 2) = 2/3; the mean of the questions' F1, 1 and 1/2, would be 3/4. One of
    the two questions is entirely correct.
    """
    scores = MULTIRC(questions("100", "1110"), ["100", "1000"])
    assert scores == pytest.approx({"f1a": 2 / 3, "em": 1 / 2})
    assert scores["f1a"] != pytest.approx((1 + 1 / 2) / 2)


def test_a_false_positive_lowers_f1a_and_exact_match() -> None:
    """1 true positive, 1 false positive: 2 / (2 + 1)."""
    assert MULTIRC(questions("10"), ["11"]) == pytest.approx({"f1a": 2 / 3, "em": 0})


def test_a_question_without_true_answers_can_match_exactly_with_f1a_zero() -> None:
    """Neither gold nor answers have positives, so F1 counts nothing."""
    assert MULTIRC(questions("000"), ["000"]) == {"f1a": 0.0, "em": 1.0}


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_f1a_agrees_with_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    """It is F1 over all candidates, here three to a question."""
    parts = [pairs[low : low + 3] for low in range(0, len(pairs), 3)]
    digits = [["".join(str(int(pair[side])) for pair in part) for part in parts] for side in (0, 1)]
    expected = f1_score([gold for gold, _ in pairs], [answer for _, answer in pairs], zero_division=0.0)
    assert MULTIRC(questions(*digits[0]), digits[1])["f1a"] == pytest.approx(expected)


def test_an_answer_needs_a_digit_for_every_candidate() -> None:
    """An answer of another length is a bug."""
    with pytest.raises(ValueError, match="zip"):
        MULTIRC(questions("10"), ["1"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Lake District", "lake district"),
        ("an  apple a\tday", "apple day"),
        ("Theatre of Athens", "theatre of athens"),  # articles are whole words
        ("U.S. (north)", "us north"),
        ("O'Hara's", "oharas"),
        (
            "The-Hague",
            "thehague",
        ),  # punctuation is deleted first, as in the official script, without a blank in its place
        ("", ""),
    ],
)
def test_texts_are_normalised_as_in_the_official_script(text: str, expected: str) -> None:
    """Lower case, without punctuation and articles, with single blanks."""
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("answer", "gold", "f1"),
    [
        ("the Lake District", "Lake", 2 / 3),  # 1 shared of 2 and 1
        ("Lake.", "a lake", 1),
        ("New York New York", "New York", 2 / 3),  # 2 shared of 4 and 2: a repeated word counts each time
        ("York York", "New York", 1 / 2),  # 1 shared of 2 and 2
        ("Arden", "Solt", 0),
        ("", "Solt", 0),
    ],
)
def test_token_f1_counts_repeated_words(answer: str, gold: str, f1: float) -> None:
    """Twice the shared words over the words of both texts; it is symmetric."""
    assert token_f1(answer, gold) == token_f1(gold, answer) == pytest.approx(f1)


def test_a_query_is_scored_by_its_best_gold_answer() -> None:
    """`Mira` against `Mira Solt` (F1 2/3) and `the mira` (equal): F1 is 1, and an exact match."""
    query = query_with(("Arden", "Mira"), "Mira Solt", "the mira")
    assert RECORD([query], ["1"]) == {"f1": 1.0, "em": 1.0}
    assert RECORD([query], ["0"]) == {"f1": 0.0, "em": 0.0}
    assert RECORD([query_with(("Mira",), "Mira Solt")], ["0"]) == pytest.approx({"f1": 2 / 3, "em": 0})


def test_an_unanswered_query_scores_zero() -> None:
    """It still counts: with one of two queries answered correctly, the score is 0.5."""
    query = query_with(("Mira", "Arden"), "Mira")
    assert RECORD([query, query], ["", "0"]) == {"f1": 0.5, "em": 0.5}


def test_the_score_of_a_task_is_the_mean_of_its_metrics() -> None:
    """As SuperGLUE averages tasks with two metrics."""
    assert mean_score({"f1a": 0.6, "em": 0.2}) == pytest.approx(0.4)
    assert mean_score({"accuracy": 0.7}) == 0.7


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_scoring_needs_one_answer_for_each_example(task: Task) -> None:
    """And at least one example."""
    with pytest.raises(ValueError, match="0 answers to 0"):
        task.scoring([], [])
    with pytest.raises(ValueError, match="0 answers to 1"):
        task.scoring(with_gold("true"), [])


def test_clusters_are_counted_in_order_of_appearance() -> None:
    """Cluster 1, then the example without one, then cluster 0, whatever their names."""
    examples = [
        Example("0", (), ("a",), cluster="1"),
        Example("1", (), ("a",)),
        Example("2", (), ("b",), cluster="0"),
        Example("3", (), ("b",), cluster="1"),
    ]
    counts = label_scoring(("a", "b"), ("accuracy",)).by_cluster(examples, ["a", "b", "b", "a"])
    # examples and correct answers of each
    assert counts[:, :2].tolist() == [[2, 1], [1, 0], [1, 1]]


@st.composite
def answered_examples(draw: st.DrawFn) -> tuple[str, list[Example], list[str]]:
    """Draw a task, labelled examples in a few clusters, and an answer to each."""
    task = get_task(draw(st.sampled_from(sorted(TASKS))))
    examples, answers = [], []
    for index in range(draw(st.integers(1, 12))):
        # every example of AX-g belongs to a pair
        cluster = draw(st.sampled_from(["p", "q", "r"] if task.name == "ax-g" else ["", "p", "q", "r"]))
        if task.name == "multirc":
            gold = tuple(draw(st.lists(st.sampled_from(["false", "true"]), min_size=1, max_size=4)))
            answers.append("".join(draw(st.sampled_from("01")) for _ in gold))
            examples.append(Example(str(index), (), gold, cluster=cluster))
        elif task.name == "record":
            texts = st.sampled_from(["Mira Solt", "Solt", "the play", "Arden", "Arden Arden"])
            candidates = tuple(draw(st.lists(texts, min_size=1, max_size=3, unique=True)))
            positions = ["", *map(str, range(len(candidates)))]
            answers.append(draw(st.sampled_from(positions)))
            gold = tuple(draw(st.lists(texts, min_size=1, max_size=2)))
            examples.append(Example(str(index), (), gold, candidates, cluster))
        else:
            labels = ("0", "1") if task.name == "copa" else task.labels
            answers.append(draw(st.sampled_from(labels)))
            examples.append(Example(str(index), (), (draw(st.sampled_from(labels)),), cluster=cluster))
    return task.name, examples, answers


@given(answered_examples())
def test_counts_of_disjoint_clusters_add_up(drawn: tuple[str, list[Example], list[str]]) -> None:
    """So an interval may resample clusters by adding rows. Metrics lie between -1 and 1."""
    name, examples, answers = drawn
    scoring = get_task(name).scoring
    counts = scoring.by_cluster(examples, answers)
    clusters = {example.cluster or f"alone {example.id}" for example in examples}
    assert len(counts) == len(clusters)
    np.testing.assert_allclose(counts.sum(axis=0), scoring.tally(examples, answers))
    scores = scoring(examples, answers)
    assert scoring.rates(counts.sum(axis=0)) == pytest.approx(scores)
    assert set(scores) <= set(scoring.metrics)
    assert all(-1 <= value <= 1 for value in scores.values())
