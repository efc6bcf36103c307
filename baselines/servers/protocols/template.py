"""Any other JSON API, described as data: what a request looks like, and where the answer is.

    request: {"texts": {"a": "{first}", "b": "{second}"}}     {first}, {second} in any string
    label: result.0.label                                     or  scores: result.0.scores

`label` is the place of a label's name. `scores` is the place of an object of scores by name, or of a list of
objects with `label` and `score`. A number in a place is the position in a list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baselines.servers.protocols.base import (
    InvalidAnswer,
    JsonAnswers,
    ServerLabel,
    as_label,
    best_label,
    dump,
    shown,
)
from harness.common.errors import UsageError
from harness.common.json_types import JsonValue
from harness.workload.tasks.example import TextInput

FIRST, SECOND = "{first}", "{second}"

_REMEDY = (
    'As in {"request": {"text": "{first}", "pair": "{second}"}, "label": "result.label"} '
    "(docs/howto/servers.md)."
)


@dataclass(frozen=True, slots=True)
class TemplateProtocol(JsonAnswers):
    """A JSON API with one input a request; `place` is where the answer is, and holds `scores` or a label."""

    request: Any
    place: tuple[str, ...]
    scores: bool
    pairs: bool
    name: str = "json"
    batches: bool = False

    def body(self, texts: Sequence[TextInput]) -> bytes:
        """Return the request, with the texts in their places."""
        (text,) = texts
        return dump(_filled(self.request, text.first, text.second or ""))

    def labels(self, content: JsonValue, count: int) -> list[ServerLabel]:
        """Return the label of the one text."""
        del count
        value = content
        for step in self.place:
            value = _inner(value, step)
        return [best_label(value) if self.scores else as_label(value)]


def template_protocol(template: Mapping[str, Any]) -> TemplateProtocol:
    """Return the protocol that a template describes; UsageError with a remedy where it is not one."""
    unknown = sorted(map(str, template.keys() - {"request", "label", "scores"}))
    places = [name for name in ("label", "scores") if name in template]
    if unknown or "request" not in template or len(places) != 1:
        fields = ", ".join(map(str, template)) or "nothing"
        raise _invalid(f"expected request, and one of label and scores, got {fields}")
    place = template[places[0]]
    if not isinstance(place, str | int) or isinstance(place, bool):
        raise _invalid(f"{places[0]} must be a place such as result.0.label, got {shown(place)}")
    text = dump(template["request"]).decode()
    if FIRST not in text:
        raise _invalid(f"the request has no {FIRST}")
    steps = tuple(step for step in str(place).split(".") if step)
    return TemplateProtocol(template["request"], steps, places == ["scores"], SECOND in text)


def _filled(value: JsonValue, first: str, second: str) -> JsonValue:
    if isinstance(value, str):
        # in one pass: a text may hold the other one's mark
        return second.join(part.replace(FIRST, first) for part in value.split(SECOND))
    if isinstance(value, Mapping):
        return {name: _filled(inner, first, second) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(inner, first, second) for inner in value]
    return value


def _inner(value: JsonValue, step: str) -> JsonValue:
    if isinstance(value, Mapping) and step in value:
        return value[step]
    if isinstance(value, list) and step.isascii() and step.isdecimal() and int(step[:9]) < len(value):
        return value[int(step[:9])]
    raise InvalidAnswer(f"there is no {step!r} in {shown(value)}")


def _invalid(problem: str) -> UsageError:
    return UsageError(f"{problem}.", where="--system-template", remedy=_REMEDY)
