import pytest

from baselines.servers.protocols.base import InvalidAnswer, as_label, best_column, best_label, dump


def test_the_label_with_the_highest_score_is_the_answer_whatever_the_order() -> None:
    """As objects in a list, or as scores by name; of equals, the first."""
    rows = [{"label": "no", "score": 0.2}, {"label": "yes", "score": 0.7}, {"label": "maybe", "score": 0.1}]
    assert best_label(rows) == best_label(rows[::-1]) == "yes"
    assert best_label({"no": -1.5, "yes": -1}) == "yes"
    assert best_label({"a": 1, "b": 1}) == "a"
    assert best_column([0.1, 3, 2.5]) == 1
    assert best_column([2, 2]) == 0


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([], "at least one label"),
        ("yes", "expected a list of labels"),
        ([{"label": "yes"}], "expected a field 'score'"),
        ([{"label": "yes", "score": "high"}], "finite number"),
        ({"yes": True}, "finite number"),
        ([["yes", 1]], "expected an object"),
    ],
)
def test_scores_of_another_form_are_no_answer(scores: object, message: str) -> None:
    """Nothing is taken for a label that is none."""
    with pytest.raises(InvalidAnswer, match=message):
        best_label(scores)


@pytest.mark.parametrize("value", [None, True, 0.5, ["yes"], {"label": "yes"}])
def test_a_label_is_a_name_or_a_column(value: object) -> None:
    """A boolean is neither, although Python counts with it."""
    with pytest.raises(InvalidAnswer, match="the name of a label"):
        as_label(value)


def test_one_score_is_no_choice_between_labels() -> None:
    """What a reranker returns needs a threshold that nobody named."""
    with pytest.raises(InvalidAnswer, match="a score for each label, got 1"):
        best_column([0.9])


def test_a_body_is_valid_json_for_every_text() -> None:
    """Half of a surrogate pair too, which UTF-8 cannot hold."""
    assert dump({"text": 'a\ud83d "é"'}) == b'{"text":"a\\ud83d \\"\\u00e9\\""}'
