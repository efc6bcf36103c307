import json

import pytest

from baselines.servers.protocols.base import InvalidAnswer
from baselines.servers.protocols.others import (
    InfinityProtocol,
    OpenAiProtocol,
    ScoreProtocol,
    TeiProtocol,
)
from harness.common.errors import UnsupportedError
from harness.workload.tasks.example import TextInput

YES, NO = {"label": "yes", "score": 0.9}, {"label": "no", "score": 0.1}


def test_tei_takes_a_text_a_pair_or_a_batch_of_both() -> None:
    """As `PredictInput` of its router reads them."""
    tei = TeiProtocol()
    one, pair = TextInput("a"), TextInput("b", "c")
    assert json.loads(tei.body([one])) == {"inputs": "a", "truncate": True}
    assert json.loads(tei.body([pair])) == {"inputs": ["b", "c"], "truncate": True}
    assert json.loads(tei.body([one, pair])) == {"inputs": [["a"], ["b", "c"]], "truncate": True}
    assert tei.labels([NO, YES], 1) == ["yes"]
    assert tei.labels([[NO, YES], [NO]], 2) == ["yes", "no"]
    with pytest.raises(InvalidAnswer, match="expected 2 answers, got 1"):
        tei.labels([[NO, YES]], 2)


def test_infinity_answers_a_list_of_scores_for_each_text() -> None:
    """Under `data`."""
    infinity = InfinityProtocol("rte")
    assert json.loads(infinity.body([TextInput("a"), TextInput("b")])) == {
        "model": "rte",
        "input": ["a", "b"],
    }
    assert infinity.labels({"object": "classify", "data": [[YES, NO], [NO]]}, 2) == ["yes", "no"]
    with pytest.raises(InvalidAnswer, match="expected a list of answers"):
        infinity.labels({"data": None}, 1)


def test_answers_of_vllm_are_placed_by_their_index() -> None:
    """Also out of order; without a name, the column of the highest probability."""
    vllm = OpenAiProtocol("rte")
    first = {"index": 0, "label": "yes", "probs": [0.4, 0.6], "num_classes": 2}
    second = {"index": 1, "label": None, "probs": [0.4, 0.6], "num_classes": 2}
    assert vllm.labels({"data": [second, first]}, 2) == ["yes", 1]
    with pytest.raises(InvalidAnswer, match=r"an answer for each index below 2, got \[0\]"):
        vllm.labels({"data": [first, first]}, 2)
    with pytest.raises(InvalidAnswer, match="expected a number as index"):
        vllm.labels({"data": [{**first, "index": "0"}]}, 1)


def test_a_score_of_vllm_is_on_one_side_of_a_half() -> None:
    """It compares the texts of pairs; which side means what, only the user knows."""
    score = ScoreProtocol("rte")
    pairs = [TextInput("a", "b"), TextInput("c", "d")]
    assert json.loads(score.body(pairs)) == {"model": "rte", "text_1": ["a", "c"], "text_2": ["b", "d"]}
    rows = [{"index": 1, "object": "score", "score": 0.49}, {"index": 0, "score": 0.5}]
    assert score.labels({"data": rows}, 2) == ["score_1", "score_0"]
    with pytest.raises(InvalidAnswer, match=r"between 0 and 1, got 7\.5"):
        score.labels({"data": [{"index": 0, "score": 7.5}]}, 1)
    with pytest.raises(UnsupportedError, match="compares two texts, and the task has one"):
        score.body([TextInput("a")])
