import json
from typing import Any

import pytest

from baselines.servers.protocols.base import InvalidAnswer
from baselines.servers.protocols.template import template_protocol
from harness.common.errors import UsageError
from harness.workload.tasks.example import TextInput


def test_texts_fill_the_places_of_a_template_and_nothing_else() -> None:
    """In strings at any depth; a text that looks like a place is a text."""
    template = {"request": {"q": ["{first}", 3], "c": "<{second}>", "n": None}, "label": "label"}
    protocol = template_protocol(template)
    filled = json.loads(protocol.body([TextInput("{second}", "{first}")]))
    assert filled == {"q": ["{second}", 3], "c": "<{first}>", "n": None}
    assert (protocol.pairs, protocol.batches) == (True, False)
    assert not template_protocol({"request": "{first}", "label": "label"}).pairs


def test_the_answer_is_at_its_place() -> None:
    """Names of fields and positions in lists."""
    protocol = template_protocol({"request": "{first}", "label": "result.0.label"})
    assert protocol.labels({"result": [{"label": "yes"}]}, 1) == ["yes"]
    scores = template_protocol({"request": "{first}", "scores": "scores"})
    assert scores.labels({"scores": {"yes": 0.9, "no": 0.1}}, 1) == ["yes"]
    whole = template_protocol({"request": "{first}", "scores": ""})
    assert whole.labels([{"label": "no", "score": 0.9}], 1) == ["no"]


@pytest.mark.parametrize(
    "content", [{"result": []}, {"result": {}}, [], {"other": 1}, {"result": [[]]}, None]
)
def test_an_answer_without_that_place_is_refused(content: Any) -> None:
    """With the step that is missing."""
    protocol = template_protocol({"request": "{first}", "label": "result.0.label"})
    with pytest.raises(InvalidAnswer, match="there is no '"):
        protocol.labels(content, 1)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ({"request": "{first}"}, "one of label and scores, got request"),
        ({"request": "{first}", "label": "a", "scores": "b"}, "one of label and scores"),
        ({"request": "{first}", "label": "a", "header": "b"}, "got request, label, header"),
        ({"request": {"text": "{text}"}, "label": "a"}, "the request has no {first}"),
        ({"request": "{first}", "label": ["a"]}, "label must be a place"),
        ({}, "got nothing"),
    ],
)
def test_a_template_that_is_none_is_refused_with_an_example(template: dict[str, Any], message: str) -> None:
    """Before anything is sent."""
    with pytest.raises(UsageError) as caught:
        template_protocol(template)
    assert message in caught.value.message
    assert '"request"' in str(caught.value.remedy)
