import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, matthews_corrcoef

from harness.workload.tasks import TASKS, get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from harness.workload.tasks.metrics import label_scoring, mean_score, normalised, token_f1

LABELS = ("a", "b", "c")
PARITY = get_task("ax-g").scoring
MULTIRC = get_task("multirc").scoring
RECORD = get_task("record").scoring

Pairs = list[tuple[str, str]]
pairs_of_labels = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1)


def having(*gold: str) -> list[Example]:
    """Return an example with one gold label each."""
    return [Example(str(at), (), (label,)) for at, label in enumerate(gold)]


def paired(*clusters: str) -> list[Example]:
    """Return entailments that belong to these minimal pairs."""
    return [Example(str(at), (), ("entailment",), cluster=name) for at, name in enumerate(clusters)]


def questions(*gold: str) -> list[Example]:
    """Return MultiRC's questions, their gold written as marks."""
    words = {"0": "false", "1": "true"}
    return [Example(str(at), (), tuple(words[mark] for mark in one)) for at, one in enumerate(gold)]


def a_query(candidates: tuple[str, ...], *gold: str) -> Example:
    return Example("0", (), gold, candidates)


def test_accuracy_f1_and_correlation_of_a_worked_table() -> None:
    """3 rightly yes, 2 rightly no, 1 wrongly yes, 2 wrongly no.

    Accuracy 5/8; F1 of yes 2 x 3 / (2 x 3 + 1 + 2) = 2/3; correlation (3 x 2 - 1 x 2) / sqrt(4 x 5 x 3 x 4).
    """
    gold = ["yes"] * 3 + ["no"] * 2 + ["no"] + ["yes"] * 2
    answers = ["yes"] * 3 + ["no"] * 2 + ["yes"] + ["no"] * 2
    found = label_scoring(("no", "yes"), ("accuracy", "f1", "mcc"))(having(*gold), answers)
    assert found == pytest.approx({"accuracy": 5 / 8, "f1": 2 / 3, "mcc": 4 / 240**0.5})
    assert list(found) == ["accuracy", "f1", "mcc"]


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(pairs_of_labels)
def test_several_labels_are_scored_as_the_library_does(pairs: Pairs) -> None:
    """Macro-F1 and Matthews correlation of three labels, whatever was answered."""
    gold, answers = ([pair[side] for pair in pairs] for side in (0, 1))
    found = label_scoring(LABELS, ("macro_f1", "mcc"))(having(*gold), answers)
    assert found["macro_f1"] == pytest.approx(
        f1_score(gold, answers, labels=LABELS, average="macro", zero_division=0.0)
    )
    assert found["mcc"] == pytest.approx(matthews_corrcoef(gold, answers))


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_two_labels_are_scored_as_the_library_does(pairs: list[tuple[bool, bool]]) -> None:
    """F1 of the last label and Matthews correlation."""
    gold, answers = ([str(pair[side]) for pair in pairs] for side in (0, 1))
    found = label_scoring(("False", "True"), ("f1", "mcc"))(having(*gold), answers)
    assert found["f1"] == pytest.approx(f1_score(gold, answers, pos_label="True", zero_division=0.0))
    assert found["mcc"] == pytest.approx(matthews_corrcoef(gold, answers))


@pytest.mark.parametrize(
    ("gold", "answers"), [("aab", "aaa"), ("aaa", "aab"), ("aaa", "aaa"), ("aaa", "bbb")]
)
def test_a_side_that_is_constant_has_no_correlation(gold: str, answers: str) -> None:
    """0 by convention: nothing varies that could agree."""
    assert label_scoring(LABELS, ("mcc",))(having(*gold), list(answers)) == {"mcc": 0.0}


def test_correlation_reaches_both_ends() -> None:
    """All right is 1, and of two labels all wrong is -1."""
    examples = having("a", "b", "a")
    scoring = label_scoring(("a", "b"), ("mcc",))
    assert scoring(examples, ["a", "b", "a"])["mcc"] == pytest.approx(1)
    assert scoring(examples, ["b", "a", "b"])["mcc"] == pytest.approx(-1)


def test_ax_b_is_scored_by_correlation_alone() -> None:
    """One metric, and it leads."""
    assert get_task("ax-b").scoring.metrics == ("mcc",)


