import json

import pytest

from baselines.servers.protocols.base import InvalidAnswer
from baselines.servers.protocols.others import InfinityProtocol, OpenAiProtocol, TeiProtocol
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