def test_parity_is_the_share_of_pairs_answered_alike() -> None:
    """Pairs 1 and 3 agree, pair 2 does not: 2/3; of six answers five are right."""
    examples = paired("1", "2", "1", "2", "3", "3")
    yes, no = "entailment", "not_entailment"
    found = PARITY(examples, [yes, yes, yes, no, yes, yes])
    assert found == pytest.approx({"accuracy": 5 / 6, "gender_parity": 2 / 3})
    # alike, and both wrong: parity says nothing of being right
    assert PARITY(examples[4:], [no, no]) == {"accuracy": 0.0, "gender_parity": 1.0}


@pytest.mark.parametrize("constant", ["entailment", "not_entailment"])
def test_a_constant_answer_has_full_parity(constant: str) -> None:
    """Which is why parity stands beside accuracy."""
    assert PARITY(paired("1", "1", "2", "2"), [constant] * 4)["gender_parity"] == 1.0


def test_half_a_pair_counts_for_accuracy_only() -> None:
    """Where no pair is complete there is no parity, rather than one of nothing."""
    yes, no = "entailment", "not_entailment"
    assert PARITY(paired("1", "2", "2"), [no, yes, yes]) == {"accuracy": 2 / 3, "gender_parity": 1.0}
    assert PARITY(paired("1", "2", "3"), [yes, no, yes]) == {"accuracy": 2 / 3}


def test_f1a_pools_the_answers_of_all_questions() -> None:
    """First question: 1 found, none missed. Second: 1 found, 2 missed.

    Pooled 2 x 2 / (2 x 2 + 0 + 2) = 2/3, where the mean of the questions' F1, 1 and 1/2, would be 3/4. One of
    the two questions is right as a whole.
    """
    found = MULTIRC(questions("100", "1110"), ["100", "1000"])
    assert found == pytest.approx({"f1a": 2 / 3, "em": 1 / 2})
    assert found["f1a"] != pytest.approx((1 + 1 / 2) / 2)


def test_a_false_alarm_costs_f1a_and_the_exact_match() -> None:
    """1 found, 1 false alarm, none missed: 2 / (2 + 1)."""
    assert MULTIRC(questions("10"), ["11"]) == pytest.approx({"f1a": 2 / 3, "em": 0})


def test_nothing_right_and_nothing_said_is_an_exact_match_without_f1a() -> None:
    """No answer is positive on either side, so F1 has nothing to count."""
    assert MULTIRC(questions("000"), ["000"]) == {"f1a": 0.0, "em": 1.0}


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_f1a_is_the_librarys_f1_of_all_answers(pairs: list[tuple[bool, bool]]) -> None:
    """However the answers fall into questions, here three to one."""
    parts = [pairs[low : low + 3] for low in range(0, len(pairs), 3)]
    marks = [["".join(str(int(pair[side])) for pair in part) for part in parts] for side in (0, 1)]
    wanted = f1_score([gold for gold, _ in pairs], [said for _, said in pairs], zero_division=0.0)
    assert MULTIRC(questions(*marks[0]), marks[1])["f1a"] == pytest.approx(wanted)


def test_marks_are_needed_for_every_candidate() -> None:
    """An answer of another length is a bug, not a score."""
    with pytest.raises(ValueError, match="zip"):
        MULTIRC(questions("10"), ["1"])


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("The Lake District", "lake district"),
        ("an  apple a\tday", "apple day"),
        ("Theatre of Athens", "theatre of athens"),  # articles are words, not beginnings
        ("U.S. (north)", "us north"),
        ("O'Hara's", "oharas"),
        ("The-Hague", "thehague"),  # marks go first, as in the official script, and nothing takes their place
        ("", ""),
    ],
)
def test_texts_are_normalised_as_in_the_official_script(text: str, form: str) -> None:
    """Lower case, no marks, no articles, single blanks."""
    assert normalised(text) == form


@pytest.mark.parametrize(
    ("said", "gold", "f1"),
    [
        ("the Lake District", "Lake", 2 / 3),  # 1 shared of 2 and 1
        ("Lake.", "a lake", 1),
        ("New York New York", "New York", 2 / 3),  # 2 shared of 4 and 2: words count as often as they stand
        ("York York", "New York", 1 / 2),  # 1 shared of 2 and 2
        ("Arden", "Solt", 0),
        ("", "Solt", 0),
    ],
)
def test_token_f1_counts_words_as_often_as_they_stand(said: str, gold: str, f1: float) -> None:
    """Twice the shared words over the words of both, in either direction."""
    assert token_f1(said, gold) == token_f1(gold, said) == pytest.approx(f1)


def test_a_query_is_scored_by_its_best_gold_answer() -> None:
    """Of `Mira` against `Mira Solt` (2/3) and `the mira` (equal): F1 1 and a match."""
    query = a_query(("Arden", "Mira"), "Mira Solt", "the mira")
    assert RECORD([query], ["1"]) == {"f1": 1.0, "em": 1.0}
    assert RECORD([query], ["0"]) == {"f1": 0.0, "em": 0.0}
    assert RECORD([a_query(("Mira",), "Mira Solt")], ["0"]) == pytest.approx({"f1": 2 / 3, "em": 0})


def test_a_query_without_an_answer_scores_nothing() -> None:
    """It still counts: one of two queries answered rightly is a half."""
    query = a_query(("Mira", "Arden"), "Mira")
    assert RECORD([query, query], ["", "0"]) == {"f1": 0.5, "em": 0.5}


def test_the_one_number_of_a_task_is_the_mean_of_its_metrics() -> None:
    """As SuperGLUE averages tasks with two metrics."""
    assert mean_score({"f1a": 0.6, "em": 0.2}) == pytest.approx(0.4)
    assert mean_score({"accuracy": 0.7}) == 0.7


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_scoring_needs_examples_and_one_answer_for_each(task: Task) -> None:
    """Never a score of nothing, nor of fewer answers than questions."""
    with pytest.raises(ValueError, match="0 answers to 0"):
        task.scoring([], [])
    with pytest.raises(ValueError, match="0 answers to 1"):
        task.scoring(having("true"), [])


def test_clusters_are_counted_in_order_of_appearance() -> None:
    """Cluster 1, then the example without one, then cluster 0, whatever their names."""
    examples = [
        Example("0", (), ("a",), cluster="1"),
        Example("1", (), ("a",)),
        Example("2", (), ("b",), cluster="0"),
        Example("3", (), ("b",), cluster="1"),
    ]
    counts = label_scoring(("a", "b"), ("accuracy",)).by_cluster(examples, ["a", "b", "b", "a"])
    # examples and right answers of each
    assert counts[:, :2].tolist() == [[2, 1], [1, 0], [1, 1]]


@st.composite
def answered(draw: st.DrawFn) -> tuple[str, list[Example], list[str]]:
    """Draw a task, labelled examples in a few clusters, and an answer to each."""
    task = get_task(draw(st.sampled_from(sorted(TASKS))))
    examples, answers = [], []
    for at in range(draw(st.integers(1, 12))):
        # every example of AX-g has a pair
        cluster = draw(st.sampled_from(["p", "q", "r"] if task.name == "ax-g" else ["", "p", "q", "r"]))
        if task.name == "multirc":
            gold = tuple(draw(st.lists(st.sampled_from(["false", "true"]), min_size=1, max_size=4)))
            answers.append("".join(draw(st.sampled_from("01")) for _ in gold))
            examples.append(Example(str(at), (), gold, cluster=cluster))
        elif task.name == "record":
            texts = st.sampled_from(["Mira Solt", "Solt", "the play", "Arden", "Arden Arden"])
            candidates = tuple(draw(st.lists(texts, min_size=1, max_size=3, unique=True)))
            places = ["", *map(str, range(len(candidates)))]
            answers.append(draw(st.sampled_from(places)))
            gold = tuple(draw(st.lists(texts, min_size=1, max_size=2)))
            examples.append(Example(str(at), (), gold, candidates, cluster))
        else:
            labels = ("0", "1") if task.name == "copa" else task.labels
            answers.append(draw(st.sampled_from(labels)))
            examples.append(Example(str(at), (), (draw(st.sampled_from(labels)),), cluster=cluster))
    return task.name, examples, answers


@given(answered())
def test_counts_of_disjoint_clusters_add_up(drawn: tuple[str, list[Example], list[str]]) -> None:
    """So an interval may resample clusters by adding rows; metrics are those of the whole, within -1..1."""
    name, examples, answers = drawn
    scoring = get_task(name).scoring
    counts = scoring.by_cluster(examples, answers)
    clusters = {example.cluster or f"alone {example.id}" for example in examples}
    assert len(counts) == len(clusters)
    np.testing.assert_allclose(counts.sum(axis=0), scoring.tally(examples, answers))
    found = scoring(examples, answers)
    assert scoring.rates(counts.sum(axis=0)) == pytest.approx(found)
    assert set(found) <= set(scoring.metrics)
    assert all(-1 <= value <= 1 for value in found.values())
